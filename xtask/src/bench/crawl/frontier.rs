//! Measures the frontier alone: pages whose links are made up, without a request.

use std::process::Command;

use anyhow::{Context, ensure};

use super::Bench;
use crate::bench::{Case, Contender};
use crate::program::{cargo, root};

/// The variable that tells the test how many pages there are.
const VARIABLE: &str = "SILKMILL_FRONTIER_PAGES";
const PAGES: usize = 1_000_000;
/// The test that passes pages through the frontier, and prints what that cost.
const TEST: &str = "pages_go_through_the_frontier_at_a_bounded_cost";
/// How the line with the figures begins.
const FIGURES: &str = "frontier: ";

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    // A smaller site means a shorter bench.
    let pages = if bench.pages < super::PAGES { bench.pages } else { PAGES };
    let mut command: Command = cargo();
    command.args(["test", "--quiet", "--release", "-p", "silkmill-scrape", "--lib", "--"]);
    command.args([TEST, "--nocapture"]).env(VARIABLE, pages.to_string()).current_dir(root());
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let figures = text.lines().find_map(|line| line.split_once(FIGURES).map(|(_, rest)| rest));
    let figures = figures.with_context(|| format!("the test says {text:?}"))?;
    let figures: Vec<f64> =
        figures.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[seconds, bytes, half_mb, whole_mb] = figures.as_slice() else {
        anyhow::bail!("the test says {text:?}");
    };
    let case = |what: &str, unit, samples: &[(&str, f64)]| Case {
        what: format!("{what}, {pages} pages with 20 links each"),
        unit,
        contenders: samples
            .iter()
            .map(|(name, figure)| Contender { samples: vec![*figure], ..Contender::new(*name) })
            .collect(),
    };
    Ok(vec![
        case("the frontier alone", "µs a page", &[("silkmill", seconds * 1e6 / pages as f64)]),
        case("the frontier alone", "bytes of disk a URL", &[("silkmill", bytes)]),
        case(
            "the frontier alone, memory",
            "MB",
            &[("silkmill, at the end", whole_mb), ("of it: after half of the pages", half_mb)],
        ),
    ])
}
