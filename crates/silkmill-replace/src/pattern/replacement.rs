//! What a match becomes: literal bytes, or a template with groups, escapes and changes of case.
//!
//! Parsing checks every group against the regex, so that writing cannot fail.

use std::ops::Range;

use regex_automata::util::captures::Captures;

use crate::error::Error;
use crate::pattern::newline::LineEnds;
use crate::pattern::title_case::title_case;

/// Where the groups of a match are, by the engine that found them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Groups<'a> {
    Linear(&'a Captures),
    Fancy(&'a [Option<Range<usize>>]),
}

impl Groups<'_> {
    /// Returns where a group is, if it took part in the match.
    fn span(self, index: usize) -> Option<Range<usize>> {
        match self {
            Groups::Linear(groups) => groups.get_group(index).map(|span| span.range()),
            Groups::Fancy(groups) => groups.get(index).cloned().flatten(),
        }
    }

    /// Returns how many groups there are, with the first, which is the whole match.
    fn count(self) -> usize {
        match self {
            Groups::Linear(groups) => groups.group_len(),
            Groups::Fancy(groups) => groups.len(),
        }
    }
}

/// The replacement of a match, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
    Case(CaseChange),
    /// The line end of the file.
    LineEnd,
    /// Every group, for one who decides later: see [`groups_of`].
    Groups,
}

/// A change of case. `\U \L \E` last until the next of them, `\u \l` for one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CaseChange {
    All(Option<Case>),
    Next(Case),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
}

impl Replacement {
    /// Makes a replacement of these bytes and nothing else.
    pub(crate) fn literal(bytes: Vec<u8>) -> Replacement {
        Replacement { parts: vec![Part::Text(bytes)] }
    }

    /// Parses `$1 ${name} \n \t \r \\ \$ \xNN \u{N} \U \L \u \l \E`. `names` are the regex's groups
    /// in order, the whole match first; a group without a name is `None`.
    /// `\n` is the line end of the file, unless `means_bytes` or a `\r` before it says that it is
    /// the byte.
    pub(crate) fn parse(
        template: &[u8],
        names: &[Option<&str>],
        means_bytes: bool,
    ) -> Result<Replacement, Error> {
        let (text, parts) = (Vec::new(), Vec::new());
        let mut parser = Parser { template, at: 0, names, means_bytes, text, parts };
        parser.run()?;
        Ok(Replacement { parts: parser.parts })
    }

    /// Makes a replacement that is no text, but all groups of the match, for [`groups_of`]. It is
    /// never equal to what was matched.
    pub(crate) fn groups() -> Replacement {
        Replacement { parts: vec![Part::Groups] }
    }

    /// Returns whether the replacement depends on the groups of the match.
    pub(crate) fn needs_groups(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Group(_) | Part::Groups))
    }

    /// Returns what `\n` writes for a match that begins at `start`, if the replacement has any.
    pub(crate) fn line_end(&self, ends: &mut LineEnds, text: &[u8], start: usize) -> &'static [u8] {
        match self.parts.contains(&Part::LineEnd) {
            true => ends.at(text, start),
            false => b"\n",
        }
    }

    /// Appends what a match in `text` becomes. A group that did not take part is empty.
    pub(crate) fn write(
        &self,
        text: &[u8],
        groups: Option<Groups<'_>>,
        line_end: &[u8],
        out: &mut Vec<u8>,
    ) {
        let mut case = CaseState::default();
        for part in &self.parts {
            match part {
                Part::Text(bytes) => case.push(bytes, out),
                Part::Group(index) => {
                    if let Some(span) = groups.and_then(|groups| groups.span(*index)) {
                        case.push(&text[span], out);
                    }
                }
                Part::LineEnd => case.push(line_end, out),
                Part::Groups => write_groups(text, groups, out),
                Part::Case(CaseChange::All(all)) => case.all = *all,
                Part::Case(CaseChange::Next(next)) => case.next = Some(*next),
            }
        }
    }
}

/// The end of written groups. It is the only part of what is written for a literal, so it is a text
/// that is not looked for.
const GROUPS_END: &[u8] = b"\x01the groups\x01";

