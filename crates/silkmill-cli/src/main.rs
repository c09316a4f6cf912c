//! The `silkmill` binary: parses the arguments, runs a command, and returns its exit code.
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

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::messages::to_stderr;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            to_stderr(format_args!("silkmill: {error:#}"));
            Exit::Error.into()
        }
    }
}

fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Replace(args) => cmd::replace::run(*args),
        Command::Undo(args) => cmd::undo::run(args),
        Command::Redo(args) => cmd::undo::redo(&args),
        Command::Fetch(args) => cmd::fetch::run(args),
        Command::Scrape(args) => cmd::scrape::run(args),
        Command::Demo => cmd::demo::run(),
        Command::Completions { shell } => cmd::manual::completions(shell),
        Command::Man { command } => cmd::manual::page(command.as_deref()),
    }
}
