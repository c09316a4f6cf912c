//! Finds the character encoding of a page and decodes it, as browsers do: the byte order mark, then
//! the HTTP header, then a `meta` in the first kilobyte, then a guess from the bytes.
//!
//! The order and the prescan are those of the HTML standard ("encoding sniffing algorithm"), the
//! encodings those of the Encoding standard. One step is added: undeclared bytes that are valid
//! UTF-8 (or just ASCII) are UTF-8, which browsers refuse to guess as a matter of policy.

mod names;

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use names::lower_case_name;

/// The bytes of a page that are searched for a declaration: the standard's number.
const PRESCAN_BYTES: usize = 1024;

/// The text of a page, and the encoding it was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text, without a byte order mark. Invalid bytes became U+FFFD.
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
    Detected::of(body, content_type, prescan).decode()
}

/// A page whose encoding is known, and that is not decoded yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detected<'a> {
    encoding: &'static Encoding,
    /// The page without its byte order mark.
    bytes: &'a [u8],
    /// Whether the encoding is a guess, which a `meta` further down overrules.
    is_guess: bool,
}

impl<'a> Detected<'a> {
    /// Finds the encoding of an HTML page, as far as its beginning tells.
    pub(crate) fn of_html(body: &'a [u8], content_type: Option<&str>) -> Detected<'a> {
        Detected::of(body, content_type, prescan)
    }

    /// Finds the encoding of an XML document, or of something else without a `meta`: RFC 7303 has
    /// the order.
    pub(crate) fn of_xml(body: &'a [u8], content_type: Option<&str>) -> Detected<'a> {
        Detected::of(body, content_type, |bytes| utf_16(bytes).or_else(|| xml_declaration(bytes)))
    }

    fn of(
        body: &'a [u8],
        content_type: Option<&str>,
        declared: impl FnOnce(&[u8]) -> Option<&'static Encoding>,
    ) -> Detected<'a> {
        if let Some((encoding, length)) = Encoding::for_bom(body) {
            return Detected { encoding, bytes: &body[length..], is_guess: false };
        }
        let declared = content_type
            .and_then(from_content_type)
            .or_else(|| declared(&body[..body.len().min(PRESCAN_BYTES)]));
        let encoding = declared.unwrap_or_else(|| guess(body));
        Detected { encoding, bytes: body, is_guess: declared.is_none() }
    }

    pub(crate) fn decode(self) -> Decoded<'a> {
        let (text, _) = self.encoding.decode_without_bom_handling(self.bytes);
        Decoded { text, charset: lower_case_name(self.encoding) }
    }

    /// Tells whether a `meta` behind the beginning could declare another encoding: one is
    /// mentioned.
    pub(crate) fn may_change(self) -> bool {
        let rest = self.bytes.get(PRESCAN_BYTES..).unwrap_or_default();
        self.is_guess
            && memchr::memchr2_iter(b'c', b'C', rest).any(|at| {
                rest[at..].get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"charset"))
            })
    }

    /// Returns the page in the encoding that a `meta` behind the beginning declares, if that is
    /// another one: the standard's "change the encoding". The arguments are the attributes of the
    /// element.
    pub(crate) fn changed_by(
        self,
        charset: Option<&str>,
        http_equiv: Option<&str>,
        content: Option<&str>,
    ) -> Option<Change<'a>> {
        let is_pragma = http_equiv.is_some_and(|it| it.eq_ignore_ascii_case("content-type"));
        let declared = match (charset, content) {
            (Some(charset), _) => Encoding::for_label(charset.as_bytes()),
            (None, Some(content)) if is_pragma => {
                from_pragma(content.to_ascii_lowercase().as_bytes())
            }
            _ => None,
        };
        let encoding = declared.map(as_meta_means)?;
        let is_other = encoding != self.encoding;
        Some(if is_other { Change::To(Detected { encoding, ..self }) } else { Change::None })
    }
}

/// What a `meta` behind the beginning of a page changes.
pub(crate) enum Change<'a> {
    /// It confirms the guess.
    None,
    To(Detected<'a>),
}

/// Returns the encoding that a `Content-Type` header names, for a page that is not read.
pub(crate) fn named(content_type: &str) -> Option<&'static str> {
    from_content_type(content_type).map(lower_case_name)
}

