//! `silkmill demo`: runs all jobs on a sandbox, with one worker and with many, so that a newcomer
//! sees the point without a network and without risk. The sandbox is removed however the demo ends.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use silkmill::{Advice, CancelToken, Stats};
use silkmill_replace::{self as replace, ErrorKind, Event};
use silkmill_scrape::{self as scrape, CrawlJob, CrawlOptions, CrawlSink, Extractor, Input, Row};
use silkmill_testkit::{Reply, Request, Server, Tree};

use crate::args::When;
use crate::cmd::print;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal};
use crate::messages::{count, grouped};
use crate::progress::ProgressLine;

const FILES: usize = 2_000;

const PAGES: usize = 300;

/// The pages of the site that is crawled, which are the first of the same server: each has links to
/// two others.
const SITE_PAGES: usize = 100;

/// The time that the server waits before it answers a request.
const ANSWER_DELAY: Duration = Duration::from_millis(50);

/// The default number of workers of `fetch`, `scrape` and `crawl`.
const SCRAPE_WORKERS: usize = 64;

/// The number of measurements; odd, for the median.
const REPLACE_ROUNDS: usize = 3;

/// The word that is written: as long as the old one, and nowhere else in the files.
const NEW_WORD: &str = "new_name";

const INTRODUCTION: &str = "\
silkmill demo: 2,000 small files in a folder of their own, and a web server on this machine whose
300 pages take 50 ms each to answer. No network is used, and nothing stays behind.
";

const NEXT: &str = "
The jobs ran through the code of the real commands. Try them on something of yours:
  silkmill replace -n OLD NEW             show what would change below this folder, as a diff
  silkmill replace OLD NEW                change it
  silkmill scrape https://example.org/    the title of a page, or of every page of a list: -i FILE
  silkmill fetch -i urls.txt -o rows.jsonl
  silkmill crawl https://example.org/ -o site.jsonl
  silkmill --help
";

pub(crate) fn run() -> Result<Exit> {
    let cancel = CancelToken::new();
    // A second ^C must not end the process before the sandbox is removed, which follows the first
    // one soon.
    interrupt::cancel_on_signal(&cancel, SecondSignal::Ignored)?;
    print(INTRODUCTION.as_bytes())?;
    match jobs(&cancel)? {
        Some(jobs) => {
            print(table(&jobs).as_bytes())?;
            print(NEXT.as_bytes())?;
            Ok(Exit::Success)
        }
        None => Ok(Exit::Interrupted),
    }
}

/// One job, measured twice.
struct Job {
    what: String,
    one: Measurement,
    many: Measurement,
    workers: usize,
}

struct Measurement {
    elapsed: Duration,
    stats: Stats,
}

/// Runs all jobs in a sandbox that this function removes. Returns `None` when they were
/// interrupted.
fn jobs(cancel: &CancelToken) -> Result<Option<Vec<Job>>> {
    let sandbox = tempfile::Builder::new()
        .prefix("silkmill-demo-")
        .tempdir()
        .context("failed to make a folder for the demo")?;
    let tree = Tree::plant(sandbox.path(), FILES).context("failed to write the demo's files")?;
    let server = Server::start(answer).context("failed to start the demo's server")?;
    let mut jobs = Vec::new();
    let replaced = replace_job(sandbox.path(), &tree, cancel)?;
    let Some(replaced) = replaced else { return Ok(None) };
    jobs.push(replaced);
    let Some(scraped) = scrape_job(&server, cancel)? else { return Ok(None) };
    jobs.push(scraped);
    let Some(crawled) = crawl_job(&server, sandbox.path(), cancel)? else { return Ok(None) };
    jobs.push(crawled);
    Ok(Some(jobs))
}

fn answer(request: &Request) -> Reply {
    let Some(number) =
        request.path().strip_prefix("/page/").and_then(|text| text.parse::<usize>().ok())
    else {
        return Reply::status(404);
    };
    let next = [2 * number, 2 * number + 1].into_iter().filter(|next| *next <= SITE_PAGES);
    let links: String = next.map(|next| format!(" <a href={next}>Page {next}</a>")).collect();
    let page = format!(
        "<!doctype html><meta charset=utf-8><title>Page {number} of {PAGES}</title>\
         <h1>Page {number}</h1><p>It took its time.{links}</p>"
    );
    Reply::html(page).after(ANSWER_DELAY)
}

/// Replaces a word with one worker and puts it back with many, a few times, since a job this short
/// is easily disturbed.
fn replace_job(root: &Path, tree: &Tree, cancel: &CancelToken) -> Result<Option<Job>> {
    let workers = silkmill::ThreadPoolExecutor::builder().build()?.max_workers();
    let (mut with_one, mut with_many) = (Vec::new(), Vec::new());
    for _ in 0..REPLACE_ROUNDS {
        let there = replace_all(root, [Tree::WORD, NEW_WORD], 1, tree, cancel)?;
        let back = replace_all(root, [NEW_WORD, Tree::WORD], workers, tree, cancel)?;
        let (Some(there), Some(back)) = (there, back) else { return Ok(None) };
        with_one.push(there);
        with_many.push(back);
    }
    let what = format!(
        "replace {} words in {} files",
        grouped(tree.occurrences as u64),
        grouped(FILES as u64)
    );
    Ok(Some(Job { what, one: median(with_one), many: median(with_many), workers }))
}

fn median(mut runs: Vec<Measurement>) -> Measurement {
    runs.sort_by_key(|run| run.elapsed);
    runs.swap_remove(runs.len() / 2)
}

