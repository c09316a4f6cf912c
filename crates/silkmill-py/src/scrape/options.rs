//! The options of `fetch` and `scrape`, by the names that the command has for them. Those of
//! `crawl` are in `crawl.rs`.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use silkmill_cli::{Cookies, CrawlPlan, environment_proxies};
use silkmill_scrape::{
    Extractor, Field, Method, Options, OptionsBuilder, SitemapList, ValueType, host_bucket,
};
use std::num::NonZeroU64;

use crate::keywords::Keywords;

/// The most threads of a run.
pub(super) const WORKERS_MAX: u64 = 10_000;

/// Options of the command that are about its output, for which Python has other means.
const OF_THE_COMMAND: &[(&str, &str)] = &[
    ("output", "iterate over the rows, or collect() them"),
    ("input", "open the file, and give its lines as the URLs"),
    ("format", "iterate over the rows, or collect() them"),
    ("resume", "give the URLs that have no row yet"),
    ("force", "iterate over the rows, or collect() them"),
    ("quiet", "nothing is printed unless progress asks for it"),
    ("verbose", "see .summary of the run"),
    ("stats", "see .summary of the run"),
    ("input_format", "give a table, or the URLs of any iterable"),
    ("url_column", "give a table, and url= with the name of its column"),
    ("retry_errors", "give the URLs whose rows are errors"),
];

/// What a run is to do, checked.
pub(super) struct Job {
    pub(super) work: Work,
    /// The names and types of the fields.
    pub(super) fields: Vec<(String, ValueType)>,
    /// The part of the list that is wanted.
    pub(super) shard: Option<Shard>,
}

/// What a run works on.
pub(super) enum Work {
    List { options: Box<Options>, cookies: Cookies, sitemaps: Option<SitemapList> },
    Crawl(Box<CrawlPlan>),
}

/// Part `part`, from 0, of a list in `parts` parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    part: u64,
    parts: NonZeroU64,
}

impl Shard {
    /// Reads `I/N`.
    fn parse(text: &str) -> Option<Shard> {
        let (part, parts) = text.split_once('/')?;
        let shard = Shard { part: part.parse().ok()?, parts: parts.parse().ok()? };
        (shard.part < shard.parts.get()).then_some(shard)
    }

    pub(super) fn holds(self, url: &str) -> bool {
        host_bucket(url, self.parts) == self.part
    }
}

/// Which of the calls it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fetch,
    Scrape,
    Crawl,
}

impl Kind {
    pub(super) fn of(call: &str) -> Kind {
        match call {
            "crawl" => Kind::Crawl,
            "scrape" => Kind::Scrape,
            _ => Kind::Fetch,
        }
    }

    /// Whether rows have a title and fields.
    pub(super) fn has_fields(self) -> bool {
        self != Kind::Fetch
    }

    pub(crate) fn call(self) -> &'static str {
        match self {
            Kind::Fetch => "fetch",
            Kind::Scrape => "scrape",
            Kind::Crawl => "crawl",
        }
    }
}

/// Returns the job of a run over a list. Those options that cannot be are a ValueError or a
/// TypeError, and no request is made.
pub(super) fn job_of(py: Python<'_>, kind: Kind, given: &Bound<'_, PyDict>) -> PyResult<Job> {
    let mut words = Keywords::new(kind.call(), given)?;
    for (name, instead) in OF_THE_COMMAND {
        if given.contains(name)? {
            return Err(words.wrong(name, &format!("the command's; here, {instead}")));
        }
    }
    let fields = match kind.has_fields() {
        true => Some(compiled(&specs_of(&mut words)?)?),
        false => None,
    };
    let types = |fields: &Vec<Field>| {
        let types = fields.iter().map(|field| (field.name().to_owned(), field.value_type()));
        types.collect::<Vec<_>>()
    };
    let fields_types = fields.as_ref().map(types).unwrap_or_default();
    let mut options = Options::builder();
    if let Some(fields) = fields {
        options = options.extractor(Extractor::new(fields).map_err(refused)?);
    }
    options = how_to_request(options, &mut words)?;
    options = what_to_send(options, &mut words)?;
    options = limits(options, &mut words)?;
    if kind == Kind::Fetch
        && let Some(folder) = words.path("save")?
    {
        options = options.save(folder);
    }
    let shard = match words.text("shard")? {
        None => None,
        Some(text) => Some(Shard::parse(&text).ok_or_else(|| {
            let why = format!("\"I/N\" with I from 0 and below N, and not {text:?}");
            words.wrong("shard", &why)
        })?),
    };
    let sitemaps = sitemaps_of(&mut words)?;
    let from = words.paths("cookies")?.unwrap_or_default();
    let to = words.path("cookie_jar")?;
    words.finish()?;
    let cookies = py.detach(|| Cookies::open(&from, to.as_deref()));
    let cookies = cookies.map_err(|error| PyOSError::new_err(format!("{error:#}")))?;
    if let Some(jar) = cookies.jar() {
        options = options.cookie_jar(jar);
    }
    // It may read certificates, and make a folder.
    let options = py.detach(|| options.build()).map_err(refused)?;
    let work = Work::List { options: Box::new(options), cookies, sitemaps };
    Ok(Job { work, fields: fields_types, shard })
}

