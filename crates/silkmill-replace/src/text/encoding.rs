//! Decodes text that is not UTF-8 to be matched, and encodes what changed again. Pure.
//!
//! Only changes are encoded. All other bytes are copied from the original, so that an unpaired
//! surrogate, a broken character, or one that can be written in two ways stays as it is. In the
//! decoded text a *unit* represents some of the original's bytes: a character its own; an unpaired
//! surrogate, written as UTF-8 would write it if that were allowed, its two; and 0xFF those that
//! are no character. The latter two are not valid UTF-8, so no text and no `.` of a regex matches
//! them.

use std::fmt;
use std::ops::Range;

use encoding_rs::{DecoderResult, EncoderResult, Encoding};

use crate::text::edit::{BOM, Change};
use crate::text::utf8::Doubt;

/// Represents bytes that are no character.
const BROKEN: u8 = 0xFF;

/// The encoding of a file that is not read as UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf16 { big_endian: bool },
    Other(&'static Encoding),
}

/// Why a change cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EncodeError {
    /// The encoding has no such character, or the new text is not valid UTF-8.
    Character { char: Option<char>, charset: Charset },
    /// A match begins or ends within a character.
    Part,
    /// The text is not UTF-8, and the change may break it.
    Doubt(Doubt),
    /// The new bytes would not decode to the new text: the encoding has states, and the change is
    /// within one.
    State(Charset),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Character { char: Some(char), charset } => {
                write!(f, "it would hold {char:?}, which {charset} cannot write")
            }
            EncodeError::Character { char: None, charset } => {
                write!(f, "it would hold bytes that are no text, which {charset} cannot write")
            }
            EncodeError::Part => f.write_str("a match begins or ends within a character"),
            EncodeError::Doubt(doubt) => {
                let why = match doubt {
                    Doubt::Match => "a match may be a part of one of its characters",
                    Doubt::New => "the new text is not ASCII",
                };
                write!(
                    f,
                    "it is not UTF-8, and {why}: name its encoding with --encoding, \
                     or edit its bytes with --encoding bytes"
                )
            }
            EncodeError::State(charset) => {
                write!(f, "{charset} cannot be changed at one place without the rest")
            }
        }
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Charset::Utf16 { big_endian: false } => "UTF-16LE",
            Charset::Utf16 { big_endian: true } => "UTF-16BE",
            Charset::Other(encoding) => encoding.name(),
        })
    }
}

/// The text of a file, and how its units map to the file's bytes.
#[derive(Debug)]
pub(crate) struct Decoded {
    charset: Charset,
    pub(crate) text: Vec<u8>,
    /// The number of bytes before the text, which are its byte order mark.
    start: usize,
    /// The number of bytes that each unit of the text represents. Empty for UTF-16, where the unit
    /// tells.
    lens: Vec<u8>,
}

impl Charset {
    /// Finds an encoding by a label of the WHATWG's list, such as `latin1`. UTF-8, which needs no
    /// decoding, is `Some(None)`.
    pub(crate) fn named(label: &str) -> Option<Option<Charset>> {
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
        Some(match encoding.name() {
            "UTF-8" => None,
            "UTF-16LE" => Some(Charset::Utf16 { big_endian: false }),
            "UTF-16BE" => Some(Charset::Utf16 { big_endian: true }),
            _ => Some(Charset::Other(encoding)),
        })
    }

    /// Returns how to read a file that begins with `head`. Its byte order mark decides; without
    /// one, `otherwise` does.
    pub(crate) fn of(head: &[u8], otherwise: Option<Charset>) -> Option<Charset> {
        match head {
            [0xFF, 0xFE, ..] => Some(Charset::Utf16 { big_endian: false }),
            [0xFE, 0xFF, ..] => Some(Charset::Utf16 { big_endian: true }),
            _ if head.starts_with(BOM) => None,
            _ => otherwise,
        }
    }

    pub(crate) fn decode(self, bytes: &[u8]) -> Decoded {
        match self {
            Charset::Utf16 { big_endian } => decode_utf16(self, big_endian, bytes),
            Charset::Other(encoding) => decode_other(self, encoding, bytes),
        }
    }

