//! Runs a list of URLs into a sink: what `fetch` and `scrape` have in common.

mod histogram;
mod hosts;
mod inputs;
mod lines;
mod proxies;
mod tally;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Result, bail};
use rustix::process::Resource;
use silkmill::CancelToken;
use silkmill_scrape::{self as scrape, Options, Progress, Row, Sink, Summary};

use crate::args::{ListArgs, Method, When};
use crate::exit::Exit;
use crate::interrupt::{self, Second};
use crate::messages::{reason, to_stderr};
use crate::progress::Meter;
use crate::sink::{Existing, Output, Place, Schema};

use inputs::inputs;
use lines::Lines;
use tally::Tally;

/// Asks for every URL that `args` name and writes the rows where they say.
pub(crate) fn run(options: Options, schema: Schema, args: ListArgs) -> Result<Exit> {
    let options = options_of(options, &args)?;
    raise_open_files();
    let lines = args.input.as_deref().map(Lines::open).transpose()?;
    let is_input = |output: &File| lines.as_ref().is_some_and(|lines| lines.are_from(output));
    let (output, done) = Output::open(schema, &place(&args), is_input)?;
    let cancel = CancelToken::new();
    interrupt::cancels(&cancel, Second::EndsTheProcess)?;
    let earlier_errors = done.errors();
    let mut recorder = Recorder::new(output, &args, done.rows());
    let failure = RefCell::new(None);
    let inputs = inputs(args.urls, lines, done, &failure);
    let summary = scrape::run_into(inputs, &options, &cancel, &mut recorder);
    let Recorder { output, unwritten, tally, .. } = recorder.finish();
    let summary = summary?;
    if args.verbose || args.stats {
        to_stderr(tally.summary(&summary));
    }
    if args.stats {
        to_stderr(tally.phases());
        to_stderr(format_args!("silkmill: {}", summary.stats.advice()));
        if let Some(words) = tally.one_host(args.workers as usize, args.per_host) {
            to_stderr(words);
        }
    }
    exit(&summary, earlier_errors, &output, unwritten, failure.into_inner(), cancel.is_cancelled())
}

/// A connection is an open file, and so is every other one that is kept for later. Where the system
/// does not let us have more, some requests may fail, and say so.
fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

/// Where the rows go.
fn place(args: &ListArgs) -> Place<'_> {
    let existing = match (args.resume, args.force) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Overwrite,
        _ => Existing::Refuse,
    };
    Place { path: args.output.as_deref(), format: args.format, existing }
}

/// Rows that scroll by on the terminal are progress enough.
fn progress(args: &ListArgs) -> When {
    match args.progress {
        When::Auto if args.quiet || rows_on_terminal(args) => When::Never,
        when => when,
    }
}

fn rows_on_terminal(args: &ListArgs) -> bool {
    let on_stdout = args.output.as_deref().is_none_or(|path| path == Path::new("-"));
    on_stdout && io::stdout().is_terminal()
}

/// Takes the rows of the run: writes and counts them, and says how far it is.
struct Recorder {
    output: Output,
    meter: Meter,
    /// Whether rows are written to where the meter may be.
    on_terminal: bool,
    tally: Tally,
    unwritten: Option<io::Error>,
}

impl Recorder {
    fn new(output: Output, args: &ListArgs, earlier: u64) -> Recorder {
        let mut meter = Meter::new(progress(args));
        let tally = Tally::start(earlier, meter.is_wanted() || args.stats);
        meter.show(|| tally.words(&Progress::default()));
        let on_terminal = rows_on_terminal(args);
        Recorder { output, meter, on_terminal, tally, unwritten: None }
    }

    fn note(&mut self, written: io::Result<()>) -> ControlFlow<()> {
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.unwritten = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Writes what is left.
    fn finish(mut self) -> Recorder {
        self.meter.clear();
        if self.unwritten.is_none() {
            self.unwritten = self.output.finish().err();
        }
        self
    }
}

impl Sink for Recorder {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        self.tally.count(&row);
        let written = self.output.write(&row);
        self.note(written)
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.meter.show(|| self.tally.words(progress));
        let written = match self.on_terminal {
            true => self.meter.suspend(|| self.output.pause()),
            false => self.output.pause(),
        };
        self.note(written)
    }
}

fn options_of(options: Options, args: &ListArgs) -> Result<Options> {
    let mut options = options
        .workers(args.workers as usize)
        .per_host(args.per_host)
        .delay(args.delay)
        .timeout(args.timeout)
        .connect_timeout(args.connect_timeout)
        .retries(args.retries)
        .redirects_max(args.max_redirects)
        .body_bytes_max(args.max_body)
        .method(match args.method {
            Method::Get => scrape::Method::Get,
            Method::Head => scrape::Method::Head,
        })
        .ordered(args.ordered)
        .robots(args.robots)
        .deny_private(args.deny_private)
        .insecure(args.insecure)
        .measure_cpu(args.stats);
    if let Some(timeout) = args.first_byte_timeout {
        options = options.first_byte_timeout(timeout);
    }
    for file in &args.cacert {
        options = options.trust_file(file)?;
    }
    options = proxies::set(options, args.proxy.as_deref())?;
    for header in &args.header {
        options = options.header(header)?;
    }
    if let Some(name) = &args.user_agent {
        options = options.user_agent(name)?;
    }
    Ok(options)
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
        // The reader has seen enough, which is not a failure.
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