/// Returns the `charset` parameter of a media type.
fn from_content_type(value: &str) -> Option<&'static Encoding> {
    let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, label) =
        parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches('"').as_bytes())
}

/// Guesses from all bytes. A character that the end of the body cuts in two is no evidence.
fn guess(body: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(body, false);
    detector.guess(None, Utf8Detection::Allow)
}

/// Runs the standard's prescan, for a `meta` that declares an encoding or an XML declaration.
fn prescan(bytes: &[u8]) -> Option<&'static Encoding> {
    utf_16(bytes).or_else(|| Prescan { bytes, at: 0 }.meta()).or_else(|| xml_declaration(bytes))
}

/// Recognises an XML declaration in UTF-16, without a byte order mark.
fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0x3c, 0, 0x3f, 0, 0x78, 0, ..] => Some(UTF_16LE),
        [0, 0x3c, 0, 0x3f, 0, 0x78, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// Parses `<?xml version="1.0" encoding="gbk"?>`.
fn xml_declaration(bytes: &[u8]) -> Option<&'static Encoding> {
    let bytes = bytes.trim_ascii_start();
    let end = bytes.iter().position(|&byte| byte == b'>')?;
    let declaration = bytes[..end].strip_prefix(b"<?xml")?;
    let after = find(declaration, b"encoding")?;
    let value = declaration[after..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, value) = value.split_first().filter(|&(quote, _)| b"\"'".contains(quote))?;
    let label = &value[..value.iter().position(|&byte| byte == quote)?];
    Encoding::for_label(label).map(as_meta_means)
}

/// Returns the encoding that a `meta` means: a page whose ASCII could be read is not in UTF-16,
/// whatever it declares.
fn as_meta_means(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    }
}

/// Returns one past the end of the first `needle`.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let start = bytes.windows(needle.len()).position(|part| part.eq_ignore_ascii_case(needle))?;
    Some(start + needle.len())
}

/// A position in the first bytes of a page. Every step that would pass the end returns `None`,
/// which ends the prescan.
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

    /// Returns the encoding that the attributes of a `meta` declare, if they do.
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

    /// Runs the standard's "get an attribute". Returns its name and value in lower case, or `None`
    /// at the end of the tag.
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