    /// Appends text in this encoding.
    pub(crate) fn encode(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Charset::Utf16 { big_endian } => encode_utf16(self, big_endian, text, out),
            Charset::Other(encoding) => {
                let no_text = |_| EncodeError::Character { char: None, charset: self };
                encode_other(encoding, std::str::from_utf8(text).map_err(no_text)?, out)
            }
        }
    }
}

fn decode_utf16(charset: Charset, big_endian: bool, bytes: &[u8]) -> Decoded {
    let unit = |pair: &[u8; 2]| {
        if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
    };
    let (pairs, _) = bytes.as_chunks::<2>();
    let start = if pairs.first().is_some_and(|pair| unit(pair) == 0xFEFF) { 2 } else { 0 };
    let mut text = Vec::with_capacity(bytes.len());
    // The last byte of an odd number is not part of the text.
    push_utf16(pairs[start / 2..].iter().map(unit), &mut text);
    Decoded { charset, text, start, lens: Vec::new() }
}

/// Appends the text of these units.
pub(crate) fn push_utf16(units: impl Iterator<Item = u16>, text: &mut Vec<u8>) {
    for char in char::decode_utf16(units) {
        match char {
            Ok(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(error) => {
                let [high, low] = error.unpaired_surrogate().to_be_bytes();
                text.extend_from_slice(&[
                    0xED,
                    0x80 | (high & 0xF) << 2 | low >> 6,
                    0x80 | low & 0x3F,
                ]);
            }
        }
    }
}

fn encode_utf16(
    charset: Charset,
    big_endian: bool,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut push = |unit: u16| {
        out.extend_from_slice(&if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
    };
    let mut rest = text;
    while let Some(chunk) = rest.utf8_chunks().next() {
        chunk.valid().encode_utf16().for_each(&mut push);
        rest = &rest[chunk.valid().len()..];
        match rest {
            [] => {}
            // This is an unpaired surrogate that a group of the regex captured.
            [0xED, high @ 0xA0..=0xBF, low @ 0x80..=0xBF, after @ ..] => {
                push(0xD000 | u16::from(high & 0x3F) << 6 | u16::from(low & 0x3F));
                rest = after;
            }
            _ => return Err(EncodeError::Character { char: None, charset }),
        }
    }
    Ok(())
}

fn decode_other(charset: Charset, encoding: &'static Encoding, bytes: &[u8]) -> Decoded {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let (mut text, mut lens) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len()));
    let (mut at, mut pending) = (0, 0_u8);
    // One byte is decoded at a time, to learn which bytes each character takes. The end is a
    // separate step.
    loop {
        if pending == 0 && encoding.is_ascii_compatible() {
            let ascii = bytes[at..].iter().take_while(|byte| byte.is_ascii()).count();
            text.extend_from_slice(&bytes[at..at + ascii]);
            lens.resize(lens.len() + ascii, 1);
            at += ascii;
        }
        let (input, last) = (&bytes[at..bytes.len().min(at + 1)], at == bytes.len());
        let mut utf8 = [0; 16];
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(input, &mut utf8, last);
        at += read;
        pending += read as u8;
        for (place, char) in String::from_utf8_lossy(&utf8[..written]).chars().enumerate() {
            text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            // If some bytes decode to several characters, the first represents them all.
            lens.push(if place == 0 { std::mem::take(&mut pending) } else { 0 });
        }
        if let DecoderResult::Malformed(_, after) = result {
            text.push(BROKEN);
            lens.push(pending.saturating_sub(after));
            pending = pending.min(after);
        } else if last {
            return Decoded { charset, text, start: 0, lens };
        }
    }
}

fn encode_other(
    encoding: &'static Encoding,
    mut text: &str,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut encoder = encoding.new_encoder();
    loop {
        let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len());
        out.reserve(room.unwrap_or(text.len()).max(16));
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(text, out, true);
        match result {
            EncoderResult::InputEmpty => return Ok(()),
            EncoderResult::OutputFull => text = &text[read..],
            EncoderResult::Unmappable(char) => {
                let charset = Charset::Other(encoding);
                return Err(EncodeError::Character { char: Some(char), charset });
            }
        }
    }
}

impl Decoded {
    /// Encodes changes of the text into the bytes it was decoded from. The result goes to `out`.
    pub(crate) fn reencode<'a>(&'a self, bytes: &'a [u8], out: &'a mut Vec<u8>) -> Reencoder<'a> {
        out.clear();
        let place = Place { text: 0, unit: 0, byte: self.start };
        Reencoder { decoded: self, bytes, out, place, copied: 0, failed: None }
    }

    /// Moves on to a place in the text.
    fn go(&self, place: &mut Place, to: usize) -> Result<(), EncodeError> {
        if self.text.get(to).copied().is_some_and(is_within_unit) {
            return Err(EncodeError::Part);
        }
        let units = self.text[place.text..to].iter().filter(|&&byte| !is_within_unit(byte));
        match self.charset {
            Charset::Utf16 { .. } => {
                place.byte += units.map(|&byte| if byte >= 0xF0 { 4 } else { 2 }).sum::<usize>();
            }
            Charset::Other(_) => {
                let lens = &self.lens[place.unit..place.unit + units.count()];
                place.byte += lens.iter().map(|&len| usize::from(len)).sum::<usize>();
                place.unit += lens.len();
            }
        }
        place.text = to;
        Ok(())
    }
}

