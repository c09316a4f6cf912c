//! A list in one of its formats.

use std::io::{self, BufRead};

use silkmill_scrape::{CsvList, Input, JsonList, UrlList};

use crate::args::InputFormat;
use crate::cmd::url_list::sitemaps::Spooled;

/// The columns of a list that come with every row, beside the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OtherColumns {
    /// The list has no other columns.
    None,
    /// The names, as far as they are known before the list is read.
    Named(Vec<String>),
}

/// How a list is to be read.
#[derive(Clone, Debug)]
pub(super) struct ListForm {
    pub(super) format: InputFormat,
    pub(super) url_column: Option<String>,
    /// Whether the names of the other columns must be known before the list is read.
    pub(super) names_are_needed: bool,
}

pub(super) enum List<R> {
    Lines(UrlList<R>),
    Csv(CsvList<R>),
    Json(JsonList<R>),
    Sitemaps(Spooled<R>),
}

impl<R: BufRead> List<R> {
    /// Opens a list, and finds the names of its other columns.
    pub(super) fn open(from: R, form: &ListForm) -> io::Result<(List<R>, OtherColumns)> {
        let url_column = form.url_column.as_deref();
        Ok(match form.format {
            InputFormat::Lines => (List::Lines(UrlList::new(from)), OtherColumns::None),
            InputFormat::Csv => {
                let list = CsvList::open(from, url_column)?;
                let names = list.columns().to_vec();
                (List::Csv(list), OtherColumns::Named(names))
            }
            InputFormat::Jsonl => {
                let mut list = JsonList::new(from, url_column);
                // The first line may be long in coming.
                let names = if form.names_are_needed { list.columns()? } else { Vec::new() };
                (List::Json(list), OtherColumns::Named(names))
            }
        })
    }

    pub(super) fn line_number(&self) -> u64 {
        match self {
            List::Lines(list) => list.line_number(),
            List::Csv(list) => list.line_number(),
            List::Json(list) => list.line_number(),
            List::Sitemaps(list) => list.line_number,
        }
    }

    pub(super) fn position(&self) -> u64 {
        match self {
            List::Lines(list) => list.position(),
            List::Csv(list) => list.position(),
            List::Json(list) => list.position(),
            List::Sitemaps(list) => list.position,
        }
    }
}

impl<R: BufRead> Iterator for List<R> {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        match self {
            List::Lines(list) => list.next(),
            List::Csv(list) => list.next(),
            List::Json(list) => list.next(),
            List::Sitemaps(list) => list.next(),
        }
    }
}
