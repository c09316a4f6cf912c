//! `fetch`, `scrape` and `crawl`: URLs in, rows out; and `extract` and `title`, the parser alone.
//!
//! ```text
//!   the consumer's thread, of Python                     threads of the engine, which never attach
//!   iterable of URLs ──pulls──► ListRun ──inputs──► HandOver ──inputs──► run_into ──► workers
//!   Row, Table, Arrow ◄──────── ListRun ◄───rows─── HandOver ◄───rows─── run_into ◄── workers
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `options.rs` | the options of a call, by the names of the command's |
//! | `crawl.rs` | those of a crawl, and what has become of one |
//! | `run.rs` | the run, as Python holds it: pulls URLs, hands on rows, and starts at the first |
//! | `source.rs` | where URLs come from: any iterable, or Arrow data |
//! | `driver.rs` | the engine's thread |
//! | `hand_over.rs` | the bounded queues between the two |
//! | `row.rs` | one row |
//! | `table.rs`, `columns.rs` | all rows, as columns |
//! | `arrow.rs` | Arrow's capsules, in and out |
//! | `page.rs` | the parser alone |

mod arrow;
mod columns;
mod crawl;
mod driver;
mod hand_over;
mod options;
pub(crate) mod page;
pub(crate) mod row;
pub(crate) mod run;
mod source;
pub(crate) mod table;

pub(crate) use crate::scrape::hand_over::{cancel_live_runs, forget_live_runs};
