//! Runs a list of URLs into a sink: what `fetch` and `scrape` have in common.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use silkmill::{CancelToken, Thread};
use silkmill_scrape::{self as scrape, Input, Options, Row, Summary, UrlList};

use crate::args::{ListArgs, Method, When};
use crate::exit::Exit;
use crate::interrupt::{self, Second};
use crate::progress::Meter;
use crate::sink::{Kind, Sink};
use crate::words::reason;

/// Lines read ahead of the requests.
const LINES_AHEAD_MAX: usize = 64;
/// How long the source waits for a line before it lets rows through.
const LINE_PATIENCE: Duration = Duration::from_millis(10);

/// Asks for every URL that `args` name and writes the rows where they say.
pub(crate) fn run(options: Options, kind: Kind, args: ListArgs) -> Result<Exit> {
    let options = options_of(options, &args)?;
    let lines = args.input.as_deref().map(Lines::open).transpose()?;
    let is_input = |output: &File| lines.as_ref().is_some_and(|lines| lines.are_from(output));
    let output = args.output.as_deref();
    let mut sink = Sink::open(kind, args.format, output, args.force, is_input)?;
    let cancel = CancelToken::new();
    interrupt::cancels(&cancel, Second::EndsTheProcess)?;
    let mut meter = Meter::new(progress(&args));
    let mut tally = Tally::start();
    meter.show(|| tally.words());

    let unread = RefCell::new(None);
    let inputs = inputs(args.urls, lines, &unread);
    let mut unwritten = None;
    let summary = scrape::run(inputs, &options, &cancel, &mut |row| {
        tally.count(&row);
        meter.show(|| tally.words());
        match meter.suspend(|| sink.write(&row)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                unwritten = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    meter.clear();
    let summary = summary?;
    if args.verbose || args.stats {
        report(&summary, args.stats);
    }
    exit(&summary, &sink, unwritten, unread.into_inner(), cancel.is_cancelled())
}

/// Rows that scroll by on the terminal are progress enough.
fn progress(args: &ListArgs) -> When {
    let on_stdout = args.output.as_deref().is_none_or(|path| path == Path::new("-"));
    let rows_on_terminal = on_stdout && io::stdout().is_terminal();
    match args.progress {
        When::Auto if args.quiet || rows_on_terminal => When::Never,
        when => when,
    }
}

/// How many rows there are so far.
struct Tally {
    started: Instant,
    rows: u64,
    errors: u64,
}

impl Tally {
    fn start() -> Tally {
        Tally { started: Instant::now(), rows: 0, errors: 0 }
    }

    fn count(&mut self, row: &Row) {
        self.rows += 1;
        self.errors += u64::from(row.error.is_some());
    }

    fn words(&self) -> String {
        let rate = self.rows as f64 / self.started.elapsed().as_secs_f64().max(f64::EPSILON);
        format!("{} rows, {} errors, {rate:.0} rows/s", self.rows, self.errors)
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
        .measure_cpu(args.stats);
    for header in &args.header {
        options = options.header(header)?;
    }
    if let Some(name) = &args.user_agent {
        options = options.user_agent(name)?;
    }
    Ok(options)
}

/// The URLs of the command line, then those of the list. An error of the list ends it, and is left
/// in `unread`.
fn inputs(
    urls: Vec<String>,
    lines: Option<Lines>,
    unread: &RefCell<Option<anyhow::Error>>,
) -> impl Iterator<Item = Input> {
    let lines = lines.into_iter().flatten().map_while(|line| match line {
        Ok(input) => Some(input),
        Err(error) => {
            unread.replace(Some(error));
            None
        }
    });
    urls.into_iter().map(Input::url).chain(lines)
}

fn report(summary: &Summary, stats: bool) {
    let seconds = summary.elapsed.as_secs_f64();
    let (rows, errors) = (summary.rows, summary.errors);
    let rate = rows as f64 / seconds.max(f64::EPSILON);
    // Nobody may be listening, which changes nothing.
    let mut stderr = io::stderr();
    let _ = writeln!(
        stderr,
        "silkmill: {rows} rows, {errors} errors in {seconds:.2} s ({rate:.0} rows/s)"
    );
    if stats {
        let _ = writeln!(stderr, "silkmill: {}", summary.stats.advice());
    }
}

fn exit(
    summary: &Summary,
    sink: &Sink,
    unwritten: Option<io::Error>,
    unread: Option<anyhow::Error>,
    cancelled: bool,
) -> Result<Exit> {
    match unwritten {
        // The reader has seen enough, which is not a failure.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Success),
        Some(error) => {
            bail!("failed to write {}: {}", sink.name(), reason(&error));
        }
        None => {}
    }
    if let Some(error) = unread {
        return Err(error);
    }
    Ok(match summary {
        summary if summary.interrupted && cancelled => Exit::Interrupted,
        summary if summary.errors > 0 => Exit::Partial,
        _ => Exit::Success,
    })
}

/// The inputs of a list, read by a thread of their own: a pipe that says nothing for hours holds up
/// neither the rows nor ^C.
struct Lines {
    name: String,
    /// The device and number of the file, where it is one.
    file: Option<(u64, u64)>,
    lines: Receiver<io::Result<Input>>,
    /// A daemon, for nothing can wake it from a read that never returns.
    _reader: Thread<()>,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines> {
        if path == Path::new("-") {
            let identity = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let identity = identity.ok().and_then(|file| identity_of(&file));
            return Lines::read("standard input".to_owned(), identity, io::stdin());
        }
        let name = format!("{path:?}");
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => bail!("failed to read {name}: {}", reason(&error)),
        };
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            bail!("failed to read {name}: it is a directory");
        }
        Lines::read(name, identity_of(&file), file)
    }

    fn read(
        name: String,
        file: Option<(u64, u64)>,
        from: impl Read + Send + 'static,
    ) -> Result<Lines> {
        let (sender, lines) = mpsc::sync_channel(LINES_AHEAD_MAX);
        let reader = Thread::<()>::builder()
            .name("read-list")
            .daemon(true)
            .spawn(move || send_lines(from, &sender))?;
        Ok(Lines { name, file, lines, _reader: reader })
    }

    /// Whether `file` is the one that the lines are read from, by whatever name.
    fn are_from(&self, file: &File) -> bool {
        self.file.is_some() && self.file == identity_of(file)
    }
}

/// The device and number of a file whose content could be lost; a device or a pipe may well be
/// both read and written.
fn identity_of(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

fn send_lines(from: impl Read, to: &SyncSender<io::Result<Input>>) {
    for line in UrlList::new(BufReader::new(from)) {
        let last = line.is_err();
        if to.send(line).is_err() || last {
            return;
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Input>;

    fn next(&mut self) -> Option<Result<Input>> {
        match self.lines.recv_timeout(LINE_PATIENCE) {
            Ok(line) => Some(
                line.map_err(|error| anyhow!("failed to read {}: {}", self.name, reason(&error))),
            ),
            Err(RecvTimeoutError::Timeout) => Some(Ok(Input::waiting())),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}
