//! Measures crawls of a site behind a loopback nginx, beside other crawlers; what a crawl costs
//! beyond a list of the same pages; and the frontier alone. The server's own count of requests
//! shows that every side reached every page.

mod frontier;
mod peers;
mod site;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::measure::{Cost, cost};
use super::nginx::Nginx;
use super::{Case, Contender, is_installed, measure_each, silkmill};
use crate::program::root;

/// The variable that says how many pages the site has.
const VARIABLE: &str = "SILKMILL_BENCH_SITE";
const PAGES: usize = 50_000;
/// How many pages we and the peers that can be told so request at once.
const WORKERS: &str = "64";
/// How often each side runs: the slow ones take minutes each time.
const ROUNDS: usize = 3;

type Measure = fn(&Bench) -> anyhow::Result<Vec<Case>>;

/// The cases: name, what is measured, and how.
const CASES: [(&str, &str, Measure); 3] = [
    ("site", "every page of a site, beside other crawlers", beside_peers),
    ("list", "a crawl beside a list of the same pages", beside_list),
    ("frontier", "a million pages through the frontier alone", frontier::measure),
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

/// The server with its site, the program, and a folder for what the sides write.
struct Bench {
    folder: PathBuf,
    silkmill: PathBuf,
    nginx: Nginx,
    pages: usize,
}

impl Bench {
    fn set_up() -> anyhow::Result<Bench> {
        let pages = match std::env::var(VARIABLE) {
            Ok(pages) => pages.parse().with_context(|| format!("{VARIABLE} is no number"))?,
            Err(_) => PAGES,
        };
        let silkmill = silkmill()?;
        let folder = root().join("target/bench-crawl");
        site::make(&folder.join("pages"), pages)?;
        let nginx = Nginx::start(&folder)?;
        Ok(Bench { folder, silkmill, nginx, pages })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn seed(&self) -> String {
        self.nginx.url(&site::name(0))
    }

    /// Makes the command that crawls the site, as fast as it answers.
    fn crawl(&self) -> Command {
        let mut command = Command::new(&self.silkmill);
        command.args(["crawl", &self.seed(), "--force", "-q", "-j", WORKERS, "--per-host", "0"]);
        command.args(["--no-robots", "--auto-throttle", "0", "--sitemap", "off", "-o"]);
        command.arg(self.path("rows.jsonl"));
        command
    }

    /// Runs every side in turn, and fails unless the server saw a request for every page.
    fn rounds(&self, sides: &mut [Side]) -> anyhow::Result<()> {
        for round in 0..ROUNDS {
            for side in &mut *sides {
                let _ = fs::remove_dir_all(self.path("peer"));
                fs::create_dir_all(self.path("peer"))?;
                let before = self.nginx.requests()?;
                let cost = cost(&side.command, side.codes, &self.folder)?;
                // Asking for the count is itself a request.
                let seen = self.nginx.requests()? - before - 1;
                let (name, pages) = (side.name, self.pages as u64);
                ensure!(seen >= pages, "{name}: the server saw {seen} requests of {pages}");
                ensure!(
                    !side.is_exact || seen == pages,
                    "{name}: the server saw {seen} requests for {pages} pages"
                );
                println!("    {name}, round {}: {:.2} s", round + 1, cost.seconds);
                side.costs.push(cost);
            }
        }
        Ok(())
    }

    fn case(
        &self,
        what: &str,
        unit: &'static str,
        sides: &[Side],
        figure: impl Fn(&Cost) -> f64,
    ) -> Case {
        let contender = |side: &Side| Contender {
            name: side.name.to_owned(),
            samples: side.costs.iter().map(&figure).collect(),
        };
        let what = format!("{what} of {} pages with 20 links each", self.pages);
        Case { what, unit, contenders: sides.iter().map(contender).collect() }
    }
}

/// One contender.
struct Side {
    name: &'static str,
    command: Command,
    /// The exit codes of a run that reached every page.
    codes: &'static [i32],
    /// Whether it asks for each page once, and for nothing else.
    is_exact: bool,
    costs: Vec<Cost>,
}

impl Side {
    fn new(name: &'static str, command: Command) -> Side {
        Side { name, command, codes: &[0], is_exact: false, costs: Vec::new() }
    }

    fn exact(mut self) -> Side {
        self.is_exact = true;
        self
    }
}

fn beside_peers(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let mut sides = vec![Side::new("silkmill crawl -j 64", bench.crawl()).exact()];
    sides.extend(peers::sides(bench));
    bench.rounds(&mut sides)?;
    let (pages, cpu) = (bench.pages as f64, "processor time of a crawl");
    Ok(vec![
        bench.case("a crawl", "µs a page", &sides, |cost| cost.seconds * 1e6 / pages),
        bench.case(cpu, "µs of CPU a page", &sides, |cost| cost.cpu_seconds * 1e6 / pages),
        bench.case("memory of a crawl", "MB", &sides, |cost| cost.memory_mb),
    ])
}

/// Measures what a page costs in a crawl beside a list, which knows all of them before.
fn beside_list(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let list = bench.path("urls.txt");
    let urls = (0..bench.pages).map(|number| bench.nginx.url(&site::name(number)) + "\n");
    fs::write(&list, urls.collect::<String>())?;
    let scrape = |fields: &[&str]| {
        let mut scrape = Command::new(&bench.silkmill);
        scrape.args(["scrape", "--force", "-q", "-j", WORKERS, "--per-host", "0", "-o"]);
        scrape.arg(bench.path("list.jsonl")).arg("-i").arg(&list).args(fields);
        scrape
    };
    // A title is all that is read of a page where no more is asked for; a crawl needs all of it.
    let links = ["--css", "links=a::attr(href)"];
    let mut sides = [
        Side::new("silkmill crawl", bench.crawl()).exact(),
        Side::new("of it: a list, with the links", scrape(&links)).exact(),
        Side::new("of it: a list, titles", scrape(&[])).exact(),
    ];
    bench.rounds(&mut sides)?;
    let pages = bench.pages as f64;
    let what = "processor time of a crawl beside a list";
    Ok(vec![bench.case(what, "µs of CPU a page", &sides, |cost| cost.cpu_seconds * 1e6 / pages)])
}
