//! The project's chores, as commands of `cargo xtask`. They are written in Rust, so that they need
//! nothing but Rust.

mod bench;
mod corpus;
mod misuse;
mod program;
mod python;
mod signals;
mod soak;
mod subcommand;
mod test;
mod tidy;

use std::io::Write;
use std::process::ExitCode;

use misuse::{Misuse, misuse, unknown};
use subcommand::Subcommand;

const SUBCOMMANDS: [&Subcommand; 4] =
    [&test::SUBCOMMAND, &bench::SUBCOMMAND, &soak::SUBCOMMAND, &corpus::SUBCOMMAND];

/// The words that ask for help, behind a command or alone.
const HELP: [&str; 2] = ["--help", "-h"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            if !error.is::<Misuse>() {
                return ExitCode::FAILURE;
            }
            eprintln!("see {}", page_that_helps(&words));
            ExitCode::from(2)
        }
    }
}

/// Does what the words of the command line ask for.
fn run(words: &[&str]) -> anyhow::Result<()> {
    match understand(words)? {
        Request::Page(page) => show(&page),
        Request::Run(command, rest) => (command.run)(rest),
    }
}

/// A command line that was understood.
enum Request<'a> {
    Page(String),
    /// A command, and the words behind its name.
    Run(&'static Subcommand, &'a [&'a str]),
}

fn understand<'a>(words: &'a [&'a str]) -> anyhow::Result<Request<'a>> {
    let (name, rest) = match words {
        [] => {
            let known = SUBCOMMANDS.map(|command| command.name).join(", ");
            return Err(misuse(format!("no command is named; there are: {known}")));
        }
        ["help"] | ["help", "help"] => return Ok(Request::Page(overview())),
        [word] | ["help", word] if HELP.contains(word) => return Ok(Request::Page(overview())),
        ["help", name, ..] => (*name, &HELP[..1]),
        [name, rest @ ..] => (*name, rest),
    };
    let Some(command) = SUBCOMMANDS.into_iter().find(|command| command.name == name) else {
        return Err(unknown("command", name, &SUBCOMMANDS.map(|command| command.name)));
    };
    if rest.iter().any(|word| HELP.contains(word)) {
        return Ok(Request::Page((command.help)()));
    }
    Ok(Request::Run(command, rest))
}

/// Prints a page. A reader that closes the pipe early has seen enough.
fn show(page: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes the page about all commands.
fn overview() -> String {
    let commands = SUBCOMMANDS.map(|command| (command.name, command.summary));
    format!(
        "usage: cargo xtask COMMAND [WORD]...\n\n\
         commands:\n{}\n\
         `cargo xtask help COMMAND` tells what a command does, the words it knows, how long it takes\n\
         and what it needs. While you work: `cargo xtask test --fast`. Before a change is done:\n\
         `cargo xtask test`. A command that fails is exit 1, words that mean nothing are exit 2.\n",
        subcommand::list(commands)
    )
}

/// Returns the command that prints the page to read after a misuse.
fn page_that_helps(words: &[&str]) -> String {
    let is_named = |command: &&&Subcommand| words.first() == Some(&command.name);
    match SUBCOMMANDS.iter().find(is_named) {
        Some(command) => format!("cargo xtask help {}", command.name),
        None => "cargo xtask help".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Misuse, Request, SUBCOMMANDS, overview, page_that_helps, run, soak, understand};

    #[test]
    fn every_page_of_help_fits_a_terminal_and_says_how_long_its_command_takes() {
        for command in SUBCOMMANDS {
            let page = (command.help)();
            let widest = page.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{}: {widest:?} columns", command.name);
            assert!(page.starts_with(&format!("usage: cargo xtask {}", command.name)));
            assert!(page.contains("\ntime: ") && page.contains("\nneeds: "), "{}", command.name);
            assert!(overview().contains(command.summary));
        }
    }

    #[test]
    fn words_that_ask_for_help_get_a_page() {
        for words in [&["help"][..], &["--help"], &["-h"], &["help", "-h"]] {
            assert!(matches!(understand(words), Ok(Request::Page(page)) if page == overview()));
        }
        for words in [&["help", "soak"][..], &["soak", "--help"], &["soak", "5", "-h"]] {
            let expected = (soak::SUBCOMMAND.help)();
            assert!(matches!(understand(words), Ok(Request::Page(page)) if page == expected));
        }
    }

    #[test]
    fn words_that_mean_nothing_are_a_misuse_and_point_to_a_page() {
        let cases: [(&[&str], &str); 7] = [
            (&[], "cargo xtask help"),
            (&["tset"], "cargo xtask help"),
            (&["help", "tset"], "cargo xtask help"),
            (&["test", "clipy"], "cargo xtask help test"),
            (&["test", "--fats"], "cargo xtask help test"),
            (&["soak", "long"], "cargo xtask help soak"),
            (&["corpus"], "cargo xtask help corpus"),
        ];
        for (words, page) in cases {
            let error = run(words).unwrap_err();
            assert!(error.is::<Misuse>(), "{words:?}: {error}");
            assert_eq!(page_that_helps(words), page);
        }
    }
}