fn replace_all(
    root: &Path,
    [old, new]: [&str; 2],
    workers: usize,
    tree: &Tree,
    cancel: &CancelToken,
) -> Result<Option<Measurement>> {
    let options = replace::Options::builder(old, new)
        .path(root)
        .workers(workers)
        .measure_cpu(true)
        .build()?;
    let mut progress = ProgressLine::new(When::Auto);
    let summary = replace::run(&options, cancel, &mut |event| {
        if let Event::Progress(now) = event {
            let done = grouped(now.files_seen);
            progress.show(|| {
                format!("replace, {}: {done} files read", count(workers as u64, "worker"))
            });
        }
    });
    let summary = match summary {
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(None),
        summary => summary?,
    };
    let all = summary.replacements == tree.occurrences as u64;
    ensure!(all, "{} of {} words were replaced", summary.replacements, tree.occurrences);
    let stats = summary.stats.context("a run that replaces something has used its workers")?;
    Ok(Some(Measurement { elapsed: summary.elapsed, stats }))
}

fn scrape_job(server: &Server, cancel: &CancelToken) -> Result<Option<Job>> {
    let one = scrape_all(server, 1, cancel)?;
    let many = scrape_all(server, SCRAPE_WORKERS, cancel)?;
    let what = format!("scrape the titles of {PAGES} pages");
    Ok(one.zip(many).map(|(one, many)| Job { what, one, many, workers: SCRAPE_WORKERS }))
}

fn scrape_all(
    server: &Server,
    workers: usize,
    cancel: &CancelToken,
) -> Result<Option<Measurement>> {
    let options = scrape::Options::builder().extractor(Extractor::new(Vec::new())?);
    let options = options.workers(workers).per_host(0).measure_cpu(true).build()?;
    let urls = (1..=PAGES).map(|number| Input::url(server.url(&format!("/page/{number}"))));
    let mut progress = ProgressLine::new(When::Auto);
    let mut titles = 0;
    let summary = scrape::run(urls, &options, cancel, &mut |row| {
        titles += usize::from(row.title.is_some_and(|title| title.starts_with("Page ")));
        progress.show(|| {
            format!("scrape, {}: {titles} of {PAGES} pages", count(workers as u64, "worker"))
        });
        ControlFlow::Continue(())
    })?;
    if summary.interrupted {
        return Ok(None);
    }
    ensure!(titles == PAGES, "{titles} of {PAGES} titles were read");
    Ok(Some(Measurement { elapsed: summary.elapsed, stats: summary.stats }))
}

fn crawl_job(server: &Server, folder: &Path, cancel: &CancelToken) -> Result<Option<Job>> {
    let one = crawl_all(server, &folder.join("one.crawl"), 1, cancel)?;
    let many = crawl_all(server, &folder.join("many.crawl"), SCRAPE_WORKERS, cancel)?;
    let what = format!("crawl a site of {SITE_PAGES} pages");
    Ok(one.zip(many).map(|(one, many)| Job { what, one, many, workers: SCRAPE_WORKERS }))
}

fn crawl_all(
    server: &Server,
    job: &Path,
    workers: usize,
    cancel: &CancelToken,
) -> Result<Option<Measurement>> {
    let options = scrape::Options::builder().extractor(Extractor::new(Vec::new())?);
    let options = options.workers(workers).per_host(0).measure_cpu(true).build()?;
    let site = CrawlOptions::builder().seed(server.url("/page/1")).no_sitemaps().build()?;
    let mut job = CrawlJob::open(job, &[])?;
    let mut pages = Pages { workers, titles: 0, progress: ProgressLine::new(When::Auto) };
    let summary = scrape::crawl(&site, &options, &mut job, cancel, &mut pages)?;
    if summary.run.interrupted {
        return Ok(None);
    }
    ensure!(pages.titles == SITE_PAGES, "{} of {SITE_PAGES} titles were read", pages.titles);
    Ok(Some(Measurement { elapsed: summary.run.elapsed, stats: summary.run.stats }))
}

/// Counts the pages of a crawl.
struct Pages {
    workers: usize,
    titles: usize,
    progress: ProgressLine,
}

impl CrawlSink for Pages {
    fn row(&mut self, row: &Row) -> io::Result<()> {
        self.titles += usize::from(row.title.is_some());
        let workers = count(self.workers as u64, "worker");
        self.progress.show(|| format!("crawl, {workers}: {} of {SITE_PAGES} pages", self.titles));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

fn table(jobs: &[Job]) -> String {
    let mut table = format!("\n{:<40}{:>10}{:>20}{:>10}\n", "", "1 worker", "many", "speed-up");
    for job in jobs {
        let many = format!("{} on {}", seconds(job.many.elapsed), job.workers);
        let speed_up = job.one.elapsed.as_secs_f64() / job.many.elapsed.as_secs_f64();
        let decimals = usize::from(speed_up < 10.0);
        table += &format!(
            "{:<40}{:>10}{many:>20}{:>10}\n",
            job.what,
            seconds(job.one.elapsed),
            format!("{speed_up:.decimals$} x")
        );
        // This is the advice for one worker: with many, tasks also wait for each other's
        // processors. The walk replaces in small files without the pool, which may then have ended
        // too few tasks to advise on.
        if let Advice::Measured(measured) = job.one.stats.advice() {
            table += &format!("  {measured}\n");
        }
    }
    table
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
