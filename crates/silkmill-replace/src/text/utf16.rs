//! Edits UTF-16 that is never in memory as a whole. Pure, as [`crate::text::stream`] is, which it
//! uses.
//!
//! The text is decoded, edited in a window as any other text, and encoded again. That reproduces
//! every byte outside the matches: each unit of 16 bits is a character, half of one, or an unpaired
//! surrogate, and each of these is encoded in one way only. Other encodings do not have this
//! property, so their text has to be held as a whole: see [`crate::text::encoding`].

use std::io;

use crate::pattern::Cache;
use crate::text::encoding::{Charset, EncodeError, is_within_unit};
use crate::text::revise::Rules;
use crate::text::stream::{Piece, Stream, StreamError};

/// How many bytes are read at once.
const READ_LEN: usize = 256 << 10;

/// A text in UTF-16 that is being edited.
#[derive(Debug)]
pub(crate) struct Utf16Stream<'a> {
    stream: Stream<'a>,
    big_endian: bool,
    leaves_nul: bool,
    /// The bytes that were read, after `held` bytes that could not be decoded without those.
    bytes: Vec<u8>,
    held: usize,
    /// Whether the place of a byte order mark, which is not part of the text, has been passed.
    begun: bool,
    text: Vec<u8>,
    encoder: Encoder,
}

/// Encodes pieces of text, which may end within a character.
#[derive(Debug)]
struct Encoder {
    charset: Charset,
    /// The beginning of a character that does not change.
    part: Vec<u8>,
    out: Vec<u8>,
    failed: Option<EncodeError>,
}

impl<'a> Utf16Stream<'a> {
    /// Returns `None` if a match may depend on the whole text. If the rules leave texts with a NUL
    /// alone, the edit fails at a NUL.
    pub(crate) fn new(
        rules: Rules<'a>,
        cache: &'a mut Cache,
        big_endian: bool,
    ) -> Option<Utf16Stream<'a>> {
        let Rules { pattern, limit, leaves_nul, .. } = rules;
        let charset = Charset::Utf16 { big_endian };
        Some(Utf16Stream {
            stream: Stream::new(pattern, cache, limit)?.without_mark(),
            big_endian,
            leaves_nul,
            bytes: vec![0; READ_LEN],
            held: 0,
            begun: false,
            text: Vec::new(),
            encoder: Encoder { charset, part: Vec::new(), out: Vec::new(), failed: None },
        })
    }

    /// Returns how many matches have been replaced so far.
    pub(crate) fn count(&self) -> u64 {
        self.stream.count()
    }

    /// See [`Stream::take_undecided`].
    pub(crate) fn take_undecided(&mut self) -> u64 {
        self.stream.take_undecided()
    }

    /// Returns where the caller puts the next bytes.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.held..]
    }

    /// Takes the `len` bytes that the caller has put into the room, and passes on what is decided,
    /// in UTF-16.
    pub(crate) fn advance(
        &mut self,
        len: usize,
        mut pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        let filled = self.held + len;
        let decoded = self.decode(filled, false, &mut pass)?;
        self.bytes.copy_within(decoded..filled, 0);
        self.held = filled - decoded;
        self.edit(&mut pass)
    }

    /// Passes on the rest, since no text follows.
    pub(crate) fn finish(
        &mut self,
        mut pass: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        let decoded = self.decode(self.held, true, &mut pass)?;
        self.edit(&mut pass)?;
        let encoder = &mut self.encoder;
        let passed = self.stream.finish(|piece| encoder.take(piece, &mut pass));
        encoder.ended(passed)?;
        // The last byte of an odd number is not part of the text.
        match &self.bytes[decoded..self.held] {
            [] => Ok(()),
            odd => Ok(pass(Piece::Same(odd))?),
        }
    }

    /// Decodes the first bytes, as far as they are complete characters. Returns how far that is.
    fn decode(
        &mut self,
        filled: usize,
        at_end: bool,
        pass: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<usize, StreamError> {
        let unit = |pair: &[u8; 2]| match self.big_endian {
            true => u16::from_be_bytes(*pair),
            false => u16::from_le_bytes(*pair),
        };
        let (mut pairs, _) = self.bytes[..filled].as_chunks::<2>();
        let is_high = |pair: &[u8; 2]| (0xD800..0xDC00).contains(&unit(pair));
        if !at_end && pairs.last().is_some_and(is_high) {
            pairs = &pairs[..pairs.len() - 1];
        }
        let mut start = 0;
        if !self.begun
            && let Some(first) = pairs.first()
        {
            self.begun = true;
            if unit(first) == 0xFEFF {
                pass(Piece::Same(first))?;
                start = 1;
            }
        }
        self.text.clear();
        crate::text::encoding::push_utf16(pairs[start..].iter().map(unit), &mut self.text);
        if self.leaves_nul && memchr::memchr(0, &self.text).is_some() {
            return Err(StreamError::Nul);
        }
        Ok(pairs.len() * 2)
    }

    /// Edits what was decoded last.
    fn edit(
        &mut self,
        pass: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        let (stream, encoder) = (&mut self.stream, &mut self.encoder);
        let mut rest = &self.text[..];
        while !rest.is_empty() {
            let room = stream.room()?;
            let len = rest.len().min(room.len());
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            let passed = stream.advance(len, |piece| encoder.take(piece, pass));
            encoder.ended(passed)?;
        }
        Ok(())
    }
}