/// Appends the groups after the first, which is the whole match: `-` for one that took no part,
/// else `+`, its length and a colon, and its bytes. All but the groups is ASCII, so that a file in
/// any encoding can hold it.
fn write_groups(text: &[u8], groups: Option<Groups<'_>>, out: &mut Vec<u8>) {
    let spans = groups
        .into_iter()
        .flat_map(|groups| (1..groups.count()).map(move |index| groups.span(index)));
    for span in spans {
        match span {
            Some(span) => {
                out.extend_from_slice(format!("+{}:", span.len()).as_bytes());
                out.extend_from_slice(&text[span]);
            }
            None => out.push(b'-'),
        }
    }
    out.extend_from_slice(GROUPS_END);
}

/// Returns the groups that a replacement made by [`Replacement::groups`] has written, `None` for
/// each that took no part in the match.
pub(crate) fn groups_of(mut written: &[u8]) -> Vec<Option<&[u8]>> {
    let mut groups = Vec::new();
    while let Some((group, rest)) = next_group(written) {
        groups.push(group);
        written = rest;
    }
    groups
}

fn next_group(written: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    match written {
        [b'-', rest @ ..] => Some((None, rest)),
        [b'+', rest @ ..] => {
            let colon = memchr::memchr(b':', rest)?;
            let len = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
            let (group, rest) = rest[colon + 1..].split_at_checked(len)?;
            Some((Some(group), rest))
        }
        _ => None,
    }
}

/// The changes of case that are in force while a replacement is written.
#[derive(Default)]
struct CaseState {
    all: Option<Case>,
    next: Option<Case>,
}

impl CaseState {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.all.is_none() && self.next.is_none() {
            out.extend_from_slice(bytes);
            return;
        }
        for chunk in bytes.utf8_chunks() {
            self.push_str(chunk.valid(), out);
            out.extend_from_slice(chunk.invalid());
        }
    }

    fn push_str(&mut self, mut text: &str, out: &mut Vec<u8>) {
        if let (Some(case), Some(first)) = (self.next, text.chars().next()) {
            let (head, tail) = text.split_at(first.len_utf8());
            let head = match (case, head.chars().next()) {
                (Case::Upper, Some(first)) => title_case(first),
                _ => case.of(head),
            };
            out.extend_from_slice(head.as_bytes());
            text = tail;
            self.next = None;
        }
        match self.all {
            Some(case) => out.extend_from_slice(case.of(text).as_bytes()),
            None => out.extend_from_slice(text.as_bytes()),
        }
    }
}

impl Case {
    fn of(self, text: &str) -> String {
        match self {
            Case::Upper => text.to_uppercase(),
            Case::Lower => text.to_lowercase(),
        }
    }
}

