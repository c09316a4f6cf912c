//! The trait of what takes the rows of a run, on the thread that called it.

use std::ops::ControlFlow;

use crate::row::Row;

/// Takes the rows of a run.
///
/// ```
/// use std::ops::ControlFlow;
/// use silkmill::CancelToken;
/// use silkmill_scrape::{Input, Options, Progress, Row, Sink, run_into};
///
/// /// Keeps rows together and writes them when no more are ready.
/// #[derive(Default)]
/// struct Batches(Vec<Row>, Vec<usize>);
///
/// impl Sink for Batches {
///     fn row(&mut self, row: Row) -> ControlFlow<()> {
///         self.0.push(row);
///         ControlFlow::Continue(())
///     }
///
///     fn pause(&mut self, _: &Progress) -> ControlFlow<()> {
///         self.1.push(self.0.drain(..).len());
///         ControlFlow::Continue(())
///     }
/// }
///
/// let mut batches = Batches::default();
/// let inputs = ["no URL", "nor this"].map(Input::url);
/// run_into(inputs, &Options::builder().build()?, &CancelToken::new(), &mut batches)?;
/// assert_eq!(batches.1.iter().sum::<usize>(), 2);
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
pub trait Sink {
    /// Takes a row. `Break` ends the run.
    fn row(&mut self, row: Row) -> ControlFlow<()>;

    /// Is called when no row is ready: after every batch of rows, several times a second while none
    /// come, and after the last one. It is the moment to write down rows that were kept, and to
    /// report the progress. `Break` ends the run.
    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        let _ = progress;
        ControlFlow::Continue(())
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The rows handed on.
    pub rows: u64,
    /// The rows handed on that have an error.
    pub errors: u64,
    /// The inputs that were taken and have no row yet.
    pub in_flight: usize,
    /// Those of them that a worker is at.
    pub running: usize,
}
