//! `silkmill crawl`: every page within a scope.

mod recorder;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use silkmill::CancelToken;
use silkmill_scrape::{
    self as scrape, CookieJar, CrawlJob, CrawlOptions, CrawlSummary, Extractor, Options, Scope,
};

use crate::args::{CrawlArgs, FieldSpec, ScopeArg, UrlListArgs};
use crate::cmd::crawl::recorder::Recorder;
use crate::cmd::print;
use crate::cmd::scrape::fields_of;
use crate::cmd::url_list::cookies::Cookies;
use crate::cmd::url_list::ending::from_cache;
use crate::cmd::url_list::options::options_of;
use crate::cmd::url_list::raise_open_files;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal};
use crate::messages::{count, reason, to_stderr};
use crate::sink::edges::EdgeFormat;
use crate::sink::marked::{Files, MarkedOutput};
use crate::sink::{Kind, Schema, text};

pub(crate) fn run(mut args: CrawlArgs) -> Result<Exit> {
    refuse_what_is_for_lists(&args.url_list)?;
    args.url_list.robots = !args.no_robots;
    let list = &args.url_list;
    let path = output_of(list)?;
    let fields = fields_of(&args.fields)?;
    let columns = fields.iter().map(|field| (field.name().to_owned(), field.value_type()));
    let schema = Schema { kind: Kind::Crawl, fields: columns.collect(), input: None };
    let cookies = Cookies::open(&list.cookies, list.cookie_jar.as_deref())?;
    // Cookies are kept for the whole crawl: sites set them on one page and want them on the next.
    let options = Options::builder()
        .extractor(Extractor::new(fields)?)
        .cookie_jar(&CookieJar::default())
        .throttle(args.auto_throttle);
    let options = options_of(options, &cookies, list)?;
    let crawl_options = crawl_options_of(&args)?;
    raise_open_files();
    interrupt::outlive_file_size_limit()?;
    let files = Files { rows: &path, format: list.format, links: args.links.as_deref() };
    let mut job = open_job(&files, &words(&args), list.force)?;
    let output = MarkedOutput::open(schema, &files, job.mark())?;
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::EndsProcess)?;
    let mut recorder = Recorder::new(output, list, job.rows());
    let summary = scrape::crawl(&crawl_options, &options, &mut job, &cancel, &mut recorder);
    let name = recorder.finish();
    let summary = summary?;
    cookies.write()?;
    let exit = exit(summary, &name, list, cancel.is_cancelled())?;
    let checks = args.check || args.check_fragments;
    match exit {
        Exit::Success | Exit::Partial if checks => report_broken(&job),
        exit => Ok(exit),
    }
}

/// Refuses options that mean something for a list alone.
fn refuse_what_is_for_lists(args: &UrlListArgs) -> Result<()> {
    for (is_given, name) in [
        (args.input.is_some(), "--input"),
        (args.ordered, "--ordered"),
        (args.follow_refresh, "--follow-refresh"),
        (args.method.is_some(), "--method"),
        (args.data.is_some(), "--data"),
        (args.retry_post, "--retry-post"),
        (args.shard.is_some(), "--shard"),
        (args.url_column.is_some(), "--url-column"),
        (args.retry_errors, "--retry-errors"),
    ] {
        ensure!(
            !is_given,
            "{name} is for fetch and scrape: a crawl requests pages as their links do"
        );
    }
    Ok(())
}

/// Returns the path of the rows, which must be a file: a crawl that goes on cuts and appends.
fn output_of(args: &UrlListArgs) -> Result<PathBuf> {
    match args.output.as_deref() {
        None => bail!("a crawl writes to a file, beside which its job lies: give -o FILE"),
        Some(path) if path == Path::new("-") => {
            bail!("a crawl cannot write to standard output: it must be able to go on with it")
        }
        Some(path) => Ok(path.to_owned()),
    }
}

/// Opens the job beside the rows, or makes it where there are no rows yet.
fn open_job(files: &Files<'_>, words: &[(String, String)], force: bool) -> Result<CrawlJob> {
    let mut name = OsString::from(files.rows);
    name.push(".crawl");
    let job = PathBuf::from(name);
    let outputs = || [Some(files.rows), files.links].into_iter().flatten();
    if let Some(links) = files.links {
        EdgeFormat::of(links)?;
    }
    if force {
        CrawlJob::remove(&job)?;
        for path in outputs() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    bail!("failed to remove {path:?}: {}", reason(&error));
                }
                _ => {}
            }
        }
    }
    let is_there = |path: &&Path| path.symlink_metadata().is_ok();
    if let Some(path) = outputs().find(is_there).filter(|_| !job.exists()) {
        bail!(
            "failed to create {path:?}: it exists, and no job of a crawl lies beside it (--force \
             overwrites it)"
        );
    }
    let job = CrawlJob::open(&job, words)?;
    if job.is_new() {
        outputs().for_each(create);
    }
    Ok(job)
}

/// Creates a file, and forces its name to disk, which needs its folder. The next step finds out
/// whether there is one.
fn create(path: &Path) {
    let _ = File::create_new(path);
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = File::open(folder.unwrap_or(Path::new(".")));
    let _ = folder.and_then(|folder| folder.sync_all());
}