impl Encoder {
    fn take(
        &mut self,
        piece: Piece<'_>,
        pass: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.out.clear();
        let encoded = match piece {
            Piece::Same(text) => self.encode_same(text),
            Piece::New(_) if !self.part.is_empty() => Err(EncodeError::Part),
            Piece::New(text) => self.charset.encode(text, &mut self.out),
        };
        if let Err(why) = encoded {
            self.failed = Some(why);
            return Err(io::ErrorKind::Other.into());
        }
        match piece {
            Piece::Same(_) if self.out.is_empty() => Ok(()),
            Piece::Same(_) => pass(Piece::Same(&self.out)),
            Piece::New(_) => pass(Piece::New(&self.out)),
        }
    }

    /// Encodes everything except the beginning of a character at the end, which is kept for the
    /// next piece.
    fn encode_same(&mut self, mut text: &[u8]) -> Result<(), EncodeError> {
        if let Some(first) = self.part.first() {
            let missing = char_len(*first) - self.part.len();
            let (rest, after) = text.split_at(missing.min(text.len()));
            self.part.extend_from_slice(rest);
            if rest.len() < missing {
                return Ok(());
            }
            self.charset.encode(&self.part, &mut self.out)?;
            self.part.clear();
            text = after;
        } else if text.first().copied().is_some_and(is_within_unit) {
            return Err(EncodeError::Part);
        }
        let last = text.iter().rposition(|&byte| !is_within_unit(byte)).unwrap_or(0);
        let is_whole = text.get(last).is_none_or(|&first| text.len() - last == char_len(first));
        let (whole, part) = text.split_at(if is_whole { text.len() } else { last });
        self.part.extend_from_slice(part);
        self.charset.encode(whole, &mut self.out)
    }

    /// Returns the encoder's error, if it is the one that stopped the stream.
    fn ended(&mut self, passed: Result<(), StreamError>) -> Result<(), StreamError> {
        passed.map_err(|error| self.failed.take().map_or(error, StreamError::EncodeError))
    }
}

