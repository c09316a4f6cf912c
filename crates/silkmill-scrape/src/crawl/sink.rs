//! The trait of what takes the rows of a crawl, and what has become of one.

use std::io;
use std::ops::ControlFlow;

use crate::crawl::found::Edge;
use crate::crawl::refusal::Refusals;
use crate::row::Row;
use crate::run::Summary;
use crate::sink::Progress;

/// Takes the rows of a crawl, and can say how much of them is on disk.
pub trait CrawlSink {
    /// Takes a row.
    ///
    /// # Errors
    ///
    /// When it cannot be written, which ends the crawl.
    fn row(&mut self, row: &Row) -> io::Result<()>;

    /// Takes a link of the page that `from` is the row of, right after that row. Only a crawl whose
    /// [options](crate::CrawlOptionsBuilder::edges) want it hands them on.
    ///
    /// # Errors
    ///
    /// When it cannot be written, which ends the crawl.
    fn edge(&mut self, from: &Row, edge: &Edge) -> io::Result<()> {
        let _ = (from, edge);
        Ok(())
    }

    /// Forces to disk what it has taken, and returns how far that goes. The crawl keeps the answer
    /// in its job, in one transaction with the pages that the rows are of; a later run finds it
    /// there and cuts off what was written since.
    ///
    /// # Errors
    ///
    /// When the rows cannot be written, which ends the crawl.
    fn sync(&mut self) -> io::Result<Vec<u8>>;

    /// Is called several times a second, as [`Sink::pause`](crate::Sink::pause) is. `Break` ends
    /// the crawl.
    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        let _ = progress;
        ControlFlow::Continue(())
    }
}

/// What has become of a crawl.
#[derive(Debug)]
#[non_exhaustive]
pub struct CrawlSummary {
    /// The run that ended now: its rows, its time.
    pub run: Summary,
    /// The rows of the crawl, those of earlier runs included.
    pub rows: u64,
    /// The rows of the crawl that have an error.
    pub errors: u64,
    /// How many links were not followed, by reason.
    pub refusals: Refusals,
    /// Whether every page was reached. If not, a limit has ended the crawl, or it was interrupted.
    pub is_complete: bool,
    /// Why the sink could not go on.
    pub unwritten: Option<io::Error>,
}
