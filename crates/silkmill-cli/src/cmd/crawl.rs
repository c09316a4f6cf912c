//! `silkmill crawl`: every page within a scope.

#[cfg(feature = "postgres")]
mod fleet;
mod recorder;
mod watched;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use clap::Parser;
use silkmill::CancelToken;
use silkmill_scrape::{
    self as scrape, BrokenLink, CookieJar, CrawlJob, CrawlOptions, CrawlSummary, Extractor,
    Options, Scope, Sink, ValueType,
};

use crate::args::{Cli, Command, CrawlArgs, FieldSpec, ScopeArg, UrlListArgs};
use crate::cmd::crawl::recorder::Recorder;
use crate::cmd::crawl::watched::Watched;
use crate::cmd::print;
use crate::cmd::scrape::fields_of;
use crate::cmd::url_list::cookies::Cookies;
use crate::cmd::url_list::ending::from_cache;
use crate::cmd::url_list::options::options_of;
use crate::cmd::url_list::raise_open_files;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal};
use crate::messages::{count, reason, to_stderr};
use crate::sink::marked::{Files, MarkedOutput};
use crate::sink::{Kind, Schema, text};

/// The most broken links that a crawl for another program names.
const BROKEN_LINKS_MAX: usize = 100_000;

pub(crate) fn run(args: CrawlArgs) -> Result<Exit> {
    let plan = CrawlPlan::of(args)?;
    if let Some(url) = &plan.args.frontier {
        return run_in_fleet(&plan, url);
    }
    raise_open_files();
    interrupt::outlive_file_size_limit()?;
    let (mut job, output) = plan.open()?;
    let CrawlPlan { args, cookies, options, crawl_options, .. } = &plan;
    let list = &args.url_list;
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::EndsProcess)?;
    let mut recorder = Recorder::new(output, list, job.rows());
    let summary = scrape::crawl(crawl_options, options, &mut job, &cancel, &mut recorder);
    let name = recorder.finish();
    let summary = summary?;
    cookies.write()?;
    let exit = exit(summary, &name, list, cancel.is_cancelled())?;
    match exit {
        Exit::Success | Exit::Partial if plan.checks_links() => report_broken(&job),
        exit => Ok(exit),
    }
}

#[cfg(feature = "postgres")]
fn run_in_fleet(plan: &CrawlPlan, url: &str) -> Result<Exit> {
    fleet::run(plan, url)
}

#[cfg(not(feature = "postgres"))]
fn run_in_fleet(_plan: &CrawlPlan, _url: &str) -> Result<Exit> {
    bail!("this program was built without PostgreSQL: build it with --features postgres")
}

/// A crawl as its command line says, checked. No request was made, and no output opened.
///
/// ```
/// use silkmill_cli::CrawlPlan;
///
/// let plan = CrawlPlan::of_words(["--css=price=.price", "--", "http://127.0.0.1:1/"], false)?;
/// assert_eq!(plan.fields()[0].0, "price");
/// assert!(CrawlPlan::of_words(["--scope=world", "--", "http://127.0.0.1:1/"], false).is_err());
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct CrawlPlan {
    args: CrawlArgs,
    schema: Schema,
    cookies: Cookies,
    options: Options,
    crawl_options: CrawlOptions,
    /// Set if there is an output, and so a job to go on with.
    keeps_rows: bool,
}

