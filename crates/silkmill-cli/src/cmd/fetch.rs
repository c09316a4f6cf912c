//! `silkmill fetch`: the status of every URL of a list.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use silkmill_scrape::Options;

use crate::args::FetchArgs;
use crate::cmd::url_list;
use crate::exit::Exit;
use crate::sink::{Kind, Schema};

pub(crate) fn run(args: FetchArgs) -> Result<Exit> {
    let mut options = Options::builder();
    if let Some(folder) = &args.save {
        if !(args.url_list.resume || args.url_list.force) {
            refuse_filled(folder)?;
        }
        options = options.save(folder);
    }
    let schema = Schema { kind: Kind::Fetch, fields: Vec::new(), input: None };
    url_list::run(options, schema, args.url_list, &args.sitemaps)
}

/// Refuses a directory that has files, since the bodies of two runs would have the same names.
fn refuse_filled(folder: &Path) -> Result<()> {
    // If the directory cannot be listed, the next step reports that.
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(
        is_empty || !folder.is_dir(),
        "failed to save to {folder:?}: it is not empty (--resume goes on with it, --force overwrites)"
    );
    Ok(())
}
