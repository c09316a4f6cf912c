//! How far a run is, on standard error: for a person who waits, and only once it has taken a while.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::When;

/// A run shorter than this shows no progress.
const SHOWN_AFTER: Duration = Duration::from_millis(500);

/// Time between two lines, where standard error is no terminal and progress was asked for.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Shows one line about the work that goes on.
pub(crate) struct Meter {
    way: Way,
    show_from: Instant,
}

enum Way {
    Hidden,
    /// A line that is drawn over.
    Bar(Option<ProgressBar>),
    /// A line after the other.
    Lines,
}

impl Meter {
    pub(crate) fn new(when: When) -> Meter {
        let way = match (when, io::stderr().is_terminal()) {
            (When::Never, _) | (When::Auto, false) => Way::Hidden,
            (_, true) => Way::Bar(None),
            (When::Always, false) => Way::Lines,
        };
        Meter { way, show_from: Instant::now() + SHOWN_AFTER }
    }

    /// Shows what `words` say, if it is time.
    pub(crate) fn show(&mut self, words: impl FnOnce() -> String) {
        match &mut self.way {
            Way::Hidden => {}
            Way::Bar(Some(bar)) => bar.set_message(words()),
            Way::Bar(bar) => {
                if Instant::now() >= self.show_from {
                    let new = ProgressBar::new_spinner().with_style(style());
                    new.set_message(words());
                    *bar = Some(new);
                }
            }
            Way::Lines => {
                if Instant::now() >= self.show_from {
                    eprintln!("{}", words());
                    self.show_from = Instant::now() + LINE_INTERVAL;
                }
            }
        }
    }

    /// Takes the line away while `print` writes to the same terminal.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.way {
            Way::Bar(Some(bar)) => bar.suspend(print),
            _ => print(),
        }
    }

    /// Takes the line away for good.
    pub(crate) fn clear(&mut self) {
        if let Way::Bar(Some(bar)) = &self.way {
            bar.finish_and_clear();
        }
        self.way = Way::Hidden;
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is well formed")
}
