//! Asks the user at the terminal about every change.
//!
//! Questions go to standard error. Answers are read line by line from the terminal, which is
//! standard input where that is one. A thread reads them, so that ^C is noticed while the user
//! types nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use silkmill::{CancelToken, Thread};
use silkmill_replace::{Answer, Proposal};

use crate::args::When;
use crate::cmd::replace::text::{BOLD, RESET, coloured_line};
use crate::messages::{in_one_line, printable, reason, to_stderr};

/// The time between two checks for ^C while an answer is awaited.
const INTERRUPT_POLL_INTERVAL: Duration = Duration::from_millis(50);

const HELP: &str = "\
y  make this change
n  do not
a  make it and all that follow, in all files
q  make no further change, and keep those made so far
?  this help
^C makes no change at all. Nothing has been written to any file yet.";

pub(crate) struct Prompt {
    answers: Receiver<io::Result<String>>,
    cancel: CancelToken,
    coloured: bool,
    /// The file of the latest question.
    path: Option<PathBuf>,
}

impl Prompt {
    pub(crate) fn new(color: When, cancel: &CancelToken) -> anyhow::Result<Prompt> {
        let terminal = BufReader::new(terminal()?);
        let (answer, answers) = mpsc::channel();
        let read = move || {
            // Sending fails when the last question has been answered, which ends the thread.
            let _ = terminal.lines().try_for_each(|line| answer.send(line));
        };
        Thread::builder().name("answers").daemon(true).spawn(read).context("failed to listen")?;
        let coloured = match color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
            }
        };
        Ok(Prompt { answers, cancel: cancel.clone(), coloured, path: None })
    }

    pub(crate) fn ask(&mut self, change: &Proposal<'_>) -> Answer {
        self.show(change);
        loop {
            let (place, count) = (change.place, change.count);
            // An error is ignored here, since the answer fails, too, when the terminal is gone.
            let _ = write!(io::stderr(), "make this change ({place} of {count})? [y,n,a,q,?] ");
            match self.answer().as_deref().map(str::trim) {
                Some("y" | "Y" | "yes") => return Answer::Yes,
                Some("n" | "N" | "no") => return Answer::No,
                Some("a" | "A" | "all") => return Answer::All,
                Some("q" | "Q" | "quit") => return Answer::Quit,
                Some(_) => to_stderr(HELP),
                None => {
                    to_stderr("");
                    return Answer::Quit;
                }
            }
        }
    }

    /// Returns the next answer, or `None` when there are no more or ^C was typed.
    fn answer(&self) -> Option<String> {
        loop {
            match self.answers.recv_timeout(INTERRUPT_POLL_INTERVAL) {
                Ok(answer) => return answer.ok(),
                Err(RecvTimeoutError::Timeout) if !self.cancel.is_cancelled() => {}
                Err(_) => return None,
            }
        }
    }

    fn show(&mut self, change: &Proposal<'_>) {
        let mut shown = String::new();
        if self.path.as_deref() != Some(change.path) {
            self.path = Some(change.path.to_owned());
            let path = in_one_line(change.path);
            let (bold, reset) = if self.coloured { (BOLD, RESET) } else { ("", "") };
            shown += &format!("{bold}{path}{reset}\n");
        }
        for line in change.hunk.split_inclusive(|&byte| byte == b'\n') {
            let line = printable(line.strip_suffix(b"\n").unwrap_or(line));
            shown += &if self.coloured { coloured_line(&line) } else { line };
            shown.push('\n');
        }
        let _ = io::stderr().write_all(shown.as_bytes());
    }
}

/// Opens standard input if it is a terminal, else the terminal of this process.
fn terminal() -> anyhow::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let terminal = stdin.as_fd().try_clone_to_owned().context("failed to open stdin")?;
        return Ok(File::from(terminal));
    }
    File::open("/dev/tty")
        .map_err(|error| anyhow!("-I asks on a terminal, and there is none: {}", reason(&error)))
}