/// Takes the sitemaps whose pages are requested, too.
fn sitemaps_of(words: &mut Keywords<'_>) -> PyResult<Option<SitemapList>> {
    let (sitemaps, since) = (words.texts("sitemap")?, words.text("since")?);
    if sitemaps.is_empty() {
        return match since {
            None => Ok(None),
            Some(_) => Err(words.wrong("since", "about \"sitemap\", of which there is none")),
        };
    }
    let list = SitemapList::new(sitemaps).map_err(refused)?;
    let list = since.map_or(Ok(list.clone()), |date| list.since(&date));
    list.map(Some).map_err(refused)
}

/// A field that is not compiled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    XPath(String),
    Css(String),
    Regex(String),
    JsonPath(String),
}

/// Takes the fields of `xpath`, `css`, `regex` and `jsonpath`.
pub(super) fn specs_of(words: &mut Keywords<'_>) -> PyResult<Vec<Spec>> {
    let mut specs: Vec<Spec> = texts_of(words, "xpath")?.into_iter().map(Spec::XPath).collect();
    specs.extend(texts_of(words, "css")?.into_iter().map(Spec::Css));
    specs.extend(texts_of(words, "regex")?.into_iter().map(Spec::Regex));
    specs.extend(texts_of(words, "jsonpath")?.into_iter().map(Spec::JsonPath));
    Ok(specs)
}

/// Compiles fields.
pub(super) fn compiled(specs: &[Spec]) -> PyResult<Vec<Field>> {
    let compile = |spec: &Spec| match spec {
        Spec::XPath(text) => Field::xpath(text),
        Spec::Css(text) => Field::css(text),
        Spec::Regex(text) => Field::regex(text),
        Spec::JsonPath(text) => Field::jsonpath(text),
    };
    specs.iter().map(|spec| compile(spec).map_err(refused)).collect()
}

/// Returns the texts of fields, as `NAME=EXPR` where they have names: of a mapping of names to
/// expressions, of one text, or of several.
fn texts_of(words: &mut Keywords<'_>, name: &'static str) -> PyResult<Vec<String>> {
    let Some(value) = words.any(name)? else { return Ok(Vec::new()) };
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(vec![text.to_str()?.to_owned()]);
    }
    let wrong = || words.wrong(name, "a text, several, or a mapping of names to texts");
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let items: Vec<(String, String)> = mapping.items()?.extract().map_err(|_| wrong())?;
        for (field, _) in &items {
            if !is_name(field) {
                let why = format!(
                    "of fields whose names are letters, digits, \"_\", \"-\" and \".\", and not {field:?}"
                );
                return Err(words.wrong(name, &why));
            }
        }
        return Ok(items.iter().map(|(field, spec)| format!("{field}={spec}")).collect());
    }
    let texts = value.try_iter().map_err(|_| wrong())?;
    texts.map(|text| text?.extract().map_err(|_| wrong())).collect()
}

