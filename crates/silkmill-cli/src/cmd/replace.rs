//! `silkmill replace`: from words to a run, and from its events to words.

mod json;
mod text;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use signal_hook::consts::SIGXFSZ;
use silkmill::CancelToken;
use silkmill_replace::{
    Case, Error, ErrorKind, Event, HardLinks, Mode, Options, Outcome, PRUNED_IN_MAX, Summary,
    prune, run as replace,
};

use crate::args::{HardLinkPolicy, ReplaceArgs, When};
use crate::cmd::replace::json::Json;
use crate::cmd::replace::text::{Text, Verbosity};
pub(crate) use crate::cmd::replace::text::{count, in_one_line};
use crate::exit::Exit;
use crate::interrupt::{self, Second};
use crate::progress::Meter;
use crate::state::state_directory;
use crate::words::{reason, to_stderr};

pub(crate) fn run(args: ReplaceArgs) -> anyhow::Result<Exit> {
    let (format, meter) = (Format::new(&args), meter(&args));
    let (stats, dry_run) = (args.stats, args.dry_run);
    let options = options(args)?;
    let cancel = CancelToken::new();
    interrupt::cancels(&cancel, Second::IsIgnored)?;
    outlive_file_size_limit()?;

    let mut output = Output { format, out: Stdout::new(), meter };
    let ended = replace(&options, &cancel, &mut |event| {
        output.tell(event);
        // What nobody reads need not be worked out; but files are changed for their own sake.
        if dry_run && output.out.error.is_some() {
            cancel.cancel();
        }
    });
    output.meter.clear();
    let mut store = None;
    let exit = match ended {
        Ok(summary) => {
            store.clone_from(&summary.store);
            output.finish(&summary, options.changes_nothing(), dry_run, stats);
            exit_of(&summary)
        }
        Err(_) if dry_run && output.out.error.is_some() => Exit::Success,
        Err(error) => {
            output.give_up(&error);
            match error.kind() {
                ErrorKind::Interrupted => Exit::Interrupted,
                _ => Exit::Error,
            }
        }
    };
    output.out.close()?;
    if let Some(store) = store {
        prune(&store, PRUNED_IN_MAX);
    }
    Ok(exit)
}

/// Makes a file that outgrows the limit of `ulimit -f` an error like any other; left alone, its signal
/// ends the process and leaves what was staged.
pub(crate) fn outlive_file_size_limit() -> anyhow::Result<()> {
    // Nobody reads the flag: that the signal is caught is enough.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).context("failed to listen for SIGXFSZ")?;
    Ok(())
}

fn options(args: ReplaceArgs) -> anyhow::Result<Options> {
    let mode = match (args.dry_run, args.json || args.quiet) {
        (false, _) => Mode::Write,
        (true, false) => Mode::Diff,
        (true, true) => Mode::Count,
    };
    let case = match (args.ignore_case, args.smart_case) {
        (true, _) => Case::Insensitive,
        (_, true) => Case::Smart,
        _ => Case::Sensitive,
    };
    let hard_links = match args.hard_links {
        HardLinkPolicy::Keep => HardLinks::Keep,
        HardLinkPolicy::Split => HardLinks::Split,
        HardLinkPolicy::Refuse => HardLinks::Refuse,
    };
    let mut builder = Options::builder(args.old.into_vec(), args.new.into_vec())
        .regex(args.regex)
        .case(case)
        .word(args.word)
        .multiline(args.multiline)
        .hidden(args.hidden)
        .ignored(args.no_ignore)
        .mode(mode)
        .strict(args.strict)
        .measure(args.stats)
        .sync(!args.no_sync)
        .undo(!args.no_undo)
        .hard_links(hard_links);
    builder =
        state_directory().into_iter().fold(builder, |builder, path| builder.state_directory(path));
    builder = args.paths.into_iter().fold(builder, |builder, path| builder.path(path));
    builder = args.glob.into_iter().fold(builder, |builder, glob| builder.glob(glob));
    builder = args.types.into_iter().fold(builder, |builder, name| builder.file_type(name));
    if let Some(expected) = args.expect {
        builder = builder.expect(expected);
    }
    if let Some(count) = args.max_count {
        builder = builder.file_replacements_max(count.get());
    }
    if let Some(bytes) = args.max_file_size {
        builder = builder.file_size_max(bytes);
    }
    if let Some(workers) = args.workers {
        builder = builder.workers(workers.get());
    }
    Ok(builder.build()?)
}

