//! `silkmill completions` and `silkmill man`: the help texts for shells and for `man`.

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::cmd::print;
use crate::exit::Exit;

pub(crate) fn completions(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "silkmill", &mut script);
    print(&script)?;
    Ok(Exit::Success)
}

/// Prints the manual page of the program, or of one command.
pub(crate) fn page(command: Option<&str>) -> Result<Exit> {
    let mut program = Cli::command();
    // This gives every command its whole name.
    program.build();
    let documented = match command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).with_context(|| {
                let names: Vec<&str> =
                    program.get_subcommands().map(clap::Command::get_name).collect();
                format!("there is no command {name:?}; there are: {}", names.join(", "))
            })?;
            found.clone()
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(documented).render(&mut page).context("failed to write a manual page")?;
    print(&page)?;
    Ok(Exit::Success)
}
