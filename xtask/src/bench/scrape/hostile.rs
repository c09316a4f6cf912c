//! Measures a list with hostile hosts, beside the same list without them.

use std::fs;
use std::io::{BufRead, BufReader};

use anyhow::ensure;

use super::served::Served;
use super::{Bench, MANY, ROUNDS, WORKERS};
use crate::bench::measure::cost;
use crate::bench::{Case, Contender};

/// How many lines there are for each that leads to a hostile host. Each such host has one line.
const HOSTILE_EVERY: usize = 100;

/// The `--timeout` of the runs, in seconds.
const HOSTILE_TIMEOUT: &str = "2";

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let bad = Served::start(&["hostile", &(MANY / HOSTILE_EVERY).to_string()])?;
    let (mut with, mut without) = (String::new(), String::new());
    for (number, page) in bench.made_up.iter().cycle().take(MANY).enumerate() {
        if number % HOSTILE_EVERY == 0 {
            with += &format!("{}\n", bad.urls[number / HOSTILE_EVERY]);
        } else {
            let line = bench.nginx.url(page) + "\n";
            with += &line;
            without += &line;
        }
    }
    let words =
        ["fetch", "-j", WORKERS, "--per-host", "0", "--retries", "0", "--timeout", HOSTILE_TIMEOUT];
    let mut contenders = Vec::new();
    for (name, lines) in [("with 1 % hostile hosts", with), ("without them", without)] {
        let list = bench.path(&format!("urls-{}.txt", name.replace([' ', '%'], "")));
        fs::write(&list, &lines)?;
        contenders.push((
            Contender::new(name),
            bench.ours(&words, &list, "rows.txt"),
            lines.lines().count(),
        ));
    }
    for _ in 0..ROUNDS {
        for (contender, command, count) in &mut contenders {
            let cost = cost(command, &[0, 1], &bench.folder)?;
            let rows = BufReader::new(fs::File::open(bench.path("rows.txt"))?).lines().count();
            ensure!(rows == *count, "{}: {rows} rows of {count}", contender.name);
            contender.samples.push(cost.seconds);
        }
    }
    let contenders = contenders.into_iter().map(|(contender, _, _)| contender).collect();
    let what = format!("fetch 20,000 lines, 1 % of hostile hosts, --timeout {HOSTILE_TIMEOUT}");
    Ok(vec![Case { what, unit: "s", contenders }])
}
