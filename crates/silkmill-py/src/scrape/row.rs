//! One row, as Python has it.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};
use silkmill_scrape::{Crawled, Timing, Value};

/// The outcome of one URL.
#[pyclass(frozen, module = "silkmill", name = "Row")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(super) row: silkmill_scrape::Row,
    pub(super) failure: Option<RowError>,
}

/// Why there is no response, or only a part of one, or not every field of it.
#[pyclass(frozen, module = "silkmill", name = "RowError", get_all, eq)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowError {
    /// The kind of failure: ``dns``, ``connect``, ``tls``, ``timeout`` and so on.
    pub(super) kind: Cow<'static, str>,
    /// What was being done.
    pub(super) phase: Cow<'static, str>,
    /// The message.
    pub(super) message: String,
}

impl From<silkmill_scrape::Row> for Row {
    fn from(mut row: silkmill_scrape::Row) -> Row {
        let failure = row.error.take().map(|error| RowError {
            kind: error.kind.name().into(),
            phase: error.phase.name().into(),
            message: error.message,
        });
        // Times are told in microseconds, and a row that was pickled is equal to what it was.
        row.elapsed = in_micros(row.elapsed);
        let Timing { dns, connect, tls, first_byte, total } = &mut row.timing;
        for step in [dns, connect, tls, first_byte, total] {
            *step = step.map(in_micros);
        }
        Row { row, failure }
    }
}

#[pymethods]
impl RowError {
    #[new]
    fn new(kind: String, phase: String, message: String) -> Self {
        Self { kind: kind.into(), phase: phase.into(), message }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "RowError(kind={}, phase={}, message={})",
            PyString::new(py, &self.kind).repr()?,
            PyString::new(py, &self.phase).repr()?,
            PyString::new(py, &self.message).repr()?,
        ))
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn __str__(&self) -> String {
        format!("{}: {}", self.kind, self.message)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let error = slf.get();
        let parts = (&*error.kind, &*error.phase, &*error.message);
        (slf.get_type(), parts).into_pyobject(slf.py())
    }
}

#[pymethods]
impl Row {
    /// Makes a row of its record: what `to_dict` gives.
    #[new]
    fn new(record: &Bound<'_, PyDict>) -> PyResult<Self> {
        Reader(record).row()
    }

    /// The place of the URL among those of the run, from 0.
    #[getter]
    fn index(&self) -> u64 {
        self.row.index
    }

    /// The URL as it was given.
    #[getter]
    fn url(&self) -> &str {
        &self.row.url
    }

    /// The URL that was requested last, after all redirects; None for what is no URL.
    #[getter]
    fn final_url(&self) -> Option<&str> {
        self.row.final_url.as_deref()
    }

