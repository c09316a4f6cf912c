//! What a run requests: the URLs of the command line, then those of the list, without those that
//! already have their row.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;

use anyhow::{Error, anyhow};
use silkmill_scrape::Input;

use crate::args::Shard;
use crate::cmd::url_list::covered::Covered;
use crate::cmd::url_list::lines::{Line, Lines};
use crate::sink::{LineState, WrittenRows};

/// Returns the inputs of a run. An error of the list ends them, and is left in `failure`.
pub(super) fn inputs(
    urls: Vec<String>,
    shard: Option<Shard>,
    lists: VecDeque<Lines>,
    written: WrittenRows,
    covered: Rc<Cell<Covered>>,
    failure: &RefCell<Option<Error>>,
) -> impl Iterator<Item = Input> {
    let bytes: Option<Vec<u64>> = lists.iter().map(Lines::bytes).collect();
    let list_bytes = bytes.filter(|_| !lists.is_empty()).map(|bytes| bytes.into_iter().sum());
    covered.update(|covered| Covered { list_bytes, ..covered });
    let mut inputs = Inputs {
        shard,
        urls: urls.into_iter(),
        lists,
        read: 0,
        written,
        covered,
        taken: 0,
        passed: 0,
    };
    std::iter::from_fn(move || match inputs.next() {
        Ok(input) => input,
        Err(error) => {
            failure.replace(Some(error));
            None
        }
    })
    .fuse()
}

struct Inputs {
    urls: vec::IntoIter<String>,
    /// The part of the inputs that is requested, if not all are.
    shard: Option<Shard>,
    /// The lists that have not come to their end.
    lists: VecDeque<Lines>,
    /// The bytes of the lists that have.
    read: u64,
    written: WrittenRows,
    /// What the progress line needs to know.
    covered: Rc<Cell<Covered>>,
    taken: u64,
    /// The number of taken inputs that already have their row.
    passed: u64,
}

impl Inputs {
    fn next(&mut self) -> Result<Option<Input>, Error> {
        if let Some(url) = self.urls.next() {
            return self.look_up(Input::url(url), || "of the command line".to_owned()).map(Some);
        }
        match self.next_line()? {
            Some(line) if line.input == Input::waiting() => Ok(Some(line.input)),
            Some(line) => {
                self.covered.update(|covered| Covered {
                    of_list: covered.of_list + 1,
                    list_bytes_read: self.read + line.position,
                    ..covered
                });
                let list = self.lists.front().map_or("", Lines::name).to_owned();
                self.look_up(line.input, || format!("in line {} of {list}", line.number)).map(Some)
            }
            None if self.passed < self.written.rows() => Err(anyhow!(
                "failed to resume: the list ends after {} addresses, and {} rows are of later ones; \
                 it has changed",
                self.taken,
                self.written.rows() - self.passed,
            )),
            None => {
                self.covered.update(|covered| Covered { is_all: true, ..covered });
                Ok(None)
            }
        }
    }

    /// Returns the next line of the lists.
    fn next_line(&mut self) -> Result<Option<Line>, Error> {
        while let Some(list) = self.lists.front_mut() {
            if let Some(line) = list.next().transpose()? {
                return Ok(Some(line));
            }
            self.read += list.bytes().unwrap_or(0);
            self.lists.pop_front();
        }
        Ok(None)
    }

    /// Returns the input, or one that counts as answered when it already has its row.
    fn look_up(&mut self, input: Input, place: impl FnOnce() -> String) -> Result<Input, Error> {
        let index = self.taken;
        self.taken += 1;
        self.covered.update(|covered| Covered { taken: self.taken, ..covered });
        let state = self.written.state(index, input.shown());
        if self.shard.is_some_and(|shard| !shard.holds(input.shown())) {
            return match state {
                // Another run has the row.
                LineState::Missing => {
                    self.covered
                        .update(|covered| Covered { of_others: covered.of_others + 1, ..covered });
                    Ok(Input::answered())
                }
                _ => Err(anyhow!(
                    "failed to resume: the row of index {index} is of another shard than that of {:?}, {}",
                    input.shown(),
                    place(),
                )),
            };
        }
        match state {
            LineState::Missing => Ok(input),
            LineState::Failed => {
                self.passed += 1;
                Ok(input)
            }
            LineState::Written => {
                self.passed += 1;
                Ok(Input::answered())
            }
            LineState::Mismatch => Err(anyhow!(
                "failed to resume: the row of index {index} is not of {:?}, {}; the list has changed",
                input.shown(),
                place(),
            )),
        }
    }
}
