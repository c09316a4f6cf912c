//! Where runs keep their files: staged text, originals, journals. Knows directories and locks; what is
//! done with a journal is for `recovery` and `undo` to say.
//!
//! A store is a directory: the user's, where that is on the same filesystem as the files of the run,
//! or else `.silkmill` in the run's root or above it. In it every run has a directory of its name,
//! with its journal, which it holds locked for as long as it lives: a run whose journal can be locked
//! is over, or dead. `lock` is held only while the others are looked at.

pub(crate) mod journal;
pub(crate) mod links;
pub(crate) mod trash;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use silkmill::CancelToken;

use crate::error::Error;
use crate::store::journal::{HEAD_LEN, Journal, Mark, Title, Way};

/// The store beside the files, and the areas of runs whose store is elsewhere.
pub(crate) const BESIDE: &str = ".silkmill";

const LOCK: &str = "lock";
const IGNORE: &str = ".gitignore";
const JOURNAL: &str = "journal";

/// What is to be removed when there is time.
const TRASH: &str = "trash";

/// Directories for staged files of runs whose journal is in another store.
const AREAS: &str = "areas";

/// What no directory of a run could hold, for its own sake or its name's.
const KEPT: &str = "kept";

/// Between two looks at whether another run is over.
const POLL: Duration = Duration::from_millis(20);

/// How often a store is made anew that is taken away meanwhile.
const MAKE_TRIES_MAX: usize = 100;

/// How many names are tried for a run, all of this second.
const NAMES_TRIED_MAX: u64 = 1000;

/// How much of a journal is read to learn who runs: roots are few.
const TITLE_LEN_MAX: usize = 64 << 10;

/// A directory of runs.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

/// The directory of one run, whose journal is locked by this process.
#[derive(Debug)]
pub(crate) struct Run {
    id: String,
    path: PathBuf,
    /// `None` when a crash left a directory without one.
    journal: Option<File>,
    /// What is in the journal behind its head, as far as this process wrote or read it.
    records: Vec<u8>,
    /// Whether dropping it removes the directory: nothing in it is needed by anybody.
    disposable: bool,
}

/// What a look into the store finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// Another process, or this one, is at it.
    Live { id: String, title: Title },
    /// Nobody is.
    Still(Run),
}

/// The store's lock. While it is held no run begins, and none is looked at.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    store: &'a Store,
    _lock: File,
}

impl Store {
    /// The store for a run over `root`, made if it is not there.
    ///
    /// # Errors
    /// When neither place can be written; the error names both.
    pub(crate) fn open(home: Option<&Path>, root: &Path) -> Result<Store, Error> {
        let mut tried = None;
        if let Some(home) = home.filter(|home| is_same_mount(home, root)) {
            match Store::make(home.to_path_buf()) {
                Ok(store) => return Ok(store),
                Err(error) => tried = Some(error),
            }
        }
        Store::beside(root).map_err(|error| match tried {
            Some(first) => Error::store(format!("{error}; {first}: nothing was changed")),
            None => Error::store(format!("{error}: nothing was changed")),
        })
    }

    /// The store in `root`, or in the nearest directory above that has one.
    fn beside(root: &Path) -> Result<Store, Error> {
        let above = root.ancestors().map(|folder| folder.join(BESIDE));
        let there = above
            .take_while(|store| store.parent().is_some_and(|folder| is_same_mount(folder, root)));
        let found = there.into_iter().find(|store| is_own_directory(store));
        Store::make(found.unwrap_or_else(|| root.join(BESIDE)))
    }

    /// The store in this very directory, made if it is not there.
    pub(crate) fn make(path: PathBuf) -> Result<Store, Error> {
        for _ in 1..MAKE_TRIES_MAX {
            match Store::make_once(path.clone()) {
                // Somebody left it while it was being made.
                Err(error) if error.is_not_found() => {}
                made => return made,
            }
        }
        Store::make_once(path)
    }

