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
use crate::cmd::replace::text::{BOLD, RESET, REVERSE, colour_of, coloured_line};
use crate::messages::{in_one_line, printable, reason, to_stderr};

/// The time between two checks for ^C while an answer is awaited.
const INTERRUPT_POLL_INTERVAL: Duration = Duration::from_millis(50);

const HELP: &str = "\
y  make this change
n  do not
e  make it with another text, which is asked for
b  go back to the change before
f  make it and all that follow in this file
s  make neither it nor any that follows in this file
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
            let question = format!("make this change ({place} of {count})? [y,n,e,b,f,s,a,q,?] ");
            let Some(answer) = self.answer(&question) else { return self.end() };
            return match answer.trim() {
                "y" | "Y" | "yes" => Answer::Yes,
                "n" | "N" | "no" => Answer::No,
                "e" | "E" | "edit" => match self.edited(change) {
                    Some(new) if new.as_bytes() == change.old => Answer::No,
                    Some(new) => Answer::Edit(new.into_bytes()),
                    None => self.end(),
                },
                "b" | "B" | "back" if change.file == 1 && change.place == 1 => {
                    to_stderr("this is the first change");
                    continue;
                }
                "b" | "B" | "back" => Answer::Back,
                "f" | "F" | "file" => Answer::File,
                "s" | "S" | "skip" => Answer::SkipFile,
                "a" | "A" | "all" => Answer::All,
                "q" | "Q" | "quit" => Answer::Quit,
                _ => {
                    to_stderr(HELP);
                    continue;
                }
            };
        }
    }

    /// Asks for the text that takes the place of what was found.
    fn edited(&self, change: &Proposal<'_>) -> Option<String> {
        let (old, new) = (printable(change.old), printable(change.new));
        self.answer(&format!("instead of {new:?}, replace {old:?} with: "))
    }

    /// Ends the review because there are no more answers, and says so.
    fn end(&self) -> Answer {
        to_stderr(match self.cancel.is_cancelled() {
            true => "",
            false => "\nthe input has ended: no further change is made, and those made so far stay",
        });
        Answer::Quit
    }

    /// Asks, and returns the next answer, or `None` when there are no more or ^C was typed.
    fn answer(&self, question: &str) -> Option<String> {
        // An error is ignored here, since the answer fails, too, when the terminal is gone.
        let _ = write!(io::stderr(), "{question}");
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
            shown += &format!("{bold}{path}{reset} (file {})\n", change.file);
        }
        let mut marks = [(b'-', Some(change.old)), (b'+', Some(change.new))];
        for line in change.hunk.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let mark = marks.iter_mut().find(|(mark, _)| line.first() == Some(mark));
            let text = mark.and_then(|(_, text)| text.take());
            let marked = text.filter(|_| self.coloured);
            shown += &match marked.and_then(|text| marked_line(line, change.column, text)) {
                Some(line) => line,
                None if self.coloured => coloured_line(&printable(line)),
                None => printable(line),
            };
            shown.push('\n');
        }
        let _ = io::stderr().write_all(shown.as_bytes());
    }
}

/// Returns a line of a hunk in which a text stands out that begins at a column of the line. `None`
/// if it is not there, because the line is cut.
fn marked_line(line: &[u8], column: usize, text: &[u8]) -> Option<String> {
    let (before, rest) = line.split_at_checked(column + 1)?;
    let first = text.split(|&byte| byte == b'\n').next().unwrap_or(text);
    let after = rest.strip_prefix(first).filter(|_| !first.is_empty())?;
    let colour = colour_of(line);
    let [before, first, after] = [before, first, after].map(printable);
    Some(format!("{colour}{before}{REVERSE}{first}{RESET}{colour}{after}{RESET}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stands_out_in_its_line() {
        let marked = |line: &str, column, text: &str| {
            marked_line(line.as_bytes(), column, text.as_bytes())
                .map(|line| line.replace('\u{1b}', "^"))
        };
        let want = "^[31m-an ^[7mold^[0m^[31m old\t^[0m".to_owned();
        assert_eq!(marked("-an old old\t", 3, "old"), Some(want));
        let want = "^[32m+^[7ma^[0m^[32m^[0m".to_owned();
        assert_eq!(marked("+a", 0, "a\nb"), Some(want));
        assert_eq!(marked("-old", 5000, "old"), None);
        assert_eq!(marked("-an old", 3, ""), None);
    }
}