struct Parser<'a> {
    template: &'a [u8],
    at: usize,
    names: &'a [Option<&'a str>],
    means_bytes: bool,
    text: Vec<u8>,
    parts: Vec<Part>,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), Error> {
        while let Some(&byte) = self.template.get(self.at) {
            match byte {
                b'\\' => self.escape()?,
                b'$' => self.dollar()?,
                _ => {
                    self.text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.finish_text();
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Error> {
        let start = self.at;
        let Some(&letter) = self.template.get(start + 1) else {
            return Err(self.error(start, r"`\` at the end escapes nothing; write `\\`"));
        };
        self.at += 2;
        match letter {
            b'n' if self.means_bytes || self.text.last() == Some(&b'\r') => self.text.push(b'\n'),
            b'n' => {
                self.finish_text();
                self.parts.push(Part::LineEnd);
            }
            b't' => self.text.push(b'\t'),
            b'r' => self.text.push(b'\r'),
            b'\\' | b'$' => self.text.push(letter),
            b'x' => self.hex_byte(start)?,
            b'u' if self.template.get(self.at) == Some(&b'{') => self.code_point(start)?,
            b'U' => self.case(CaseChange::All(Some(Case::Upper))),
            b'L' => self.case(CaseChange::All(Some(Case::Lower))),
            b'E' => self.case(CaseChange::All(None)),
            b'u' => self.case(CaseChange::Next(Case::Upper)),
            b'l' => self.case(CaseChange::Next(Case::Lower)),
            b'0'..=b'9' => {
                let digit = char::from(letter);
                return Err(self.error(start, &format!("a group is written `${digit}` here")));
            }
            _ => return Err(self.error(start, r"unknown escape; for a backslash write `\\`")),
        }
        Ok(())
    }

    /// Reads `\xNN`, which is one byte in any encoding.
    fn hex_byte(&mut self, start: usize) -> Result<(), Error> {
        let digits = self.template.get(self.at..self.at + 2);
        let byte = digits.and_then(ascii).and_then(hex);
        let byte = byte.and_then(|value| u8::try_from(value).ok());
        let byte = byte.ok_or_else(|| self.error(start, r"`\x` needs two hexadecimal digits"))?;
        self.text.push(byte);
        self.at += 2;
        Ok(())
    }

    /// Reads `\u{N}`, which is one character in UTF-8.
    fn code_point(&mut self, start: usize) -> Result<(), Error> {
        let digits = &self.template[self.at + 1..];
        let digits = digits.split(|&byte| byte == b'}').next().unwrap_or_default();
        let char = ascii(digits).and_then(hex).and_then(char::from_u32);
        let closed = self.template.get(self.at + 1 + digits.len()) == Some(&b'}');
        let char = char.filter(|_| closed);
        let char = char.ok_or_else(|| self.error(start, r"`\u{N}` needs a character's number"))?;
        self.text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += digits.len() + 2;
        Ok(())
    }

    fn dollar(&mut self) -> Result<(), Error> {
        let start = self.at;
        let rest = &self.template[start + 1..];
        match rest.first() {
            Some(b'$') => {
                self.text.push(b'$');
                self.at += 2;
                Ok(())
            }
            Some(b'{') => self.braced_group(start),
            Some(byte) if is_name(*byte) => self.bare_group(start),
            // As in the regex crate, a `$` that introduces nothing is literal.
            _ => {
                self.text.push(b'$');
                self.at += 1;
                Ok(())
            }
        }
    }

    fn braced_group(&mut self, start: usize) -> Result<(), Error> {
        let rest = &self.template[start + 2..];
        let Some(len) = rest.iter().position(|&byte| byte == b'}') else {
            return Err(self.error(start, "`${` without its `}`; for a dollar sign write `$$`"));
        };
        let name = String::from_utf8_lossy(&rest[..len]).into_owned();
        let group = self.group(&name);
        let group = group.ok_or_else(|| self.error(start, &no_group(&name)))?;
        self.push_group(group, start + 2 + len + 1);
        Ok(())
    }

    /// Reads `$1` and `$name`, as far as letters, digits and `_` reach. `$1foo` is an error, since
    /// half of its readers expect group 1 and `foo`.
    fn bare_group(&mut self, start: usize) -> Result<(), Error> {
        let rest = &self.template[start + 1..];
        let len = rest.iter().position(|&byte| !is_name(byte)).unwrap_or(rest.len());
        let name = String::from_utf8_lossy(&rest[..len]).into_owned();
        if let Some(group) = self.group(&name) {
            self.push_group(group, start + 1 + len);
            return Ok(());
        }
        let known = (1..len).rev().find(|&end| self.group(&name[..end]).is_some());
        let message = match known {
            Some(end) => {
                let (group, text) = name.split_at(end);
                format!(
                    "{}; for group {group} before `{text}` write `${{{group}}}{text}`",
                    no_group(&name)
                )
            }
            None => format!("{}; for a dollar sign write `$$`", no_group(&name)),
        };
        Err(self.error(start, &message))
    }

    fn group(&self, name: &str) -> Option<usize> {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.parse().ok().filter(|&index| index < self.names.len());
        }
        self.names.iter().position(|known| *known == Some(name))
    }

    fn push_group(&mut self, group: usize, end: usize) {
        self.finish_text();
        self.parts.push(Part::Group(group));
        self.at = end;
    }

    fn case(&mut self, change: CaseChange) {
        self.finish_text();
        self.parts.push(Part::Case(change));
    }

    fn finish_text(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }

    fn error(&self, at: usize, message: &str) -> Error {
        let shown = String::from_utf8_lossy(self.template);
        let column = String::from_utf8_lossy(&self.template[..at]).chars().count();
        Error::replacement(format!(
            "NEW is not a valid replacement: {message}\n    {shown}\n    {:column$}^",
            ""
        ))
    }
}

fn no_group(name: &str) -> String {
    format!("OLD has no group `{name}`")
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii())
}

/// Reads a number of hexadecimal digits. `from_str_radix` alone would accept `+1`.
fn hex(digits: &str) -> Option<u32> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| all_digits)
}

#[cfg(test)]
mod tests;
