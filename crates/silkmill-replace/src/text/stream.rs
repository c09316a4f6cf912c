//! Edits text that is never in memory as a whole. Pure: the caller reads and writes.
//!
//! A *window* moves over the text. A match of a literal is decided by a bounded number of bytes
//! from its start, so all matches that start earlier are known. A regex that stays within its line
//! needs the complete line, so all matches in complete lines are known. What is decided is passed
//! on at once, and the window moves past it. The result is that of [`crate::text::edit`], wherever
//! the text was cut into pieces.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::pattern::literal::CHAR_LEN_MAX;
use crate::pattern::{Cache, Pattern, Reach};
use crate::text::edit::BOM;
use crate::text::encoding::EncodeError;
use crate::text::revise::ReviseError;
use crate::text::utf8::Doubt;

/// The length of the window at first, in bytes.
const WINDOW_LEN: usize = 512 << 10;

/// The longest line or literal that can be searched, in bytes.
const WINDOW_LEN_MAX: usize = 16 << 20;

/// The longest line end, in bytes.
const LINE_END_LEN_MAX: usize = 2;

/// A line does not fit into the largest window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineTooLong;

impl LineTooLong {
    pub(crate) fn of(self, path: &Path) -> Error {
        Error::line_too_long(path, WINDOW_LEN_MAX)
    }
}

/// Why a text is not edited to its end.
#[derive(Debug)]
pub(crate) enum StreamError {
    LineTooLong,
    /// The search took more steps than it may.
    TooManySteps,
    EncodeError(EncodeError),
    /// The text holds a NUL, so it is binary.
    Nul,
    /// The caller's function, to which pieces are passed, failed.
    Io(io::Error),
}

impl From<LineTooLong> for StreamError {
    fn from(LineTooLong: LineTooLong) -> StreamError {
        StreamError::LineTooLong
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> StreamError {
        StreamError::Io(error)
    }
}

impl StreamError {
    /// Converts this to an error of a file. `failed` converts an error of the caller's function.
    pub(crate) fn of(self, path: &Path, failed: impl FnOnce(io::Error) -> Error) -> Error {
        match self {
            StreamError::LineTooLong => LineTooLong.of(path),
            StreamError::TooManySteps => ReviseError::TooManySteps.of(path),
            StreamError::EncodeError(why) => ReviseError::EncodeError(why).of(path),
            StreamError::Nul => ReviseError::Nul.of(path),
            StreamError::Io(error) => failed(error),
        }
    }
}

/// A piece of the edited text. Pieces are passed on in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text that did not change.
    Same(&'a [u8]),
    /// What a match became.
    New(&'a [u8]),
}

/// A text that is being edited.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pattern: &'a Pattern,
    cache: &'a mut Cache,
    reach: Reach,
    limit: u64,
    count: u64,
    window: Vec<u8>,
    /// How much of the window is text.
    filled: usize,
    /// How much of that text has been passed on, and is kept as context of what follows.
    passed: usize,
    /// Whether the place of a byte order mark, which is not part of the text, has been passed.
    started: bool,
    new: Vec<u8>,
    /// The first doubt about a change, if the text is not UTF-8.
    doubt: Option<Doubt>,
    /// Whether the caller knows that the text is not UTF-8. Then a doubtful change is an error.
    is_foreign: bool,
    /// Whether a search took more steps than it may.
    exceeds_steps: bool,
}

impl<'a> Stream<'a> {
    /// Returns `None` if a match may depend on the whole text. At most `limit` matches are
    /// replaced.
    pub(crate) fn new(
        pattern: &'a Pattern,
        cache: &'a mut Cache,
        limit: u64,
    ) -> Option<Stream<'a>> {
        Stream::in_window(vec![0; WINDOW_LEN], pattern, cache, limit)
    }

