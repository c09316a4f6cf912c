//! Shows on standard error how far a run is, once it has taken a while.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use silkmill::Thread;

use crate::args::When;

/// A run that is shorter than this shows no progress.
const SHOWN_AFTER: Duration = Duration::from_millis(500);

/// The time between two drawings on a terminal.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// The time between two lines where standard error is not a terminal and progress was requested.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Shows one line about the work that goes on, until it is dropped.
pub(crate) struct ProgressLine {
    drawing: Option<Drawing>,
}

/// The line, and the thread that draws it. The thread also draws while the run is blocked.
struct Drawing {
    message: Arc<Message>,
    bar: ProgressBar,
    /// Dropped to end the thread.
    running: Option<Sender<()>>,
    thread: Option<Thread<()>>,
}

/// The text of the line. The run writes it, the drawing thread reads it; nothing else is ordered by
/// it.
#[derive(Default)]
struct Message(Mutex<String>);

impl Message {
    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ProgressLine {
    pub(crate) fn new(when: When) -> ProgressLine {
        let terminal = io::stderr().is_terminal();
        let wanted = match when {
            When::Always => true,
            // The program that reads a pipe may write to the same terminal.
            When::Auto => terminal && !is_pipe(&io::stdout()),
            When::Never => false,
        };
        ProgressLine { drawing: wanted.then(|| Drawing::start(terminal)) }
    }

    /// Returns whether a line is shown at all.
    pub(crate) fn is_shown(&self) -> bool {
        self.drawing.is_some()
    }

    /// Shows `message` at the next drawing. Every message is kept, for the next one may be long in
    /// coming.
    pub(crate) fn show(&mut self, message: impl FnOnce() -> String) {
        if let Some(drawing) = &self.drawing {
            drawing.message.set(message());
        }
    }

    /// Takes the line away while `print` writes to the same terminal.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.drawing {
            Some(drawing) => drawing.bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the line away for good.
    pub(crate) fn clear(&mut self) {
        self.drawing = None;
    }
}

impl Drawing {
    fn start(terminal: bool) -> Drawing {
        // A message that is wider than the terminal is cut: a line that wraps cannot be taken away.
        let template = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
        let style = template.expect("the template is well formed");
        let bar =
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style);
        let message = Arc::<Message>::default();
        let (running, over) = mpsc::channel();
        let (thread_message, thread_bar) = (Arc::clone(&message), bar.clone());
        let draw = move || match terminal {
            true => draw_bar(&thread_bar, &thread_message, &over),
            false => print_lines(&thread_message, &over),
        };
        // Without the thread there is no progress to see, which is no reason to fail.
        let thread = Thread::builder().name("progress").daemon(true).spawn(draw).ok();
        Drawing { message, bar, running: Some(running), thread }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing, and a panic in it must not end the run.
            let _ = thread.join();
        }
    }
}

fn is_pipe(out: &impl AsFd) -> bool {
    let file = out.as_fd().try_clone_to_owned().map(File::from);
    let kind = file.and_then(|file| file.metadata()).map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

fn draw_bar(bar: &ProgressBar, message: &Message, over: &Receiver<()>) {
    let mut wait = SHOWN_AFTER;
    while over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_message(message.get());
        bar.tick();
        wait = BAR_INTERVAL;
    }
    bar.finish_and_clear();
}

/// Prints a line now and then, and one at the end, so that a short run also prints one.
fn print_lines(message: &Message, over: &Receiver<()>) {
    let print = || {
        let message = message.get();
        if !message.is_empty() {
            let _ = writeln!(io::stderr(), "silkmill: {message}");
        }
    };
    let mut wait = SHOWN_AFTER;
    while over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        print();
        wait = LINE_INTERVAL;
    }
    print();
}
