//! How messages are worded and written: lines on standard error, the operating system's reasons,
//! counts, and text from files that cannot steer the terminal.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Writes a line to standard error, in one piece. Errors are ignored: standard error may be closed
/// or full, and there is nowhere else to report that. `eprintln!` would panic.
pub(crate) fn to_stderr(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Words an I/O error as our errors are worded: without a capital letter and without the errno.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    match (rest.next(), rest.as_str()) {
        // Words in capitals, such as TLS and DNS, stay as they are.
        (Some(first), more) if !more.starts_with(|next: char| next.is_uppercase()) => {
            first.to_lowercase().chain(more.chars()).collect()
        }
        _ => text.to_owned(),
    }
}

/// Turns an error of the replacer into one without a source. Its message already includes the
/// source's, which `{:#}` would print a second time.
pub(crate) fn without_source(error: &silkmill_replace::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// Puts a number before its noun, which is in the plural unless the number is one.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Shows a path in one line that cannot steer the terminal. Control characters, and bytes that are
/// not UTF-8 and may be control characters to a terminal, are written as `\n`, `\u{1b}` and `\xff`.
pub(crate) fn in_one_line(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes(), |_| false)
}

/// Shows a line of a file, without its line end, so that it cannot steer the terminal. Tabs stay.
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
