//! Walks on several threads, which edit and stage small files themselves and defer the others.
//!
//! One thread finds, reads, searches and, if it matches, stages each small file: handing it to
//! another thread costs more than doing the work. The executor gets what takes longer: larger files
//! that may match, and files that are not plain text. It reads them again, from the page cache.

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use ignore::{DirEntry, ParallelVisitor, ParallelVisitorBuilder, WalkState};
use silkmill::{CancelToken, Thread};

use crate::error::Error;
use crate::mutex::Mutex;
use crate::outcome::Outcome;
use crate::run::worker::{Finding, Scratch, Sifted, WorkerContext};
use crate::walk;
use crate::walk::filter::Filter;
use crate::walk::found::Found;
use crate::walk::named::{NamedPath, enter};
use crate::walk::view::View;

/// How many files may wait for the executor.
const WAITING_MAX: usize = 1024;

/// How many files a worker takes at once.
const BATCH_LEN_MAX: usize = 32;

/// How often the caller's thread can report progress when nothing else happens.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How many files without a match a walker counts before it adds them to the common counter.
const COUNTED_MAX: u64 = 256;

/// How many threads walk at most, however many processors there are.
const WALKERS_MAX: usize = 12;

/// What the walkers have finished, and the caller's thread has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct FinishedFiles {
    /// The number of files without a match. Every walker adds to it, and the caller's thread takes
    /// it. It orders nothing; the end of the channel does.
    no_match: AtomicU64,
    /// All other files, with the place of their root among the roots. The run remembers each of
    /// them in any case, so this needs no bound. A walker holds the lock to add one, and the
    /// caller's thread to take all.
    findings: Mutex<Vec<(u64, Finding)>>,
}

impl FinishedFiles {
    pub(crate) fn take_no_match(&self) -> u64 {
        self.no_match.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn take(&self) -> Vec<(u64, Finding)> {
        std::mem::take(&mut self.findings.lock())
    }
}

/// A file that may match, or what became of a path, with the place of its root among the roots.
pub(crate) type Walked = (u64, Result<Found, Outcome>);

/// What all walkers share.
#[derive(Clone, Debug)]
struct ParallelWalk {
    context: Arc<WorkerContext>,
    filter: Filter,
    let_through: SyncSender<Walked>,
    finished: Arc<FinishedFiles>,
    cancel: CancelToken,
}

/// Starts the walk. The iterator returns batches of deferred files as they come, and an empty one
/// when none has come for a while. The walkers put the files that they finish into `finished`. The
/// walk is complete only if its thread did not panic.
pub(crate) fn start(
    roots: Vec<PathBuf>,
    filter: Filter,
    context: Arc<WorkerContext>,
    walkers: Option<usize>,
    cancel: &CancelToken,
    finished: Arc<FinishedFiles>,
) -> Result<(impl Iterator<Item = Vec<Walked>> + use<>, Thread<()>), Error> {
    let (let_through, walked) = mpsc::sync_channel(WAITING_MAX);
    let walk = ParallelWalk { context, filter, let_through, finished, cancel: cancel.clone() };
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let walkers = walkers.unwrap_or_else(processors).min(processors()).min(WALKERS_MAX);
    let thread = Thread::builder()
        .name("walk")
        .daemon(true)
        .spawn(move || walk.walk(roots, walkers))
        .map_err(|error| Error::executor(format_args!("failed to start a thread: {error}")))?;
    Ok((iter::from_fn(move || next_batch(&walked)), thread))
}

/// Returns the deferred files that are waiting, or waits for the first. `None` when the walk has
/// ended.
fn next_batch(walked: &Receiver<Walked>) -> Option<Vec<Walked>> {
    let first = match walked.recv_timeout(PROGRESS_INTERVAL) {
        Ok(first) => first,
        Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    Some(iter::once(first).chain(walked.try_iter().take(BATCH_LEN_MAX - 1)).collect())
}

impl ParallelWalk {
    fn walk(self, roots: Vec<PathBuf>, walkers: usize) {
        let nothing = View::new(Path::new(""), false);
        let mut one = Walker::new(&self, 0, &nothing);
        for (place, root) in (0..).zip(&roots) {
            match enter(root, &self.filter) {
                NamedPath::Directory(view) => {
                    let mut below = walk::below_root(&view, &self.filter);
                    below.threads(walkers);
                    let mut walkers = Below { walk: &self, place, view: &view };
                    below.build_parallel().visit(&mut walkers);
                }
                NamedPath::Excluded => {}
                NamedPath::File(found) => {
                    one.place = place;
                    one.look_at(found);
                }
            }
            if self.cancel.is_cancelled() || self.context.is_abandoned() {
                return;
            }
        }
    }
}

/// Builds a walker for each thread.
struct Below<'a> {
    walk: &'a ParallelWalk,
    place: u64,
    view: &'a View,
}

impl<'a> ParallelVisitorBuilder<'a> for Below<'a> {
    fn build(&mut self) -> Box<dyn ParallelVisitor + 'a> {
        Box::new(Walker::new(self.walk, self.place, self.view))
    }
}

/// One walking thread.
struct Walker<'a> {
    walk: &'a ParallelWalk,
    place: u64,
    view: &'a View,
    scratch: Scratch,
    /// Files without a match that are not in the common counter yet.
    no_match: u64,
}

impl ParallelVisitor for Walker<'_> {
    fn visit(&mut self, entry: Result<DirEntry, ignore::Error>) -> WalkState {
        match walk::found(self.view, &self.walk.filter, entry) {
            Some(found) => self.look_at(found),
            None => WalkState::Continue,
        }
    }
}

impl<'a> Walker<'a> {
    fn new(walk: &'a ParallelWalk, place: u64, view: &'a View) -> Walker<'a> {
        Walker { walk, place, view, scratch: walk.context.scratch(), no_match: 0 }
    }

    fn look_at(&mut self, found: Result<Found, Outcome>) -> WalkState {
        if self.walk.cancel.is_cancelled() || self.walk.context.is_abandoned() {
            return WalkState::Quit;
        }
        let let_through = match found.map(|it| self.walk.context.sift(&mut self.scratch, it)) {
            Ok(Sifted::Done(Finding::NoMatch)) => {
                self.no_match += 1;
                if self.no_match == COUNTED_MAX {
                    self.count();
                }
                return WalkState::Continue;
            }
            Ok(Sifted::Done(finding)) => {
                self.walk.finished.findings.lock().push((self.place, finding));
                return WalkState::Continue;
            }
            Ok(Sifted::Deferred(found)) => Ok(found),
            Err(outcome) => Err(outcome),
        };
        // When the run has failed, no thread receives any more.
        match self.walk.let_through.send((self.place, let_through)) {
            Ok(()) => WalkState::Continue,
            Err(_) => WalkState::Quit,
        }
    }

    fn count(&mut self) {
        let counted = std::mem::take(&mut self.no_match);
        self.walk.finished.no_match.fetch_add(counted, Ordering::Relaxed);
    }
}

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        self.count();
    }
}
