//! Measures the memory that a run takes over lines to a port that refuses every connection.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};

use anyhow::ensure;

use super::{Bench, WORKERS};
use crate::bench::measure::cost;
use crate::bench::{Case, Contender};

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let mut contenders = Vec::new();
    for (name, count) in [("1,000,000 lines", 1_000_000), ("10,000 lines", 10_000)] {
        let list = bench.path("urls-refused.txt");
        let mut lines = String::new();
        for number in 0..count {
            let _ = writeln!(lines, "http://127.0.0.1:1/{number}");
        }
        fs::write(&list, lines)?;
        let words = ["fetch", "-j", WORKERS, "--per-host", "0", "--retries", "0"];
        let cost = cost(&bench.ours(&words, &list, "rows.txt"), &[1], &bench.folder)?;
        let rows = BufReader::new(fs::File::open(bench.path("rows.txt"))?).lines().count();
        ensure!(rows == count, "{rows} rows of {count}");
        contenders.push(Contender { name: name.to_owned(), samples: vec![cost.memory_mb] });
    }
    let what = "peak memory over lines to a refused port".to_owned();
    Ok(vec![Case { what, unit: "MB", contenders }])
}
