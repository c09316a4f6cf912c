//! Where the URLs of a run come from. They are pulled by the thread that consumes the run, for
//! which an iterator of Python's is as good as Arrow data.

use std::time::{Duration, Instant};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};
use pyo3::{PyTraverseError, PyVisit};
use silkmill_scrape::Input;

use crate::scrape::arrow::{Batches, Kept};
use crate::scrape::options::Shard;

/// An iterator that takes longer than this for an item is pulled only when there is nothing else to
/// do.
const SLOW: Duration = Duration::from_millis(1);

/// How long items are pulled at once.
const PULL_MAX: Duration = Duration::from_millis(2);

/// Where the URLs come from.
pub(super) enum Urls {
    Iterator(Py<PyIterator>),
    Batches(Box<Batches>),
    Ended,
}

/// The URLs, and what was found out about them.
pub(super) struct Source {
    urls: Urls,
    /// The part of the list that is wanted. What is in others keeps its place.
    shard: Option<Shard>,
    pulled: u64,
    pub(super) is_slow: bool,
    /// The table, once all of it has been read.
    kept: Option<Kept>,
    /// What the iterator has raised, for when all rows have been handed on.
    pub(super) raised: Option<PyErr>,
}

impl Source {
    pub(super) fn new(urls: Urls, shard: Option<Shard>) -> Self {
        Self { urls, shard, pulled: 0, is_slow: false, kept: None, raised: None }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.urls, Urls::Ended)
    }

    /// Pulls up to `many` inputs, for a short time, and at least one. Each is given away before the
    /// next is pulled, which may take its time. What the iterator raises ends it, and is kept.
    pub(super) fn pull(&mut self, py: Python<'_>, many: usize, give: impl Fn(Option<Input>)) {
        let started = Instant::now();
        for pulled in 1..=u32::try_from(many).unwrap_or(u32::MAX) {
            match self.next(py) {
                Ok(Some(input)) => give(Some(self.wanted(input))),
                ended => {
                    self.raised = ended.err();
                    self.kept = self.kept();
                    self.urls = Urls::Ended;
                    return give(None);
                }
            }
            self.pulled += 1;
            let elapsed = started.elapsed();
            if elapsed > PULL_MAX {
                self.is_slow = elapsed > SLOW * pulled;
                return;
            }
        }
        self.is_slow = false;
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Input>> {
        match &mut self.urls {
            Urls::Ended => Ok(None),
            Urls::Batches(batches) => batches.next(py),
            Urls::Iterator(iterator) => {
                let Some(item) = iterator.bind(py).clone().next().transpose()? else {
                    return Ok(None);
                };
                self.input_of(&item).map(Some)
            }
        }
    }

    fn wanted(&self, input: Input) -> Input {
        match self.shard {
            Some(shard) if !shard.holds(input.shown()) => Input::answered(),
            _ => input,
        }
    }

    /// A URL that is None is a row without one, so that rows stay beside what they belong to.
    fn input_of(&self, item: &Bound<'_, PyAny>) -> PyResult<Input> {
        if item.is_none() {
            return Ok(Input::url(""));
        }
        let Ok(text) = item.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!(
                "URL {} is no str, but {}",
                self.pulled,
                item.get_type().name()?
            )));
        };
        match text.to_str() {
            Ok(text) => Ok(Input::url(text.trim())),
            // A lone surrogate, which no URL has.
            Err(_) => Ok(Input::url(text.to_string_lossy())),
        }
    }

    /// Returns the table that the URLs came from, if it is kept.
    pub(super) fn kept(&self) -> Option<Kept> {
        match &self.urls {
            Urls::Batches(batches) => batches.kept(),
            _ => self.kept.clone(),
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.urls {
            Urls::Iterator(iterator) => visit.call(iterator),
            _ => Ok(()),
        }
    }
}