    /// The status of the last response; None where there was none.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.row.status
    }

    /// The title of the page, if titles were wanted and it has one.
    #[getter]
    fn title(&self) -> Option<&str> {
        self.row.title.as_deref()
    }

    /// Every field that was wanted, with all its values.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        fields(py, &self.row.fields)
    }

    /// The name of the page's encoding.
    #[getter]
    fn charset(&self) -> Option<&str> {
        self.row.charset.as_deref()
    }

    /// The length of the body in bytes, after decompression.
    #[getter]
    fn bytes(&self) -> u64 {
        self.row.bytes
    }

    /// Whether a bound cut the body, the tree of the page, or its values.
    #[getter]
    fn truncated(&self) -> bool {
        self.row.truncated
    }

    /// How often the URL was tried.
    #[getter]
    fn attempts(&self) -> u32 {
        self.row.attempts
    }

    /// The URLs that the last attempt was redirected to, in order.
    #[getter]
    fn redirects(&self) -> Vec<&str> {
        self.row.redirects.iter().map(String::as_str).collect()
    }

    /// The time from the start of the first attempt to the row, in milliseconds.
    #[getter]
    fn elapsed_ms(&self) -> f64 {
        millis(self.row.elapsed)
    }

    /// How the last request spent its time, in milliseconds: ``dns_ms``, ``connect_ms``,
    /// ``tls_ms``, ``first_byte_ms`` and ``total_ms``, None for a step that did not happen.
    #[getter]
    fn timing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, time) in steps(&self.row.timing) {
            dict.set_item(name, time.map(millis))?;
        }
        Ok(dict)
    }

    /// The name of the thread that made the row.
    #[getter]
    fn worker(&self) -> &str {
        &self.row.worker
    }

    /// Why there is no response, or only a part of one; None otherwise.
    #[getter]
    fn error(&self) -> Option<RowError> {
        self.failure.clone()
    }

    /// How many links lead here from where the crawl began; None in a row of a list.
    #[getter]
    fn depth(&self) -> Option<u32> {
        self.row.crawled.as_ref().map(|page| page.depth)
    }

    /// The index of the row of the page that led here; None for where the crawl began, for a page
    /// of a sitemap, and in a row of a list.
    #[getter]
    fn parent(&self) -> Option<u64> {
        self.row.crawled.as_ref().and_then(|page| page.parent)
    }

    /// The number of links of the page; None in a row of a list.
    #[getter]
    fn links(&self) -> Option<u64> {
        self.row.crawled.as_ref().map(|page| page.links)
    }

    /// The page's own address, as it says itself; None in a row of a list.
    #[getter]
    fn canonical(&self) -> Option<&str> {
        self.row.crawled.as_ref().and_then(|page| page.canonical.as_deref())
    }

    /// Whether a response came, of any status, and all of it.
    #[getter]
    fn ok(&self) -> bool {
        self.failure.is_none()
    }

    /// Returns the row as the record that the command writes with ``--format jsonl``.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("index", self.row.index)?;
        dict.set_item("url", &self.row.url)?;
        dict.set_item("final_url", &self.row.final_url)?;
        dict.set_item("status", self.row.status)?;
        dict.set_item("title", &self.row.title)?;
        dict.set_item("fields", self.fields(py)?)?;
        dict.set_item("charset", &self.row.charset)?;
        dict.set_item("bytes", self.row.bytes)?;
        dict.set_item("truncated", self.row.truncated)?;
        dict.set_item("attempts", self.row.attempts)?;
        dict.set_item("redirects", &self.row.redirects)?;
        dict.set_item("elapsed_ms", self.elapsed_ms())?;
        dict.set_item("timing", self.timing(py)?)?;
        dict.set_item("worker", self.worker())?;
        let error = self.failure.as_ref().map(|failure| {
            let dict = PyDict::new(py);
            dict.set_item("kind", &*failure.kind)?;
            dict.set_item("phase", &*failure.phase)?;
            dict.set_item("message", &failure.message)?;
            PyResult::Ok(dict)
        });
        dict.set_item("error", error.transpose()?)?;
        if let Some(page) = &self.row.crawled {
            dict.set_item("depth", page.depth)?;
            dict.set_item("parent", page.parent)?;
            dict.set_item("links", page.links)?;
            dict.set_item("canonical", &page.canonical)?;
        }
        Ok(dict)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let url = PyString::new(py, &self.row.url).repr()?;
        let status = self.row.status.map_or("None".to_owned(), |status| status.to_string());
        let mut text = format!("Row(index={}, url={url}, status={status}", self.row.index);
        if let Some(title) = &self.row.title {
            text += &format!(", title={}", PyString::new(py, title).repr()?);
        }
        for (name, values) in &self.row.fields {
            let name = PyString::new(py, name).repr()?;
            text += &format!(", fields[{name}]={}", values_list(py, values)?.repr()?);
        }
        if let Some(failure) = &self.failure {
            text += &format!(", error={}", failure.__repr__(py)?);
        }
        text.push(')');
        Ok(text)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Row>().is_ok_and(|other| other.get() == self)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.row.index, &self.row.url, self.row.status).hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        (slf.get_type(), (slf.get().to_dict(slf.py())?,)).into_pyobject(slf.py())
    }
}

