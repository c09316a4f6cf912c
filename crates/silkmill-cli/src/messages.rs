//! How messages are worded and written: lines on standard error, the operating system's reasons,
//! counts, and text from files that cannot steer the terminal.

use std::fmt::Display;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Words an I/O error as our errors are worded: without a capital letter and without the errno.
pub(crate) use silkmill_scrape::io_error_in_words as reason;

/// Writes a line to standard error, in one piece. Errors are ignored: standard error may be closed
/// or full, and there is nowhere else to report that. `eprintln!` would panic.
pub(crate) fn to_stderr(line: impl Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
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

/// Writes `12345` as `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Shows a path in one line that cannot steer the terminal, and that no other path is shown as.
/// Control characters, those that no one sees or that turn the direction of text, and bytes that
/// are not UTF-8 are written as `\n`, `\u{202e}` and `\xff`, and a backslash as `\\`.
pub(crate) fn in_one_line(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes(), |char| char != '\\' && !steers(char))
}

/// Shows a line of a file, without its line end, so that it cannot steer the terminal. Tabs and
/// backslashes stay.
pub(crate) fn printable(line: &[u8]) -> String {
    escaped(line, |char| char == '\t' || !steers(char))
}

/// Returns whether a terminal may not show the character as one of the line, but obey it: control
/// characters, line ends, and the format characters that hide, reorder or join what is around them.
/// The joiners U+200C and U+200D stay, since words of some languages and many emoji need them.
fn steers(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn escaped(bytes: &[u8], stays: impl Fn(char) -> bool) -> String {
    let mut line = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if stays(char) {
                line.push(char);
            } else {
                line.extend(char.escape_default());
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
            ("a\u{202e}fdp.exe\u{feff}".as_bytes(), r"a\u{202e}fdp.exe\u{feff}"),
            (br"a\nb", r"a\\nb"),
            ("\u{645}\u{200c}\u{647}".as_bytes(), "\u{645}\u{200c}\u{647}"),
        ];
        for (path, want) in claims {
            assert_eq!(&in_one_line(Path::new(OsStr::from_bytes(path))), want);
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([7, 300, 2_000, 1_234_567].map(grouped), ["7", "300", "2,000", "1,234,567"]);
    }
}