/// Returns the length of a character by its first byte.
fn char_len(first: u8) -> usize {
    match first {
        ..0xC0 => 1,
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use proptest::prelude::*;

    /// Edits the text in pieces of these lengths, in turn. Returns the text of an error.
    fn streamed(
        options: &Options,
        bytes: &[u8],
        lens: &[usize],
        big_endian: bool,
    ) -> Result<(Vec<u8>, u64), String> {
        let mut cache = options.pattern.cache();
        let rules = Rules { leaves_nul: false, ..options.rules() };
        let mut stream = Utf16Stream::new(rules, &mut cache, big_endian).unwrap();
        let mut out = Vec::new();
        let mut pass = |piece: Piece<'_>| {
            let (Piece::Same(bytes) | Piece::New(bytes)) = piece;
            out.extend_from_slice(bytes);
            Ok(())
        };
        let message = |error: StreamError| match error {
            StreamError::EncodeError(why) => why.to_string(),
            other => panic!("{other:?}"),
        };
        let (mut rest, mut lens) = (bytes, lens.iter().cycle());
        while !rest.is_empty() {
            let len = (*lens.next().unwrap()).min(rest.len());
            stream.room()[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            stream.advance(len, &mut pass).map_err(message)?;
        }
        stream.finish(&mut pass).map_err(message)?;
        let count = stream.count();
        Ok((out, count))
    }

    fn bytes_of(units: &[u16], big_endian: bool) -> Vec<u8> {
        let bytes = |&unit: &u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
        units.iter().flat_map(bytes).collect()
    }

    #[test]
    fn a_nul_ends_it_where_that_is_no_text() {
        let options = Options::builder("a", "b").build().unwrap();
        let mut cache = options.pattern.cache();
        let mut stream = Utf16Stream::new(options.rules(), &mut cache, false).unwrap();
        stream.room()[..4].copy_from_slice(b"a\0\0\0");

        assert!(matches!(stream.advance(4, |_| Ok(())), Err(StreamError::Nul)));
    }

    #[test]
    fn what_cannot_be_written_is_refused_as_the_whole_would_be() {
        let bytes = bytes_of(&[0xFEFF, 0xE9, 0x61], false);
        for (old, new, want) in [
            (r"(?-u:\xA9)", "x", "a match begins or ends within a character"),
            (r"(?-u:\xC3)", "x", "a match begins or ends within a character"),
            ("a", r"\xFF", "it would hold bytes that are no text, which UTF-16LE cannot write"),
        ] {
            let options = Options::builder(old, new).regex(true).build().unwrap();
            let whole = options.edit(&bytes).unwrap_err().to_string();
            let said = streamed(&options, &bytes, &[1], false).unwrap_err();
            assert_eq!(said, want);
            assert!(whole.ends_with(want), "{whole}");
        }
    }

    proptest! {
        #[test]
        fn utf_16_in_pieces_is_edited_as_the_whole_is(
            units in prop::collection::vec(
                prop::sample::select(vec![0x61, 0x62, 0x0A, 0x0D, 0xE9, 0x4E2D, 0xD83D, 0xDE00, 0xFEFF]),
                0..40,
            ),
            odd in prop::option::of(any::<u8>()),
            edit in prop::sample::select(vec![
                (false, "a", "bb"), (false, "\u{e9}\u{4e2d}", ""), (false, "\u{1F600}", "\u{e9}"),
                (false, "b\na", "\u{1F600}"), (false, "\u{feff}", "-"), (true, "^", ">"),
                (true, "$", ";"), (true, "(.)a", "a$1"), (true, "b*", "<$0>"), (true, "[^a]+", "_"),
            ]),
            lens in prop::collection::vec(1_usize..9, 1..5),
            limit in prop::sample::select(vec![1, 3, u64::MAX]),
            big_endian: bool,
            marked: bool,
        ) {
            let (regex, old, new) = edit;
            let mut bytes = bytes_of(if marked { &[0xFEFF] } else { &[] }, big_endian);
            bytes.extend(bytes_of(&units, big_endian));
            bytes.extend(odd);
            let label = if big_endian { "utf-16be" } else { "utf-16le" };
            let options = Options::builder(old, new).regex(regex).encoding(label);
            let options = options.file_replacements_max(limit).build().unwrap();
            // As a whole, the text would be read by a mark of the other byte order.
            prop_assume!(marked || !bytes.starts_with(&bytes_of(&[0xFEFF], !big_endian)));
            prop_assume!(!bytes.starts_with(crate::text::edit::BOM));

            let want = options.edit(&bytes).unwrap();
            let (got, count) = streamed(&options, &bytes, &lens, big_endian).unwrap();

            prop_assert_eq!(want.is_some(), count > 0);
            prop_assert_eq!(got, want.unwrap_or(bytes));
        }
    }
}