/// Returns the fields with their values.
pub(super) fn fields<'py>(
    py: Python<'py>,
    fields: &[(String, Vec<Value>)],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, values) in fields {
        dict.set_item(name, values_list(py, values)?)?;
    }
    Ok(dict)
}

fn values_list<'py>(py: Python<'py>, values: &[Value]) -> PyResult<Bound<'py, PyList>> {
    let values = values.iter().map(|value| match value {
        Value::Text(text) => text.into_bound_py_any(py),
        Value::Number(number) => number.into_bound_py_any(py),
        Value::Boolean(truth) => truth.into_bound_py_any(py),
    });
    PyList::new(py, values.collect::<PyResult<Vec<_>>>()?)
}

/// Returns milliseconds, with three decimals.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// The names and times of the steps of a request.
pub(super) fn steps(timing: &Timing) -> [(&'static str, Option<Duration>); 5] {
    [
        ("dns_ms", timing.dns),
        ("connect_ms", timing.connect),
        ("tls_ms", timing.tls),
        ("first_byte_ms", timing.first_byte),
        ("total_ms", timing.total),
    ]
}

/// Reads a row from its record.
struct Reader<'a, 'py>(&'a Bound<'py, PyDict>);

impl<'py> Reader<'_, 'py> {
    fn row(&self) -> PyResult<Row> {
        let mut row = silkmill_scrape::Row {
            index: self.get("index")?.extract()?,
            url: self.get("url")?.extract()?,
            final_url: self.get("final_url")?.extract()?,
            status: self.get("status")?.extract()?,
            title: self.get("title")?.extract()?,
            charset: self.get("charset")?.extract()?,
            bytes: self.get("bytes")?.extract()?,
            truncated: self.get("truncated")?.extract()?,
            attempts: self.get("attempts")?.extract()?,
            redirects: self.get("redirects")?.extract()?,
            elapsed: time(self.get("elapsed_ms")?.extract()?).unwrap_or_default(),
            worker: self.get("worker")?.extract::<String>()?.into(),
            ..silkmill_scrape::Row::default()
        };
        for (name, values) in self.get("fields")?.cast::<PyDict>()? {
            let values = values.try_iter()?.map(|value| value_of(&value?));
            row.fields.push((name.extract()?, values.collect::<PyResult<_>>()?));
        }
        let timing = self.get("timing")?;
        let step = |name: &str| PyResult::Ok(time(timing.get_item(name)?.extract()?));
        row.timing.dns = step("dns_ms")?;
        row.timing.connect = step("connect_ms")?;
        row.timing.tls = step("tls_ms")?;
        row.timing.first_byte = step("first_byte_ms")?;
        row.timing.total = step("total_ms")?;
        if self.0.contains("depth")? {
            let mut page = Crawled::default();
            page.depth = self.get("depth")?.extract()?;
            page.parent = self.get("parent")?.extract()?;
            page.links = self.get("links")?.extract()?;
            page.canonical = self.get("canonical")?.extract()?;
            row.crawled = Some(Box::new(page));
        }
        let error = self.get("error")?;
        let part = |name: &str| error.get_item(name)?.extract::<String>();
        let failure = match error.is_none() {
            true => None,
            false => Some(RowError::new(part("kind")?, part("phase")?, part("message")?)),
        };
        Ok(Row { row, failure })
    }

    fn get(&self, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.0.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }
}

fn time(millis: Option<f64>) -> Option<Duration> {
    // What is no time becomes none: a cast of a float ends at its bounds.
    millis.map(|millis| Duration::from_micros((millis * 1000.0).round() as u64))
}

fn in_micros(time: Duration) -> Duration {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn value_of(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(truth) = value.extract::<bool>() {
        return Ok(Value::Boolean(truth));
    }
    match value.cast::<PyFloat>() {
        Ok(number) => Ok(Value::Number(number.extract()?)),
        Err(_) => Ok(Value::Text(value.extract()?)),
    }
}
