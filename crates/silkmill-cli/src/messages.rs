//! How we speak to people: lines on standard error, and the operating system's reasons in our words.

use std::fmt::Display;
use std::io::{self, Write};

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
pub(crate) fn whole(error: &silkmill_replace::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_no_capital_and_no_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(reason(&io::Error::other("TLS is off")), "TLS is off");
    }
}
