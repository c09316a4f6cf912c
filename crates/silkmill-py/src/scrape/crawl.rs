//! The options of `crawl`, which become the words of a command line. So the job of a crawl is the
//! same, whether Python or the command has begun it, and either goes on with the other's.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use silkmill_cli::{Cookies, CrawlEnding, CrawlPlan};
use silkmill_scrape::Summary;

use crate::keywords::Keywords;
use crate::scrape::options::{Job, Spec, WORKERS_MAX, Work, headers_of, refused, specs_of};

/// Options of the command, or of lists, for which a crawl has other means here, or none.
const NOT_HERE: &[(&str, &str)] = &[
    ("input", "give the URLs to begin at"),
    ("resume", "the same call goes on with a crawl that has an output"),
    ("robots", "robots.txt is obeyed unless no_robots is True"),
    ("quiet", "nothing is printed unless progress asks for it"),
    ("verbose", "see .summary and .totals of the run"),
    ("stats", "see .summary and .totals of the run"),
    ("ordered", "a crawl requests pages as their links do"),
    ("follow_refresh", "to a crawl every refresh is a link"),
    ("method", "a crawl requests pages as their links do"),
    ("data", "a crawl requests pages as their links do"),
    ("retry_post", "a crawl requests pages as their links do"),
    ("retry_errors", "a crawl requests pages as their links do"),
    ("shard", "a crawl is not divided"),
    ("frontier", "run the command, built with the feature postgres: silkmill crawl --frontier"),
    ("job", "run the command, built with the feature postgres: silkmill crawl --frontier"),
    ("lease", "run the command, built with the feature postgres: silkmill crawl --frontier"),
    ("input_format", "give the URLs to begin at"),
    ("url_column", "give the URLs to begin at"),
    ("url", "give the URLs to begin at"),
    ("keep", "give the URLs to begin at"),
];

/// The most requests at once that a host's throttle may aim at, as the command has it.
const THROTTLE_MAX: f64 = 1000.0;

/// Returns the job of a crawl. What cannot be is an exception, and no request is made.
pub(super) fn job_of(urls: &Bound<'_, PyAny>, given: &Bound<'_, PyDict>) -> PyResult<Job> {
    let seeds = seeds_of(urls)?;
    let mut options = Keywords::new("crawl", given)?;
    for (name, instead) in NOT_HERE {
        if given.contains(name)? {
            return Err(options.wrong(name, &format!("none of a crawl: {instead}")));
        }
    }
    let mut line = Line::default();
    let keeps_rows = output(&mut options, &mut line)?;
    fields(&mut options, &mut line)?;
    where_to_go(&mut options, &mut line)?;
    how_to_request(&mut options, &mut line)?;
    limits(&mut options, &mut line)?;
    options.finish()?;
    line.0.push("--".into());
    line.0.extend(seeds.into_iter().map(OsString::from));
    // It may read certificates and cookies.
    let plan = urls.py().detach(|| CrawlPlan::of_words(line.0, keeps_rows));
    let plan = plan.map_err(|error| refused(format!("{error:#}")))?;
    let fields = plan.fields().to_vec();
    Ok(Job { work: Work::Crawl(Box::new(plan)), fields, shard: None })
}

/// Returns the URLs that a crawl begins at.
fn seeds_of(urls: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(url) = urls.cast::<PyString>() {
        return Ok(vec![url.to_str()?.trim().to_owned()]);
    }
    let wrong = || {
        let found = urls.get_type().name().map_or_else(|_| "this".into(), |it| it.to_string());
        PyTypeError::new_err(format!("crawl() begins at a URL or several, and not at {found}"))
    };
    let mut seeds = Vec::new();
    for url in urls.try_iter().map_err(|_| wrong())? {
        let url = url?;
        let Ok(text) = url.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!(
                "URL {} is no str, but {}",
                seeds.len(),
                url.get_type().name()?
            )));
        };
        seeds.push(text.to_str()?.trim().to_owned());
    }
    if seeds.is_empty() {
        return Err(PyValueError::new_err("failed to begin a crawl: no URL was given"));
    }
    Ok(seeds)
}

/// The words of a command line.
#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    /// Adds an option with a value, which may begin with a dash.
    fn add(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let mut word = OsString::from(format!("--{}=", name.replace('_', "-")));
        word.push(value);
        self.0.push(word);
    }

    fn add_all(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<OsStr>>) {
        values.into_iter().for_each(|value| self.add(name, value));
    }

    fn add_switch(&mut self, name: &str, is_on: bool) {
        if is_on {
            self.0.push(format!("--{}", name.replace('_', "-")).into());
        }
    }

    fn add_number(&mut self, name: &str, number: Option<u64>) {
        self.add_all(name, number.map(|number| number.to_string()));
    }

    fn add_seconds(&mut self, name: &str, time: Option<Duration>) {
        self.add_all(name, time.map(|time| time.as_secs_f64().to_string()));
    }
}

