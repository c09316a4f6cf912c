//! All rows of a run, as a table.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use pyo3::exceptions::{PyIndexError, PyModuleNotFoundError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use silkmill_scrape::ValueType;

use crate::error::edge;
use crate::scrape::arrow::{Kept, capsule};
use crate::scrape::columns::{Columns, batch_len};
use crate::scrape::options::Kind;
use crate::scrape::row::Row;

/// The most rows that are shown.
const SHOWN_MAX: usize = 10;
/// The most characters of a cell that are shown.
const CELL_MAX: usize = 60;

/// All rows of a run. It can be indexed and iterated over, and read by whatever reads Arrow.
#[pyclass(frozen, module = "silkmill", name = "Table", sequence)]
pub(crate) struct Table {
    pub(super) data: Arc<Data>,
}

pub(super) struct Data {
    pub(super) columns: Columns,
    pub(super) rows: Vec<Row>,
    pub(super) kept: Option<Kept>,
}

impl Data {
    /// Returns the batches, each of which is made when it is asked for.
    fn batches(
        self: &Arc<Self>,
    ) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static {
        let data = Arc::clone(self);
        let schema = self.columns.schema(self.kept.as_ref());
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = data.rows.get(at..).filter(|rest| !rest.is_empty())?;
            let len = batch_len(rest);
            at += len;
            Some(data.columns.batch(&schema, &rest[..len], data.kept.as_ref()))
        })
    }
}

#[pymethods]
impl Table {
    /// Makes a table of rows.
    #[new]
    #[pyo3(signature = (rows, fields=None, crawl=false))]
    fn new(
        rows: Vec<Bound<'_, Row>>,
        fields: Option<Vec<(String, String)>>,
        crawl: bool,
    ) -> PyResult<Self> {
        let kind = match fields {
            _ if crawl => Kind::Crawl,
            Some(_) => Kind::Scrape,
            None => Kind::Fetch,
        };
        let typed = fields.unwrap_or_default().into_iter().map(|(name, found)| {
            let found = [ValueType::Text, ValueType::Number, ValueType::Boolean]
                .into_iter()
                .find(|known| name_of(*known) == found);
            let found = found.ok_or_else(|| PyTypeError::new_err("a type is str, float or bool"));
            Ok((name, found?))
        });
        let columns = Columns { kind, fields: typed.collect::<PyResult<_>>()? };
        let rows = rows.iter().map(|row| row.get().clone()).collect();
        Ok(Self { data: Arc::new(Data { columns, rows, kept: None }) })
    }

    fn __len__(&self) -> usize {
        self.data.rows.len()
    }

    fn __getitem__(&self, index: isize) -> PyResult<Row> {
        let len = self.data.rows.len();
        let place = if index < 0 { len.checked_add_signed(index) } else { index.try_into().ok() };
        let row = place.and_then(|place| self.data.rows.get(place));
        row.cloned().ok_or_else(|| PyIndexError::new_err("there is no such row"))
    }

    fn __iter__(&self) -> TableRows {
        TableRows { data: Arc::clone(&self.data), at: AtomicUsize::new(0) }
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        let schema = self.data.columns.schema(self.data.kept.as_ref());
        schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Gives the rows as a stream of Arrow's C interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A producer may ignore what is requested, by the interface.
        let _ = requested_schema;
        let schema = self.data.columns.schema(self.data.kept.as_ref());
        edge(|| capsule(py, self.data.batches(), schema))
    }

