//! Fetches URLs and reads what the pages say.
//!
//! [`run()`] takes [`Input`]s, requests each URL on one of many threads, and hands a [`Row`] for
//! every input to a closure on the caller's thread: the status, the title and fields if they are
//! wanted, or an error that says what went wrong and when. A row comes whatever the server does,
//! and no server can make it cost more than the time and memory that [`Options`] allow.
//!
//! ```
//! use std::ops::ControlFlow;
//! use silkmill::CancelToken;
//! use silkmill_scrape::{Input, Options, run};
//!
//! let options = Options::builder().retries(0).build()?;
//! let inputs = ["no URL", "http://127.0.0.1:1/"].map(Input::url);
//! let mut rows = Vec::new();
//! let summary = run(inputs, &options, &CancelToken::new(), &mut |row| {
//!     rows.push(row);
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!((summary.rows, summary.errors), (2, 2));
//! # Ok::<(), silkmill_scrape::Error>(())
//! ```
//!
//! # How a URL becomes a row
//!
//! The caller's thread takes inputs from the source and puts them into a frontier. Workers take
//! them out, in an order that gives no host more than it may have and lets no host that must wait
//! hold up another. A worker makes one attempt: it follows redirects, obeys robots.txt, and reads
//! the page into fields. The attempt ends in a row, or goes back to the frontier, to be retried
//! after a pause or to go on at another host. The caller's thread takes the rows and hands them to
//! the sink.
//!
//! An [`Extractor`] does the same for a page that is in memory already. It is pure: bytes in,
//! values out.
//!
//! # Where things are
//!
//! In the order in which data flows; a file imports only files that stand below it or beside it.
//!
//! * `run.rs`, `run/`: the caller's thread, which reads the source and feeds the sink; the
//!   frontier; the schedule of its hosts.
//! * `fetch.rs`, `fetch/`: what a worker does. An attempt, one exchange on one connection, the
//!   bytes of a request, cookies, content encodings.
//! * `crawl.rs`, `crawl/`: lists that grow: the frontier on disk, links, scopes, sitemaps. It leads
//!   a run as a source and a sink.
//! * `archive.rs`, `archive/`: what came, kept as WARC, and runs that are answered from it.
//! * `options.rs`, `options/`: how to fetch, and the builder that checks it.
//! * `net/`: names looked up, connections made and kept, proxies, TLS, HTTP/1.1 on the wire,
//!   deadlines.
//! * `input.rs`, `input/`, `sink.rs`, `save.rs`: what comes in, what the rows go to, bodies kept as
//!   files.
//! * `row.rs`: the row, and the kinds of failure.
//! * `page/`: what a page says. Its text (`charset`), its tree (`html/`, `xml/`), its values
//!   (`xpath/`, `css/`, `regex`, `json/`).
//! * `robots.rs`, `robots/`, `retry.rs`, `error.rs`, `sync.rs`: the rules of robots.txt, when to
//!   retry, errors, locks.

#![deny(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod archive;
mod crawl;
mod error;
mod fetch;
mod input;
mod net;
mod options;
mod page;
mod retry;
pub mod robots;
mod row;
mod run;
mod save;
mod sink;
mod sync;

pub use crate::crawl::canonical::canonical;
pub use crate::crawl::crawl;
#[cfg(feature = "postgres")]
pub use crate::crawl::crawl_in_fleet;
pub use crate::crawl::found::{Crawled, Edge};
#[cfg(feature = "postgres")]
pub use crate::crawl::frontier::fleet::{FleetJob, options::FleetOptions, row_table::RowTable};
pub use crate::crawl::frontier::job::CrawlJob;
pub use crate::crawl::frontier::job::check::BrokenLink;
pub use crate::crawl::options::{CrawlOptions, CrawlOptionsBuilder};
pub use crate::crawl::refusal::{Refusal, Refusals};
pub use crate::crawl::scope::Scope;
pub use crate::crawl::sink::{CrawlSink, CrawlSummary};
pub use crate::crawl::sitemap::list::{SitemapList, SitemapSummary};
pub use crate::error::{Error, io_error_in_words};
pub use crate::fetch::cookie::CookieJar;
pub use crate::input::Input;
pub use crate::input::csv_list::CsvList;
pub use crate::input::json_list::JsonList;
pub use crate::input::shard::host_bucket;
pub use crate::input::url_list::UrlList;
pub use crate::options::builder::OptionsBuilder;
pub use crate::options::{Method, Options};
pub use crate::page::charset;
pub use crate::page::extract::{Extracted, Extractor};
pub use crate::page::field::{Field, FieldError};
pub use crate::page::flaw::PageFlaw;
pub use crate::page::value::{Value, ValueType};
pub use crate::row::{Failure, FailureKind, Phase, Row, Timing};
pub use crate::run::{Summary, run, run_into};
pub use crate::sink::{Progress, Sink};

/// Parsers that have no public name, for the fuzz targets.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::fetch::fuzzing::*;
}
