//! A command of `cargo xtask`, with the page that describes it.

/// What `main` knows of a command. Each module that is one has a constant of this type.
pub(crate) struct Subcommand {
    pub(crate) name: &'static str,
    /// Its line in the list of all commands, without a full stop.
    pub(crate) summary: &'static str,
    /// Writes the page that `cargo xtask help NAME` prints: what the command does, the words it
    /// knows, how long it takes and what it needs.
    pub(crate) help: fn() -> String,
    /// Runs the command with the words behind its name.
    pub(crate) run: fn(&[&str]) -> anyhow::Result<()>,
}

/// Writes a list of words with what each means, indented and aligned, for a page of help.
pub(crate) fn list<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let entries: Vec<_> = entries.into_iter().collect();
    let width = entries.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    entries.iter().map(|(word, what)| format!("  {word:<width$}  {what}\n")).collect()
}
