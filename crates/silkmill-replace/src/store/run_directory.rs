//! The directory of one run, and the file of its journal.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, accessat, flock};

use crate::error::Error;
use crate::mutex::Mutex;
use crate::store::durability::Durability;
use crate::store::journal::records::ReadError;
use crate::store::journal::source::Source;
use crate::store::journal::writer::Writer;
use crate::store::journal::{self, Journal, JournalError, Method, Phase, RunHeader, Sum};
use crate::store::layout::JOURNAL;
use crate::store::run_id::is_run_id;
use crate::store::trash;

/// The directory of one run, whose journal this process has locked.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    id: String,
    path: PathBuf,
    /// `None` when a crash left a directory without a journal.
    journal: Option<Arc<File>>,
    /// The sum of the journal's records, as this process has written or read them.
    records: Sum,
    /// The staging roots of the run on other filesystems. The stage adds each that it creates.
    elsewhere: Arc<Mutex<Vec<PathBuf>>>,
    /// Whether dropping this removes the directory, because no other run needs anything in it.
    disposable: bool,
}

impl RunDirectory {
    /// Creates and locks the journal of a new run in its directory, which exists. After an error,
    /// the caller removes the directory: it has the store locked, as removing the run would.
    pub(super) fn create(
        id: String,
        path: PathBuf,
        header: &RunHeader,
    ) -> Result<RunDirectory, Error> {
        let mut run = RunDirectory {
            id,
            path,
            journal: None,
            records: Sum::default(),
            elsewhere: Arc::default(),
            disposable: false,
        };
        let name = run.journal_path();
        let mut new = OpenOptions::new();
        let new = new.read(true).write(true).create_new(true).mode(0o600);
        let journal = new.open(&name).map_err(|error| Error::io("create", &name, error))?;
        flock(&journal, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| Error::io("lock", &name, error))?;
        let bytes = [&journal::head()[..], &header.record()].concat();
        journal.write_all_at(&bytes, 0).map_err(|error| Error::io("write", &name, error))?;
        (run.journal, run.disposable) = (Some(Arc::new(journal)), true);
        Ok(run)
    }