/// Runs the standard's "extracting a character encoding from a meta element": `text/html;
/// charset=gbk`.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::names::NAMES;
    use super::*;

    fn charset(body: &[u8], content_type: Option<&str>) -> &'static str {
        decode(body, content_type).charset
    }

    #[test]
    fn every_encoding_has_a_name() {
        let labels = "utf-8 ibm866 l2 l3 l4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 \
                      iso-8859-8-i l6 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r \
                      koi8-u mac windows-874 cp1250 cp1251 latin1 cp1253 cp1254 cp1255 cp1256 \
                      cp1257 cp1258 x-mac-cyrillic gb2312 gb18030 big5 euc-jp iso-2022-jp sjis \
                      euc-kr replacement utf-16be utf-16 x-user-defined";
        let names: std::collections::HashSet<_> = labels
            .split_whitespace()
            .map(|label| lower_case_name(Encoding::for_label(label.as_bytes()).unwrap()))
            .collect();
        assert_eq!(names.len(), NAMES.len());
    }

    #[test]
    fn the_mark_comes_before_the_header_and_the_header_before_the_meta() {
        let meta = b"<meta charset=gbk>x";
        assert_eq!(charset(meta, None), "gbk");
        assert_eq!(charset(meta, Some("text/html; charset=Shift_JIS")), "shift_jis");
        let marked = [b"\xef\xbb\xbf".as_slice(), meta].concat();
        let decoded = decode(&marked, Some("text/html; charset=Shift_JIS"));
        assert_eq!((&*decoded.text, decoded.charset), ("<meta charset=gbk>x", "utf-8"));
        assert_eq!(decode(b"\xff\xfeh\0i\0", None).text, "hi");
        assert_eq!(charset(b"\xfe\xff\0h\0i", None), "utf-16be");
    }

    #[test]
    fn the_header_is_read_as_it_is_written_in_the_wild() {
        let cases = [
            ("text/html; charset=utf-8", "utf-8"),
            ("text/html;charset=\"GBK\"", "gbk"),
            ("text/html; CharSet = koi8-r ; x=y", "koi8-r"),
            ("text/html; charset=nonsense", "utf-8"),
            ("text/html; charset=", "utf-8"),
            ("text/html", "utf-8"),
            ("", "utf-8"),
        ];
        for (header, expected) in cases {
            assert_eq!(charset(b"plain", Some(header)), expected, "{header}");
        }
    }

    #[test]
    fn the_prescan_finds_what_the_standard_finds() {
        let cases: &[(&str, &str)] = &[
            ("<meta charset=gbk>", "gbk"),
            ("<META CHARSET='GB2312'/>", "gbk"),
            ("<title>x</title><meta charset = \"big5\">", "big5"),
            ("<meta name=a content=b charset=big5>", "big5"),
            ("<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>", "koi8-r"),
            ("<meta content='charset = \"koi8-r\" x' http-equiv=content-type>", "koi8-r"),
            ("<meta content='text/html; charset=koi8-r'>", "utf-8"),
            ("<meta http-equiv=refresh content='0;charset=koi8-r'>", "utf-8"),
            ("<meta charset=utf-16>", "utf-8"),
            ("<meta charset=x-user-defined>", "windows-1252"),
            ("<meta charset=nonsense><meta charset=gbk>", "gbk"),
            ("<meta charset=gbk charset=big5>", "gbk"),
            ("<!-- <meta charset=gbk> -->", "utf-8"),
            ("<!--><meta charset=gbk>-->", "gbk"),
            ("<a title='<meta charset=gbk>'>", "utf-8"),
            ("</p title='<meta charset=gbk>'><meta charset=big5>", "big5"),
            ("<!doctype <meta charset=gbk>", "utf-8"),
            ("<metacharset=gbk>", "utf-8"),
            ("<meta/charset=gbk>", "gbk"),
            ("<meta charset=gbk", "utf-8"),
            ("<?xml version='1.0' encoding='euc-jp'?><html>", "euc-jp"),
            ("<?xml encoding='euc-jp'?><meta charset=gbk>", "gbk"),
            ("<?xml encoding='utf-16'?>", "utf-8"),
        ];
        for (html, expected) in cases {
            assert_eq!(charset(html.as_bytes(), None), *expected, "{html}");
        }
    }

    #[test]
    fn a_declaration_counts_in_the_first_kilobyte_only() {
        let at = |spaces: usize| format!("{}<meta charset=gbk>", " ".repeat(spaces));
        assert_eq!(charset(at(1024 - 18).as_bytes(), None), "gbk");
        assert_eq!(charset(at(1024 - 17).as_bytes(), None), "utf-8");
    }

    #[test]
    fn a_page_without_a_declaration_is_guessed() {
        let russian = "Съешь же ещё этих мягких французских булок, да выпей чаю";
        assert_eq!(charset(russian.as_bytes(), None), "utf-8");
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(russian);
        assert_eq!(decode(&bytes, None).text, russian);
        assert_eq!(charset(b"only ASCII", None), "utf-8");
    }

    #[test]
    fn a_character_cut_by_the_end_does_not_spoil_the_guess() {
        let text = "größer als früher: ä".as_bytes();
        assert_eq!(charset(&text[..text.len() - 1], None), "utf-8");
    }

    proptest! {
        // The first character is ASCII, because `яю` is a byte order mark in windows-1251.
        #[test]
        fn text_survives_its_encoding(text in "[ -~][ -~а-яё]{0,80}") {
            for label in ["utf-8", "windows-1251", "koi8-r", "gb18030", "utf-16le"] {
                let encoding = Encoding::for_label(label.as_bytes()).unwrap();
                let bytes = match label {
                    "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                    _ => encoding.encode(&text).0.into_owned(),
                };
                let header = format!("text/html; charset={label}");
                let decoded = decode(&bytes, Some(&header));
                prop_assert_eq!((&*decoded.text, decoded.charset), (text.as_str(), label));
            }
        }

        #[test]
        fn a_declaration_in_the_markup_is_as_good_as_a_header(
            before in "[<a-z !/\"=>-]{0,60}", label in prop::sample::select(vec!["gbk", "big5", "koi8-r"]),
        ) {
            // The text before may hide the declaration, but never make the scan fail.
            let html = format!("{before}<meta charset={label}>");
            let found = charset(html.as_bytes(), None);
            prop_assert!(found == label || found == "utf-8");
        }
    }
}
