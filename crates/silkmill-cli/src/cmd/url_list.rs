//! Requests a list of URLs and writes the rows: what `fetch` and `scrape` have in common.

pub(crate) mod cookies;
mod histogram;
mod hosts;
mod inputs;
mod lines;
mod options;
pub(crate) mod proxies;
mod recorder;
mod tally;

use std::cell::RefCell;
use std::fs::File;
use std::io;

use anyhow::{Result, bail};
use rustix::process::Resource;
use silkmill::CancelToken;
use silkmill_scrape::{self as scrape, OptionsBuilder, Summary};

use crate::args::UrlListArgs;
use crate::cmd::url_list::cookies::Cookies;
use crate::cmd::url_list::inputs::inputs;
use crate::cmd::url_list::lines::Lines;
use crate::cmd::url_list::options::options_of;
use crate::cmd::url_list::recorder::Recorder;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal};
use crate::messages::{reason, to_stderr};
use crate::sink::{Destination, Existing, Output, Schema};

/// Requests every URL that `args` name, and writes the rows where they say.
pub(crate) fn run(options: OptionsBuilder, schema: Schema, args: UrlListArgs) -> Result<Exit> {
    let cookies = Cookies::open(&args.cookies, args.cookie_jar.as_deref())?;
    let options = options_of(options, &cookies, &args)?;
    raise_open_files();
    let lines = args.input.as_deref().map(Lines::open).transpose()?;
    let is_input = |output: &File| lines.as_ref().is_some_and(|lines| lines.are_from(output));
    let (output, written) = Output::open(schema, &destination(&args), is_input)?;
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::EndsProcess)?;
    let earlier_errors = written.errors();
    let mut recorder = Recorder::new(output, &args, written.rows());
    let failure = RefCell::new(None);
    let inputs = inputs(args.urls, lines, written, &failure);
    let summary = scrape::run_into(inputs, &options, &cancel, &mut recorder);
    let Recorder { output, unwritten, tally, .. } = recorder.finish();
    let summary = summary?;
    cookies.write()?;
    if args.verbose || args.stats {
        to_stderr(tally.summary(&summary));
    }
    if args.stats {
        to_stderr(tally.phases());
        to_stderr(format_args!("silkmill: {}", summary.stats.advice()));
        if let Some(message) = tally.one_host(args.workers as usize, args.per_host) {
            to_stderr(message);
        }
    }
    exit(&summary, earlier_errors, &output, unwritten, failure.into_inner(), cancel.is_cancelled())
}

/// Raises the limit of open files as far as the system lets us. Every connection is an open file,
/// idle ones included. If the limit is still too low, some requests fail and say so in their rows.
fn raise_open_files() {
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
    Destination { path: args.output.as_deref(), format: args.format, existing }
}

fn exit(
    summary: &Summary,
    earlier_errors: u64,
    output: &Output,
    unwritten: Option<io::Error>,
    failure: Option<anyhow::Error>,
    cancelled: bool,
) -> Result<Exit> {
    match unwritten {
        // The reader has closed our output, which is not a failure.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Success),
        Some(error) => {
            bail!("failed to write {}: {}", output.name(), reason(&error));
        }
        None => {}
    }
    if let Some(error) = failure {
        return Err(error);
    }
    Ok(match summary {
        summary if summary.interrupted && cancelled => Exit::Interrupted,
        summary if summary.errors + earlier_errors > 0 => Exit::Partial,
        _ => Exit::Success,
    })
}