/// Whether a text in front of a "=" is a name, and not the beginning of an expression.
fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn how_to_request(
    mut options: OptionsBuilder,
    words: &mut Keywords<'_>,
) -> PyResult<OptionsBuilder> {
    options = options
        .ordered(words.flag("ordered")?)
        .robots(words.flag("robots")?)
        .deny_private(words.flag("deny_private")?)
        .insecure(words.flag("insecure")?)
        .retry_post(words.flag("retry_post")?)
        .follow_refresh(words.flag("follow_refresh")?);
    for file in words.paths("cacert")?.unwrap_or_default() {
        options = options.trust_file(file);
    }
    let (warc, cache) = (words.path("warc")?, words.path("cache")?);
    let replay = words.paths("replay")?.unwrap_or_default();
    if !replay.is_empty() && (warc.is_some() || cache.is_some()) {
        return Err(words.wrong("replay", "one way, and \"warc\" or \"cache\" another"));
    }
    if let Some(path) = warc {
        options = options.warc(path);
    }
    if let Some(folder) = cache {
        options = options.cache(folder);
    }
    for path in replay {
        options = options.replay(path);
    }
    match (words.flag("no_proxy")?, words.text("proxy")?) {
        (true, Some(_)) => {
            return Err(words.wrong("no_proxy", "one way, and \"proxy\" another"));
        }
        (true, None) => {}
        (false, proxy) => options = environment_proxies(options, proxy.as_deref()),
    }
    Ok(options)
}

fn what_to_send(mut options: OptionsBuilder, words: &mut Keywords<'_>) -> PyResult<OptionsBuilder> {
    if let Some(method) = words.text("method")? {
        options = options.method(Method::parse(&method).map_err(refused)?);
    }
    if let Some(data) = words.bytes("data")? {
        options = options.data(data);
    }
    for header in headers_of(words)? {
        options = options.header(header);
    }
    if let Some(name) = words.text("user_agent")? {
        options = options.user_agent(name);
    }
    Ok(options)
}

/// Returns headers as `Name: value`: of a mapping of names to values, of one text, or of several.
pub(super) fn headers_of(words: &mut Keywords<'_>) -> PyResult<Vec<String>> {
    let Some(value) = words.any("header")? else { return Ok(Vec::new()) };
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(vec![text.to_str()?.to_owned()]);
    }
    let wrong = || {
        words.wrong("header", "a text as \"Name: value\", several, or a mapping of names to values")
    };
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let items: Vec<(String, String)> = mapping.items()?.extract().map_err(|_| wrong())?;
        return Ok(items.iter().map(|(name, value)| format!("{name}: {value}")).collect());
    }
    let texts = value.try_iter().map_err(|_| wrong())?;
    texts.map(|text| text?.extract().map_err(|_| wrong())).collect()
}

fn limits(mut options: OptionsBuilder, words: &mut Keywords<'_>) -> PyResult<OptionsBuilder> {
    if let Some(workers) = words.count("workers", 1, WORKERS_MAX)? {
        options = options.workers(workers as usize);
    }
    if let Some(requests) = words.count("per_host", 0, u64::MAX)? {
        options = options.per_host(usize::try_from(requests).unwrap_or(usize::MAX));
    }
    if let Some(retries) = words.count("retries", 0, u32::MAX.into())? {
        options = options.retries(retries as u32);
    }
    if let Some(rows) = words.count("max_host_errors", 0, u32::MAX.into())? {
        options = options.host_errors_max(rows as u32);
    }
    if let Some(redirects) = words.count("max_redirects", 0, u32::MAX.into())? {
        options = options.redirects_max(redirects as u32);
    }
    if let Some(bytes) = words.size("max_body")? {
        options = options.body_bytes_max(bytes);
    }
    if let Some(delay) = words.delay("delay")? {
        options = options.delay(delay);
    }
    if let Some(time) = words.seconds("timeout")? {
        options = options.timeout(time);
    }
    if let Some(time) = words.seconds("connect_timeout")? {
        options = options.connect_timeout(time);
    }
    if let Some(time) = words.seconds("first_byte_timeout")? {
        options = options.first_byte_timeout(time);
    }
    Ok(options)
}

/// Returns the exception for options that the engine refuses.
pub(super) fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