    fn make_once(path: PathBuf) -> Result<Store, Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| Error::io("keep the files of a run in", &path, error))?;
        if !is_own_directory(&path) {
            let error = io::Error::from(match path.exists() {
                true => io::ErrorKind::PermissionDenied,
                false => io::ErrorKind::NotFound,
            });
            return Err(Error::io("keep the files of a run in", &path, error));
        }
        let store = Store { path };
        if store.path.file_name() == Some(OsStr::new(BESIDE)) {
            store.ignore_itself()?;
        }
        // Shows whether it can be written to, too.
        store.open_lock()?;
        Ok(store)
    }

    /// The store in this directory, if there is one.
    pub(crate) fn existing(path: &Path) -> Option<Store> {
        let there = is_own_directory(path) && path.join(LOCK).exists();
        there.then(|| Store { path: path.to_path_buf() })
    }

    fn ignore_itself(&self) -> Result<(), Error> {
        let path = self.path.join(IGNORE);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file
                .write_all_at(b"*\n", 0)
                .map_err(|error| Error::io("keep the files of a run in", &self.path, error)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::io("keep the files of a run in", &self.path, error)),
        }
    }

    fn open_lock(&self) -> Result<File, Error> {
        let path = self.path.join(LOCK);
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        file.map_err(|error| Error::io("keep the files of a run in", &self.path, error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lock(&self) -> Result<Locked<'_>, Error> {
        let failed = |error| Error::io("lock the files of runs in", &self.path, error);
        loop {
            let lock = match self.open_lock() {
                Ok(lock) => lock,
                Err(error) if error.is_not_found() => {
                    Store::make(self.path.clone())?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
            if lock.metadata().map_err(failed)?.nlink() > 0 {
                return Ok(Locked { store: self, _lock: lock });
            }
            // Who held it left nothing behind, the store included.
        }
    }

    /// Removes a store beside files in which nothing is left: nobody asked for it.
    fn leave(path: &Path) -> io::Result<()> {
        if path.file_name() != Some(OsStr::new(BESIDE)) {
            return Ok(());
        }
        let lock = File::open(path.join(LOCK))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        if lock.metadata()?.nlink() == 0 {
            // Somebody has left it, and what is there now has another lock.
            return Ok(());
        }
        match fs::remove_dir(path.join(TRASH)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            if name != LOCK && name != IGNORE {
                return Ok(());
            }
        }
        fs::remove_file(path.join(IGNORE))?;
        fs::remove_file(path.join(LOCK))?;
        fs::remove_dir(path)
    }

    /// Waits until the run of this name is over. `false` if `cancel` was set first.
    pub(crate) fn wait_for(&self, id: &str, cancel: &CancelToken) -> bool {
        while !cancel.is_cancelled() {
            let journal = File::open(self.path.join(id).join(JOURNAL));
            match journal.map(|journal| flock(journal, FlockOperation::NonBlockingLockShared)) {
                Ok(Err(rustix::io::Errno::WOULDBLOCK)) => std::thread::sleep(POLL),
                _ => return true,
            }
        }
        false
    }

    /// A directory for what a run could neither use nor throw away.
    pub(crate) fn kept(run_folder: &Path) -> io::Result<PathBuf> {
        let store = run_folder.parent().unwrap_or(run_folder);
        let kept = store.join(KEPT);
        DirBuilder::new().recursive(true).mode(0o700).create(&kept)?;
        Ok(kept)
    }

    /// A directory for the staged files of `run` on the filesystem of `folder`, where the run's own store
    /// is not.
    pub(crate) fn area(folder: &Path, run: &Path) -> Result<PathBuf, Error> {
        let store = Store::make(folder.join(BESIDE))?;
        store.remove_orphans();
        let path = store.path.join(AREAS).join(run.file_name().unwrap_or_default());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| Error::io("keep the files of a run in", &path, error))?;
        let owner = fs::write(path.join("owner"), run.as_os_str().as_encoded_bytes());
        owner.map_err(|error| Error::io("keep the files of a run in", &path, error))?;
        Ok(path)
    }

    /// Removes areas of runs that are no more.
    fn remove_orphans(&self) {
        use std::os::unix::ffi::OsStringExt;
        let Ok(areas) = fs::read_dir(self.path.join(AREAS)) else { return };
        for area in areas.flatten() {
            let Ok(owner) = fs::read(area.path().join("owner")) else { continue };
            let owner = PathBuf::from(std::ffi::OsString::from_vec(owner));
            if !owner.join(JOURNAL).exists() {
                // What cannot be removed now will be tried again.
                let _ = fs::remove_dir_all(area.path());
            }
        }
    }
}

impl Locked<'_> {
    /// Every run there is, in the order of their names.
    pub(crate) fn look(&self) -> Result<Vec<Found>, Error> {
        let failed = |error| Error::io("read the files of runs in", &self.store.path, error);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.store.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            ids.extend(name.into_string().ok().filter(|name| is_run_id(name)));
        }
        ids.sort_unstable();
        ids.into_iter().map(|id| self.look_at(id)).collect()
    }

    fn look_at(&self, id: String) -> Result<Found, Error> {
        let path = self.store.path.join(&id);
        let name = path.join(JOURNAL);
        let failed = |error: io::Error| Error::io("read", &name, error);
        let journal = match OpenOptions::new().read(true).write(true).open(&name) {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (journal, records) = (None, Vec::new());
                return Ok(Found::Still(Run { id, path, journal, records, disposable: false }));
            }
            Err(error) => return Err(failed(error)),
        };
        match flock(&journal, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let (journal, records) = (Some(journal), Vec::new());
                Ok(Found::Still(Run { id, path, journal, records, disposable: false }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let bytes = read_at_most(&journal, TITLE_LEN_MAX).map_err(failed)?;
                Ok(Found::Live { id, title: journal::title(&bytes).unwrap_or_default() })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Begins a run: its directory and its journal are there, and locked.
    pub(crate) fn begin(&self, title: &Title) -> Result<Run, Error> {
        let failed = |error| Error::io("keep the files of a run in", &self.store.path, error);
        let (id, path) = self.name(title.begun).map_err(failed)?;
        let mut run = Run { id, path, journal: None, records: title.record(), disposable: true };
        let name = run.path.join(JOURNAL);
        let mut new = OpenOptions::new();
        let new = new.read(true).write(true).create_new(true).mode(0o600);
        let journal = new.open(&name).map_err(|error| Error::io("create", &name, error))?;
        flock(&journal, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| Error::io("lock", &name, error))?;
        let bytes = [&journal::head()[..], &run.records].concat();
        journal.write_all_at(&bytes, 0).map_err(|error| Error::io("write", &name, error))?;
        run.journal = Some(journal);
        Ok(run)
    }

    fn name(&self, begun: u64) -> io::Result<(String, PathBuf)> {
        let seed = begun ^ (u64::from(std::process::id()) << 32);
        for tried in 0..NAMES_TRIED_MAX {
            let id = run_id(begun / 1_000_000_000, seed.wrapping_add(tried));
            let path = self.store.path.join(&id);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok((id, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Run {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The store it is in.
    pub(crate) fn store(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The path of the journal, for messages.
    pub(crate) fn journal_path(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// What has become of it, and who ran. A journal that cannot be trusted is an error that names it.
    pub(crate) fn mark_and_title(&self) -> Result<Option<(Mark, Title)>, Error> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let name = self.journal_path();
        let bytes = read_at_most(journal, TITLE_LEN_MAX)
            .map_err(|error| Error::io("read", &name, error))?;
        let mark = journal::mark(&bytes).map_err(|refused| Error::journal(&name, refused))?;
        let Some(mark) = mark else { return Ok(None) };
        let damaged = || Error::journal(&name, journal::Refused::Damaged);
        Ok(Some((mark, journal::title(&bytes).ok_or_else(damaged)?)))
    }

    /// The whole journal, if the run was committed.
    pub(crate) fn read(&mut self) -> Result<Option<(Journal, Mark)>, Error> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let name = self.journal_path();
        let bytes =
            read_at_most(journal, usize::MAX).map_err(|error| Error::io("read", &name, error))?;
        let parsed = journal::parse(&bytes).map_err(|refused| Error::journal(&name, refused))?;
        self.records = bytes.get(HEAD_LEN..).unwrap_or_default().to_vec();
        Ok(parsed.map(|(mut journal, mark)| {
            renumber(&mut journal);
            (journal, mark)
        }))
    }

    /// Writes down all that the run is about to do.
    pub(crate) fn write(&mut self, journal: &Journal) -> Result<(), Error> {
        let title = journal.title.record();
        let mut bytes = [&journal::head()[..], &title].concat();
        bytes.extend_from_slice(&journal.records());
        let written = self.file().write_all_at(&bytes, 0);
        written.map_err(|error| Error::io("write", &self.journal_path(), error))?;
        self.records = bytes.split_off(HEAD_LEN);
        Ok(())
    }

    /// Sets a mark, and forces it to disk if `sync`. From the first mark on, dropping this keeps all files.
    pub(crate) fn mark(&mut self, mark: Mark, sync: bool) -> Result<(), Error> {
        let slot = mark.slot(&self.records);
        let written = self.file().write_all_at(&slot, mark.offset() as u64);
        written.map_err(|error| Error::io("write", &self.journal_path(), error))?;
        if sync {
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

    fn file(&self) -> &File {
        self.journal.as_ref().expect("a run without a journal is only ever removed")
    }

    /// Removes all its files.
    pub(crate) fn remove(mut self) -> Result<(), Error> {
        self.disposable = false;
        remove(&self.path).map_err(|error| Error::io("remove", &self.path, error))?;
        // What cannot be removed may stay.
        let _ = Store::leave(self.store());
        Ok(())
    }

    /// Makes its files ready to be removed whenever there is time, and forgets the run.
    pub(crate) fn throw_away(self) -> Result<(), Error> {
        let thrown = throw_away(&self.path);
        thrown.map(|_| ()).map_err(|error| Error::io("remove", &self.path, error))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.disposable {
            // The next run finds it unlocked and uncommitted, and tries again.
            let _ = remove(&self.path).and_then(|()| Store::leave(self.store()));
        }
    }
}

/// Removes the directory of a run, or an area of one: out of everybody's sight first, and at once.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    let gone = throw_away(folder)?;
    match fs::remove_dir_all(gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Moves the directory of a run, or an area of one, out of the way, and says where to.
pub(crate) fn throw_away(folder: &Path) -> io::Result<PathBuf> {
    let above = folder.parent().unwrap_or(folder);
    let is_area = above.file_name() == Some(OsStr::new(AREAS));
    let store = above.parent().filter(|_| is_area).unwrap_or(above);
    let trash = store.join(TRASH);
    let gone = trash.join(folder.file_name().unwrap_or_default());
    loop {
        DirBuilder::new().recursive(true).mode(0o700).create(&trash)?;
        match fs::rename(folder, &gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Who left the store took the empty directory along.
            Err(_) if folder.exists() => {}
            _ => return Ok(gone),
        }
    }
}

/// Removes what was thrown away until `enough` says so; whether all of it is gone.
pub(crate) fn empty_trash(store: &Path, enough: &dyn Fn() -> bool) -> bool {
    remove_until(&store.join(TRASH), enough)
}

/// How many runs, and areas of runs, wait to be removed.
pub(crate) fn trashed(store: &Path) -> usize {
    fs::read_dir(store.join(TRASH)).map_or(0, Iterator::count)
}

fn remove_until(folder: &Path, enough: &dyn Fn() -> bool) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    for entry in entries.flatten() {
        if enough() {
            return false;
        }
        let gone = match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                remove_until(&entry.path(), enough) && fs::remove_dir(entry.path()).is_ok()
            }
            _ => fs::remove_file(entry.path()).is_ok(),
        };
        if !gone {
            return false;
        }
    }
    true
}

/// Gives the identities in a journal the numbers that their filesystems have now: another start of the system, or
/// another mount, may give others.
fn renumber(journal: &mut Journal) {
    let mut devices: HashMap<u64, u64> = HashMap::new();
    let device = |path: &Path| fs::symlink_metadata(path).map(|found| found.dev()).ok();
    let mut areas = vec![false; journal.areas.len()];
    for entry in &journal.entries {
        let seen = &mut areas[entry.area as usize];
        if !std::mem::replace(seen, true) {
            // The area itself is on the same filesystem; but an overlay may number its files otherwise.
            let area = &journal.areas[entry.area as usize];
            let now = device(&area.join(entry.number.to_string())).or_else(|| device(area));
            let then = if entry.way == Way::Take { &entry.old } else { &entry.new };
            devices.extend(now.map(|now| (then.file.dev, now)));
        }
        if matches!(entry.way, Way::InPlace | Way::InPlaceBack) {
            let then = entry.old.file.dev;
            if !devices.contains_key(&then) {
                devices.extend(device(&journal.target(entry)).map(|now| (then, now)));
            }
        }
    }
    if devices.iter().all(|(then, now)| then == now) {
        return;
    }
    for entry in &mut journal.entries {
        for identity in [&mut entry.old, &mut entry.new] {
            let dev = &mut identity.file.dev;
            *dev = devices.get(dev).copied().unwrap_or(*dev);
        }
    }
}

/// Which mount a path is on: renames do not cross from one to another, even of one filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mount {
    dev: u64,
    number: u64,
}

impl Mount {
    #[cfg(target_os = "linux")]
    pub(crate) fn of(path: &Path) -> io::Result<Mount> {
        use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
        let flags = StatxFlags::MNT_ID;
        let stat = statx(CWD, path, AtFlags::empty(), flags)?;
        Ok(Mount::of_statx(&stat))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn of_statx(stat: &rustix::fs::Statx) -> Mount {
        let dev = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        // Kernels before 5.8 leave it 0: then the filesystem decides alone.
        Mount { dev, number: stat.stx_mnt_id }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(path: &Path) -> io::Result<Mount> {
        Ok(Mount { dev: fs::metadata(path)?.dev(), number: 0 })
    }
}

/// Whether files can be renamed between the two, as far as can be told beforehand. The first need not
/// be there yet.
fn is_same_mount(store: &Path, root: &Path) -> bool {
    let there = store.ancestors().find(|folder| folder.exists());
    let mounts = there.map(|folder| (Mount::of(folder), Mount::of(root)));
    matches!(mounts, Some((Ok(one), Ok(other))) if one == other)
}

/// Whether nobody else can have put a journal there.
fn is_own_directory(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == own)
}

fn read_at_most(file: &File, len_max: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(len_max);
    let mut bytes = vec![0; len];
    let mut read = 0;
    while read < len {
        match file.read_at(&mut bytes[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// A name that sorts by time (UTC, to the second) and that a person can type: `20261124-184502-a1b2`.
fn run_id(seconds: u64, seed: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Knuth's multiplier: neighbours get names that do not look alike.
    let mark = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{mark:04x}")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, left + 1)
}

/// Whether a walk passes over what has this name.
pub(crate) fn is_own_name(name: &OsStr) -> bool {
    name == BESIDE
}

/// Whether this is the directory of a run, in whoever's store.
pub(crate) fn is_run(folder: &Path) -> bool {
    let name = folder.file_name().and_then(OsStr::to_str);
    name.is_some_and(is_run_id) && folder.join(JOURNAL).exists()
}

fn is_run_id(name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hexes = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.split('-').collect::<Vec<_>>()[..] {
        [date, time, mark] => {
            (date.len(), time.len(), mark.len()) == (8, 6, 4)
                && digits(date)
                && digits(time)
                && hexes(mark)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(root: &Path) -> Title {
        Title { begun: now(), roots: vec![root.to_path_buf()], ..Title::default() }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_781, (2026, 11, 24)),
            (20_818, (2026, 12, 31)),
        ] {
            assert_eq!(date(days), want, "{days}");
        }
        let id = run_id(20_781 * 86_400 + 18 * 3600 + 45 * 60 + 2, 1);
        assert!(id.starts_with("20261124-184502-") && is_run_id(&id), "{id}");
        assert!(!is_run_id("trash") && !is_run_id("20261124-184502-a1b"));
    }

    #[test]
    fn a_run_is_live_until_it_is_dropped_and_then_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(None, root.path()).unwrap();
        let run = store.lock().unwrap().begin(&title(root.path())).unwrap();

        let found = store.lock().unwrap().look().unwrap();
        let [Found::Live { id, title }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((id.as_str(), &title.roots[..]), (run.id(), &[root.path().to_path_buf()][..]));

        drop(run);
        assert!(store.lock().unwrap().look().unwrap().is_empty());
    }

    #[test]
    fn a_store_that_others_make_and_leave_all_the_time_can_be_used() {
        let root = tempfile::tempdir().unwrap();
        let use_it = || {
            for _ in 0..300 {
                let store = Store::open(None, root.path()).unwrap();
                let run = store.lock().unwrap().begin(&title(root.path())).unwrap();
                assert!(run.path().join(JOURNAL).exists());
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(use_it);
            use_it();
        });
        assert!(!root.path().join(BESIDE).exists());
    }

    #[test]
    fn the_store_is_the_users_where_that_is_on_the_same_filesystem() {
        let (home, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = home.path().join("state/silkmill");

        assert_eq!(Store::open(Some(&state), root.path()).unwrap().path(), state);
        assert!(!root.path().join(BESIDE).exists());
        let elsewhere = Path::new("/proc/self");
        let beside = Store::open(Some(elsewhere), root.path()).unwrap();
        assert_eq!(beside.path(), root.path().join(BESIDE));
        assert_eq!(fs::read(root.path().join(".silkmill/.gitignore")).unwrap(), b"*\n");
        let below = root.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        assert_eq!(Store::open(None, &below).unwrap().path(), beside.path());
    }

    #[test]
    fn a_store_that_cannot_be_written_is_refused_by_both_its_names() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(BESIDE), "no directory").unwrap();
        fs::write(root.path().join("state"), "no directory").unwrap();

        let home = root.path().join("state/silkmill");
        let error = Store::open(Some(&home), root.path()).unwrap_err().to_string();

        assert!(error.contains(".silkmill\"") && error.contains("state/silkmill\""), "{error}");
        assert!(error.ends_with("nothing was changed"), "{error}");
    }

    #[test]
    fn trash_is_removed_for_as_long_as_there_is_time() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("20260101-000000-abcd");
        fs::create_dir_all(folder.join("0")).unwrap();
        fs::write(folder.join("0/1"), "old").unwrap();

        throw_away(&folder).unwrap();

        assert!(!folder.exists());
        assert!(!empty_trash(root.path(), &|| true));
        assert_eq!(trashed(root.path()), 1);
        assert!(empty_trash(root.path(), &|| false));
        assert_eq!(trashed(root.path()), 0);
    }
}
