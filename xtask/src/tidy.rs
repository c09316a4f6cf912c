//! `cargo xtask test tidy`: the house rules that a program can check. It reads and never writes.
//!
//! Each rule is a function from the [`Tree`] to its violations, in a file of its own under `tidy/`.
//! All rules run before the step fails, so one run shows everything there is to mend.

mod architecture;
mod circles;
mod comments;
mod decisions;
mod folders;
mod rust;
mod sizes;
mod tree;

use anyhow::bail;

use crate::misuse::know_all;
use tree::{Tree, Violation};

/// A house rule.
struct Rule {
    name: &'static str,
    /// What it asks for, for the page of help.
    what: &'static str,
    check: fn(&Tree) -> Vec<Violation>,
}

#[rustfmt::skip]
const RULES: [Rule; 6] = [
    Rule { name: "comments", what: "comments end at column 100", check: comments::check },
    Rule { name: "sizes", what: "a file over 500 lines says in its header why it is one file", check: sizes::check },
    Rule { name: "folders", what: "a folder has at most 16 source files", check: folders::check },
    Rule { name: "decisions", what: "every decision has a title, a status and a line in the index", check: decisions::check },
    Rule { name: "architecture", what: "every path that ARCHITECTURE.md names exists", check: architecture::check },
    Rule { name: "circles", what: "imports between files run one way", check: circles::check },
];

/// Lists the rules, and what each asks for.
pub(crate) fn rules() -> Vec<(&'static str, &'static str)> {
    RULES.iter().map(|rule| (rule.name, rule.what)).collect()
}

/// Checks the rules named, or all of them, and prints every violation in the order of the files.
pub(crate) fn run(names: &[&str]) -> anyhow::Result<()> {
    know_all("rule", names, &RULES.each_ref().map(|rule| rule.name))?;
    let tree = Tree::read()?;
    let mut violations = Vec::new();
    for rule in RULES.iter().filter(|rule| names.is_empty() || names.contains(&rule.name)) {
        let found = (rule.check)(&tree);
        println!("  {:<14}{:>5} {}", rule.name, found.len(), plural(found.len()));
        violations.extend(found.into_iter().map(|violation| (violation, rule.name)));
    }
    violations.sort();
    for (violation, rule) in &violations {
        println!("{violation} [{rule}]");
    }
    match violations.len() {
        0 => Ok(()),
        count => bail!("{count} {} of house rules", plural(count)),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "violation" } else { "violations" }
}
