//! Edits a text of any encoding piece by piece, with the stream for its encoding. Pure.

use std::io;

use crate::pattern::Cache;
use crate::text::encoding::Charset;
use crate::text::revise::Rules;
use crate::text::stream::{Piece, Stream, StreamError};
use crate::text::utf8::Doubt;
use crate::text::utf16::Utf16Stream;

/// A text of any encoding that is edited piece by piece.
#[derive(Debug)]
pub(crate) enum Flow<'a> {
    Bytes(Stream<'a>),
    Utf16(Box<Utf16Stream<'a>>),
}

impl<'a> Flow<'a> {
    /// Returns `None` if the pattern or the encoding needs the whole text at once.
    pub(crate) fn new(
        rules: Rules<'a>,
        charset: Option<Charset>,
        cache: &'a mut Cache,
    ) -> Option<Flow<'a>> {
        match charset {
            None => Stream::new(rules.pattern, cache, rules.limit).map(Flow::Bytes),
            Some(Charset::Utf16 { big_endian }) => {
                let stream = Utf16Stream::new(rules, cache, big_endian)?;
                Some(Flow::Utf16(Box::new(stream)))
            }
            Some(Charset::Other(_)) => None,
        }
    }

    /// Returns how many matches have been replaced so far.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Flow::Bytes(stream) => stream.count(),
            Flow::Utf16(stream) => stream.count(),
        }
    }

    /// See [`Stream::take_undecided`].
    pub(crate) fn take_undecided(&mut self) -> u64 {
        match self {
            Flow::Bytes(stream) => stream.take_undecided(),
            Flow::Utf16(stream) => stream.take_undecided(),
        }
    }

    /// Returns the first doubt about a change so far, if the text is not UTF-8.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        match self {
            Flow::Bytes(stream) => stream.doubt(),
            Flow::Utf16(_) => None,
        }
    }

    /// Refuses doubtful changes from now on. See [`Stream::refuse_doubtful`].
    pub(crate) fn refuse_doubtful(&mut self) {
        if let Flow::Bytes(stream) = self {
            stream.refuse_doubtful();
        }
    }

    /// See [`Stream::room`].
    pub(crate) fn room(&mut self) -> Result<&mut [u8], StreamError> {
        match self {
            Flow::Bytes(stream) => Ok(stream.room()?),
            Flow::Utf16(stream) => Ok(stream.room()),
        }
    }

    /// See [`Stream::advance`].
    pub(crate) fn advance(
        &mut self,
        len: usize,
        pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        match self {
            Flow::Bytes(stream) => stream.advance(len, pass),
            Flow::Utf16(stream) => stream.advance(len, pass),
        }
    }

    /// See [`Stream::finish`].
    pub(crate) fn finish(
        &mut self,
        pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        match self {
            Flow::Bytes(stream) => stream.finish(pass),
            Flow::Utf16(stream) => stream.finish(pass),
        }
    }
}
