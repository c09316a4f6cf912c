//! Measures the titles and fields of pages, beside what people write for that in Python.

use std::collections::HashSet;
use std::fs;

use anyhow::ensure;

use super::peers::{self, FIELDS, PEERS};
use super::{Bench, FEW, MANY, ROUNDS, Side, WORKERS, per_page};
use crate::bench::Case;

/// How many pages we read when there are fields to read.
const MANY_WITH_FIELDS: usize = 5_000;

pub(super) fn titles(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let words = ["scrape", "--ordered", "-j", WORKERS, "--per-host", "0"];
    beside_python(bench, "titles of pages of 26 KB", &bench.made_up, &words, false)
}

pub(super) fn fields(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let mut words = vec!["scrape", "--ordered", "-j", WORKERS, "--per-host", "0"];
    FIELDS.iter().for_each(|field| words.extend(["--xpath", field]));
    beside_python(bench, "title and 5 XPath fields of product pages", &bench.products, &words, true)
}

fn beside_python(
    bench: &Bench,
    what: &str,
    pages: &[String],
    words: &[&str],
    with_fields: bool,
) -> anyhow::Result<Vec<Case>> {
    let count = if with_fields { MANY_WITH_FIELDS } else { MANY };
    let many = bench.list(pages, count)?;
    let few = bench.list(pages, FEW)?;
    let ours = bench.ours(words, &many, "rows.txt");
    let mut sides = vec![Side::new("silkmill scrape -j 64", ours, count)];
    for (name, module, program) in PEERS {
        if peers::has_module(module) {
            let command =
                peers::command(program, &few, &bench.path("rows-python.txt"), with_fields);
            sides.push(Side::new(name, command, FEW));
        }
    }
    bench.rounds(&mut sides, ROUNDS)?;
    if sides.len() > 1 && !with_fields {
        same_titles(bench)?;
    }
    Ok(per_page(what, &sides))
}

/// Fails unless the rows of the last peer are among ours.
fn same_titles(bench: &Bench) -> anyhow::Result<()> {
    let ours = fs::read_to_string(bench.path("rows.txt"))?;
    // Our rows begin with the status, which theirs do not have.
    let ours: HashSet<&str> =
        ours.lines().filter_map(|row| Some(row.split_once('\t')?.1)).collect();
    let theirs = fs::read_to_string(bench.path("rows-python.txt"))?;
    ensure!(theirs.lines().count() == FEW, "the peer wrote {} rows", theirs.lines().count());
    ensure!(theirs.lines().all(|row| ours.contains(row)), "the two found different titles");
    Ok(())
}
