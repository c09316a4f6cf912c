//! Measures pages that are fetched and thrown away, beside curl, and beside wrk, which shows the
//! limit of the server.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use super::{Bench, MANY, ROUNDS, Side, WORKERS, per_page};
use crate::bench::{Case, IDEAL, is_installed};

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let list = bench.list(&bench.made_up, MANY)?;
    let ours = bench.ours(&["fetch", "-j", WORKERS, "--per-host", "0"], &list, "rows.txt");
    let mut sides = vec![Side::new("silkmill fetch -j 64", ours, MANY)];
    if is_installed("curl", "apt install curl") {
        let config = bench.path("curl.txt");
        let mut lines = String::new();
        for url in fs::read_to_string(&list)?.lines() {
            let _ = writeln!(lines, "url = \"{url}\"\noutput = /dev/null");
        }
        fs::write(&config, lines)?;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--parallel", "--parallel-max", WORKERS, "--config"]).arg(config);
        sides.push(Side::new("curl --parallel-max 64", curl, MANY));
    }
    if is_installed("wrk", "apt install wrk") {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "-c64", "-d1s"]).arg(bench.nginx.url(&bench.made_up[0]));
        let name = format!("wrk, one page again and again: {IDEAL}");
        sides.push(Side { requests: None, ..Side::new(name, wrk, 0) });
    }
    bench.rounds(&mut sides, ROUNDS)?;
    Ok(per_page("fetch 20,000 pages of 26 KB, 64 at once", &sides))
}