/// Returns whether a byte of decoded text continues a unit.
pub(crate) fn is_within_unit(byte: u8) -> bool {
    (0x80..0xC0).contains(&byte)
}

/// Encodes changes, from left to right.
pub(crate) struct Reencoder<'a> {
    decoded: &'a Decoded,
    bytes: &'a [u8],
    out: &'a mut Vec<u8>,
    place: Place,
    copied: usize,
    failed: Option<EncodeError>,
}

impl Reencoder<'_> {
    /// Makes one change of the text. Returns which bytes became which, unless this or an earlier
    /// change failed.
    pub(crate) fn change(&mut self, old: Range<usize>, new: &[u8]) -> Option<Change> {
        if self.failed.is_none() {
            match self.try_change(old, new) {
                Ok(change) => return Some(change),
                Err(error) => self.failed = Some(error),
            }
        }
        None
    }

    fn try_change(&mut self, old: Range<usize>, new: &[u8]) -> Result<Change, EncodeError> {
        self.decoded.go(&mut self.place, old.start)?;
        let old_start = self.place.byte;
        self.decoded.go(&mut self.place, old.end)?;
        self.out.extend_from_slice(&self.bytes[self.copied..old_start]);
        self.copied = self.place.byte;
        let new_start = self.out.len();
        self.decoded.charset.encode(new, self.out)?;
        Ok(Change { old: old_start..self.copied, new: new_start..self.out.len() })
    }

    /// Copies the rest. `edited` is the text with all changes, to which the result must decode.
    pub(crate) fn finish(self, edited: &[u8]) -> Result<(), EncodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.out.extend_from_slice(&self.bytes[self.copied..]);
        match self.decoded.charset {
            charset @ Charset::Other(_) if charset.decode(self.out).text != edited => {
                Err(EncodeError::State(charset))
            }
            _ => Ok(()),
        }
    }
}

/// The same place in a text and in the bytes it was decoded from.
struct Place {
    text: usize,
    unit: usize,
    byte: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn other_encodings_keep_every_byte_outside_the_matches(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            label in prop::sample::select(vec![
                "windows-1252", "shift_jis", "gbk", "gb18030", "big5", "euc-jp", "euc-kr", "koi8-r",
                "iso-2022-jp", "x-user-defined",
            ]),
        ) {
            let Some(Some(charset)) = Charset::named(label) else { panic!("{label}") };
            let decoded = charset.decode(&bytes);
            // The units represent all bytes, except those at the end that form no character.
            let units = decoded.text.iter().filter(|&&byte| !(0x80..0xC0).contains(&byte)).count();
            prop_assert_eq!(units, decoded.lens.len());
            let total: usize = decoded.lens.iter().map(|&len| usize::from(len)).sum();
            prop_assert!(total <= bytes.len());
            let end = decoded.text.len();
            for at in (0..end).filter(|&at| !(0x80..0xC0).contains(&decoded.text[at])) {
                let mut out = Vec::new();
                let mut reencoder = decoded.reencode(&bytes, &mut out);
                prop_assert!(reencoder.change(at..at, b"").is_some());
                prop_assert!(reencoder.finish(&decoded.text).is_ok());
                prop_assert_eq!(&out, &bytes);
            }
        }
    }
}
