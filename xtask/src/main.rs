//! The project's chores, in Rust, so that they need nothing but Rust.

mod bench;
mod corpus;
mod soak;
mod test;

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

const USAGE: &str = "\
usage: cargo xtask test                          run every test there is
       cargo xtask test STEP...                  run some of them: fmt clippy test examples doc loom fuzz
       cargo xtask bench [executor|replace|scrape]...
                                                 time us beside the peers that are installed
       cargo xtask bench executor|replace|scrape CASE...
                                                 time some cases of it, and keep nothing
       cargo xtask soak [SECONDS]                a storm of random tasks over whole pools, 60 s by default
       cargo xtask corpus DIR                    make a tree of text files to replace in";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", steps @ ..] => test::run(steps),
        ["bench", which @ ..] => bench::run(which),
        ["soak"] => soak::run(soak::SECONDS_DEFAULT),
        ["soak", seconds] => soak::run(seconds),
        ["corpus", folder] => corpus::make(folder.as_ref()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            if error.is::<Misuse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Words that mean nothing here, and not a chore that failed.
#[derive(Debug)]
struct Misuse(String);

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// The error of words that mean nothing.
fn misuse(what: String) -> anyhow::Error {
    Misuse(what).into()
}

/// The root of the workspace, whatever the current directory is.
fn root() -> &'static std::path::Path {
    let here: &std::path::Path = env!("CARGO_MANIFEST_DIR").as_ref();
    here.parent().expect("xtask is a folder of the workspace")
}

/// `cargo`, the one that runs us, at the root of the workspace.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command and fails unless it succeeds.
fn check(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("failed to start {shown}"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}

/// Whether a program is on the path.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
