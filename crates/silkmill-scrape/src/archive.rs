//! Archives: what came over the network is kept as it came (WARC 1.1, ISO 28500:2017), and a run is
//! answered from it.
//!
//! [`writer`] appends the records of an exchange, which [`tape`] has recorded beside the client
//! that makes it. [`replay`] finds the response to a request in archives that any program has
//! written; [`scan`] reads them, [`index`] knows where their responses are, [`stored`] reads one.
//! [`cache`] keeps the responses that may be used again, as [`freshness`] decides, in archives of
//! its own.
//!
//! A record is in its file before the row of its page is handed on, so that a row which was written
//! has its record; and a torn record at the end of a file is cut off by the run that goes on with
//! it.

pub(crate) mod cache;
mod freshness;
mod index;
mod record;
pub(crate) mod replay;
mod scan;
mod spool;
pub(crate) mod stored;
pub(crate) mod tape;
pub(crate) mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::cache::{Cache, Hit};
use crate::archive::replay::Replay;
use crate::archive::tape::{Heads, Tape, Truncated};
use crate::archive::writer::{Repeated, Writer};
use crate::error::{Error, ErrorKind};

/// The archives that a caller names.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArchivePaths {
    pub(crate) warc: Option<PathBuf>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) replay: Vec<PathBuf>,
}

/// The archives of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archives {
    pub(crate) warc: Option<Arc<Writer>>,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) replay: Option<Arc<Replay>>,
}

impl ArchivePaths {
    /// Opens the archives, for requests of this user agent.
    pub(crate) fn open(&self, agent: &str) -> Result<Archives, Error> {
        if let (Some(warc), Some(cache)) = (&self.warc, &self.cache)
            && (warc == cache || is_same(warc, cache))
        {
            let why = "the cache keeps what comes in the same folder; one of the two is enough";
            return Err(ErrorKind::Archive(warc.clone(), "open", why.to_owned()).into());
        }
        let replay = match self.replay.as_slice() {
            [] => None,
            paths => Some(Arc::new(Replay::open(paths)?)),
        };
        let open = |path: &PathBuf| Writer::open(path, Repeated::Reference, agent).map(Arc::new);
        let warc = self.warc.as_ref().map(open).transpose()?;
        let open = |path: &PathBuf| Cache::open(path, agent).map(Arc::new);
        let cache = self.cache.as_ref().map(open).transpose()?;
        Ok(Archives { warc, cache, replay })
    }
}

/// Tells whether two paths lead to one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let (one, other) = (one.canonicalize(), other.canonicalize());
    one.ok().zip(other.ok()).is_some_and(|(one, other)| one == other)
}

impl Archives {
    /// Tells whether exchanges are recorded.
    pub(crate) fn records(&self) -> bool {
        self.warc.is_some() || self.cache.is_some()
    }

    /// Begins to record an exchange, if exchanges are recorded.
    pub(crate) fn tape(&self, heads: &Heads<'_>) -> Option<Tape> {
        let folder = match (&self.warc, &self.cache) {
            (Some(warc), _) => warc.folder(),
            (None, Some(cache)) => cache.folder(),
            (None, None) => return None,
        };
        Some(Tape::new(heads, folder))
    }

    /// Keeps an exchange. A failure is kept, too, and ends the run.
    pub(crate) fn keep(&self, tape: &Tape, truncated: Option<Truncated>) {
        if let Some(warc) = &self.warc {
            let _ = warc.write(tape, truncated, None);
        }
        if let Some(cache) = &self.cache {
            // A response that is not in the index is asked for again, and nothing is lost.
            let _ = cache.keep(tape, truncated);
        }
    }

    /// Keeps an exchange in which a server said that a stored response is what it would send.
    /// Returns the head of the response from now on.
    pub(crate) fn keep_valid(&self, hit: &Hit, tape: &Tape) -> io::Result<Vec<u8>> {
        if let Some(warc) = &self.warc {
            warc.write(tape, None, Some(hit.date()))?;
        }
        match &self.cache {
            Some(cache) => cache.note_valid(hit, tape),
            None => Ok(hit.head.clone()),
        }
    }

    /// Returns how many responses came from the cache, and of how many of them a server had said
    /// that they are valid.
    pub(crate) fn cached(&self) -> (u64, u64) {
        self.cache.as_ref().map_or((0, 0), |cache| cache.counts())
    }

    /// Tells whether an exchange could not be kept.
    pub(crate) fn has_failed(&self) -> bool {
        self.warc.as_ref().is_some_and(|warc| warc.has_failed())
            || self.cache.as_ref().is_some_and(|cache| cache.has_failed())
    }

    /// Forces to disk what was written.
    ///
    /// # Errors
    ///
    /// When that fails, or an exchange could not be kept.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.warc.as_ref().map_or(Ok(()), |warc| warc.sync())?;
        self.cache.as_ref().map_or(Ok(()), |cache| cache.sync())
    }
}
