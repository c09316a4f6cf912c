//! `silkmill replace`: from words to a run, and from its events to words.

mod json;
mod pipe;
mod review;
mod text;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io::{self, BufWriter, IsTerminal, Read, StdoutLock, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use signal_hook::consts::SIGXFSZ;
use silkmill::CancelToken;
use silkmill_replace::{
    Case, Error, ErrorKind, Event, HardLinks, Mode, Options, Outcome, PRUNED_IN_MAX, Pairs,
    Summary, prune, review, run as replace,
};

use crate::args::{Binary, HardLinkPolicy, ReplaceArgs, When};
use crate::cmd::replace::json::Json;
use crate::cmd::replace::review::Asker;
use crate::cmd::replace::text::{Text, Verbosity};
pub(crate) use crate::cmd::replace::text::{count, in_one_line};
use crate::exit::Exit;
use crate::interrupt::{self, Second};
use crate::messages::{reason, to_stderr, whole};
use crate::progress::Meter;
use crate::state::state_directory;

pub(crate) fn run(args: ReplaceArgs) -> anyhow::Result<Exit> {
    let (format, meter) = (Format::new(&args), meter(&args));
    let (stats, dry_run, interactive, color) =
        (args.stats, args.dry_run, args.interactive, args.color);
    let is_filter = is_filter(&args)?;
    let options = options(args)?;
    if is_filter {
        return pipe::run(&options);
    }
    let cancel = CancelToken::new();
    interrupt::cancels(&cancel, Second::IsIgnored)?;
    outlive_file_size_limit()?;

    let mut output = Output { format, out: Stdout::new(), meter };
    let mut sink = |event: Event<'_>| {
        output.tell(event);
        // What nobody reads need not be worked out; but files are changed for their own sake.
        if dry_run && output.out.error.is_some() {
            cancel.cancel();
        }
    };
    let ended = if interactive {
        let mut asker = Asker::new(color, &cancel)?;
        review(&options, &cancel, &mut sink, &mut |change| asker.ask(change))
    } else {
        replace(&options, &cancel, &mut sink)
    };
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

/// Whether `-` is the only path. What is written to stdout at once can be neither shown, counted nor
/// refused before.
fn is_filter(args: &ReplaceArgs) -> anyhow::Result<bool> {
    let words = args.pairs.is_some().then_some([&args.old, &args.new]);
    let words = words.into_iter().flatten().flatten().map(OsString::as_os_str);
    let paths: Vec<&OsStr> = words.chain(args.paths.iter().map(|path| path.as_os_str())).collect();
    if !paths.contains(&OsStr::new("-")) {
        return Ok(false);
    }
    if paths.len() > 1 || args.files_from.is_some() {
        bail!("\"-\" is stdin, which goes to stdout: it stands alone; the file is \"./-\"");
    }
    let unfit = [
        ("-n", args.dry_run),
        ("-I", args.interactive),
        ("--json", args.json),
        ("--expect", args.expect.is_some()),
    ];
    match unfit.iter().find(|(_, given)| *given) {
        Some((option, _)) => bail!("{option} is for files, and \"-\" goes from stdin to stdout"),
        None => Ok(true),
    }
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
    let (builder, paths) = match &args.pairs {
        Some(file) => {
            // Without OLD and NEW, the first words are paths like those that follow.
            let words = [args.old, args.new].into_iter().flatten().map(PathBuf::from);
            (
                Options::with_pairs(Pairs::read(file).map_err(|error| whole(&error))?),
                words.chain(args.paths).collect::<Vec<_>>(),
            )
        }
        None => {
            let word = |word: Option<OsString>| word.map_or_else(Vec::new, OsString::into_vec);
            (Options::builder(word(args.old), word(args.new)), args.paths)
        }
    };
    let mut builder = builder
        .regex(args.regex)
        .case(case)
        .word(args.word)
        .preserve_case(args.preserve_case)
        .multiline(args.multiline)
        .hidden(args.hidden)
        .ignored(args.no_ignore)
        .mode(mode)
        .strict(args.strict)
        .measure(args.stats)
        .binary(args.binary == Binary::Edit)
        .sync(!args.no_sync)
        .undo(!args.no_undo)
        .hard_links(hard_links);
    builder =
        state_directory().into_iter().fold(builder, |builder, path| builder.state_directory(path));
    builder = paths.into_iter().fold(builder, |builder, path| builder.path(path));
    builder = args.glob.into_iter().fold(builder, |builder, glob| builder.glob(glob));
    builder = args.types.into_iter().fold(builder, |builder, name| builder.file_type(name));
    if let Some(list) = &args.files_from {
        builder = builder.paths(listed(list, args.null)?);
    }
    if let Some(label) = args.encoding {
        builder = builder.encoding(label);
    }
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
    builder.build().map_err(|error| whole(&error))
}

/// The names in a list.
fn listed(list: &Path, null: bool) -> anyhow::Result<Vec<PathBuf>> {
    let bytes = if list == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(list)
    };
    let bytes = bytes.map_err(|error| anyhow!("failed to read {list:?}: {}", reason(&error)))?;
    let end = if null { 0 } else { b'\n' };
    let names = bytes.split(|&byte| byte == end).filter(|name| !name.is_empty());
    Ok(names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect())
}

fn meter(args: &ReplaceArgs) -> Meter {
    let progress = if args.quiet || args.interactive { When::Never } else { args.progress };
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
            let phases = &summary.phases;
            let [staging, barrier, swapping, flushing] =
                [phases.staging, phases.barrier, phases.swapping, phases.flushing]
                    .map(|time| format!("{:.3} s", time.as_secs_f64()));
            self.out.aside(format_args!(
                "silkmill: {staging} to read and stage, {barrier} to flush, {swapping} to swap, {flushing} to flush that"
            ));
            // Small files need no worker: those that walk the tree settle them.
            if stats.completed > 0 {
                let advice = stats.advice();
                self.out.aside(format_args!("silkmill: {tasks} on {workers}; {advice}"));
            }
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
