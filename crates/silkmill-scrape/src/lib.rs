//! Fetches URLs and reads what they say.
//!
//! [`run()`] takes [`Input`]s, asks for each address on one of many threads, and hands a [`Row`] for
//! every input to a closure on the caller's thread: the status, the title and fields if they were
//! asked for, or an error that says what went wrong and when. A row comes whatever the server
//! does, and no server can make it cost more than the time and memory that [`Options`] allow.
//!
//! ```
//! use std::ops::ControlFlow;
//! use silkmill::CancelToken;
//! use silkmill_scrape::{Input, Options, run};
//!
//! let inputs = ["no address", "http://127.0.0.1:1/"].map(Input::url);
//! let mut rows = Vec::new();
//! let summary = run(inputs, &Options::fetch().retries(0), &CancelToken::new(), &mut |row| {
//!     rows.push(row);
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!((summary.rows, summary.errors), (2, 2));
//! # Ok::<(), silkmill_scrape::Error>(())
//! ```
//!
//! The I/O is at the rim: `client` asks, over the connections that `dial` makes, and `run` puts
//! workers to it. Whose turn it is says `host`: no host gets more than it may, and none that must
//! wait holds up another. What a page says is found by the pure middle: [`Extractor`].

mod address;
mod board;
mod budget;
pub mod charset;
mod client;
#[cfg(test)]
mod conformance;
mod connect;
mod connection;
mod cookie;
mod css;
mod dial;
mod document;
mod draft;
mod encoding;
mod error;
mod extract;
mod fault;
mod field;
mod gate;
mod host;
mod http;
mod idle;
mod job;
mod names;
mod options;
mod outcome;
mod parse;
mod problem;
mod proxy;
mod request;
mod retry;
pub mod robots;
mod robots_cache;
mod run;
mod save;
mod sink;
mod source;
mod tag_scan;
mod tls;
mod trace;
mod value;
mod view;
mod xpath;

pub use error::Error;
pub use extract::{Extracted, Extractor};
pub use field::{Field, FieldError};
pub use options::{Method, Options};
pub use outcome::{Failure, FailureKind, Phase, Row, Timing};
pub use run::{Summary, run, run_into};
pub use sink::{Progress, Sink};
pub use source::{Input, UrlList};
pub use value::{Value, ValueType};
