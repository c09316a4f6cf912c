//! `silkmill completions`, `silkmill man` and `silkmill help`: the help texts for shells, for `man`
//! and for people.

use std::io;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
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

/// The page that describes the rows of `fetch` and `scrape`.
const ROWS: &str = include_str!("../../../../docs/rows.md");
/// The topic of that page.
const ROWS_TOPIC: &str = "rows";

/// Prints the help of the program, of one command, or of a topic.
pub(crate) fn help(topic: Option<&str>) -> Result<Exit> {
    let text = match topic {
        Some(ROWS_TOPIC) => ROWS.to_owned(),
        topic => documented(topic)?.render_long_help().to_string(),
    };
    print(text.as_bytes())?;
    Ok(Exit::Success)
}

/// Prints the manual page of the program, or of one command.
pub(crate) fn page(command: Option<&str>) -> Result<Exit> {
    print(&render(documented(command)?).context("failed to write a manual page")?)?;
    Ok(Exit::Success)
}

/// Returns what describes the program, or one command.
fn documented(command: Option<&str>) -> Result<Command> {
    let mut program = Cli::command();
    // This gives every command its whole name.
    program.build();
    let Some(name) = command else { return Ok(program) };
    let found = program.find_subcommand(name).with_context(|| {
        let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
        format!("there is no command {name:?}; there are: {}", names.join(", "))
    })?;
    Ok(found.clone())
}

/// The exit status of commands that say nothing of it.
const EXIT_STATUS: &str = "0 it was done, 2 an error, which is named";
/// The exit status of the program as a whole.
const EXIT_STATUS_OF_ALL: &str = "0 it was done, 1 nothing matched or some rows are errors, \
                                  2 an error, which is named, 130 interrupted";

/// Renders a page, in which the examples and the exit status have sections of their own.
fn render(command: Command) -> io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let is_program = command.has_subcommands();
    let page = clap_mangen::Man::new(command);
    let mut to = Vec::new();
    page.render_title(&mut to)?;
    page.render_name_section(&mut to)?;
    page.render_synopsis_section(&mut to)?;
    page.render_description_section(&mut to)?;
    page.render_options_section(&mut to)?;
    if is_program {
        page.render_subcommands_section(&mut to)?;
    }
    let mut exit_status = if is_program { EXIT_STATUS_OF_ALL } else { EXIT_STATUS };
    let mut notes = Vec::new();
    for paragraph in after.split("\n\n").map(str::trim_end) {
        if let Some(status) = paragraph.strip_prefix("Exit status: ") {
            exit_status = status;
        } else if let Some((_, lines)) =
            paragraph.split_once('\n').filter(|(title, _)| title.starts_with("Example"))
        {
            to.extend(b".SH EXAMPLES\n.nf\n");
            lines.lines().for_each(|line| to.extend(format!("{}\n", escaped(line)).bytes()));
            to.extend(b".fi\n");
        } else if !paragraph.is_empty() {
            notes.push(paragraph);
        }
    }
    to.extend(b".SH \"EXIT STATUS\"\n");
    for (code, meaning) in codes(exit_status) {
        to.extend(format!(".TP\n.B {code}\n{}\n", escaped(&meaning)).bytes());
    }
    if !notes.is_empty() {
        to.extend(b".SH NOTES\n");
        notes.iter().for_each(|note| to.extend(format!("{}\n.PP\n", escaped(note)).bytes()));
    }
    page.render_version_section(&mut to)?;
    Ok(to)
}

/// Splits `0 this, or that, 1 another` into codes and meanings.
fn codes(text: &str) -> Vec<(String, String)> {
    let mut codes: Vec<(String, String)> = Vec::new();
    for part in text.split(", ") {
        let code = part.split_once(' ').filter(|(code, _)| code.parse::<u8>().is_ok());
        match (code, codes.last_mut()) {
            (Some((code, meaning)), _) => codes.push((code.to_owned(), meaning.to_owned())),
            (None, Some((_, meaning))) => *meaning += &format!(", {part}"),
            (None, None) => {}
        }
    }
    codes
}

/// Escapes a line for roff.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meaning_may_have_commas() {
        let codes = codes("0 it was done, 1 nothing, or little, 130 interrupted");
        let codes: Vec<(&str, &str)> =
            codes.iter().map(|(code, meaning)| (code.as_str(), meaning.as_str())).collect();
        assert_eq!(
            codes,
            [("0", "it was done"), ("1", "nothing, or little"), ("130", "interrupted")]
        );
    }

    #[test]
    fn text_is_not_roff() {
        assert_eq!(escaped(".x\n'y\n a\\b-c"), "\\&.x\n\\&'y\n a\\eb\\-c");
    }
}
