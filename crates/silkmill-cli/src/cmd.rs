//! The commands: each turns its arguments into work, and the result into output and an exit code.

pub(crate) mod crawl;
pub(crate) mod demo;
pub(crate) mod fetch;
pub(crate) mod manual;
pub(crate) mod replace;
pub(crate) mod scrape;
pub(crate) mod undo;
pub(crate) mod url_list;

use std::io::{self, Write};

use anyhow::Context;

/// Prints to standard output. A reader that has closed it is not an error.
fn print(text: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("failed to write to standard output")
        }
        _ => Ok(()),
    }
}
