//! Finds the character encoding of a page and decodes it, as browsers do: the byte order mark, then
//! the HTTP header, then a `meta` in the first kilobyte, then a guess from the bytes.
//!
//! The order and the prescan are those of the HTML standard ("encoding sniffing algorithm"), the
//! encodings those of the Encoding standard. One step is ours: bytes that are valid UTF-8 and
//! declared as nothing are read as UTF-8, where browsers refuse to for policy's sake.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// Bytes of a page in which a declaration is looked for: the standard's number.
const PRESCAN_BYTES: usize = 1024;

/// The text of a page, and how it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text, without a byte order mark. Bytes that mean nothing became U+FFFD.
    pub text: Cow<'a, str>,
    /// The WHATWG name of the encoding in lower case: `utf-8`, `windows-1252`, `gbk`.
    pub charset: &'static str,
}

/// Decodes a page. `content_type` is the value of the HTTP header. Every sequence of bytes decodes.
///
/// ```
/// let decoded = silkmill_scrape::charset::decode(b"caf\xe9", Some("text/html; charset=latin1"));
/// assert_eq!((&*decoded.text, decoded.charset), ("café", "windows-1252"));
/// ```
pub fn decode<'a>(body: &'a [u8], content_type: Option<&str>) -> Decoded<'a> {
    let (encoding, body) = match Encoding::for_bom(body) {
        Some((encoding, length)) => (encoding, &body[length..]),
        None => (declared_or_guessed(body, content_type), body),
    };
    let (text, _) = encoding.decode_without_bom_handling(body);
    Decoded { text, charset: lower_case_name(encoding) }
}

/// The encoding that a `Content-Type` header names, for a page that is not read.
pub(crate) fn named(content_type: &str) -> Option<&'static str> {
    from_content_type(content_type).map(lower_case_name)
}

fn declared_or_guessed(body: &[u8], content_type: Option<&str>) -> &'static Encoding {
    content_type
        .and_then(from_content_type)
        .or_else(|| prescan(&body[..body.len().min(PRESCAN_BYTES)]))
        .unwrap_or_else(|| guess(body))
}

/// The `charset` parameter of a media type.
fn from_content_type(value: &str) -> Option<&'static Encoding> {
    let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, label) =
        parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches('"').as_bytes())
}

/// A guess from all bytes. A character that the end of the body cuts in two is no evidence.
fn guess(body: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(body, false);
    detector.guess(None, Utf8Detection::Allow)
}

/// The standard's prescan: a `meta` that declares an encoding, or an XML declaration.
fn prescan(bytes: &[u8]) -> Option<&'static Encoding> {
    // An XML declaration in UTF-16, without a byte order mark.
    match bytes {
        [0x3c, 0, 0x3f, 0, 0x78, 0, ..] => return Some(UTF_16LE),
        [0, 0x3c, 0, 0x3f, 0, 0x78, ..] => return Some(UTF_16BE),
        _ => {}
    }
    Prescan { bytes, at: 0 }.meta().or_else(|| xml_declaration(bytes))
}

/// `<?xml version="1.0" encoding="gbk"?>`
fn xml_declaration(bytes: &[u8]) -> Option<&'static Encoding> {
    let end = bytes.iter().position(|&byte| byte == b'>')?;
    let declaration = bytes[..end].strip_prefix(b"<?xml")?;
    let after = find(declaration, b"encoding")?;
    let value = declaration[after..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, value) = value.split_first().filter(|&(quote, _)| b"\"'".contains(quote))?;
    let label = &value[..value.iter().position(|&byte| byte == quote)?];
    Encoding::for_label(label).map(as_meta_means)
}

/// A page whose ASCII could be read is not in UTF-16, whatever it says.
fn as_meta_means(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    }
}

/// One past the end of the first `needle`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let start = bytes.windows(needle.len()).position(|part| part.eq_ignore_ascii_case(needle))?;
    Some(start + needle.len())
}

