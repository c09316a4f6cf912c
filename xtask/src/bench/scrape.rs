//! Measures how long it takes to fetch and read pages from a loopback nginx with one worker, beside
//! curl, wrk and what people write in Python. The server's own count of requests shows that every
//! side did the work that it claims.

mod beside_python;
mod fetch;
mod hostile;
pub(super) mod pages;
mod parse;
mod peers;
mod refused;
mod served;
mod slow;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use super::measure::{Cost, cost};
use super::nginx::Nginx;
use super::{Case, Contender, is_installed, measure_each, silkmill};
use crate::program::root;

/// How many pages the server has.
const PAGES: usize = 200;
/// How many pages fast sides fetch in a round, and slow ones below: times are divided by the pages.
const MANY: usize = 20_000;
const FEW: usize = 1_000;
/// How many pages we and curl fetch at once.
const WORKERS: &str = "64";
/// How often each side runs, after one run that does not count.
const ROUNDS: usize = 3;

type Measure = fn(&Bench) -> anyhow::Result<Vec<Case>>;

/// The cases: name, what is measured, and how.
const CASES: [(&str, &str, Measure); 7] = [
    ("fetch", "pages fetched and thrown away", fetch::measure),
    ("titles", "the titles of pages", beside_python::titles),
    ("fields", "the title and five XPath fields of pages", beside_python::fields),
    ("parse", "parsing and fields alone, in one thread", parse::measure),
    ("slow", "1,024 workers at a server that waits 100 ms", slow::measure),
    ("refused", "the memory of long lists", refused::measure),
    ("hostile", "a list with hostile hosts", hostile::measure),
];

/// Lists the cases, and what each measures.
pub(super) fn cases() -> Vec<(&'static str, &'static str)> {
    CASES.map(|(name, what, _)| (name, what)).into()
}

/// Measures the cases named, or all.
pub(super) fn run(names: &[&str]) -> anyhow::Result<Vec<Case>> {
    let tools = [("nginx", "apt install nginx-light"), ("time", "apt install time")];
    if !tools.iter().all(|(program, how)| is_installed(program, how)) {
        return Ok(Vec::new());
    }
    let bench = Bench::set_up()?;
    measure_each(&CASES, names, |_, measure| measure(&bench))
}

/// What all cases need: the server, the program, and a folder for lists and rows.
struct Bench {
    folder: PathBuf,
    silkmill: PathBuf,
    nginx: Nginx,
    made_up: Vec<String>,
    /// The names of real pages, or of the made-up ones where there are none.
    products: Vec<String>,
}

impl Bench {
    fn set_up() -> anyhow::Result<Bench> {
        let silkmill = silkmill()?;
        let folder = root().join("target/bench-scrape");
        let pages = folder.join("pages");
        let _ = fs::remove_dir_all(&pages);
        let made_up = pages::make(&pages, PAGES)?;
        let mut products = pages::copy_real(&pages)?;
        if products.is_empty() {
            println!("{} names no folder of real pages: made up ones are read", pages::VARIABLE);
            products.clone_from(&made_up);
        }
        let nginx = Nginx::start(&folder)?;
        Ok(Bench { folder, silkmill, nginx, made_up, products })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a list of `count` lines and returns its path.
    fn list(&self, pages: &[String], count: usize) -> anyhow::Result<PathBuf> {
        let path = self.path(&format!("urls-{count}.txt"));
        let lines = pages.iter().cycle().take(count).map(|page| self.nginx.url(page) + "\n");
        fs::write(&path, lines.collect::<String>())?;
        Ok(path)
    }

    fn ours(&self, words: &[&str], list: &Path, rows: &str) -> Command {
        let mut command = Command::new(&self.silkmill);
        command.args(words).args(["--force", "--format", "text", "-o"]).arg(self.path(rows));
        command.arg("-i").arg(list);
        command
    }

    /// Runs every side in turn, and fails unless the server saw each side's number of requests.
    fn rounds(&self, sides: &mut [Side], rounds: usize) -> anyhow::Result<()> {
        for round in 0..=rounds {
            for side in &mut *sides {
                let before = self.nginx.requests()?;
                let cost = cost(&side.command, &[0], &self.folder)?;
                // Asking for the count is itself a request.
                let seen = self.nginx.requests()? - before - 1;
                if let Some(expected) = side.requests {
                    ensure!(seen == expected, "{}: the server saw {seen} of {expected}", side.name);
                }
                if round > 0 {
                    side.costs.push((cost, seen));
                }
            }
        }
        Ok(())
    }
}

/// One contender over its list.
struct Side {
    name: String,
    command: Command,
    /// `None` for a side that runs for a fixed time and not for a number of requests.
    requests: Option<u64>,
    costs: Vec<(Cost, u64)>,
}

impl Side {
    fn new(name: impl Into<String>, command: Command, requests: usize) -> Side {
        Side { name: name.into(), command, requests: Some(requests as u64), costs: Vec::new() }
    }

    fn contender(&self, figure: impl Fn(&Cost, u64) -> f64) -> Contender {
        let samples = self.costs.iter().map(|(cost, seen)| figure(cost, *seen)).collect();
        Contender { name: self.name.clone(), samples }
    }
}

/// Makes two cases of what was measured: time and processor time a page.
fn per_page(what: &str, sides: &[Side]) -> Vec<Case> {
    let wall = |cost: &Cost, seen: u64| cost.seconds * 1e6 / seen as f64;
    let cpu = |cost: &Cost, seen: u64| cost.cpu_seconds * 1e6 / seen as f64;
    vec![
        Case {
            what: what.to_owned(),
            unit: "µs a page",
            contenders: sides.iter().map(|side| side.contender(wall)).collect(),
        },
        Case {
            what: format!("the same, processor time of the client ({what})"),
            unit: "µs of CPU a page",
            contenders: sides.iter().map(|side| side.contender(cpu)).collect(),
        },
    ]
}
