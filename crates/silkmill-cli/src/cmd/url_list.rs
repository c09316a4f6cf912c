//! Requests a list of URLs and writes the rows: what `fetch` and `scrape` have in common.

pub(crate) mod cookies;
mod covered;
pub(super) mod ending;
mod histogram;
mod hosts;
mod inputs;
mod lines;
mod list;
pub(super) mod options;
pub(crate) mod proxies;
mod recorder;
pub(crate) mod sitemaps;
mod tally;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::rc::Rc;

use anyhow::{Result, ensure};
use rustix::process::Resource;
use silkmill::CancelToken;
use silkmill_scrape::{self as scrape, OptionsBuilder, Summary};

use crate::args::{InputFormat, SitemapArgs, UrlListArgs};
use crate::cmd::url_list::cookies::Cookies;
use crate::cmd::url_list::ending::{End, Resumption, Written};
use crate::cmd::url_list::inputs::inputs;
use crate::cmd::url_list::lines::Lines;
use crate::cmd::url_list::list::{ListForm, OtherColumns};
use crate::cmd::url_list::options::options_of;
use crate::cmd::url_list::recorder::Recorder;
use crate::cmd::url_list::tally::Tally;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal};
use crate::messages::{count, reason, to_stderr};
use crate::sink::{Destination, Existing, Output, Schema};

/// Requests every URL that `args` name, and writes the rows where they say.
pub(crate) fn run(
    options: OptionsBuilder,
    mut schema: Schema,
    args: UrlListArgs,
    sitemaps: &SitemapArgs,
) -> Result<Exit> {
    ensure!(
        args.url_column.is_none() || args.input_format != InputFormat::Lines,
        "failed to read the column of --url-column: only --input-format csv and jsonl have columns"
    );
    refuse_lists(&args.urls)?;
    let sitemaps = sitemaps::list_of(sitemaps)?;
    let cookies = Cookies::open(&args.cookies, args.cookie_jar.as_deref())?;
    let options = options_of(options, &cookies, &args)?;
    raise_open_files();
    interrupt::outlive_file_size_limit()?;
    let destination = destination(&args);
    let form = ListForm {
        format: args.input_format,
        url_column: args.url_column.clone(),
        names_are_needed: destination.has_columns()?,
    };
    let lines = args.input.as_deref().map(|path| Lines::open(path, &form)).transpose()?;
    if let Some(OtherColumns::Named(names)) = lines.as_ref().map(Lines::other_columns) {
        schema = schema.with_input(names);
    }
    let cancel = CancelToken::new();
    let heed_signals = || interrupt::cancel_on_signal(&cancel, SecondSignal::EndsProcess);
    // Where the output is refused, nothing is requested before.
    let sitemaps = sitemaps.filter(|_| !destination.is_refused());
    let mut lists = VecDeque::new();
    let is_input = |output: &File| lines.as_ref().is_some_and(|lines| lines.are_from(output));
    if let Some(list) = &sitemaps {
        heed_signals()?;
        match sitemaps::spool(list, &options, &cancel, &args)? {
            Some(file) => lists.push_back(Lines::of_sitemaps(file)?),
            None => return Ok(interrupted_early(&args)),
        }
    }
    let (output, written) = Output::open(schema, &destination, is_input)?;
    if sitemaps.is_none() {
        heed_signals()?;
    }
    lines.into_iter().for_each(|lines| lists.push_front(lines));
    let (earlier, earlier_errors) = (written.rows(), written.errors());
    let covered = Rc::default();
    let mut recorder = Recorder::new(output, &args, earlier, Rc::clone(&covered));
    let failure = RefCell::new(None);
    let inputs = inputs(args.urls.clone(), args.shard, lists, written, covered, &failure);
    let summary = scrape::run_into(inputs, &options, &cancel, &mut recorder);
    let Recorder { output, unwritten, tally, .. } = recorder.finish();
    let summary = summary?;
    let kept = cookies.write();
    let end = match unwritten {
        // The reader has closed our output, which is not a failure.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return kept.map(|()| Exit::Success);
        }
        Some(error) => {
            to_stderr(format_args!(
                "silkmill: failed to write {}: {}",
                output.name(),
                reason(&error)
            ));
            End::Failed
        }
        None => match failure.into_inner() {
            Some(error) => {
                to_stderr(format_args!("silkmill: {error:#}"));
                End::Failed
            }
            None if summary.interrupted && cancel.is_cancelled() => End::Interrupted,
            None => End::Complete,
        },
    };
    let written = Written {
        rows: tally.rows(),
        errors: tally.errors(),
        earlier,
        earlier_errors,
        held_back: summary.held_back,
        cached: summary.cached,
        validated: summary.validated,
        elapsed: summary.elapsed,
    };
    let left_out = output.rows_with_other_keys();
    if left_out > 0 && !args.quiet {
        to_stderr(format_args!(
            "silkmill: {} of the input had keys that its first line does not have, which are left \
             out; -o rows.jsonl keeps them",
            count(left_out, "line")
        ));
    }
    let resumption = Resumption::of(&args, output.can_be_resumed());
    report(&args, &tally, &summary, written.line(end, resumption));
    kept?;
    Ok(exit(end, &written, resumption))
}

/// Says that the run was interrupted while its sitemaps were read.
fn interrupted_early(args: &UrlListArgs) -> Exit {
    if !args.quiet {
        to_stderr("silkmill: interrupted before a page was requested");
    }
    Exit::Interrupted
}

/// Reports on the run: in one line, and with more of them where that was wanted.
fn report(args: &UrlListArgs, tally: &Tally, summary: &Summary, line: String) {
    if args.verbose {
        tally.first_errors().for_each(|line| to_stderr(format_args!("silkmill: {line}")));
    }
    if args.stats {
        to_stderr(tally.phases());
        to_stderr(format_args!("silkmill: {}", summary.stats.advice()));
        if let Some(message) = tally.one_host(args.workers as usize, args.per_host) {
            to_stderr(message);
        }
    }
    if !args.quiet {
        to_stderr(format_args!("silkmill: {line}"));
    }
}

/// Refuses a file that was named where URLs are: the list that it probably is needs `-i`.
fn refuse_lists(urls: &[String]) -> Result<()> {
    for url in urls.iter().filter(|url| !url.contains("://")) {
        let is_file = fs::metadata(url).is_ok_and(|found| !found.is_dir());
        ensure!(
            !is_file,
            "failed to request {url:?}: it is a file (-i {url} requests the URLs in it, \
             https://{url} the host of that name)"
        );
    }
    Ok(())
}

/// Raises the limit of open files as far as the system lets us. Every connection is an open file,
/// idle ones included. If the limit is still too low, some requests fail and say so in their rows.
pub(super) fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

/// Returns where the rows go.
fn destination(args: &UrlListArgs) -> Destination<'_> {
    let existing = match (args.resume, args.force) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    let (path, format) = (args.output.as_deref(), args.format);
    Destination { path, format, existing, retry_errors: args.retry_errors }
}

fn exit(end: End, written: &Written, resumption: Resumption) -> Exit {
    match end {
        End::Failed => Exit::Error,
        End::Interrupted => Exit::Interrupted,
        End::Complete if written.errors_left(resumption) > 0 => Exit::Partial,
        End::Complete => Exit::Success,
    }
}
