//! Rows as Arrow columns: those of the command's CSV, with lists for what are lists.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder,
    StringBuilder,
};
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use silkmill_scrape::{Crawled, Value, ValueType};

use crate::scrape::arrow::Kept;
use crate::scrape::options::Kind;
use crate::scrape::row::{Row, millis, steps};

/// The most rows of a batch.
const ROWS_MAX: usize = 1024;
/// The most bytes of texts of a batch, unless one row has more. It keeps the offsets of Arrow's
/// texts, which have 32 bits, from overflowing.
const BYTES_MAX: usize = 8 << 20;

/// The columns of a run.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) kind: Kind,
    /// The names and types of the fields.
    pub(super) fields: Arc<[(String, ValueType)]>,
}

impl Columns {
    /// Returns the schema, with the columns that are kept from the input behind the others.
    pub(super) fn schema(&self, kept: Option<&Kept>) -> SchemaRef {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let real = |name: &str, nullable| Field::new(name, DataType::Float64, nullable);
        let mut all = vec![
            Field::new("index", DataType::Int64, false),
            text("url", false),
            text("final_url", true),
            Field::new("status", DataType::Int32, true),
        ];
        if self.kind.has_fields() {
            all.push(text("title", true));
            let columns = self.fields.iter().map(|(name, found)| {
                let item = match found {
                    ValueType::Text => DataType::Utf8,
                    ValueType::Number => DataType::Float64,
                    ValueType::Boolean => DataType::Boolean,
                };
                Field::new_list(name, Field::new_list_field(item, true), true)
            });
            all.extend(columns);
        }
        all.extend([
            text("charset", true),
            Field::new("bytes", DataType::Int64, false),
            Field::new("truncated", DataType::Boolean, false),
            Field::new("attempts", DataType::Int32, false),
            Field::new_list("redirects", Field::new_list_field(DataType::Utf8, true), false),
            real("elapsed_ms", false),
        ]);
        all.extend(steps(&Default::default()).map(|(name, _)| real(name, true)));
        all.push(text("worker", false));
        all.extend(["error_kind", "error_phase", "error_message"].map(|name| text(name, true)));
        if let Some(kept) = kept {
            let others = kept.schema.fields().iter().enumerate();
            let others = others.filter(|(place, _)| *place != kept.column);
            all.extend(others.map(|(_, field)| {
                let name = format!("input_{}", field.name());
                field.as_ref().clone().with_name(name).with_nullable(true)
            }));
        }
        if self.kind == Kind::Crawl {
            all.extend([
                Field::new("depth", DataType::Int32, true),
                Field::new("parent", DataType::Int64, true),
                Field::new("links", DataType::Int64, true),
                text("canonical", true),
            ]);
        }
        Arc::new(Schema::new(all))
    }

    /// Makes one batch.
    pub(super) fn batch(
        &self,
        schema: &SchemaRef,
        rows: &[Row],
        kept: Option<&Kept>,
    ) -> Result<RecordBatch, ArrowError> {
        let texts = |get: &dyn Fn(&Row) -> Option<&str>| -> ArrayRef {
            let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 32);
            rows.iter().for_each(|row| builder.append_option(get(row)));
            Arc::new(builder.finish())
        };
        let reals = |get: &dyn Fn(&Row) -> Option<Duration>| -> ArrayRef {
            let mut builder = Float64Builder::with_capacity(rows.len());
            rows.iter().for_each(|row| builder.append_option(get(row).map(millis)));
            Arc::new(builder.finish())
        };
        let whole = |get: &dyn Fn(&Row) -> u64| -> ArrayRef {
            let mut builder = Int64Builder::with_capacity(rows.len());
            rows.iter().for_each(|row| builder.append_value(get(row).cast_signed()));
            Arc::new(builder.finish())
        };
        let small = |get: &dyn Fn(&Row) -> Option<u32>| -> ArrayRef {
            let mut builder = Int32Builder::with_capacity(rows.len());
            rows.iter().for_each(|row| builder.append_option(get(row).map(u32::cast_signed)));
            Arc::new(builder.finish())
        };
        let mut all = vec![
            whole(&|row| row.row.index),
            texts(&|row| Some(&row.row.url)),
            texts(&|row| row.row.final_url.as_deref()),
            small(&|row| row.row.status.map(u32::from)),
        ];
        if self.kind.has_fields() {
            all.push(texts(&|row| row.row.title.as_deref()));
            let fields = self.fields.iter().enumerate();
            all.extend(fields.map(|(place, (_, found))| field(rows, place, *found)));
        }
        let mut truncated = BooleanBuilder::with_capacity(rows.len());
        rows.iter().for_each(|row| truncated.append_value(row.row.truncated));
        let mut redirects = ListBuilder::new(StringBuilder::new());
        for row in rows {
            redirects.append_value(row.row.redirects.iter().map(Some));
        }
        all.extend([
            texts(&|row| row.row.charset.as_deref()),
            whole(&|row| row.row.bytes),
            Arc::new(truncated.finish()),
            small(&|row| Some(row.row.attempts)),
            Arc::new(redirects.finish()),
            reals(&|row| Some(row.row.elapsed)),
        ]);
        for step in 0..steps(&Default::default()).len() {
            all.push(reals(&|row| steps(&row.row.timing)[step].1));
        }
        all.extend([
            texts(&|row| Some(&row.row.worker)),
            texts(&|row| row.failure.as_ref().map(|failure| &*failure.kind)),
            texts(&|row| row.failure.as_ref().map(|failure| &*failure.phase)),
            texts(&|row| row.failure.as_ref().map(|failure| &*failure.message)),
        ]);
        if let Some(kept) = kept {
            add_kept(kept, rows, &mut all)?;
        }
        if self.kind == Kind::Crawl {
            let whole_or_none = |get: &dyn Fn(&Crawled) -> Option<u64>| -> ArrayRef {
                let mut builder = Int64Builder::with_capacity(rows.len());
                let numbers = rows.iter().map(|row| crawled(row).and_then(get));
                numbers.for_each(|it| builder.append_option(it.map(u64::cast_signed)));
                Arc::new(builder.finish())
            };
            all.extend([
                small(&|row| crawled(row).map(|page| page.depth)),
                whole_or_none(&|page| page.parent),
                whole_or_none(&|page| Some(page.links)),
                texts(&|row| crawled(row).and_then(|page| page.canonical.as_deref())),
            ]);
        }
        RecordBatch::try_new(Arc::clone(schema), all)
    }
}

