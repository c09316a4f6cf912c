//! Fetching and reading pages from a loopback nginx with one worker, beside curl, wrk and what people write in
//! Python. The server's own count of requests holds every side to the work it claims.

mod nginx;
mod pages;
mod peers;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::measure::{Cost, cost};
use super::{Case, Contender, IDEAL, is_installed, know_all, silkmill};
use crate::{cargo, check, root};

use nginx::Nginx;
use peers::{FIELDS, PARSE, PEERS};

/// Pages on the server.
const PAGES: usize = 200;
/// Pages that fast sides fetch in a round, and slow ones: their time is taken by the page.
const MANY: usize = 20_000;
const FEW: usize = 1_000;
/// What we read with fields.
const MANY_WITH_FIELDS: usize = 5_000;
/// Fetched at once, by us and by curl.
const WORKERS: &str = "64";
/// How often each side runs, after once that does not count.
const ROUNDS: usize = 3;
/// How long the slow server thinks, and for how many at once.
const DELAY_MS: usize = 100;
const WORKERS_SLOW: usize = 1024;
/// How often each of the workers has a turn at the slow server, in a short list and in a long one.
const SLOW_TURNS: [usize; 2] = [20, 60];
/// Of a list with hostile hosts, one line in so many is of one. Each has one line.
const HOSTILE_EVERY: usize = 100;
const HOSTILE_TIMEOUT: &str = "2";

type Part = (&'static str, fn(&Bench) -> anyhow::Result<Vec<Case>>);
const PARTS: [Part; 7] = [
    ("fetch", fetch),
    ("titles", titles),
    ("fields", fields),
    ("parse", parse),
    ("slow", slow),
    ("refused", refused),
    ("hostile", hostile),
];

/// Runs the parts named, or all of them.
pub(super) fn run(names: &[&str]) -> anyhow::Result<Vec<Case>> {
    know_all("part of scrape", names, &PARTS.map(|(part, _)| part))?;
    let tools = [("nginx", "apt install nginx-light"), ("time", "apt install time")];
    if !tools.iter().all(|(program, how)| is_installed(program, how)) {
        return Ok(Vec::new());
    }
    let bench = Bench::set_up()?;
    let mut cases = Vec::new();
    for (name, part) in PARTS {
        if names.is_empty() || names.contains(&name) {
            println!("--> {name}");
            cases.extend(part(&bench).with_context(|| format!("part {name} failed"))?);
        }
    }
    Ok(cases)
}

/// The server, the program, and a folder for lists and rows.
struct Bench {
    folder: PathBuf,
    silkmill: PathBuf,
    nginx: Nginx,
    made_up: Vec<String>,
    /// Real pages, or the same.
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

    /// A list of so many pages.
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

    /// Runs every side in turn, and holds each to its number of requests.
    fn rounds(&self, sides: &mut [Side], rounds: usize) -> anyhow::Result<()> {
        for round in 0..=rounds {
            for side in &mut *sides {
                let before = self.nginx.requests()?;
                let cost = cost(&side.command, &[0], &self.folder)?;
                // The question itself is a request too.
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
    /// `None` for one that counts time and not requests.
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

/// Time and processor time of a page.
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

fn fetch(bench: &Bench) -> anyhow::Result<Vec<Case>> {
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

fn titles(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    let words = ["scrape", "--ordered", "-j", WORKERS, "--per-host", "0"];
    beside_python(bench, "titles of pages of 26 KB", &bench.made_up, &words, false)
}

fn fields(bench: &Bench) -> anyhow::Result<Vec<Case>> {
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

/// The last peer's rows are among ours.
fn same_titles(bench: &Bench) -> anyhow::Result<()> {
    let ours = fs::read_to_string(bench.path("rows.txt"))?;
    let ours: std::collections::HashSet<&str> = ours.lines().collect();
    let theirs = fs::read_to_string(bench.path("rows-python.txt"))?;
    ensure!(theirs.lines().count() == FEW, "the peer wrote {} rows", theirs.lines().count());
    ensure!(theirs.lines().all(|row| ours.contains(row)), "the two found different titles");
    Ok(())
}

/// Parsing and fields alone, in one thread.
fn parse(bench: &Bench) -> anyhow::Result<Vec<Case>> {
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

/// A server that waits before it answers. What the start of the threads and their connections takes shows in a short
/// list; the difference to a long one is what the threads do once they are there.
fn slow(bench: &Bench) -> anyhow::Result<Vec<Case>> {
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

/// Memory over lists that nobody answers.
fn refused(bench: &Bench) -> anyhow::Result<Vec<Case>> {
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

/// A list with hostile hosts, beside the same list without them.
fn hostile(bench: &Bench) -> anyhow::Result<Vec<Case>> {
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

/// The tests' own server as a process; it ends when it is dropped.
struct Served {
    child: Child,
    stdin: Option<ChildStdin>,
    urls: Vec<String>,
}

impl Served {
    fn start(words: &[&str]) -> anyhow::Result<Served> {
        check(cargo().args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "silkmill-testkit",
            "--example",
            "serve",
        ]))?;
        let mut child = Command::new(root().join("target/release/examples/serve"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the server")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the server has a stdout")?;
        let mut urls = Vec::new();
        for line in BufReader::new(stdout).lines() {
            match line? {
                line if line.is_empty() => break,
                line => urls.push(line),
            }
        }
        ensure!(!urls.is_empty(), "the server tells no address");
        Ok(Served { child, stdin, urls })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It waits for the end of its input.
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.child.wait();
    }
}
