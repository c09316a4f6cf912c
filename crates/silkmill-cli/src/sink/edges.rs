//! Writes the links of a crawl, one a line, as JSON or CSV.

use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;
use silkmill_scrape::{Edge, Row};

use crate::args::Format;
use crate::sink::csv;
use crate::sink::form::Form;
use crate::sink::packing::Packing;

/// The names of the columns, which are the keys of the JSON.
const COLUMNS: [&str; 7] = ["from", "to", "element", "text", "rel", "followed", "why"];

/// The form of the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgeFormat {
    Jsonl,
    Csv,
}

impl EdgeFormat {
    /// Tells the form by the name of the file.
    pub(crate) fn of(path: &Path) -> Result<EdgeFormat> {
        let form = Form::of(None, Some(path))?;
        match form.format {
            _ if form.packing != Packing::None => {
                bail!("failed to write links to {path:?}: they are not packed")
            }
            Format::Jsonl => Ok(EdgeFormat::Jsonl),
            Format::Csv => Ok(EdgeFormat::Csv),
            _ => bail!("failed to write links to {path:?}: its name must end in .jsonl or .csv"),
        }
    }

    /// Returns the line before the first link, if the form has one.
    pub(super) fn header(self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        (self == EdgeFormat::Csv).then(|| {
            csv::write(COLUMNS.into_iter().map(str::to_owned), &mut line);
            line
        })
    }

    /// Appends a link of the page that `from` is the row of.
    pub(super) fn write(self, from: &Row, edge: &Edge, to: &mut Vec<u8>) {
        let why = edge.refusal.map(|refusal| refusal.name());
        match self {
            EdgeFormat::Jsonl => {
                let record = Record {
                    from: &from.url,
                    to: &edge.to,
                    element: edge.element,
                    text: &edge.text,
                    rel: &edge.rel,
                    followed: why.is_none(),
                    why,
                };
                serde_json::to_writer(&mut *to, &record)
                    .expect("a link has string keys and goes to memory");
                to.push(b'\n');
            }
            EdgeFormat::Csv => {
                let texts = [&from.url, &edge.to, edge.element, &edge.text, &edge.rel];
                let followed = why.is_none().to_string();
                let last = [followed.as_str(), why.unwrap_or_default()];
                csv::write(texts.into_iter().chain(last).map(str::to_owned), to);
            }
        }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    from: &'a str,
    to: &'a str,
    element: &'a str,
    text: &'a str,
    rel: &'a str,
    followed: bool,
    why: Option<&'a str>,
}
