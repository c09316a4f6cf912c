//! How messages are worded and written: lines on standard error, the operating system's reasons, counts, and
//! text from files that cannot steer the terminal.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Writes a line to standard error, in one piece. Whoever closed that, or let it fill up, is not told of it; `eprintln!`
/// would panic.
pub(crate) fn to_stderr(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// An I/O error as our errors are worded: no capital, no number of the operating system.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    match (rest.next(), rest.as_str()) {
        // A word in capitals (TLS, DNS) stays one.
        (Some(first), more) if !more.starts_with(|next: char| next.is_uppercase()) => {
            first.to_lowercase().chain(more.chars()).collect()
        }
        _ => text.to_owned(),
    }
}

/// A replacer's error, which says its own cause: a chain would say that again.
pub(crate) fn without_source(error: &silkmill_replace::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// The number with its noun, in the plural where it wants it.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A path that cannot break its row or steer the terminal: control characters, and bytes that are no
/// UTF-8 and may be such to a terminal, are written as `\n`, `\u{1b}` and `\xff`.
pub(crate) fn in_one_line(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes(), |_| false)
}

/// A line of a file, without its end, that cannot steer the terminal. Tabs stay.
pub(crate) fn printable(line: &[u8]) -> String {
    escaped(line, |char| char == '\t')
}

fn escaped(bytes: &[u8], stays: impl Fn(char) -> bool) -> String {
    let mut line = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            let steers = char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
            if steers && !stays(char) {
                line.extend(char.escape_default());
            } else {
                line.push(char);
            }
        }
        line.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    line
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn no_path_breaks_a_row_or_steers_the_terminal() {
        let claims: &[(&[u8], &str)] = &[
            (b"plain name", "plain name"),
            ("\u{e9}t\u{e9}".as_bytes(), "\u{e9}t\u{e9}"),
            (b"a\nb\tc\r", r"a\nb\tc\r"),
            (b"\x1b[31m\x07\x7f", r"\u{1b}[31m\u{7}\u{7f}"),
            ("\u{9b}31m\u{2028}".as_bytes(), r"\u{9b}31m\u{2028}"),
            (b"\x9b31m\xff", r"\x9b31m\xff"),
        ];
        for (path, want) in claims {
            assert_eq!(&in_one_line(Path::new(OsStr::from_bytes(path))), want);
        }
    }

    #[test]
    fn a_reason_has_no_capital_and_no_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(reason(&io::Error::other("TLS is off")), "TLS is off");
    }
}
