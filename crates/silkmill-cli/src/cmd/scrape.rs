//! `silkmill scrape`: the title and fields of every page of a list.

use anyhow::Result;
use silkmill_scrape::{Extractor, Field, Options};

use crate::args::{FieldSpec, ScrapeArgs};
use crate::cmd::url_list;
use crate::exit::Exit;
use crate::sink::{Kind, Schema};

pub(crate) fn run(args: ScrapeArgs) -> Result<Exit> {
    let compile = |spec: &FieldSpec| match spec {
        FieldSpec::XPath(spec) => Field::xpath(spec),
        FieldSpec::Css(spec) => Field::css(spec),
        FieldSpec::Regex(spec) => Field::regex(spec),
        FieldSpec::JsonPath(spec) => Field::jsonpath(spec),
    };
    let fields = args.fields.0.iter().map(compile).collect::<Result<Vec<Field>, _>>()?;
    let columns = fields.iter().map(|field| (field.name().to_owned(), field.value_type()));
    let schema = Schema { kind: Kind::Scrape, fields: columns.collect(), input: None };
    let options = Options::builder().extractor(Extractor::new(fields)?);
    url_list::run(options, schema, args.url_list)
}