impl CrawlPlan {
    /// Reads the words that stand behind `silkmill crawl`. Without `keeps_rows` the rows go to no
    /// file, for which `--output` must not be among the words, and no later crawl goes on.
    ///
    /// # Errors
    ///
    /// When the words cannot be, or a file that they name cannot be read.
    pub fn of_words(
        words: impl IntoIterator<Item = impl Into<OsString>>,
        keeps_rows: bool,
    ) -> Result<CrawlPlan> {
        // The command wants an output. This one is never opened.
        let output = if keeps_rows { None } else { Some("--output=rows.jsonl") };
        let start = ["silkmill", "crawl"].into_iter().chain(output).map(OsString::from);
        let words = start.chain(words.into_iter().map(Into::into));
        let cli = Cli::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            anyhow!("{}", first.strip_prefix("error: ").unwrap_or(first))
        })?;
        match cli.command {
            Command::Crawl(args) if args.frontier.is_some() => {
                bail!("--frontier is for the command: run silkmill crawl")
            }
            Command::Crawl(args) => Ok(CrawlPlan { keeps_rows, ..CrawlPlan::of(*args)? }),
            _ => bail!("the words are of another command"),
        }
    }

    fn of(mut args: CrawlArgs) -> Result<CrawlPlan> {
        refuse_what_is_for_lists(&args.url_list)?;
        args.url_list.robots = !args.no_robots;
        let list = &args.url_list;
        let path = match &args.frontier {
            None => Some(output_of(list)?),
            Some(_) => list.output.clone(),
        };
        #[cfg(feature = "postgres")]
        if args.frontier.is_some() {
            fleet::refuse_what_is_for_one(&args)?;
        }
        let fields = fields_of(&args.fields)?;
        let columns = fields.iter().map(|field| (field.name().to_owned(), field.value_type()));
        let schema = Schema { kind: Kind::Crawl, fields: columns.collect(), input: None };
        if let Some(path) = &path {
            MarkedOutput::check(&schema, &files_of(&args, path))?;
        }
        let cookies = Cookies::open(&list.cookies, list.cookie_jar.as_deref())?;
        // Cookies are kept for the whole crawl: sites set them on one page and want them on the
        // next.
        let options = Options::builder()
            .extractor(Extractor::new(fields)?)
            .cookie_jar(&CookieJar::default())
            .throttle(args.auto_throttle);
        let options = options_of(options, &cookies, list)?;
        let crawl_options = crawl_options_of(&args)?;
        Ok(CrawlPlan { args, schema, cookies, options, crawl_options, keeps_rows: true })
    }

    /// Returns the names of the fields, and the types of their values.
    pub fn fields(&self) -> &[(String, ValueType)] {
        &self.schema.fields
    }

    fn checks_links(&self) -> bool {
        self.args.check || self.args.check_fragments
    }

    /// Opens the job, and the files that it has rows for.
    fn open(&self) -> Result<(CrawlJob, MarkedOutput)> {
        let path = output_of(&self.args.url_list)?;
        let files = files_of(&self.args, &path);
        let job = open_job(&files, &words(&self.args), self.args.url_list.force)?;
        let output = MarkedOutput::open(self.schema.clone(), &files, job.mark())?;
        Ok((job, output))
    }

    /// Opens the job and the output, for a crawl that is run by another program.
    ///
    /// # Errors
    ///
    /// When one cannot be opened, or is of another crawl.
    pub fn start(self) -> Result<StartedCrawl> {
        let (job, output) = match self.keeps_rows {
            true => self.open().map(|(job, output)| (job, Some(output)))?,
            false => (CrawlJob::temporary()?, None),
        };
        Ok(StartedCrawl { plan: self, job, output })
    }
}

/// A crawl whose job and output are open.
pub struct StartedCrawl {
    plan: CrawlPlan,
    job: CrawlJob,
    output: Option<MarkedOutput>,
}

impl fmt::Debug for StartedCrawl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedCrawl").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// Says what has become of a crawl that another program has run.
#[derive(Debug)]
pub struct CrawlEnding {
    /// Counts what has become of the crawl.
    pub summary: CrawlSummary,
    /// The broken links, 100,000 at most, if they were looked for and the crawl was not
    /// interrupted.
    pub broken_links: Vec<BrokenLink>,
}

impl StartedCrawl {
    /// Crawls, on this thread. Rows are written to the output, and then go to `sink`.
    ///
    /// # Errors
    ///
    /// When the job or the output cannot be written.
    pub fn run(mut self, cancel: &CancelToken, sink: &mut dyn Sink) -> Result<CrawlEnding> {
        let CrawlPlan { cookies, options, crawl_options, .. } = &self.plan;
        let mut watched = Watched::new(self.output, sink);
        let summary = scrape::crawl(crawl_options, options, &mut self.job, cancel, &mut watched)?;
        if let Some(error) = &summary.unwritten {
            let name = watched.name().unwrap_or("the rows");
            bail!("failed to write {name}: {}; the same crawl goes on", reason(error));
        }
        cookies.write()?;
        let mut broken_links = Vec::new();
        if self.plan.checks_links() && !summary.run.interrupted {
            self.job.broken_links(|broken| {
                if broken_links.len() < BROKEN_LINKS_MAX {
                    broken_links.push(broken);
                }
            })?;
        }
        Ok(CrawlEnding { summary, broken_links })
    }
}

fn files_of<'a>(args: &'a CrawlArgs, path: &'a Path) -> Files<'a> {
    Files { rows: path, format: args.url_list.format, links: args.links.as_deref() }
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
