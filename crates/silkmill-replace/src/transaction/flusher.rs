//! Forces staged text to disk while more is staged, so that the barrier has less to wait for.
//!
//! The barrier flushes everything once more, so nothing depends on this. But the kernel reports a
//! disk error to one caller only, so an error that is seen here fails the run.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use silkmill::{SpawnError, Thread};

use crate::error::Error;
use crate::mutex::Mutex;
use crate::transaction::barrier::FLUSHED_ALONE_MAX;

/// How many bytes are staged between two flushes. With a small number, small runs would flush, too;
/// with a large one, the disk would idle.
const FLUSHED_LEN: u64 = 16 << 20;

/// Flushes in the background while the workers stage.
#[derive(Debug, Default)]
pub(crate) struct BackgroundFlush {
    /// The bytes that were staged so far. Every worker adds to it; it orders nothing else.
    staged: AtomicU64,
    /// The number of files that were begun. Every worker adds to it; it orders nothing else.
    files: AtomicUsize,
    /// The thread, which the first worker that has something to flush starts. Held while a path is
    /// sent to it.
    flusher: Mutex<Option<Flusher>>,
}

/// What is flushed in the background.
#[derive(Debug)]
enum Job {
    /// A large file, which is not complete yet, alone.
    File(File, PathBuf),
    /// The filesystem of a directory, on which many files are staged.
    Filesystem(PathBuf),
}

/// A thread that flushes the filesystems of the directories it is sent, one after the other.
#[derive(Debug)]
struct Flusher {
    jobs: SyncSender<Job>,
    thread: Thread<Result<(), (PathBuf, io::Error)>>,
}

impl BackgroundFlush {
    /// Counts `len` bytes that were written to `file` in `directory` after the first `written`, and
    /// starts a flush if it is time for one. As long as the run has few files, a large one is
    /// flushed alone, so that the run waits for nothing that other programs have written.
    pub(crate) fn note(&self, written: u64, len: u64, file: &File, directory: &Path) {
        let is_crossed = |before: u64| before / FLUSHED_LEN != (before + len) / FLUSHED_LEN;
        let begun = usize::from(written == 0);
        let files = self.files.fetch_add(begun, Ordering::Relaxed) + begun;
        let is_due = is_crossed(self.staged.fetch_add(len, Ordering::Relaxed));
        let directory = || directory.to_path_buf();
        let job = if files > FLUSHED_ALONE_MAX {
            is_due.then(|| Job::Filesystem(directory()))
        } else if is_crossed(written) {
            file.try_clone().ok().map(|file| Job::File(file, directory()))
        } else {
            None
        };
        let Some(job) = job else { return };
        let mut flusher = self.flusher.lock();
        if flusher.is_none() {
            // Without a thread, the barrier flushes alone.
            *flusher = Flusher::start().ok();
        }
        if let Some(flusher) = &*flusher {
            // One that is waiting already is enough to keep the disk at work. If the thread has
            // failed, `finish` reports it.
            let _ = flusher.jobs.try_send(job);
        }
    }

    /// Waits for the current flush, if there is one.
    ///
    /// # Errors
    /// When the disk refused what was staged.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let Some(Flusher { jobs, thread }) = self.flusher.lock().take() else {
            return Ok(());
        };
        drop(jobs);
        thread
            .join()
            .map_err(Error::executor)?
            .map_err(|(path, error)| Error::io("force to disk what was staged in", &path, error))
    }
}

impl Flusher {
    fn start() -> Result<Flusher, SpawnError> {
        let (jobs, taken) = mpsc::sync_channel(1);
        let thread = Thread::builder().name("flush").daemon(true).spawn(move || flush(&taken))?;
        Ok(Flusher { jobs, thread })
    }
}

fn flush(jobs: &Receiver<Job>) -> Result<(), (PathBuf, io::Error)> {
    for job in jobs {
        let (flushed, directory) = match job {
            Job::File(file, directory) => (file.sync_data(), directory),
            Job::Filesystem(directory) => {
                (File::open(&directory).and_then(flush_filesystem), directory)
            }
        };
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
            flush.files.store(FLUSHED_ALONE_MAX, Ordering::Relaxed);
            flush.note(0, len, &tempfile::tempfile().unwrap(), directory);
            assert_eq!(flush.finish().is_err(), is_refused, "{len} {directory:?}");
            // A file of a small run is flushed alone, wherever it is.
            let flush = BackgroundFlush::default();
            flush.note(0, len, &tempfile::tempfile().unwrap(), directory);
            flush.finish().unwrap();
        }
    }
}
