//! Forces staged text to disk while more is staged, so that the barrier has less to wait for.
//!
//! The barrier flushes everything once more, so nothing depends on this. But the kernel reports a
//! disk error to one caller only, so an error that is seen here fails the run.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use silkmill::{SpawnError, Thread};

use crate::error::Error;
use crate::mutex::Mutex;

/// How many bytes are staged between two flushes. With a small number, small runs would flush, too;
/// with a large one, the disk would idle.
const FLUSHED_LEN: u64 = 16 << 20;

/// Flushes in the background while the workers stage.
#[derive(Debug, Default)]
pub(crate) struct BackgroundFlush {
    /// The bytes that were staged so far. Every worker adds to it; it orders nothing else.
    staged: AtomicU64,
    /// The thread, which the first worker that has something to flush starts. Held while a path is
    /// sent to it.
    flusher: Mutex<Option<Flusher>>,
}

/// A thread that flushes the filesystems of the directories it is sent, one after the other.
#[derive(Debug)]
struct Flusher {
    directories: SyncSender<PathBuf>,
    thread: Thread<Result<(), (PathBuf, io::Error)>>,
}

impl BackgroundFlush {
    /// Counts `len` bytes that were written to a file in `directory`, and starts a flush if it is
    /// time for one.
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
            // A path that is waiting already stands for this one, too. If the thread has failed,
            // `finish` reports it.
            let _ = flusher.directories.try_send(directory.to_path_buf());
        }
    }

    /// Waits for the current flush, if there is one.
    ///
    /// # Errors
    /// When the disk refused what was staged.
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

/// Does nothing: on this system each file is flushed by itself, when all are staged.
#[cfg(not(target_os = "linux"))]
fn flush_filesystem(_of: File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_fails_while_text_is_staged_is_reported_at_the_barrier() {
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
