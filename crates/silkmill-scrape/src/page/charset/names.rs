//! The names of encodings, in lower case.

use encoding_rs::Encoding;

/// Returns the name of an encoding in lower case.
pub(super) fn lower_case_name(encoding: &'static Encoding) -> &'static str {
    let name = encoding.name();
    NAMES
        .iter()
        .find(|lower| lower.eq_ignore_ascii_case(name))
        .expect("NAMES has every encoding of the standard")
}

/// The encodings of the Encoding standard, the most frequent first.
pub(super) const NAMES: &[&str] = &[
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
