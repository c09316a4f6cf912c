//! Writes to standard output and standard error of `silkmill replace`, and keeps the two in order.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anyhow::anyhow;

use crate::messages::{reason, to_stderr};

/// The width of a terminal that does not know its own.
const COLUMNS_DEFAULT: usize = 80;

/// Standard output. It remembers its first error and writes nothing from then on.
pub(super) struct Stdout {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
    pub(super) error: Option<io::Error>,
}

impl Stdout {
    pub(super) fn new() -> Stdout {
        let out = io::stdout().lock();
        Stdout { is_terminal: out.is_terminal(), out: BufWriter::new(out), error: None }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        let mut written = self.out.write_all(bytes);
        // On a terminal, every line is shown at once.
        if self.is_terminal && written.is_ok() {
            written = self.out.flush();
        }
        self.error = written.err();
    }

    /// Writes a line to standard error, after what was written to standard output: both may be one
    /// terminal or file.
    pub(super) fn stderr(&mut self, line: impl Display) {
        self.flush();
        to_stderr(line);
    }

    /// Returns the width of the terminal that standard output is, if it is one.
    pub(super) fn columns(&self) -> Option<usize> {
        let columns = || {
            let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
            Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
        };
        self.is_terminal.then(|| columns().unwrap_or(COLUMNS_DEFAULT))
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
    }

    /// Flushes the buffer and returns the first error. A reader that has closed standard output is
    /// none.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.flush();
        match self.error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(anyhow!("failed to write to stdout: {}", reason(&error)))
            }
            _ => Ok(()),
        }
    }
}