    /// Returns the rows as a `pyarrow.Table`.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        library(slf.py(), "pyarrow", "to_arrow")?.call_method1(intern!(slf.py(), "table"), (slf,))
    }

    /// Returns the rows as a `polars.DataFrame`.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let polars = library(slf.py(), "polars", "to_polars")?;
        polars.call_method1(intern!(slf.py(), "DataFrame"), (slf,))
    }

    /// Returns the rows as a `pandas.DataFrame`, by way of pyarrow.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        library(slf.py(), "pandas", "to_pandas")?;
        let pyarrow = library(slf.py(), "pyarrow", "to_pandas")?;
        let table = pyarrow.call_method1(intern!(slf.py(), "table"), (slf,))?;
        table.call_method0(intern!(slf.py(), "to_pandas"))
    }

    fn __repr__(&self) -> String {
        let failed = self.data.rows.iter().filter(|row| row.failure.is_some()).count();
        format!("<silkmill.Table: {} rows, {failed} of them errors>", self.data.rows.len())
    }

    fn _repr_html_(&self) -> String {
        html(&self.data)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let data = &slf.get().data;
        if data.kept.is_some() {
            return Err(PyTypeError::new_err(
                "a table with the columns of its input cannot be pickled; to_arrow() can",
            ));
        }
        let fields = data.columns.fields.iter().map(|(name, it)| (name.clone(), name_of(*it)));
        let fields: Vec<_> = fields.collect();
        let fields = data.columns.kind.has_fields().then_some(fields);
        let rows = data.rows.clone();
        let is_crawl = data.columns.kind == Kind::Crawl;
        (slf.get_type(), (rows, fields, is_crawl)).into_pyobject(slf.py())
    }
}

/// Imports a library that a call needs. An error that it is missing says how to install it.
fn library<'py>(py: Python<'py>, name: &str, call: &str) -> PyResult<Bound<'py, PyModule>> {
    py.import(name).map_err(|error| {
        let missing = error.value(py).getattr_opt("name").ok().flatten();
        let missing = missing.and_then(|missing| missing.extract::<String>().ok());
        if missing.as_deref() != Some(name) {
            // A part of the library is missing, or it is broken.
            return error;
        }
        let why = format!("{call}() needs {name}: pip install {name}");
        let needed = PyModuleNotFoundError::new_err(why);
        needed.set_cause(py, Some(error));
        needed
    })
}

/// The rows of a table, one after the other.
#[pyclass(frozen, module = "silkmill._silkmill")]
pub(crate) struct TableRows {
    data: Arc<Data>,
    /// Moved by whichever thread takes a row, which no other then takes.
    at: AtomicUsize,
}

#[pymethods]
impl TableRows {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self) -> Option<Row> {
        self.data.rows.get(self.at.fetch_add(1, Ordering::Relaxed)).cloned()
    }
}

fn name_of(found: ValueType) -> &'static str {
    match found {
        ValueType::Text => "str",
        ValueType::Number => "float",
        ValueType::Boolean => "bool",
    }
}

/// Shows the first rows.
fn html(data: &Data) -> String {
    let mut page = String::from("<table><tr><th>index</th><th>url</th><th>status</th>");
    let is_scrape = data.columns.kind.has_fields();
    let fields = data.columns.fields.iter().map(|(name, _)| name.as_str());
    for name in is_scrape.then_some("title").into_iter().chain(fields).chain(["error"]) {
        let _ = write!(page, "<th>{}</th>", escaped(name));
    }
    page.push_str("</tr>");
    for row in data.rows.iter().take(SHOWN_MAX) {
        let status = row.row.status.map_or_else(String::new, |status| status.to_string());
        let mut cells = vec![row.row.index.to_string(), row.row.url.clone(), status];
        if is_scrape {
            cells.push(row.row.title.clone().unwrap_or_default());
        }
        for place in 0..data.columns.fields.len() {
            let values = row.row.fields.get(place).into_iter().flat_map(|(_, values)| values);
            cells.push(values.map(ToString::to_string).collect::<Vec<_>>().join(" | "));
        }
        let failure = row.failure.as_ref();
        cells.push(failure.map(|it| format!("{}: {}", it.kind, it.message)).unwrap_or_default());
        page.push_str("<tr>");
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", escaped(&cell));
        }
        page.push_str("</tr>");
    }
    let len = data.rows.len();
    let _ = write!(page, "</table><p>{len} rows</p>");
    page
}

/// Returns the start of a text so that HTML shows it as it is.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(CELL_MAX) {
        match letter {
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '"' => shown.push_str("&quot;"),
            letter => shown.push(letter),
        }
    }
    if text.chars().nth(CELL_MAX).is_some() {
        shown.push('…');
    }
    shown
}
