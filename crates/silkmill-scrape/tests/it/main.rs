//! Runs against the scripted server: the rows that good and hostile servers lead to. (And `lxml`:
//! pages, compared with another reader.)

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod addresses;
mod archives;
mod deadlines;
mod host_errors;
mod hostile;
mod hosts;
mod lxml;
mod proxies;
mod redirects;
mod requests;
mod robots;
mod rows;
mod tls;
mod wire;

use std::ops::ControlFlow;
use std::time::Duration;

use silkmill::CancelToken;
use silkmill_scrape::{FailureKind, Input, Options, OptionsBuilder, Phase, Row, Summary, run};

/// A short time, for servers that never answer.
const SHORT: Duration = Duration::from_millis(300);
/// No attempt of a test may come near this time, however busy the machine is.
const FAR_TOO_LONG: Duration = Duration::from_secs(20);

/// Returns options without retries that give up soon.
fn hasty() -> OptionsBuilder {
    Options::builder().retries(0).timeout(SHORT)
}

/// Returns options without retries.
fn once() -> OptionsBuilder {
    Options::builder().retries(0).timeout(FAR_TOO_LONG)
}

/// Options that a test can run: built, or to be built.
trait Runnable {
    fn options(&self) -> Options;
}

impl Runnable for OptionsBuilder {
    fn options(&self) -> Options {
        self.clone().build().unwrap()
    }
}

impl Runnable for Options {
    fn options(&self) -> Options {
        self.clone()
    }
}

fn rows(options: &impl Runnable, urls: &[String]) -> (Vec<Row>, Summary) {
    let options = options.options();
    let mut rows = Vec::new();
    let summary = run(urls.iter().map(Input::url), &options, &CancelToken::new(), &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    });
    rows.sort_by_key(|row| row.index);
    (rows, summary.unwrap())
}

/// Returns the one row of one URL.
fn row(options: &impl Runnable, url: &str) -> Row {
    let (mut rows, summary) = rows(options, &[url.to_owned()]);
    assert_eq!((rows.len(), summary.rows), (1, 1));
    let row = rows.remove(0);
    assert_eq!(row.url, url);
    assert!(row.elapsed < FAR_TOO_LONG, "{row:?}");
    row
}

/// Returns the kind and the phase of a row's failure.
fn fault(row: &Row) -> (FailureKind, Phase) {
    let error = row.error.as_ref().unwrap_or_else(|| panic!("no error in {row:?}"));
    (error.kind, error.phase)
}
