//! The fetcher that all workers of a run share: it lends a client to each attempt, catches panics,
//! and stops what is under way. [`attempt`] follows one item, [`exchange`] speaks on one
//! connection; the threads and their order are the run's.

pub(crate) mod attempt;
mod content_encoding;
pub(crate) mod cookie;
pub(crate) mod ending;
mod exchange;
pub(crate) mod job;
mod look;
pub(crate) mod mime_type;
pub(crate) mod refresh;
mod request;
mod response;
mod source;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use silkmill::CancelToken;

use crate::fetch::attempt::{Attempt, Step, Then};
use crate::fetch::ending::{Feedback, Sign};
use crate::fetch::exchange::{Client, Shared};
use crate::fetch::job::Job;
use crate::net::interrupter::Interrupter;
use crate::options::Options;
use crate::row::Row;
use crate::sync::Mutex;

/// The result of an attempt at an item.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) feedback: Feedback,
    /// The time to the first byte of the last response.
    pub(crate) latency: Option<Duration>,
    /// The pause between two starts that the host asks for, once its robots.txt is known.
    pub(crate) crawl_delay: Option<Duration>,
    pub(crate) sign: Sign,
    pub(crate) next: Next,
}

/// How an item goes on after an attempt.
#[derive(Debug)]
pub(crate) enum Next {
    /// The item has its row, or `None` when the run was over first.
    Row(Option<Box<Row>>),
    /// The item is retried after a while, or goes on at another host at once.
    Requeue(Box<Job>, Duration),
}

/// Everything that the clients of one run share, and the handle to stop them all.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    cancel: CancelToken,
    /// Clients that no worker uses at the moment. Workers take and return them.
    spare: Arc<Mutex<Vec<Client>>>,
    /// Written by every worker that makes a client, emptied by the caller's thread when the run
    /// ends early.
    interrupters: Arc<Mutex<Vec<Interrupter>>>,
    /// The number of clients made so far.
    made: Arc<AtomicU32>,
}

impl Fetcher {
    pub(crate) fn new(options: &Options, cancel: &CancelToken) -> Fetcher {
        Fetcher {
            shared: Arc::new(Shared::new(options)),
            cancel: cancel.clone(),
            spare: Arc::default(),
            interrupters: Arc::default(),
            made: Arc::default(),
        }
    }

    /// Makes one attempt at an item, or the part of it that is at one host, and never panics.
    /// Returns no row when the run is over and the row could only say that the request was broken
    /// off.
    pub(crate) fn fetch(&self, job: Box<Job>) -> Fetched {
        self.step(job, |attempt, job| attempt.step(job))
    }

    /// Takes an item further whose host is given up, without a request to that host.
    pub(crate) fn pass_over(&self, job: Box<Job>) -> Fetched {
        self.step(job, |attempt, job| attempt.pass_over(job))
    }

    fn step(
        &self,
        mut job: Box<Job>,
        step: impl FnOnce(&mut Attempt<'_>, &mut Job) -> Step,
    ) -> Fetched {
        let spare = self.spare.lock().pop();
        let mut client = spare.unwrap_or_else(|| self.client());
        let mut attempt = Attempt::new(&self.shared, &mut client);
        let step = guarded(|| step(&mut attempt, &mut job));
        let crawl_delay = attempt.crawl_delay;
        let latency = client.trace.timing().first_byte;
        match step {
            Ok(Step { feedback, sign, then }) => {
                self.spare.lock().push(client);
                let next = match then {
                    // The error may only mean that `stop` broke the request off.
                    Then::Row(row) if row.error.is_some() && self.cancel.is_cancelled() => {
                        Next::Row(None)
                    }
                    // A row that was written has its record.
                    Then::Row(_) if self.has_unwritten_records() => Next::Row(None),
                    Then::Requeue(_) if self.cancel.is_cancelled() => Next::Row(None),
                    Then::Row(row) => Next::Row(Some(row)),
                    Then::Requeue(wait) => Next::Requeue(job, wait),
                };
                Fetched { feedback, latency, crawl_delay, sign, next }
            }
            // The panic may have left the client half changed, so it is not used again.
            Err(why) => {
                let row = job.input.failed(job.index, why);
                let next = Next::Row(Some(Box::new(row)));
                let feedback = Feedback::Unknown;
                Fetched { feedback, latency, crawl_delay, sign: Sign::None, next }
            }
        }
    }

    /// Tells whether a response could not be archived, which ends the run.
    pub(crate) fn has_unwritten_records(&self) -> bool {
        self.shared.options.archives.has_failed()
    }

    /// Makes a client that `stop` reaches, too.
    fn client(&self) -> Client {
        let interrupter = Interrupter::default();
        self.interrupters.lock().push(interrupter.clone());
        let seed = 0x5eed + u64::from(self.made.fetch_add(1, Ordering::Relaxed));
        Client::new(interrupter, seed, self.shared.options.archives.records())
    }

    /// Ends every request, whatever it waits for.
    pub(crate) fn stop(&self) {
        self.shared.dialer.stop();
        for interrupter in self.interrupters.lock().drain(..) {
            interrupter.interrupt();
        }
        self.shared.idle.clear();
    }
}

/// Runs `work`, and turns a panic into its message. The values that `work` changes may be half
/// changed after a panic.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        format!("a mistake in silkmill: {}", text.unwrap_or("a panic without words"))
    })
}

/// Parsers for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use crate::fetch::{cookie, mime_type, refresh};

    /// Returns the seconds and the reference of a refresh.
    pub fn refresh(text: &str) -> Option<(u64, String)> {
        refresh::Refresh::parse(text).map(|refresh| (refresh.seconds, refresh.reference))
    }

    /// Returns the seconds from 1970 to the date of a cookie.
    pub fn cookie_date(text: &[u8]) -> Option<i64> {
        cookie::date::parse(text)
    }

    /// Returns the media type that `Content-Type` headers name.
    pub fn mime_type(header: &str) -> String {
        mime_type::extract(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_quoted() {
        assert_eq!(guarded(|| 5), Ok(5));
        let why = guarded(|| -> u8 { panic!("no {}", "silk") }).unwrap_err();
        assert_eq!(why, "a mistake in silkmill: no silk");
    }
}
