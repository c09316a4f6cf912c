//! Measures parsing and fields alone, in one thread, beside lxml.

use std::fs;
use std::process::Command;

use anyhow::Context;

use super::peers::{self, FIELDS, PARSE};
use super::{Bench, ROUNDS};
use crate::bench::{Case, Contender};
use crate::program::{cargo, check, root};

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let folder = bench.path("products");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    for page in &bench.products {
        fs::copy(bench.path("pages").join(page), folder.join(page))?;
    }
    check(cargo().args([
        "build",
        "--quiet",
        "--release",
        "-p",
        "silkmill-scrape",
        "--example",
        "parse",
    ]))?;
    let mut ours = Command::new(root().join("target/release/examples/parse"));
    ours.arg(&folder).args(FIELDS);
    let mut theirs = Command::new("python3");
    theirs.arg("-c").arg(peers::with_expressions(PARSE)).arg(&folder);
    let mut contenders = vec![(Contender::new("silkmill"), ours)];
    if peers::has_module("lxml") {
        contenders.push((Contender::new("lxml"), theirs));
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
    let what = "parse product pages, title and 5 XPath fields, one thread".to_owned();
    Ok(vec![Case { what, unit: "ns of CPU a byte", contenders }])
}
