//! Arrow's capsules: tables of URLs come in by them, and rows go out.
//!
//! The two structs of Arrow's C stream interface are those of the `arrow-array` crate, which
//! releases what it holds. To take one out of a capsule is the one unsafe step of this crate.

#![expect(unsafe_code, reason = "a capsule holds a pointer, which only its name vouches for")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use silkmill_scrape::Input;

/// The name of a capsule with a stream, which the interface fixes.
const STREAM: &std::ffi::CStr = c"arrow_array_stream";

/// A table of URLs, read batch by batch on the thread that consumes the run.
pub(super) struct Batches {
    reader: RecordBatchStreamReader,
    /// The place of the column with the URLs.
    column: usize,
    current: Option<Texts>,
    at: usize,
    kept: Option<Vec<RecordBatch>>,
}

/// A table of URLs whose other columns are kept beside the rows.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
    /// The place of the column with the URLs, which the rows have already.
    pub(super) column: usize,
}

impl Batches {
    /// Reads an object that gives Arrow streams. `None` if its stream is no table.
    pub(super) fn of(
        object: &Bound<'_, PyAny>,
        column: Option<&str>,
        keep: bool,
    ) -> PyResult<Option<Self>> {
        let py = object.py();
        let capsule = object.call_method0(intern!(py, "__arrow_c_stream__"))?;
        let capsule = capsule.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(STREAM))?;
        // SAFETY: a capsule of this name holds a pointer to a valid ArrowArrayStream, by the
        // interface. It is moved out, and what is left in its place is released, which the
        // capsule's own destructor sees. No other thread has the capsule.
        let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr().cast()) };
        let Ok(reader) = RecordBatchStreamReader::try_new(stream) else { return Ok(None) };
        let column = column_of(&reader.schema(), column)?;
        let kept = keep.then(Vec::new);
        Ok(Some(Self { reader, column, current: None, at: 0, kept }))
    }

    pub(super) fn next(&mut self, py: Python<'_>) -> PyResult<Option<Input>> {
        loop {
            if let Some(texts) = self.current.as_ref().filter(|texts| self.at < texts.len()) {
                let input = Input::url(texts.at(self.at).unwrap_or_default().trim());
                self.at += 1;
                return Ok(Some(input));
            }
            // A producer may be written in Python, and attaches itself then.
            let Some(batch) = py.detach(|| self.reader.next()) else { return Ok(None) };
            let batch = batch.map_err(|error| {
                PyRuntimeError::new_err(format!("failed to read the table of URLs: {error}"))
            })?;
            self.current = Some(Texts::of(batch.column(self.column)));
            self.at = 0;
            if let Some(kept) = &mut self.kept {
                kept.push(batch);
            }
        }
    }

    /// Returns what is kept, without what has been kept so far.
    pub(super) fn shape(&self) -> Option<Kept> {
        self.kept.as_ref()?;
        Some(Kept { schema: self.reader.schema(), batches: Vec::new(), column: self.column })
    }

    /// Returns what has been kept so far.
    pub(super) fn kept(&self) -> Option<Kept> {
        let batches = self.kept.clone()?;
        Some(Kept { schema: self.reader.schema(), batches, column: self.column })
    }
}

/// Finds the column with the URLs.
fn column_of(schema: &SchemaRef, name: Option<&str>) -> PyResult<usize> {
    let names = || {
        let names = schema.fields().iter().map(|field| format!("{:?}", field.name()));
        names.collect::<Vec<_>>().join(", ")
    };
    let column = match (name, schema.fields().len()) {
        (Some(name), _) => schema.index_of(name).map_err(|_| {
            PyKeyError::new_err(format!("the table has no column {name:?}; there are {}", names()))
        })?,
        (None, 1) => 0,
        (None, _) => schema.index_of("url").map_err(|_| {
            let names = names();
            PyTypeError::new_err(format!("url= names the column with the URLs; there are {names}"))
        })?,
    };
    let field = schema.field(column);
    if !is_text(field.data_type()) {
        return Err(PyTypeError::new_err(format!(
            "column {:?} has no texts, but {}",
            field.name(),
            field.data_type()
        )));
    }
    Ok(column)
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// A column of texts, which may have a dictionary.
struct Texts {
    column: ArrayRef,
    /// For each place of the column, the place in its dictionary; empty without one.
    keys: Vec<usize>,
}

impl Texts {
    fn of(column: &ArrayRef) -> Texts {
        let dictionary = column.as_any_dictionary_opt();
        // Of an empty dictionary nothing but no value can be.
        let dictionary = dictionary.filter(|dictionary| !dictionary.values().is_empty());
        let keys = dictionary.map(|dictionary| dictionary.normalized_keys()).unwrap_or_default();
        Texts { column: Arc::clone(column), keys }
    }

    fn len(&self) -> usize {
        self.column.len()
    }

    fn at(&self, at: usize) -> Option<&str> {
        if self.column.is_null(at) {
            return None;
        }
        match self.column.as_any_dictionary_opt() {
            Some(dictionary) => text_at(dictionary.values(), *self.keys.get(at)?),
            None => text_at(&self.column, at),
        }
    }
}

/// Returns the text at a place of an array of texts.
fn text_at(array: &ArrayRef, at: usize) -> Option<&str> {
    if array.is_null(at) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(at)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(at)),
        DataType::Utf8View => Some(array.as_string_view().value(at)),
        _ => None,
    }
}

/// Returns a capsule with a stream of batches. Nothing of them is made before they are asked for.
pub(super) fn capsule<'py>(
    py: Python<'py>,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
    schema: SchemaRef,
) -> PyResult<Bound<'py, PyCapsule>> {
    let reader = arrow_array::RecordBatchIterator::new(batches, schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, STREAM)
}