    /// Creates a stream with a window that was used before. It is not empty.
    pub(crate) fn in_window(
        window: Vec<u8>,
        pattern: &'a Pattern,
        cache: &'a mut Cache,
        limit: u64,
    ) -> Option<Stream<'a>> {
        let reach = pattern.reach();
        let fits = match reach {
            Reach::Bytes { ahead, .. } => ahead + CHAR_LEN_MAX < WINDOW_LEN_MAX,
            Reach::Line => true,
            Reach::Text => false,
        };
        fits.then(|| Stream {
            pattern,
            cache,
            reach,
            limit,
            count: 0,
            window,
            filled: 0,
            passed: 0,
            started: false,
            new: Vec::new(),
            doubt: None,
            is_foreign: false,
            exceeds_steps: false,
        })
    }

    /// Expects no byte order mark at the beginning of the text.
    pub(crate) fn without_mark(self) -> Stream<'a> {
        Stream { started: true, ..self }
    }

    /// Returns the window, to be used again.
    pub(crate) fn into_window(self) -> Vec<u8> {
        self.window
    }

    /// Returns how many matches have been replaced so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns how many names were found whose style cannot be told, and begins to count anew.
    pub(crate) fn take_undecided(&mut self) -> u64 {
        self.cache.take_undecided()
    }

    /// Returns the first doubt about a change so far, if the text is not UTF-8.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// Refuses doubtful changes from now on, since the text is not UTF-8.
    pub(crate) fn refuse_doubtful(&mut self) {
        self.is_foreign = true;
    }

    /// Returns where the caller puts the next bytes. At least one fits.
    pub(crate) fn room(&mut self) -> Result<&mut [u8], LineTooLong> {
        if self.filled == self.window.len() {
            if self.window.len() >= WINDOW_LEN_MAX {
                return Err(LineTooLong);
            }
            self.window.resize(self.window.len() * 2, 0);
        }
        Ok(&mut self.window[self.filled..])
    }

    /// Takes the `len` bytes that the caller has put into the room, and passes on what is decided.
    pub(crate) fn advance(
        &mut self,
        len: usize,
        pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        self.filled += len;
        let passed = self.pass_decided(false, pass);
        self.ended(passed)
    }

    /// Passes on the rest, since no text follows.
    pub(crate) fn finish(
        &mut self,
        pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        let passed = self.pass_decided(true, pass);
        self.ended(passed)
    }

    /// Returns the doubt, or the search without an end, if that is what stopped the stream.
    fn ended(&self, passed: io::Result<()>) -> Result<(), StreamError> {
        passed.map_err(|error| match self.doubt.filter(|_| self.is_foreign) {
            Some(doubt) => StreamError::EncodeError(EncodeError::Doubt(doubt)),
            None if self.exceeds_steps => StreamError::TooManySteps,
            None => StreamError::Io(error),
        })
    }

    fn pass_decided(
        &mut self,
        at_end: bool,
        mut pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.started {
            if !at_end && self.filled < BOM.len() && BOM.starts_with(&self.window[..self.filled]) {
                return Ok(());
            }
            self.started = true;
            if self.window[..self.filled].starts_with(BOM) {
                pass(Piece::Same(BOM))?;
                self.forget(BOM.len());
            }
        }
        let decided = if at_end { self.filled } else { self.decided() };
        if decided > self.passed {
            let passed = self.edit(decided, &mut pass)?;
            self.move_behind(passed);
        }
        Ok(())
    }

    /// Returns how far all matches are known.
    fn decided(&self) -> usize {
        let text = &self.window[..self.filled];
        if self.count >= self.limit {
            return text.len();
        }
        let behind_line =
            || memchr::memrchr(b'\n', &text[self.passed..]).map(|at| self.passed + at + 1);
        match self.reach {
            Reach::Bytes { ahead, within_line } => {
                let known = (text.len() + 1).saturating_sub(ahead).max(self.passed);
                let line = if within_line { behind_line() } else { None };
                known.max(line.unwrap_or(0))
            }
            // A `\r` alone ends a line, too, but is only searched for when the window is full.
            Reach::Line => behind_line().or_else(|| self.behind_bare_return()).unwrap_or(0),
            Reach::Text => unreachable!("Stream::new refused it"),
        }
    }

    fn behind_bare_return(&self) -> Option<usize> {
        let full = self.filled == self.window.len();
        let text = &self.window[..self.filled];
        let mut returns = memchr::memrchr_iter(b'\r', &text[..text.len().saturating_sub(1)]);
        full.then(|| returns.find(|&at| text[at + 1] != b'\n').map(|at| at + 1))?
    }

    /// Passes on the text up to `decided`, and to the end of a match that reaches beyond it.
    /// Returns how far that is.
    fn edit(
        &mut self,
        decided: usize,
        pass: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<usize> {
        // Lines are searched without the text after them; a literal needs the context on both
        // sides.
        let seen = if self.reach == Reach::Line { decided } else { self.filled };
        let text = &self.window[..seen];
        let (mut passed, mut searched) = (self.passed, self.passed);
        let (new, count, limit) = (&mut self.new, &mut self.count, self.limit);
        let (doubt, is_foreign) = (&mut self.doubt, self.is_foreign);
        let (mut outcome, mut undecided) = (Ok(()), 0);
        if *count < limit {
            let searched = self.pattern.for_each_match_from(self.cache, text, passed, |found| {
                if found.span.start >= decided && seen != decided {
                    return false;
                }
                searched = found.span.end;
                undecided += u64::from(found.is_undecided());
                new.clear();
                found.write(new);
                if *new != text[found.span.clone()] {
                    *count += 1;
                    *doubt = doubt.or_else(|| Doubt::of(text, &found.span, new));
                    if doubt.is_some() && is_foreign {
                        outcome = Err(io::ErrorKind::Other.into());
                        return false;
                    }
                    outcome = pass_if_any(&text[passed..found.span.start], pass)
                        .and_then(|()| pass(Piece::New(new)));
                    passed = found.span.end;
                }
                outcome.is_ok() && *count < limit
            });
            if searched.is_err() {
                self.exceeds_steps = true;
                outcome = outcome.and(Err(io::ErrorKind::Other.into()));
            }
        }
        self.cache.note_undecided(undecided);
        outcome?;
        let end = decided.max(searched);
        pass_if_any(&text[passed..end], pass)?;
        Ok(end)
    }

    /// Moves the window past what has been passed on, except for the character or line end before
    /// its end.
    fn move_behind(&mut self, passed: usize) {
        let kept = match self.reach {
            Reach::Line => passed.min(LINE_END_LEN_MAX),
            _ => passed.min(CHAR_LEN_MAX),
        };
        self.forget(passed - kept);
        self.passed = kept;
    }

    fn forget(&mut self, len: usize) {
        self.window.copy_within(len..self.filled, 0);
        self.filled -= len;
    }
}

fn pass_if_any(text: &[u8], pass: &mut impl FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<()> {
    if text.is_empty() { Ok(()) } else { pass(Piece::Same(text)) }
}

#[cfg(test)]
mod tests;
