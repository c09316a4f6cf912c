//! The arguments, as typed. The commands decide what they mean.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "the comments of options are pages of help: brackets are no links, `<TAB>` is no tag"
)]

mod crawl;
mod fetch;
mod field;
mod replace;
mod shard;
mod sitemap;
mod undo;
mod units;
mod when;

use clap::{Parser, Subcommand};

pub(crate) use crate::args::crawl::{CrawlArgs, ScopeArg};
pub(crate) use crate::args::fetch::{FetchArgs, Format, InputFormat, ScrapeArgs, UrlListArgs};
pub(crate) use crate::args::field::{FieldArgs, FieldSpec};
pub(crate) use crate::args::replace::{Binary, HardLinkPolicy, ReplaceArgs};
pub(crate) use crate::args::shard::Shard;
pub(crate) use crate::args::sitemap::SitemapArgs;
pub(crate) use crate::args::undo::{RedoArgs, RevertArgs, UndoArgs};
pub(crate) use crate::args::when::When;

const EXAMPLES: &str = "\
Examples:
  silkmill demo                              see it all in a sandbox, offline
  silkmill replace -n colour color docs      show what would change, as a diff
  silkmill replace colour color docs         change it
  silkmill undo                              change it back
  silkmill redo                              and forth again
  silkmill fetch -i urls.txt                 the status of every URL of a list
  silkmill scrape -i urls.txt -o rows.jsonl  the title of every page, as JSON
  silkmill crawl https://example.com/ -o rows.jsonl
                                             every page of a site, as JSON

`silkmill COMMAND --help` has more.";

/// The version, and the commit that it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SILKMILL_COMMIT"), ")");

/// The same with what it was built for.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("SILKMILL_COMMIT"),
    ", ",
    env!("SILKMILL_PROFILE"),
    " build for ",
    env!("SILKMILL_TARGET"),
    ")"
);

/// Runs I/O-bound work on many threads and loses nothing.
#[derive(Debug, Parser)]
#[command(name = "silkmill", version = VERSION, long_version = LONG_VERSION, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Replace(Box<ReplaceArgs>),
    Undo(UndoArgs),
    Redo(RedoArgs),
    Fetch(FetchArgs),
    Scrape(ScrapeArgs),
    Crawl(Box<CrawlArgs>),
    /// See all jobs at work, in a sandbox
    ///
    /// Makes 2,000 small files and a web server on this machine, replaces, scrapes and crawls
    /// with one worker and with many, and shows the times. It uses no network, takes about half a
    /// minute, and leaves nothing behind.
    #[command(after_help = "\
Example:
  silkmill demo")]
    Demo,
    /// Print a completion script for a shell
    #[command(after_help = "\
Example:
  silkmill completions bash > ~/.local/share/bash-completion/completions/silkmill")]
    Completions {
        shell: clap_complete::Shell,
    },
    /// Print the help of a command, or of a topic: "rows" describes the output of fetch and scrape
    #[command(after_help = "\
Examples:
  silkmill help replace
  silkmill help rows")]
    Help {
        topic: Option<String>,
    },
    /// Print the manual page of silkmill, or of one of its commands
    #[command(after_help = "\
Example:
  silkmill man replace | man -l -")]
    Man {
        command: Option<String>,
    },
}
