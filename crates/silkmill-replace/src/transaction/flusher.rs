//! Forces staged text to disk while the rest is being staged, so that the barrier has less to wait for.
//!
//! It promises nothing: the barrier flushes all once more. But an error of the disk is told only once, so one that shows
//! here is the run's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use silkmill::{SpawnError, Thread};

use crate::error::Error;
use crate::mutex::Mutex;

/// A flush begins when so many bytes have been staged since the last one began: few, and a small run has none; many,
/// and the disk idles.
const FLUSHED_LEN: u64 = 16 << 20;

/// Flushes beside the workers.
#[derive(Debug, Default)]
pub(crate) struct BackgroundFlush {
    /// Every worker adds to it; nothing else is ordered by it.
    staged: AtomicU64,
    /// Begun by the worker that first has something for it.
    flusher: Mutex<Option<Flusher>>,
}

/// A thread that flushes the filesystem of one directory after the other.
#[derive(Debug)]
struct Flusher {
    directories: SyncSender<PathBuf>,
    thread: Thread<Result<(), (PathBuf, io::Error)>>,
}

impl BackgroundFlush {
    /// Takes note of `len` bytes written to a file in `directory`.
    pub(crate) fn note(&self, len: u64, directory: &Path) {
        let before = self.staged.fetch_add(len, Ordering::Relaxed);
        if before / FLUSHED_LEN == (before + len) / FLUSHED_LEN {
            return;
        }
        let mut flusher = self.flusher.lock();
        if flusher.is_none() {
            // Without a thread, the barrier flushes alone.
            *flusher = Flusher::start().ok();
        }
        if let Some(flusher) = &*flusher {
            // Where one waits already, it will flush this, too; and where one failed, the run will hear of it.
            let _ = flusher.directories.try_send(directory.to_path_buf());
        }
    }

    /// Waits for the flush that is going on, if any.
    ///
    /// # Errors
    /// The disk refused what was staged.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let Some(Flusher { directories, thread }) = self.flusher.lock().take() else {
            return Ok(());
        };
        drop(directories);
        thread.join().map_err(Error::executor)?.map_err(|(path, error)| {
            Error::io("force the filesystem to disk that holds", &path, error)
        })
    }
}

impl Flusher {
    fn start() -> Result<Flusher, SpawnError> {
        let (directories, flushed) = mpsc::sync_channel(1);
        let thread = Thread::builder().name("flush").daemon(true).spawn(move || flush(&flushed))?;
        Ok(Flusher { directories, thread })
    }
}

fn flush(directories: &Receiver<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    for directory in directories {
        let flushed = File::open(&directory).and_then(flush_filesystem);
        flushed.map_err(|error| (directory, error))?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn flush_filesystem(of: File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(of)?)
}

/// Elsewhere each file is flushed by itself, when all are there.
#[cfg(not(target_os = "linux"))]
fn flush_filesystem(_of: File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_fails_while_text_is_staged_is_told_at_the_barrier() {
        let root = tempfile::tempdir().unwrap();
        let (there, gone) = (root.path().join("there"), root.path().join("gone"));
        std::fs::create_dir(&there).unwrap();
        std::fs::create_dir(&gone).unwrap();
        std::fs::remove_dir(&gone).unwrap();

        for (len, directory, is_refused) in [
            (FLUSHED_LEN, &there, false),
            (FLUSHED_LEN - 1, &gone, false),
            (FLUSHED_LEN, &gone, cfg!(target_os = "linux")),
        ] {
            let flush = BackgroundFlush::default();
            flush.note(len, directory);
            assert_eq!(flush.finish().is_err(), is_refused, "{len} {directory:?}");
        }
    }
}
