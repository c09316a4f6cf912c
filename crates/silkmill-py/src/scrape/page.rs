//! The parser alone: bytes in, values out.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};
use silkmill_scrape::{Extracted, Extractor, canonical, host_bucket};

use crate::error::edge;
use crate::keywords::Keywords;
use crate::scrape::options::{Spec, compiled, refused, specs_of};
use crate::scrape::row::fields;
use crate::sleep::lock;

/// The most sets of fields that stay compiled.
const COMPILED_MAX: usize = 32;

/// The sets that were used last, the newest at the end. Used by attached threads, and held for a
/// few instructions.
static COMPILED: Mutex<Vec<(Vec<Spec>, Arc<Extractor>)>> = Mutex::new(Vec::new());

/// What stands before a text, so that its charset is known whatever the text says of itself.
const MARK: &str = "\u{feff}";

/// The fields of a page, its title, its charset, whether a bound cut something, and what is wrong
/// with the page.
type Page<'py> = (Bound<'py, PyDict>, Option<String>, Option<&'static str>, bool, Option<String>);

/// Returns the fields of a page, and its title, charset, whether a bound cut something, and where
/// XML or JSON breaks its rules.
#[pyfunction]
#[pyo3(signature = (html, options, content_type=None, url=None))]
pub(crate) fn extract_page<'py>(
    py: Python<'py>,
    html: &Bound<'py, PyAny>,
    options: &Bound<'py, PyDict>,
    content_type: Option<&str>,
    url: Option<&str>,
) -> PyResult<Page<'py>> {
    edge(|| {
        let extractor = extractor_of(options)?;
        if let Some(url) = url.filter(|url| canonical(url).is_none()) {
            return Err(PyValueError::new_err(format!("url is no absolute URL: {url:?}")));
        }
        let found = read(py, &extractor, html, content_type, url)?;
        if let Some(name) = found.unfinished.first() {
            return Err(PyValueError::new_err(format!(
                "field {name:?} costs too much on this page, and has no values"
            )));
        }
        let flaw = found.flaw.map(|flaw| flaw.to_string());
        Ok((fields(py, &found.fields)?, found.title, found.charset, found.truncated, flaw))
    })
}

/// Reads a page, detached from the interpreter.
fn read(
    py: Python<'_>,
    extractor: &Extractor,
    html: &Bound<'_, PyAny>,
    content_type: Option<&str>,
    url: Option<&str>,
) -> PyResult<Extracted> {
    if let Ok(bytes) = html.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        return Ok(py.detach(|| extractor.extract_from(bytes, content_type, url)));
    }
    if let Ok(text) = html.cast::<PyString>() {
        // A lone surrogate, which no page has, becomes U+FFFD.
        let text = text.to_string_lossy();
        return Ok(py.detach(|| {
            let marked = match text.starts_with(MARK) {
                true => text,
                false => Cow::Owned([MARK, &*text].concat()),
            };
            extractor.extract_from(marked.as_bytes(), content_type, url)
        }));
    }
    let bytes = match html.cast::<PyByteArray>() {
        Ok(bytes) => bytes.to_vec(),
        Err(_) if html.hasattr(intern!(py, "__buffer__"))? || is_memoryview(html)? => {
            html.call_method0(intern!(py, "tobytes"))?.extract()?
        }
        Err(_) => {
            return Err(PyTypeError::new_err(format!(
                "a page is bytes or str, and not {}",
                html.get_type().name()?
            )));
        }
    };
    Ok(py.detach(|| extractor.extract_from(&bytes, content_type, url)))
}

fn is_memoryview(html: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(html.get_type().name()? == "memoryview")
}

/// Returns the compiled fields of a call.
fn extractor_of(options: &Bound<'_, PyDict>) -> PyResult<Arc<Extractor>> {
    let mut words = Keywords::new("extract", options)?;
    let specs = specs_of(&mut words)?;
    words.finish()?;
    if let Some(known) = known(&specs) {
        return Ok(known);
    }
    let extractor = Arc::new(Extractor::new(compiled(&specs)?).map_err(refused)?);
    let mut all = lock(&COMPILED);
    let oldest = if all.len() >= COMPILED_MAX { Some(all.remove(0)) } else { None };
    all.push((specs, Arc::clone(&extractor)));
    drop(all);
    drop(oldest);
    Ok(extractor)
}

fn known(specs: &[Spec]) -> Option<Arc<Extractor>> {
    let mut all = lock(&COMPILED);
    let place = all.iter().rposition(|(other, _)| other == specs)?;
    let found = all.remove(place);
    let extractor = Arc::clone(&found.1);
    all.push(found);
    Some(extractor)
}

/// Returns the part, from 0, of a list in `parts` parts that each URL belongs to.
#[pyfunction]
pub(crate) fn host_buckets(
    py: Python<'_>,
    urls: Vec<Option<String>>,
    parts: u64,
) -> PyResult<Vec<u64>> {
    let Some(parts) = NonZeroU64::new(parts) else {
        return Err(PyValueError::new_err("a list has at least 1 part"));
    };
    edge(|| {
        let urls: Vec<&str> = urls.iter().map(|url| url.as_deref().unwrap_or_default()).collect();
        Ok(py.detach(|| urls.iter().map(|url| host_bucket(url.trim(), parts)).collect()))
    })
}