/// Takes where the rows go. Returns whether they go anywhere beside the caller.
fn output(options: &mut Keywords<'_>, line: &mut Line) -> PyResult<bool> {
    let path = options.path("output")?;
    let keeps_rows = path.is_some();
    let format = options.text("format")?;
    let force = options.flag("force")?;
    let links = options.path("links")?;
    for (name, is_given) in
        [("format", format.is_some()), ("force", force), ("links", links.is_some())]
    {
        if is_given && !keeps_rows {
            return Err(options.wrong(name, "for a crawl with an output"));
        }
    }
    if let Some(format) = &format {
        let known = ["text", "jsonl", "csv", "sqlite"];
        if !known.contains(&format.as_str()) {
            let why = format!("one of {known:?}, and not {format:?}");
            return Err(options.wrong("format", &why));
        }
    }
    line.add_all("output", path);
    line.add_all("format", format);
    line.add_all("links", links);
    line.add_switch("force", force);
    Ok(keeps_rows)
}

fn fields(options: &mut Keywords<'_>, line: &mut Line) -> PyResult<()> {
    for spec in specs_of(options)? {
        match spec {
            Spec::XPath(text) => line.add("xpath", text),
            Spec::Css(text) => line.add("css", text),
            Spec::Regex(text) => line.add("regex", text),
            Spec::JsonPath(text) => line.add("jsonpath", text),
        }
    }
    Ok(())
}

fn where_to_go(options: &mut Keywords<'_>, line: &mut Line) -> PyResult<()> {
    let scopes = ["prefix", "host", "domain", "any"].map(|scope| (scope, scope));
    line.add_all("scope", options.word("scope", &scopes)?);
    for name in ["include", "exclude", "sitemap"] {
        line.add_all(name, options.texts(name)?);
    }
    line.add_all("since", options.text("since")?);
    line.add_number("max_pages", options.count("max_pages", 1, u64::MAX)?);
    line.add_number("max_depth", options.count("max_depth", 0, u32::MAX.into())?);
    line.add_number("max_pages_per_host", options.count("max_pages_per_host", 1, u64::MAX)?);
    for name in ["check", "check_fragments", "no_robots"] {
        line.add_switch(name, options.flag(name)?);
    }
    Ok(())
}

fn how_to_request(options: &mut Keywords<'_>, line: &mut Line) -> PyResult<()> {
    for name in ["deny_private", "insecure", "no_proxy"] {
        line.add_switch(name, options.flag(name)?);
    }
    for name in ["proxy", "user_agent"] {
        line.add_all(name, options.text(name)?);
    }
    line.add_all("header", headers_of(options)?);
    for name in ["cacert", "replay"] {
        line.add_all(name, options.paths(name)?.unwrap_or_default());
    }
    for name in ["warc", "cache"] {
        line.add_all(name, options.path(name)?);
    }
    let cookies = options.paths("cookies")?.unwrap_or_default();
    let read = Cookies::open(&cookies, None);
    read.map_err(|error| PyOSError::new_err(format!("{error:#}")))?;
    line.add_all("cookies", cookies);
    line.add_all("cookie_jar", options.path("cookie_jar")?.map(PathBuf::into_os_string));
    Ok(())
}

fn limits(options: &mut Keywords<'_>, line: &mut Line) -> PyResult<()> {
    line.add_number("workers", options.count("workers", 1, WORKERS_MAX)?);
    line.add_number("per_host", options.count("per_host", 0, u32::MAX.into())?);
    for name in ["retries", "max_host_errors", "max_redirects"] {
        line.add_number(name, options.count(name, 0, u32::MAX.into())?);
    }
    line.add_number("max_body", options.size("max_body")?);
    line.add_seconds("delay", options.delay("delay")?);
    for name in ["timeout", "connect_timeout", "first_byte_timeout"] {
        line.add_seconds(name, options.seconds(name)?);
    }
    let throttle = options.number("auto_throttle", 0.0, THROTTLE_MAX)?;
    line.add_all("auto_throttle", throttle.map(|number| number.to_string()));
    Ok(())
}

/// What has become of a run: of a list, or of a crawl.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(super) summary: Summary,
    pub(super) crawl: Option<Arc<Totals>>,
}

/// What has become of a crawl in all of its runs.
#[derive(Debug)]
pub(crate) struct Totals {
    rows: u64,
    errors: u64,
    is_complete: bool,
    /// How many links were not followed, by the names of the reasons.
    refusals: Vec<(&'static str, u64)>,
    /// URL, why, the pages that have it, and how many those are.
    broken_links: Vec<BrokenLink>,
}

type BrokenLink = (String, String, Vec<String>, u64);

impl From<CrawlEnding> for Ending {
    fn from(ending: CrawlEnding) -> Ending {
        let CrawlEnding { summary, broken_links } = ending;
        let broken = broken_links.into_iter();
        let totals = Totals {
            rows: summary.rows,
            errors: summary.errors,
            is_complete: summary.is_complete,
            refusals: summary.refusals.iter().map(|(why, count)| (why.name(), count)).collect(),
            broken_links: broken.map(|it| (it.url, it.why, it.pages, it.pages_count)).collect(),
        };
        Ending { summary: summary.run, crawl: Some(Arc::new(totals)) }
    }
}

impl Totals {
    /// Returns rows, errors, whether the crawl is complete, and how many links were not followed.
    pub(super) fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let refusals = PyDict::new(py);
        for (name, count) in &self.refusals {
            refusals.set_item(name, count)?;
        }
        (self.rows, self.errors, self.is_complete, refusals).into_pyobject(py)
    }

    pub(super) fn broken_links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.broken_links)
    }
}
