//! The thread of the engine that drives a run: inputs from the consumer, rows to it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use silkmill_cli::{Cookies, SitemapPages, StartedCrawl};
use silkmill_scrape::{Input, Options, Progress, Row, Sink, SitemapList, run_into};

use crate::error::message_of;
use crate::scrape::crawl::Ending;
use crate::scrape::hand_over::{Ended, Failed, HandOver};
use crate::scrape::options::Shard;

/// The most rows that are kept before they are handed on together.
const BATCH: usize = 64;

/// What the thread drives.
pub(super) enum Drive {
    List { options: Box<Options>, cookies: Cookies, sitemaps: Option<Sitemaps> },
    Crawl(Box<StartedCrawl>),
}

/// Sitemaps whose pages come behind the URLs of the consumer.
pub(super) struct Sitemaps {
    pub(super) list: SitemapList,
    /// The part of the list that is wanted.
    pub(super) shard: Option<Shard>,
}

/// Starts the thread.
pub(super) fn start(hand_over: &Arc<HandOver>, what: Drive) -> io::Result<()> {
    let hand_over = Arc::clone(hand_over);
    let drive = move || {
        let driven = catch_unwind(AssertUnwindSafe(|| drive(&hand_over, what)));
        hand_over.end(match driven {
            Ok(driven) => driven,
            Err(payload) => Err(Failed::Defect(message_of(payload.as_ref()))),
        });
    };
    thread::Builder::new().name("silkmill-run".to_owned()).spawn(drive).map(drop)
}

fn drive(hand_over: &Arc<HandOver>, what: Drive) -> Ended {
    let mut rows = Rows {
        hand_over: Arc::clone(hand_over),
        ready: Vec::with_capacity(BATCH),
        rows: 0,
        errors: 0,
    };
    match what {
        Drive::List { options, cookies, sitemaps } => {
            let inputs = Inputs { hand_over: Arc::clone(hand_over), ready: VecDeque::new() };
            let unread = Cell::new(None);
            let pages = match sitemaps {
                Some(sitemaps) => Some(pages_of(sitemaps, &options, hand_over, &unread)?),
                None => None,
            };
            let inputs = inputs.chain(pages.into_iter().flatten());
            let summary = run_into(inputs, &options, &hand_over.cancel, &mut rows);
            hand_over.put(&mut rows.ready, None);
            let summary = summary.map_err(|error| Failed::Run(error.to_string()))?;
            if let Some(error) = unread.take() {
                let why = format!("failed to read the pages of the sitemaps: {error}");
                return Err(Failed::File(why));
            }
            cookies.write().map_err(|error| Failed::File(format!("{error:#}")))?;
            Ok(Ending { summary, crawl: None })
        }
        Drive::Crawl(crawl) => {
            let ending = crawl.run(&hand_over.cancel, &mut rows);
            hand_over.put(&mut rows.ready, None);
            let mut ending = ending.map_err(|error| Failed::File(format!("{error:#}")))?;
            let run = &mut ending.summary.run;
            (run.rows, run.errors) = (rows.rows, rows.errors);
            Ok(ending.into())
        }
    }
}

/// Reads the sitemaps, and returns the URLs that they list: none where the run was cancelled
/// meanwhile. Where the URLs cannot be read again, they end, and `unread` says why.
fn pages_of<'a>(
    sitemaps: Sitemaps,
    options: &Options,
    hand_over: &HandOver,
    unread: &'a Cell<Option<io::Error>>,
) -> Result<impl Iterator<Item = Input> + use<'a>, Failed> {
    let Sitemaps { list, shard } = sitemaps;
    let pages = SitemapPages::read(&list, options, &hand_over.cancel);
    let pages = pages.map_err(|error| Failed::Run(format!("{error:#}")))?;
    let wanted = move |input: Input| match shard {
        Some(shard) if !shard.holds(input.shown()) => Input::answered(),
        _ => input,
    };
    let read = pages.into_iter().flatten();
    Ok(read.map_while(|page| page.map_err(|error| unread.set(Some(error))).ok()).map(wanted))
}

struct Inputs {
    hand_over: Arc<HandOver>,
    ready: VecDeque<Input>,
}

impl Iterator for Inputs {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        if self.ready.is_empty() {
            self.hand_over.next_inputs(&mut self.ready)?;
        }
        Some(self.ready.pop_front().unwrap_or_else(Input::waiting))
    }
}

struct Rows {
    hand_over: Arc<HandOver>,
    ready: Vec<Row>,
    /// Those that came here. A crawl also asks for sitemaps, which have no rows.
    rows: u64,
    errors: u64,
}

impl Sink for Rows {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        self.rows += 1;
        self.errors += u64::from(row.error.is_some());
        self.ready.push(row);
        if self.ready.len() >= BATCH {
            self.hand_over.put(&mut self.ready, None);
        }
        ControlFlow::Continue(())
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        let mut progress = *progress;
        (progress.rows, progress.errors) = (self.rows, self.errors);
        self.hand_over.put(&mut self.ready, Some(&progress));
        ControlFlow::Continue(())
    }
}
