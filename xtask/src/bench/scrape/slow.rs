//! Measures 1,024 workers at a server that waits before it answers.
//!
//! A short list shows how long the threads and their connections take to start. The difference to a
//! long list shows how long the threads take once they run.

use std::fs;

use anyhow::bail;

use super::served::Served;
use super::{Bench, ROUNDS};
use crate::bench::measure::{Cost, cost};
use crate::bench::{Case, Contender, IDEAL};

/// How long the slow server waits before it answers.
const DELAY_MS: usize = 100;

/// How many requests are in flight at once.
const WORKERS_SLOW: usize = 1024;

/// How often each worker has a turn at the slow server, in a short list and in a long one.
const SLOW_TURNS: [usize; 2] = [20, 60];

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let server = Served::start(&["wait", &DELAY_MS.to_string()])?;
    let workers = WORKERS_SLOW.to_string();
    let words = ["fetch", "-j", &workers, "--per-host", "0"];
    let mut sides = Vec::new();
    for turns in SLOW_TURNS {
        let list = bench.path(&format!("urls-slow-{turns}.txt"));
        fs::write(&list, format!("{}\n", server.urls[0]).repeat(turns * WORKERS_SLOW))?;
        sides.push((bench.ours(&words, &list, "rows.txt"), Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (command, costs) in &mut sides {
            costs.push(cost(command, &[0], &bench.folder)?);
        }
    }
    let [(_, short), (_, long)] = &sides[..] else { bail!("there are two lists") };
    let ours =
        |samples: Vec<f64>| Contender { name: format!("silkmill fetch -j {workers}"), samples };
    let ideal = |figure: f64| Contender { name: IDEAL.to_owned(), samples: vec![figure] };
    let seconds = |costs: &[Cost]| ours(costs.iter().map(|cost| cost.seconds).collect());
    let a_turn = DELAY_MS as f64 / 1e3;
    let turns_between = (SLOW_TURNS[1] - SLOW_TURNS[0]) as f64;
    let at_work =
        short.iter().zip(long).map(|(short, long)| (long.seconds - short.seconds) / turns_between);
    let memory = long.iter().map(|cost| cost.memory_mb).collect();
    let what = |turns: usize| {
        format!(
            "fetch {} pages from a server that waits 100 ms, 1,024 at once",
            turns * WORKERS_SLOW
        )
    };
    Ok(vec![
        Case {
            what: what(SLOW_TURNS[0]),
            unit: "s",
            contenders: vec![seconds(short), ideal(SLOW_TURNS[0] as f64 * a_turn)],
        },
        Case {
            what: what(SLOW_TURNS[1]),
            unit: "s",
            contenders: vec![seconds(long), ideal(SLOW_TURNS[1] as f64 * a_turn)],
        },
        Case {
            what: "the same once all threads are there: time of 1,024 pages".to_owned(),
            unit: "ms",
            contenders: vec![
                ours(at_work.map(|time| time * 1e3).collect()),
                ideal(DELAY_MS as f64),
            ],
        },
        Case {
            what: format!("memory ({})", what(SLOW_TURNS[1])),
            unit: "MB",
            contenders: vec![ours(memory)],
        },
    ])
}
