//! `silkmill fetch`: the status of every URL of a list.

use anyhow::Result;
use silkmill_scrape::Options;

use crate::args::FetchArgs;
use crate::exit::Exit;
use crate::list;
use crate::sink::Kind;

pub(crate) fn run(args: FetchArgs) -> Result<Exit> {
    list::run(Options::fetch(), Kind::Fetch, args.list)
}
