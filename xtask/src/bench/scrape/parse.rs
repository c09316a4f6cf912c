//! Measures parsing and fields alone, in one thread, beside lxml.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::peers::{self, FEED_FIELDS, FIELDS, PARSE, PARSE_XML};
use super::{Bench, ROUNDS, pages};
use crate::bench::{Case, Contender};
use crate::program::{cargo, check, root};

/// How many feeds are parsed.
const FEEDS: usize = 100;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    check(cargo().args([
        "build",
        "--quiet",
        "--release",
        "-p",
        "silkmill-scrape",
        "--example",
        "parse",
    ]))?;
    let products = empty_folder(bench.path("products"))?;
    for page in &bench.products {
        fs::copy(bench.path("pages").join(page), products.join(page))?;
    }
    let feeds = empty_folder(bench.path("feeds"))?;
    for number in 0..FEEDS {
        fs::write(feeds.join(format!("{number}.xml")), pages::feed(number))?;
    }
    Ok(vec![
        case("parse product pages, title and 5 XPath fields", &products, &FIELDS, "lxml", PARSE)?,
        case("parse feeds (XML), 5 XPath fields", &feeds, &FEED_FIELDS, "lxml.etree", PARSE_XML)?,
    ])
}

fn empty_folder(folder: PathBuf) -> anyhow::Result<PathBuf> {
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Measures us and a Python program on the files of a folder.
fn case(
    what: &str,
    folder: &Path,
    fields: &[&str],
    peer: &str,
    program: &str,
) -> anyhow::Result<Case> {
    let mut ours = Command::new(root().join("target/release/examples/parse"));
    ours.arg(folder).args(fields);
    let mut contenders = vec![(Contender::new("silkmill"), ours)];
    if peers::has_module("lxml") {
        let mut theirs = Command::new("python3");
        theirs.arg("-c").arg(peers::with_expressions(program, fields)).arg(folder);
        contenders.push((Contender::new(peer), theirs));
    }
    for _ in 0..ROUNDS {
        for (contender, command) in &mut contenders {
            let output =
                command.output().with_context(|| format!("failed to start {command:?}"))?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let sample = text.parse().with_context(|| format!("{}: {text:?}", contender.name))?;
            contender.samples.push(sample);
        }
    }
    let contenders = contenders.into_iter().map(|(contender, _)| contender).collect();
    Ok(Case { what: format!("{what}, one thread"), unit: "ns of CPU a byte", contenders })
}
