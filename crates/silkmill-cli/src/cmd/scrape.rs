//! `silkmill scrape`: the title and fields of every page of a list.

use anyhow::Result;
use silkmill_scrape::{Extractor, Field, Options};

use crate::args::{FieldArgs, FieldSpec, ScrapeArgs};
use crate::cmd::url_list;
use crate::exit::Exit;
use crate::sink::{Kind, Schema};

pub(crate) fn run(args: ScrapeArgs) -> Result<Exit> {
    let fields = fields_of(&args.fields)?;
    let columns = fields.iter().map(|field| (field.name().to_owned(), field.value_type()));
    let schema = Schema { kind: Kind::Scrape, fields: columns.collect(), input: None };
    let options = Options::builder().extractor(Extractor::new(fields)?);
    url_list::run(options, schema, args.url_list, &args.sitemaps)
}

/// Compiles the fields, in the order in which they were typed.
pub(super) fn fields_of(args: &FieldArgs) -> Result<Vec<Field>> {
    let compile = |spec: &FieldSpec| match spec {
        FieldSpec::XPath(spec) => Field::xpath(spec),
        FieldSpec::Css(spec) => Field::css(spec),
        FieldSpec::Regex(spec) => Field::regex(spec),
        FieldSpec::JsonPath(spec) => Field::jsonpath(spec),
    };
    Ok(args.0.iter().map(compile).collect::<Result<Vec<Field>, _>>()?)
}
