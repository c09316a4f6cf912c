//! The sink of a run: writes the rows, counts them, and shows the progress.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::rc::Rc;

use silkmill_scrape::{Progress, Row, Sink};

use crate::args::{UrlListArgs, When};
use crate::cmd::url_list::covered::Covered;
use crate::cmd::url_list::tally::Tally;
use crate::progress::ProgressLine;
use crate::sink::{Output, is_special, is_stdout};

/// Writes and counts the rows of a run, and shows its progress.
pub(super) struct Recorder {
    pub(super) output: Output,
    progress: ProgressLine,
    /// Set when the rows and the progress line may share a terminal.
    on_terminal: bool,
    pub(super) tally: Tally,
    /// How much of the list the source has taken.
    covered: Rc<Cell<Covered>>,
    pub(super) unwritten: Option<io::Error>,
}

impl Recorder {
    pub(super) fn new(
        output: Output,
        args: &UrlListArgs,
        earlier: u64,
        covered: Rc<Cell<Covered>>,
    ) -> Recorder {
        let mut progress = ProgressLine::new(progress(args));
        let tally = Tally::start(earlier, progress.is_shown() || args.stats);
        progress.show(|| tally.message(&Progress::default(), &covered.get()));
        let on_terminal = rows_on_terminal(args);
        Recorder { output, progress, on_terminal, tally, covered, unwritten: None }
    }

    fn note(&mut self, written: io::Result<()>) -> ControlFlow<()> {
        self.tally.note_written(self.output.rows_written());
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.unwritten = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Writes the rows that are left.
    pub(super) fn finish(mut self) -> Recorder {
        self.progress.clear();
        if self.unwritten.is_none() {
            self.unwritten = self.output.finish().err();
        }
        if self.unwritten.is_some() {
            self.output.give_up();
        }
        self.tally.note_written(self.output.rows_written());
        self
    }
}

impl Sink for Recorder {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        self.tally.take(&row);
        let written = self.output.write(&row);
        self.note(written)
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.progress.show(|| self.tally.message(progress, &self.covered.get()));
        let written = match self.on_terminal {
            true => self.progress.suspend(|| self.output.pause()),
            false => self.output.pause(),
        };
        self.note(written)
    }
}

/// Decides when to show progress. Rows that scroll by on a terminal are progress enough, and the
/// program that reads a pipe may write to the same terminal.
fn progress(args: &UrlListArgs) -> When {
    let path = args.output.as_deref().filter(|path| !is_stdout(path));
    match (args.progress, path) {
        (When::Auto, _) if args.quiet || rows_on_terminal(args) => When::Never,
        (When::Auto, Some(path)) if is_special(path) => When::Never,
        // Where the rows go to a file, nothing else that is shown is in the way.
        (When::Auto, Some(_)) if io::stderr().is_terminal() => When::Always,
        (when, _) => when,
    }
}

fn rows_on_terminal(args: &UrlListArgs) -> bool {
    let on_stdout = args.output.as_deref().is_none_or(is_stdout);
    on_stdout && io::stdout().is_terminal()
}
