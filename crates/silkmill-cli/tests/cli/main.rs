//! Drives the real binary, black box.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod replace;
mod scrape;

use std::process::Command;

/// The binary under test.
fn silkmill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_silkmill"))
}

#[test]
fn an_unknown_option_exits_2_and_names_it() {
    let output = silkmill().arg("--no-such-option").output().unwrap();

    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-option"));
}
