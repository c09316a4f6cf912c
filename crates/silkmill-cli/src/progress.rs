//! Shows on stderr how far a run is. Knows nothing of what is counted but how many.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use silkmill::Thread;

use crate::args::When;

/// A run that ends sooner shows nothing.
const DELAY: Duration = Duration::from_millis(500);
/// Between two looks on a terminal.
const PERIOD: Duration = Duration::from_millis(200);
/// Between two lines where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// Shows how far a run is until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress(Option<Shown>);

#[derive(Debug)]
struct Shown {
    counts: Arc<Counts>,
    bar: ProgressBar,
    /// Dropped to tell the thread that it is over.
    running: Option<Sender<()>>,
    thread: Option<Thread<()>>,
}

/// Written by the run, read by the thread that shows them; nothing is ordered by them.
#[derive(Debug, Default)]
struct Counts {
    rows: AtomicU64,
    errors: AtomicU64,
}

impl Progress {
    /// Starts to show, if it is wanted. Rows that scroll by on the terminal are progress enough.
    pub(crate) fn start(when: When, quiet: bool, rows_on_terminal: bool) -> Progress {
        let terminal = io::stderr().is_terminal();
        let wanted = match when {
            When::Always => true,
            When::Auto => terminal && !quiet && !rows_on_terminal,
            When::Never => false,
        };
        Progress(wanted.then(|| Shown::start(terminal)))
    }

    /// Counts one row.
    pub(crate) fn count(&self, error: bool) {
        if let Some(shown) = &self.0 {
            shown.counts.rows.fetch_add(1, Ordering::Relaxed);
            shown.counts.errors.fetch_add(u64::from(error), Ordering::Relaxed);
        }
    }

    /// Does `work`, which may write to the terminal, with nothing of ours in the way.
    pub(crate) fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(shown) => shown.bar.suspend(work),
            None => work(),
        }
    }
}

impl Shown {
    fn start(terminal: bool) -> Shown {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.expect("the template is well formed"));
        let counts = Arc::<Counts>::default();
        let (running, over) = mpsc::channel::<()>();
        let (shown_bar, shown_counts, started) = (bar.clone(), Arc::clone(&counts), Instant::now());
        let show = move || {
            let period = if terminal { PERIOD } else { LINE_PERIOD };
            let mut wait = DELAY;
            while over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let line = shown_counts.line(started.elapsed());
                if terminal {
                    if shown_bar.is_hidden() {
                        shown_bar.set_draw_target(ProgressDrawTarget::stderr());
                    }
                    shown_bar.set_message(line);
                    shown_bar.tick();
                } else {
                    let _ = writeln!(io::stderr(), "silkmill: {line}");
                }
                wait = period;
            }
            shown_bar.finish_and_clear();
        };
        // Without the thread there is no progress to see, which is no reason to fail.
        let thread = Thread::<()>::builder().name("progress").daemon(true).spawn(show).ok();
        Shown { counts, bar, running: Some(running), thread }
    }
}

impl Counts {
    fn line(&self, elapsed: Duration) -> String {
        let (rows, errors) =
            (self.rows.load(Ordering::Relaxed), self.errors.load(Ordering::Relaxed));
        let rate = rows as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        format!("{rows} rows, {errors} errors, {rate:.0} rows/s")
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say; a panic of it is not worth more than the run's rows.
            let _ = thread.join();
        }
    }
}
