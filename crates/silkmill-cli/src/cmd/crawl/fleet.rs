//! A crawl that many processes share: its job and its rows are in PostgreSQL.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow, bail, ensure};
use silkmill::CancelToken;
use silkmill_scrape::{self as scrape, CrawlSink, FleetJob, FleetOptions, Progress, Row};

use crate::args::{CrawlArgs, When};
use crate::cmd::crawl::{CrawlPlan, exit, files_of, words};
use crate::cmd::url_list::raise_open_files;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal};
use crate::messages::{count, reason, to_stderr};
use crate::progress::ProgressLine;
use crate::sink::marked::{Files, MarkedOutput};
use crate::sink::table::{row_of, row_table};

pub(super) fn run(plan: &CrawlPlan, url: &str) -> Result<Exit> {
    let args = &plan.args;
    let list = &args.url_list;
    refuse_output_that_exists(args)?;
    raise_open_files();
    interrupt::outlive_file_size_limit()?;
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::EndsProcess)?;
    let table = row_table(&plan.schema)?;
    let mut job = FleetJob::open(&options_of(args, url), &words_of_fleet(args), table, &cancel)?;
    let when = if list.quiet { When::Never } else { list.progress };
    let earlier = job.rows();
    let mut sink = Watcher { progress: ProgressLine::new(when), started: Instant::now(), earlier };
    let summary =
        scrape::crawl_in_fleet(&plan.crawl_options, &plan.options, &mut job, &cancel, &mut sink);
    sink.progress.clear();
    let summary = summary?;
    plan.cookies.write()?;
    let is_over = !summary.run.interrupted && !cancel.is_cancelled();
    let ended = exit(summary, "the rows", list, cancel.is_cancelled())?;
    if let Some(path) = list.output.as_deref().filter(|_| is_over) {
        let rows = export(&mut job, plan, path, &cancel)?;
        if !list.quiet {
            to_stderr(format_args!(
                "silkmill: {} of the whole crawl in {path:?}",
                count(rows, "row")
            ));
        }
    }
    Ok(ended)
}

fn options_of(args: &CrawlArgs, url: &str) -> FleetOptions {
    let mut options = FleetOptions::new(url)
        .job(&args.job)
        .lease(args.lease)
        .delay(args.url_list.delay)
        .process_name(process_name());
    if let Some(rows) = args.max_pages {
        options = options.rows_max(rows);
    }
    if let Some(password) = std::env::var("PGPASSWORD").ok().filter(|text| !text.is_empty()) {
        options = options.password(password);
    }
    options
}

/// Names this process for people: the machine and the number.
fn process_name() -> String {
    let system = rustix::system::uname();
    format!("{} {}", system.nodename().to_string_lossy(), std::process::id())
}

/// Returns everything that must be the same for every process: how many rows a host has, too, since
/// all processes count together. Of several limits of all rows the largest counts.
fn words_of_fleet(args: &CrawlArgs) -> Vec<(String, String)> {
    let mut words = words(args);
    // The format is one of the export, which is each process's own.
    words.retain(|(name, _)| name != "--format");
    let per_host = args.max_pages_per_host;
    words.extend(per_host.map(|rows| ("--max-pages-per-host".to_owned(), rows.to_string())));
    words
}

/// Refuses options that one process alone can have.
pub(super) fn refuse_what_is_for_one(args: &CrawlArgs) -> Result<()> {
    for (is_given, name) in [
        (args.links.is_some(), "--links"),
        (args.check, "--check"),
        (args.check_fragments, "--check-fragments"),
    ] {
        ensure!(!is_given, "{name} does not go together with --frontier yet");
    }
    Ok(())
}

fn refuse_output_that_exists(args: &CrawlArgs) -> Result<()> {
    let list = &args.url_list;
    match list.output.as_deref() {
        Some(path) if !list.force && path.symlink_metadata().is_ok() => {
            bail!("failed to create {path:?}: it exists (--force overwrites it)")
        }
        _ => Ok(()),
    }
}

/// Writes all rows of the crawl to a file, which has its name when it is complete. Returns how many
/// there are.
fn export(job: &mut FleetJob, plan: &CrawlPlan, path: &Path, cancel: &CancelToken) -> Result<u64> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    remove(part)?;
    let files = files_of(&plan.args, path);
    let format = Some(MarkedOutput::check(&plan.schema, &files)?);
    let files = Files { rows: part, format, links: None };
    let mut output = MarkedOutput::open(plan.schema.clone(), &files, &[])?;
    let fail = |error: &io::Error| anyhow!("failed to write {part:?}: {}", reason(error));
    let mut rows = 0;
    let taken = job.read_rows(|cells| {
        ensure!(!cancel.is_cancelled(), "interrupted: the same command writes {path:?} again");
        let row = row_of(cells, &plan.schema)
            .map_err(|error| anyhow!("failed to read a row of the crawl: {error}"))?;
        output.write(&row).map_err(|error| fail(&error))?;
        rows += 1;
        Ok(())
    })?;
    let synced = taken.and_then(|()| output.sync().map_err(|error| fail(&error)));
    drop(output);
    if let Err(error) = synced {
        remove(part)?;
        return Err(error);
    }
    fs::rename(part, path)
        .map_err(|error| anyhow!("failed to rename {part:?} to {path:?}: {}", reason(&error)))?;
    Ok(rows)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            bail!("failed to remove {path:?}: {}", reason(&error))
        }
        _ => Ok(()),
    }
}

/// Shows how far the crawl is.
struct Watcher {
    progress: ProgressLine,
    started: Instant,
    /// The rows that the crawl had when this process began.
    earlier: u64,
}

impl CrawlSink for Watcher {
    fn row(&mut self, _row: &Row) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        let (started, earlier) = (self.started, self.earlier);
        self.progress.show(|| {
            let rate = progress.rows as f64 / started.elapsed().as_secs_f64().max(f64::EPSILON);
            let rows = count(progress.rows, "row");
            let errors = count(progress.errors, "error");
            let in_flight = progress.in_flight;
            format!(
                "{rows} here, {earlier} before, {errors}, {in_flight} in flight, {rate:.0} rows/s"
            )
        });
        ControlFlow::Continue(())
    }
}
