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
//! let options = Options::builder().retries(0).build()?;
//! let summary = run(inputs, &options, &CancelToken::new(), &mut |row| {
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

pub use error::Error;
pub use input::Input;
pub use input::url_list::UrlList;
pub use options::builder::OptionsBuilder;
pub use options::{Method, Options};
pub use page::charset;
pub use page::extract::{Extracted, Extractor};
pub use page::field::{Field, FieldError};
pub use page::value::{Value, ValueType};
pub use row::{Failure, FailureKind, Phase, Row, Timing};
pub use run::{Summary, run, run_into};
pub use sink::{Progress, Sink};