fn crawl_options_of(args: &CrawlArgs) -> Result<CrawlOptions> {
    let mut options = CrawlOptions::builder().scope(match args.scope {
        ScopeArg::Prefix => Scope::Prefix,
        ScopeArg::Host => Scope::Host,
        ScopeArg::Domain => Scope::Domain,
        ScopeArg::Any => Scope::Any,
    });
    for url in &args.url_list.urls {
        options = options.seed(url);
    }
    for regex in &args.include {
        options = options.include(regex);
    }
    for regex in &args.exclude {
        options = options.exclude(regex);
    }
    if let Some(rows) = args.max_pages {
        options = options.rows_max(rows);
    }
    if let Some(depth) = args.max_depth {
        options = options.depth_max(depth);
    }
    if let Some(rows) = args.max_pages_per_host {
        options = options.rows_per_host_max(rows);
    }
    for sitemap in &args.sitemap {
        options = match sitemap.as_str() {
            "auto" => options,
            "off" => options.no_sitemaps(),
            url => options.sitemap(url),
        };
    }
    if let Some(date) = &args.since {
        options = options.since(date);
    }
    if args.check {
        options = options.check_links();
    }
    if args.check_fragments {
        options = options.check_fragments();
    }
    Ok(options.edges(args.links.is_some()).build()?)
}

/// Returns everything that decides which rows the crawl has, by the names of the options. What only
/// says how fast or how far it goes may be another the next time.
fn words(args: &CrawlArgs) -> Vec<(String, String)> {
    let list = &args.url_list;
    let mut words = vec![
        ("URL".to_owned(), list.urls.join(" ")),
        ("--scope".to_owned(), format!("{:?}", args.scope).to_lowercase()),
    ];
    let mut add = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| (name.to_owned(), value)));
    };
    let all = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    add("--include", all(&args.include));
    add("--exclude", all(&args.exclude));
    add("--max-depth", args.max_depth.map(|depth| depth.to_string()));
    add("--sitemap", all(&args.sitemap));
    add("--since", args.since.clone());
    add("--links", args.links.as_ref().map(|path| path.display().to_string()));
    add("--check", args.check.then(|| "yes".to_owned()));
    add("--check-fragments", args.check_fragments.then(|| "yes".to_owned()));
    add(
        "--replay",
        all(&list.replay.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()),
    );
    add("--no-robots", args.no_robots.then(|| "yes".to_owned()));
    add("--format", list.format.map(|format| format!("{format:?}").to_lowercase()));
    let fields = args.fields.0.iter().map(|spec| match spec {
        FieldSpec::XPath(spec) => format!("--xpath {spec}"),
        FieldSpec::Css(spec) => format!("--css {spec}"),
        FieldSpec::Regex(spec) => format!("--regex {spec}"),
        FieldSpec::JsonPath(spec) => format!("--jsonpath {spec}"),
    });
    add("fields", all(&fields.collect::<Vec<_>>()));
    words
}

/// Prints the broken links, one a line.
fn report_broken(job: &CrawlJob) -> Result<Exit> {
    let (mut lines, mut count) = (Vec::new(), 0u64);
    job.broken_links(|broken| {
        count += 1;
        text::broken_link(&broken, &mut lines);
    })?;
    print(&lines)?;
    Ok(if count == 0 { Exit::Success } else { Exit::Partial })
}

fn exit(summary: CrawlSummary, name: &str, args: &UrlListArgs, is_cancelled: bool) -> Result<Exit> {
    if let Some(error) = summary.unwritten {
        bail!("failed to write {name}: {}; the same command goes on", reason(&error));
    }
    let is_interrupted = summary.run.interrupted && is_cancelled;
    if !args.quiet {
        to_stderr(last_line(&summary, is_interrupted));
    }
    if args.stats {
        to_stderr(format_args!("silkmill: {}", summary.run.stats.advice()));
    }
    Ok(match () {
        () if is_interrupted => Exit::Interrupted,
        () if summary.errors > 0 => Exit::Partial,
        () => Exit::Success,
    })
}

/// Returns what has become of the crawl, in one line.
fn last_line(summary: &CrawlSummary, is_interrupted: bool) -> String {
    let seconds = summary.run.elapsed.as_secs_f64();
    let rate = summary.run.rows as f64 / seconds.max(f64::EPSILON);
    let mut line = format!(
        "silkmill: {}, {} in {seconds:.2} s ({rate:.0} rows/s)",
        count(summary.rows, "row"),
        count(summary.errors, "error"),
    );
    line += &from_cache(summary.run.cached, summary.run.validated);
    let refused: Vec<String> = summary
        .refusals
        .iter()
        .map(|(refusal, count)| format!("{} {count}", refusal.name()))
        .collect();
    if !refused.is_empty() {
        line += &format!("; links not followed: {}", refused.join(", "));
    }
    line += match () {
        () if is_interrupted => "; interrupted: the same command goes on",
        () if !summary.is_complete => "; a limit is reached: with a larger one it goes on",
        () => "",
    };
    line
}
