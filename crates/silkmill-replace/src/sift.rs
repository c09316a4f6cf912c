//! Walks on several threads, and lets through what may have a match.
//!
//! Most files of a search have none. Each is walked to, read and searched on one thread, as a search tool
//! does it: to hand it to another costs more than to look at it. The executor gets the files with a match, which
//! have to be written and waited for; it reads them again, out of the page cache.

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use ignore::{DirEntry, ParallelVisitor, ParallelVisitorBuilder, WalkState};
use silkmill::{CancelToken, Thread};

use crate::error::Error;
use crate::filter::Filter;
use crate::outcome::Outcome;
use crate::walk::{self, Entered, Found};
use crate::worker::{Scratch, Shared};

/// How many files may wait for the executor.
const WAITING_MAX: usize = 1024;

/// How many files are taken by a worker at once.
const BATCH_LEN_MAX: usize = 32;

/// How often the caller's thread can tell how far the walk is, when nothing else happens.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many files without a match a thread counts for itself.
const COUNTED_MAX: u64 = 256;

/// No more threads walk, however many processors there are.
const WALKERS_MAX: usize = 12;

/// A file that may have a match, or what became of a path; with the place of its root among the roots.
pub(crate) type Sifted = (u64, Result<Found, Outcome>);

/// What walks.
#[derive(Clone, Debug)]
struct Sieve {
    shared: Arc<Shared>,
    filter: Filter,
    let_through: SyncSender<Sifted>,
    /// Files without a match. Every walker adds to it, and the caller's thread reads it to tell how far the
    /// run is; nothing is ordered by it but by the end of the channel.
    sifted_out: Arc<AtomicU64>,
    cancel: CancelToken,
}

/// Starts to walk. Gives batches as they come, empty ones when nothing comes for a while; and counts in
/// `sifted_out` the files that have no match.
pub(crate) fn sift(
    roots: Vec<PathBuf>,
    filter: Filter,
    shared: Arc<Shared>,
    walkers: Option<usize>,
    cancel: &CancelToken,
    sifted_out: Arc<AtomicU64>,
) -> Result<impl Iterator<Item = Vec<Sifted>>, Error> {
    let (let_through, sifted) = mpsc::sync_channel(WAITING_MAX);
    let sieve = Sieve { shared, filter, let_through, sifted_out, cancel: cancel.clone() };
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let walkers = walkers.unwrap_or_else(processors).min(processors()).min(WALKERS_MAX);
    Thread::builder()
        .name("walk")
        .daemon(true)
        .spawn(move || sieve.walk(roots, walkers))
        .map_err(|error| Error::executor(format_args!("failed to start a thread: {error}")))?;
    Ok(iter::from_fn(move || next_batch(&sifted)))
}

/// What is there, or the first that comes. `None` when the walk has ended.
fn next_batch(sifted: &Receiver<Sifted>) -> Option<Vec<Sifted>> {
    let first = match sifted.recv_timeout(PATIENCE) {
        Ok(first) => first,
        Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    Some(iter::once(first).chain(sifted.try_iter().take(BATCH_LEN_MAX - 1)).collect())
}

impl Sieve {
    fn walk(self, roots: Vec<PathBuf>, walkers: usize) {
        let mut one = Walker::new(&self, 0, Path::new(""));
        for (place, root) in (0..).zip(&roots) {
            match walk::enter(root, &self.filter) {
                Entered::Directory => {
                    let walk =
                        walk::below_root(root, &self.filter).threads(walkers).build_parallel();
                    walk.visit(&mut Below { sieve: &self, place, root });
                }
                Entered::Nothing => {}
                Entered::File(found) => {
                    one.place = place;
                    one.look_at(found);
                }
            }
            if self.cancel.is_cancelled() {
                return;
            }
        }
    }
}

/// Makes a walker for each thread.
struct Below<'a> {
    sieve: &'a Sieve,
    place: u64,
    root: &'a Path,
}

impl<'a> ParallelVisitorBuilder<'a> for Below<'a> {
    fn build(&mut self) -> Box<dyn ParallelVisitor + 'a> {
        Box::new(Walker::new(self.sieve, self.place, self.root))
    }
}

/// One thread that walks.
struct Walker<'a> {
    sieve: &'a Sieve,
    place: u64,
    root: &'a Path,
    scratch: Scratch,
    /// Files without a match that are not yet counted for all.
    sifted_out: u64,
}

impl ParallelVisitor for Walker<'_> {
    fn visit(&mut self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        match walk::found(self.root, &self.sieve.filter, entry) {
            Some(found) => self.look_at(found),
            None => WalkState::Continue,
        }
    }
}

impl<'a> Walker<'a> {
    fn new(sieve: &'a Sieve, place: u64, root: &'a Path) -> Walker<'a> {
        Walker { sieve, place, root, scratch: sieve.shared.scratch(), sifted_out: 0 }
    }

    fn look_at(&mut self, found: Result<Found, Outcome>) -> WalkState {
        if self.sieve.cancel.is_cancelled() {
            return WalkState::Quit;
        }
        if let Ok(found) = &found
            && self.sieve.shared.has_no_match(&mut self.scratch, found)
        {
            self.sifted_out += 1;
            if self.sifted_out == COUNTED_MAX {
                self.count();
            }
            return WalkState::Continue;
        }
        // Nobody listens any more when the run has failed.
        match self.sieve.let_through.send((self.place, found)) {
            Ok(()) => WalkState::Continue,
            Err(_) => WalkState::Quit,
        }
    }

    fn count(&mut self) {
        let counted = std::mem::take(&mut self.sifted_out);
        self.sieve.sifted_out.fetch_add(counted, Ordering::Relaxed);
    }
}

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        self.count();
    }
}