/// A place in the first bytes of a page. Every step that would pass the end gives `None`, which
/// ends the prescan.
struct Prescan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Prescan<'_> {
    fn meta(&mut self) -> Option<&'static Encoding> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(b"<!--") {
                // The dashes that open a comment may be those that close it.
                self.at += 2 + find(&rest[2..], b"-->")?;
            } else if is_meta(rest) {
                self.at += b"<meta".len();
                if let Some(encoding) = self.meta_encoding()? {
                    return Some(encoding);
                }
            } else if is_tag(rest) {
                self.skip_tag()?;
            } else if rest[0] == b'<' && rest.get(1).is_some_and(|byte| b"!/?".contains(byte)) {
                self.at += find(rest, b">")?;
            } else {
                self.at += 1;
            }
        }
        None
    }

    fn skip_tag(&mut self) -> Option<()> {
        while !(is_space(self.byte()?) || self.byte()? == b'>') {
            self.at += 1;
        }
        while self.attribute()?.is_some() {}
        Some(())
    }

    /// The encoding that the attributes of a `meta` declare, if they do.
    fn meta_encoding(&mut self) -> Option<Option<&'static Encoding>> {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut is_pragma = false;
        // The encoding, and whether it only counts in a pragma.
        let mut found: Option<(Option<&'static Encoding>, bool)> = None;
        while let Some((name, value)) = self.attribute()? {
            if seen.contains(&name) {
                continue;
            }
            match name.as_slice() {
                b"http-equiv" => is_pragma |= value == b"content-type",
                b"content" if found.is_none() => {
                    found = from_pragma(&value).map(|encoding| (Some(encoding), true));
                }
                b"charset" => found = Some((Encoding::for_label(&value), false)),
                _ => {}
            }
            seen.push(name);
        }
        Some(match found {
            Some((Some(encoding), needs_pragma)) if is_pragma || !needs_pragma => {
                Some(as_meta_means(encoding))
            }
            _ => None,
        })
    }

    /// The standard's "get an attribute": its name and value in lower case, or `None` at the end of
    /// the tag.
    fn attribute(&mut self) -> Option<Option<(Vec<u8>, Vec<u8>)>> {
        self.skip(|byte| is_space(byte) || byte == b'/')?;
        if self.byte()? == b'>' {
            self.at += 1;
            return Some(None);
        }
        let start = self.at;
        // A name may start with the sign that ends it elsewhere.
        self.at += 1;
        self.skip(|byte| !(is_space(byte) || b"=/>".contains(&byte)))?;
        let name = self.lower_case(start);
        self.skip(is_space)?;
        if self.byte()? != b'=' {
            return Some(Some((name, Vec::new())));
        }
        self.at += 1;
        self.skip(is_space)?;
        let value = self.attribute_value()?;
        Some(Some((name, value)))
    }

    fn attribute_value(&mut self) -> Option<Vec<u8>> {
        let quote = self.byte()?;
        if quote == b'"' || quote == b'\'' {
            let start = self.at + 1;
            self.at = start;
            self.skip(|byte| byte != quote)?;
            let value = self.lower_case(start);
            self.at += 1;
            return Some(value);
        }
        let start = self.at;
        self.skip(|byte| !(is_space(byte) || byte == b'>'))?;
        Some(self.lower_case(start))
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Moves on while `is` holds, to a byte for which it does not.
    fn skip(&mut self, is: impl Fn(u8) -> bool) -> Option<()> {
        while is(self.byte()?) {
            self.at += 1;
        }
        Some(())
    }

    fn lower_case(&self, start: usize) -> Vec<u8> {
        self.bytes[start..self.at].to_ascii_lowercase()
    }
}

fn is_meta(bytes: &[u8]) -> bool {
    bytes.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<meta"))
        && bytes.get(5).is_some_and(|&byte| is_space(byte) || byte == b'/')
}

fn is_tag(bytes: &[u8]) -> bool {
    let name = bytes.strip_prefix(b"</").or_else(|| bytes.strip_prefix(b"<"));
    name.and_then(|name| name.first()).is_some_and(u8::is_ascii_alphabetic)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

/// The standard's "extracting a character encoding from a meta element": `text/html; charset=gbk`.
fn from_pragma(content: &[u8]) -> Option<&'static Encoding> {
    let mut rest = content;
    loop {
        rest = rest[find(rest, b"charset")?..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b"=") {
            rest = value.trim_ascii_start();
            break;
        }
    }
    let label = match rest.first()? {
        &quote @ (b'"' | b'\'') => {
            let value = &rest[1..];
            &value[..value.iter().position(|&byte| byte == quote)?]
        }
        _ => rest.split(|&byte| is_space(byte) || byte == b';').next()?,
    };
    Encoding::for_label(label)
}

fn lower_case_name(encoding: &'static Encoding) -> &'static str {
    let name = encoding.name();
    NAMES
        .iter()
        .find(|lower| lower.eq_ignore_ascii_case(name))
        .expect("NAMES has every encoding of the standard")
}

/// The encodings of the Encoding standard, the most frequent first.
const NAMES: &[&str] = &[
    "utf-8",
    "windows-1252",
    "gbk",
    "shift_jis",
    "euc-kr",
    "windows-1251",
    "big5",
    "euc-jp",
    "gb18030",
    "ibm866",
    "iso-2022-jp",
    "iso-8859-2",
    "iso-8859-3",
    "iso-8859-4",
    "iso-8859-5",
    "iso-8859-6",
    "iso-8859-7",
    "iso-8859-8",
    "iso-8859-8-i",
    "iso-8859-10",
    "iso-8859-13",
    "iso-8859-14",
    "iso-8859-15",
    "iso-8859-16",
    "koi8-r",
    "koi8-u",
    "macintosh",
    "replacement",
    "utf-16be",
    "utf-16le",
    "windows-1250",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "windows-874",
    "x-mac-cyrillic",
    "x-user-defined",
];