    /// Takes over a run that has ended or crashed. The caller has locked its journal, if it has
    /// one.
    pub(super) fn stopped(id: String, path: PathBuf, journal: Option<File>) -> RunDirectory {
        let (records, elsewhere) = (Sum::default(), Arc::default());
        let journal = journal.map(Arc::new);
        RunDirectory { id, path, journal, records, elsewhere, disposable: false }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the list of the staging roots on other filesystems, which go with the run.
    pub(crate) fn elsewhere(&self) -> Arc<Mutex<Vec<PathBuf>>> {
        Arc::clone(&self.elsewhere)
    }

    /// Returns the store that the run is in.
    pub(crate) fn store(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Returns the path of the journal, for messages.
    pub(crate) fn journal_path(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// Reads the phase and the header. A journal that cannot be trusted is an error that names it.
    pub(crate) fn phase_and_header(&self) -> Result<Option<(Phase, RunHeader)>, Error> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let read = journal::read_header(&Source::File(Arc::clone(journal)));
        let (phase, header) = read.map_err(|error| self.unread(error))?;
        let Some(phase) = phase else { return Ok(None) };
        let damaged = || self.unread(JournalError::Damaged.into());
        Ok(Some((phase, header.ok_or_else(damaged)?)))
    }

    fn unread(&self, error: ReadError) -> Error {
        let name = self.journal_path();
        match error {
            ReadError::Journal(why) => Error::journal(&name, why),
            ReadError::Io(error) => Error::io("read", &name, error),
        }
    }

    /// Returns how many bytes of files are kept for a run that is done, without reading the whole
    /// journal where that says so at its end.
    pub(crate) fn held(&mut self) -> Result<u64, Error> {
        if let Some(journal) = &self.journal
            && let Ok(len) = journal.metadata().map(|found| found.len())
        {
            let mut end = vec![0; usize::try_from(len).unwrap_or(0).min(journal::END_LEN)];
            let at = len - end.len() as u64;
            if journal.read_exact_at(&mut end, at).is_ok()
                && let Some(held) = journal::held(&end)
            {
                return Ok(held);
            }
        }
        Ok(self.read()?.map_or(0, |(journal, _)| journal.entries.held()))
    }

    /// Reads the whole journal, if the run was committed.
    pub(crate) fn read(&mut self) -> Result<Option<(Journal, Phase)>, Error> {
        if self.journal.is_none() {
            return Ok(None);
        }
        let read =
            journal::read(&self.source()?, &self.path).map_err(|error| self.unread(error))?;
        let Some((mut journal, phase, sum)) = read else { return Ok(None) };
        self.records = sum;
        if !journal.renames.is_empty()
            && accessat(CWD, &self.path, Access::WRITE_OK, AtFlags::EACCESS).is_err()
        {
            journal.folder = std::env::temp_dir();
        }
        renumber(&mut journal)?;
        Ok(Some((journal, phase)))
    }

    /// Writes everything that the run is about to do: first what is known of the files, one by one.
    pub(crate) fn writer(
        &self,
        header: &RunHeader,
        staging_dirs: &[PathBuf],
    ) -> Result<Writer, Error> {
        let file = Arc::clone(self.journal.as_ref().expect("the run has a journal"));
        Writer::journal(file, header, staging_dirs).map_err(|error| self.unwritten(error))
    }

    /// Completes what [`RunDirectory::writer`] has begun.
    pub(crate) fn finish(
        &mut self,
        writer: Writer,
        (header, replacements, staging_dirs): (RunHeader, u64, Vec<PathBuf>),
    ) -> Result<Journal, Error> {
        let finished = writer.finish(replacements, self.source()?);
        let (entries, renames, sum) = finished.map_err(|error| self.unwritten(error))?;
        self.records = sum;
        let folder = self.path.clone();
        Ok(Journal { header, replacements, staging_dirs, entries, renames, folder })
    }

    pub(crate) fn unwritten(&self, error: io::Error) -> Error {
        Error::io("write", &self.journal_path(), error)
    }

    /// Opens the journal once more, to be read as long as anything needs it: the file that is open
    /// already has the lock, which ends with the run.
    fn source(&self) -> Result<Source, Error> {
        let name = self.journal_path();
        let file = File::open(&name).map_err(|error| Error::io("read", &name, error))?;
        Ok(Source::File(Arc::new(file)))
    }

    /// Sets a phase. Once one is set, dropping this keeps all files.
    pub(crate) fn set_phase(&mut self, phase: Phase, durability: Durability) -> Result<(), Error> {
        let slot = phase.slot(self.records);
        let written = self.file().write_all_at(&slot, phase.offset() as u64);
        written.map_err(|error| Error::io("write", &self.journal_path(), error))?;
        if durability.is_forced() {
            self.sync()?;
        }
        self.disposable = false;
        Ok(())
    }

    /// Forces the journal to disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let synced = self.file().sync_data();
        synced.map_err(|error| Error::io("force to disk", &self.journal_path(), error))
    }

    /// Forces the journal to disk, with everything that the filesystem knows of it.
    pub(crate) fn sync_all(&self) -> Result<(), Error> {
        let synced = self.file().sync_all();
        synced.map_err(|error| Error::io("force to disk", &self.journal_path(), error))
    }

    fn file(&self) -> &File {
        self.journal.as_ref().expect("a run without a journal is only ever removed")
    }

    /// Removes all files of the run.
    pub(crate) fn remove(mut self) -> Result<(), Error> {
        self.disposable = false;
        trash::remove(&self.path).map_err(|error| Error::io("remove", &self.path, error))?;
        // A store that cannot be removed may stay.
        let _ = trash::remove_store_if_empty(self.store());
        Ok(())
    }

    /// Moves the files of the run to the trash, where they are removed when there is time.
    /// Returns where they are then.
    pub(crate) fn throw_away(self) -> Result<PathBuf, Error> {
        let thrown = trash::throw_away(&self.path);
        thrown.map_err(|error| Error::io("remove", &self.path, error))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if self.disposable {
            // If this fails, the next run finds the directory unlocked and uncommitted, and tries
            // again.
            for folder in self.elsewhere.lock().iter().chain([&self.path]) {
                let _ = trash::remove(folder)
                    .and_then(|()| trash::remove_store_if_empty(trash::store_of(folder)));
            }
        }
    }
}

/// Returns whether this is the directory of a run, in any user's store.
pub(crate) fn is_run(folder: &Path) -> bool {
    let name = folder.file_name().and_then(OsStr::to_str);
    name.is_some_and(is_run_id) && folder.join(JOURNAL).exists()
}

/// Returns whether a run that is done has changed a file or a name in this directory or below it,
/// or the name of the directory itself. The directory is one without symbolic links; those of the
/// run may lead through some.
pub(crate) fn touches(journal: &Journal, directory: &Path) -> Result<bool, Error> {
    // The run may have renamed its directories.
    let left = journal.as_left()?;
    let plain = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    for it in left.renames.iter() {
        let it = it?;
        let changed = plain(&it.directory);
        let is_it = changed.join(OsStr::from_bytes(&it.from)) == directory;
        if is_it || changed.starts_with(directory) {
            return Ok(true);
        }
    }
    let mut last: Option<Arc<Path>> = None;
    for entry in left.entries.iter() {
        let changed = entry?.directory;
        if last.as_ref() != Some(&changed) && plain(&changed).starts_with(directory) {
            return Ok(true);
        }
        last = Some(changed);
    }
    Ok(false)
}

/// Reads as much of the header as the run has written.
pub(super) fn header_of(journal: File) -> io::Result<RunHeader> {
    match journal::read_header(&Source::File(Arc::new(journal))) {
        Ok((_, header)) => Ok(header.unwrap_or_default()),
        Err(ReadError::Journal(_)) => Ok(RunHeader::default()),
        Err(ReadError::Io(error)) => Err(error),
    }
}

/// Gives the identities in a journal the device numbers that their filesystems have now. After a
/// reboot, or on another mount, they may differ.
fn renumber(journal: &mut Journal) -> Result<(), Error> {
    let mut devices: HashMap<u64, u64> = HashMap::new();
    let device = |path: &Path| fs::symlink_metadata(path).map(|found| found.dev()).ok();
    let mut staging_dirs = vec![false; journal.staging_dirs.len()];
    for entry in journal.entries.iter() {
        let entry = entry?;
        let seen = &mut staging_dirs[entry.staging_dir as usize];
        if !std::mem::replace(seen, true) {
            // The staging directory is on the same filesystem, but an overlay may give its files
            // another device number.
            let staging_dir = &journal.staging_dirs[entry.staging_dir as usize];
            let now =
                device(&staging_dir.join(entry.number.to_string())).or_else(|| device(staging_dir));
            let then = if entry.method == Method::Remove { &entry.old } else { &entry.new };
            devices.extend(now.map(|now| (then.file.dev, now)));
        }
        if matches!(entry.method, Method::CopyOver | Method::CopyLate | Method::CopyBack) {
            let then = entry.old.file.dev;
            if !devices.contains_key(&then) {
                // The target may have another name already.
                let now = device(&entry.target()).or_else(|| device(&entry.directory));
                devices.extend(now.map(|now| (then, now)));
            }
        }
    }
    if devices.iter().any(|(then, now)| then != now) {
        journal.entries = journal.entries.clone().on_devices(devices);
    }
    Ok(())
}
