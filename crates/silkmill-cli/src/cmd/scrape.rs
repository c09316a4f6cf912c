//! `silkmill scrape`: the title and fields of every page of a list.

use anyhow::Result;
use silkmill_scrape::{Extractor, Field, Options};

use crate::args::ScrapeArgs;
use crate::exit::Exit;
use crate::list;
use crate::sink::Kind;

pub(crate) fn run(args: ScrapeArgs) -> Result<Exit> {
    let xpath = args.xpath.iter().map(|spec| Field::xpath(spec));
    let css = args.css.iter().map(|spec| Field::css(spec));
    let fields = xpath.chain(css).collect::<Result<Vec<Field>, _>>()?;
    list::run(Options::scrape(Extractor::new(fields)?), Kind::Scrape, args.list)
}