fn meter(args: &ReplaceArgs) -> Meter {
    let progress = if args.quiet { When::Never } else { args.progress };
    let mut meter = Meter::new(progress);
    meter.show(|| "looking for files".to_owned());
    meter
}

fn exit_of(summary: &Summary) -> Exit {
    match summary {
        Summary { files_failed: 1.., .. } => Exit::Error,
        Summary { replacements: 0, .. } => Exit::Partial,
        _ => Exit::Success,
    }
}

/// Where a run's events go.
struct Output {
    format: Format,
    out: Stdout,
    meter: Meter,
}

enum Format {
    Text(Text),
    Json(Json),
}

impl Format {
    fn new(args: &ReplaceArgs) -> Format {
        if args.json {
            return Format::Json(Json::new());
        }
        let verbosity = match (args.quiet, args.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Format::Text(Text::new(verbosity, is_coloured(args.color)))
    }
}

impl Output {
    fn tell(&mut self, event: Event<'_>) {
        if let (Format::Json(json), Event::Progress(now)) = (&mut self.format, &event) {
            json.progress(now);
        }
        match event {
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::Notice(notice) => {
                let out = &mut self.out;
                self.meter.suspend(|| out.aside(format_args!("silkmill: {notice}")));
            }
            Event::Progress(now) if now.files_committed > 0 => self.meter.show(|| {
                format!("{} of {} files replaced", now.files_committed, now.files_matched)
            }),
            Event::Progress(now) => self.meter.show(|| {
                format!("{} files read, {} with a match", now.files_seen, now.files_matched)
            }),
            _ => {}
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let (format, out) = (&mut self.format, &mut self.out);
        self.meter.suspend(|| match format {
            Format::Text(text) => text.outcome(outcome, out),
            Format::Json(json) => json.outcome(outcome, out),
        });
    }

    fn finish(&mut self, summary: &Summary, nothing_to_do: bool, dry_run: bool, stats: bool) {
        match &self.format {
            Format::Text(text) if nothing_to_do => text.nothing_to_do(&mut self.out),
            Format::Text(text) => text.summary(summary, dry_run, &mut self.out),
            Format::Json(json) => json.summary(summary.run.as_deref(), &mut self.out),
        }
        if stats && let Some(stats) = summary.stats {
            let (tasks, workers) =
                (count(stats.completed, "task"), count(stats.workers as u64, "worker"));
            let advice = stats.advice();
            self.out.aside(format_args!("silkmill: {tasks} on {workers}; {advice}"));
        }
    }

    /// Tells why the run did not come to its end.
    fn give_up(&mut self, error: &Error) {
        if let Format::Json(json) = &self.format {
            json.summary(None, &mut self.out);
        }
        self.out.aside(format_args!("silkmill: {error}"));
    }
}

/// Standard output, which remembers its first error and is silent from then on.
struct Stdout {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    error: Option<io::Error>,
}

impl Stdout {
    fn new() -> Stdout {
        let out = io::stdout().lock();
        Stdout { is_terminal: out.is_terminal(), out: BufWriter::new(out), error: None }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        let mut written = self.out.write_all(bytes);
        // A person reads along.
        if self.is_terminal && written.is_ok() {
            written = self.out.flush();
        }
        self.error = written.err();
    }

    /// Writes a line to standard error; after what was written here, for both may be one terminal or file.
    fn aside(&mut self, line: impl Display) {
        self.flush();
        to_stderr(line);
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
    }

    /// A reader that went away is no error of ours.
    fn close(mut self) -> anyhow::Result<()> {
        self.flush();
        match self.error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(anyhow!("failed to write to stdout: {}", reason(&error)))
            }
            _ => Ok(()),
        }
    }
}

fn is_coloured(color: When) -> bool {
    match color {
        When::Always => true,
        When::Never => false,
        // Knows NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
        When::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}