/// Returns what a crawl knows of a page.
fn crawled(row: &Row) -> Option<&Crawled> {
    row.row.crawled.as_deref()
}

/// Returns how many of the first rows make one batch.
pub(super) fn batch_len(rows: &[Row]) -> usize {
    let mut bytes = 0_usize;
    let fit = rows.iter().take(ROWS_MAX).take_while(|row| {
        bytes += size(row);
        bytes <= BYTES_MAX
    });
    fit.count().max(1).min(rows.len())
}

/// Returns about how many bytes of texts a row has.
pub(super) fn size(row: &Row) -> usize {
    let row = &row.row;
    let values = row.fields.iter().flat_map(|(_, values)| values);
    let values: usize = values
        .map(|value| match value {
            Value::Text(text) => text.len() + 8,
            _ => 8,
        })
        .sum();
    let redirects: usize = row.redirects.iter().map(String::len).sum();
    row.url.len() * 2 + row.title.as_ref().map_or(0, String::len) + values + redirects
}

/// Makes the column of a field: a list of values for each row, and null for a row without a page.
fn field(rows: &[Row], place: usize, found: ValueType) -> ArrayRef {
    match found {
        ValueType::Text => lists(rows, place, StringBuilder::new(), |list, value| match value {
            Value::Text(text) => list.append_value(text),
            other => list.append_value(other.to_string()),
        }),
        ValueType::Number => lists(rows, place, Float64Builder::new(), |list, value| match value {
            Value::Number(number) => list.append_value(*number),
            _ => list.append_null(),
        }),
        ValueType::Boolean => {
            lists(rows, place, BooleanBuilder::new(), |list, value| match value {
                Value::Boolean(truth) => list.append_value(*truth),
                _ => list.append_null(),
            })
        }
    }
}

fn lists<B: ArrayBuilder>(
    rows: &[Row],
    place: usize,
    values: B,
    append: impl Fn(&mut B, &Value),
) -> ArrayRef {
    let mut lists = ListBuilder::new(values);
    for row in rows {
        let found = row.row.fields.get(place);
        for value in found.into_iter().flat_map(|(_, values)| values) {
            append(lists.values(), value);
        }
        lists.append(found.is_some());
    }
    Arc::new(lists.finish())
}

/// Adds the columns of the input, for each row those of its URL.
fn add_kept(kept: &Kept, rows: &[Row], all: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
    let mut starts = Vec::with_capacity(kept.batches.len());
    let mut start = 0;
    for batch in &kept.batches {
        starts.push(start);
        start += batch.num_rows() as u64;
    }
    let places = rows.iter().map(|row| {
        let batch = starts.partition_point(|start| *start <= row.row.index) - 1;
        (batch, (row.row.index - starts[batch]) as usize)
    });
    let places: Vec<(usize, usize)> = places.collect();
    for column in (0..kept.schema.fields().len()).filter(|column| *column != kept.column) {
        let arrays: Vec<_> =
            kept.batches.iter().map(|batch| batch.column(column).to_data()).collect();
        all.push(collect(&arrays, &places)?);
    }
    Ok(())
}

/// Collects values that are each in one of the arrays, at a place of it.
fn collect(arrays: &[ArrayData], places: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    let mut collected = MutableArrayData::new(arrays.iter().collect(), true, places.len());
    // Rows that come in the order of the input are copied together.
    let is_next = |last: &(usize, usize), next: &(usize, usize)| *next == (last.0, last.1 + 1);
    for run in places.chunk_by(is_next) {
        let (array, first) = run[0];
        collected.try_extend(array, first, first + run.len())?;
    }
    Ok(make_array(collected.freeze()))
}
