//! `silkmill fetch`: the status of every URL of a list.

use anyhow::Result;
use silkmill_scrape::Options;

use crate::args::FetchArgs;
use crate::exit::Exit;
use crate::list;
use crate::sink::{Kind, Schema};

pub(crate) fn run(args: FetchArgs) -> Result<Exit> {
    let schema = Schema { kind: Kind::Fetch, fields: Vec::new() };
    list::run(Options::fetch(), schema, args.list)
}
