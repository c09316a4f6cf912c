//! Measures the memory that a run takes over lines to a port that refuses every connection.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};

use anyhow::ensure;

use super::{Bench, WORKERS};
use crate::bench::measure::cost;
use crate::bench::{Case, Contender};

/// The name of a contender, and its lines and hosts.
const LISTS: [(&str, u32, u32); 4] = [
    ("1,000,000 lines of one host", 1_000_000, 1),
    ("10,000 lines of one host", 10_000, 1),
    ("1,000,000 lines of as many hosts", 1_000_000, 1_000_000),
    ("10,000 lines of as many hosts", 10_000, 10_000),
];

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let mut contenders = Vec::new();
    for (name, count, hosts) in LISTS {
        let list = bench.path("urls-refused.txt");
        let mut lines = String::new();
        for number in 0..count {
            // Every address of this network is this machine.
            let [_, a, b, c] = (number % hosts + 1).to_be_bytes();
            let _ = writeln!(lines, "http://127.{a}.{b}.{c}:1/{number}");
        }
        fs::write(&list, lines)?;
        let mut words = vec!["fetch", "-j", WORKERS, "--per-host", "0", "--retries", "0", "-q"];
        if hosts == 1 {
            // Otherwise only the first 30 lines would be requested.
            words.extend(["--max-host-errors", "0"]);
        }
        let cost = cost(&bench.ours(&words, &list, "rows.txt"), &[1], &bench.folder)?;
        let rows = BufReader::new(fs::File::open(bench.path("rows.txt"))?).lines().count();
        ensure!(rows == count as usize, "{rows} rows of {count}");
        contenders.push(Contender { name: name.to_owned(), samples: vec![cost.memory_mb] });
    }
    let what = "peak memory over lines to a refused port".to_owned();
    Ok(vec![Case { what, unit: "MB", contenders }])
}
