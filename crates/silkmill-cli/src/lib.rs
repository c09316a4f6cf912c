//! The `silkmill` command as a library, for the binary and for what else installs the command: the
//! Python package has a script that calls [`main_from`].
//!
//! Only this crate prints, reads the environment, or exits.

mod args;
mod cmd;
mod exit;
mod interrupt;
mod messages;
mod progress;
mod sink;
mod state;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;

pub use crate::cmd::crawl::{CrawlEnding, CrawlPlan, StartedCrawl};
pub use crate::cmd::url_list::cookies::Cookies;
pub use crate::cmd::url_list::proxies::environment_proxies;
pub use crate::cmd::url_list::sitemaps::SitemapPages;
pub use crate::state::state_directory;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::messages::to_stderr;

/// Runs the command that `args` name, the first of which is the name of the program, and returns
/// its exit code.
///
/// It belongs to a process that does nothing else: it listens for signals, a second one of which
/// may end the process, it raises the limit of open files, and it uses the standard streams.
///
/// ```
/// assert_eq!(silkmill_cli::main_from(["silkmill", "--version"]), 0);
/// assert_eq!(silkmill_cli::main_from(["silkmill", "no-command"]), 2);
/// ```
pub fn main_from(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let exit = match Cli::try_parse_from(args) {
        Ok(cli) => run(cli.command).unwrap_or_else(|error| {
            to_stderr(format_args!("silkmill: {error:#}"));
            Exit::Error
        }),
        Err(shown) => {
            // The reader may have closed our output.
            let _ = shown.print();
            if shown.use_stderr() { Exit::Error } else { Exit::Success }
        }
    };
    // The end of a program that Rust has not begun does not flush what Rust has buffered.
    let _ = io::stdout().flush();
    exit.code()
}

fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Replace(args) => cmd::replace::run(*args),
        Command::Undo(args) => cmd::undo::run(args),
        Command::Redo(args) => cmd::undo::redo(&args),
        Command::Fetch(args) => cmd::fetch::run(args),
        Command::Scrape(args) => cmd::scrape::run(args),
        Command::Crawl(args) => cmd::crawl::run(*args),
        Command::Demo => cmd::demo::run(),
        Command::Completions { shell } => cmd::manual::completions(shell),
        Command::Help { topic } => cmd::manual::help(topic.as_deref()),
        Command::Man { command } => cmd::manual::page(command.as_deref()),
    }
}
