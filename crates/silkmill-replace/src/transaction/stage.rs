//! Writes new text into the run's store, where no reader looks, and decides by which method it will
//! get to its file. Makes nothing visible: see [`crate::transaction::commit`].

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat, unlinkat};
use rustix::io::Errno;

use crate::error::Error;
use crate::mutex::Mutex;
use crate::options::HardLinks;
use crate::original::{Checksum, Identity, Original, directory_of};
use crate::store::Store;
use crate::store::journal::Method;
use crate::store::mount::Mount;
use crate::store::run_directory::RunDirectory;
use crate::transaction::attributes::{self, Attributes};
use crate::transaction::flusher::BackgroundFlush;

/// How many staging directories a filesystem has, so that workers that create files seldom wait for
/// each other's directory. Each is created when it is first needed.
const STAGING_DIRS: u64 = 4;

/// Where a run stages its files.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The directory of the run. `None` when no store can be written.
    folder: Option<PathBuf>,
    /// The run's list of its staging roots on other filesystems.
    elsewhere: Arc<Mutex<Vec<PathBuf>>>,
    roots: Vec<PathBuf>,
    /// The current directory, from which relative paths start.
    here: PathBuf,
    hard_links: HardLinks,
    /// Counts what is written. `None` when nothing is to be forced to disk.
    background_flush: Option<Arc<BackgroundFlush>>,
    /// The number of the next staged file. Every worker adds to it; it orders nothing else.
    next: AtomicU64,
    staging_roots: Mutex<StagingRoots>,
}

/// The staging roots by mount. `None` marks a mount on which none can be created.
#[derive(Debug, Default)]
struct StagingRoots {
    by_mount: HashMap<Mount, Option<Arc<StagingRoot>>>,
    first: Option<Arc<StagingRoot>>,
}

/// The run's directory on one filesystem.
#[derive(Debug)]
struct StagingRoot {
    folder: PathBuf,
    dirs: [Mutex<Option<Arc<StagingDir>>>; STAGING_DIRS as usize],
}

/// A directory of staged files.
#[derive(Debug)]
pub(crate) struct StagingDir {
    pub(crate) path: PathBuf,
    directory: OwnedFd,
}

impl Stage {
    /// Stages in the directory of `run`, for files below `roots`. Without a run, nothing can be
    /// staged.
    pub(crate) fn new(
        run: Option<&RunDirectory>,
        roots: Vec<PathBuf>,
        hard_links: HardLinks,
        background_flush: Option<Arc<BackgroundFlush>>,
    ) -> io::Result<Stage> {
        let folder = run.map(|run| run.path().to_path_buf());
        let elsewhere = run.map(RunDirectory::elsewhere).unwrap_or_default();
        let mut staging_roots = StagingRoots::default();
        if let Some(folder) = &folder {
            let root = Arc::new(StagingRoot::new(folder.clone()));
            staging_roots.by_mount.insert(Mount::of(folder)?, Some(Arc::clone(&root)));
            staging_roots.first = Some(root);
        }
        // If the current directory was removed, no relative path leads anywhere.
        let here = std::env::current_dir().unwrap_or_default();
        let (next, staging_roots) = (AtomicU64::new(0), Mutex::new(staging_roots));
        Ok(Stage {
            folder,
            elsewhere,
            roots,
            here,
            hard_links,
            background_flush,
            next,
            staging_roots,
        })
    }

    /// Stages the whole new text of the file that `original` was read from, whose text is `old`.
    pub(crate) fn stage(
        &self,
        target: &Path,
        original: &Original,
        old: &[u8],
        new: &[u8],
    ) -> Result<Staged, Error> {
        let mut writer = self.begin(target, original)?;
        writer.write_all(new).map_err(|error| Error::unstaged(target, error))?;
        let mut staged = writer.finish()?;
        staged.old_text = Some(Checksum::of(old));
        Ok(staged)
    }

    /// Begins to stage new text, piece by piece, for the file that `original` was read from.
    pub(crate) fn begin<'a>(
        &'a self,
        target: &'a Path,
        original: &'a Original,
    ) -> Result<Writer<'a>, Error> {
        if self.folder.is_none() {
            return Err(Error::store("no store can be written"));
        }
        if self.hard_links == HardLinks::Refuse && original.metadata.nlink() > 1 {
            let names = original.metadata.nlink();
            return Err(Error::refused(format!(
                "failed to replace {target:?}: it has {names} names"
            )));
        }
        let (root, method) =
            self.plan(target, original).map_err(|error| not_planned(target, error))?;
        let created = self.create(&root, original.metadata.mode());
        let (temporary, file) = created.map_err(|error| Error::unstaged(target, error))?;
        let text = crc32fast::Hasher::new();
        Ok(Writer { stage: self, target, original, temporary, file, written: 0, text, method })
    }

    /// Chooses where to write the new text, and by which method it gets to its target.
    fn plan(&self, target: &Path, original: &Original) -> io::Result<(Arc<StagingRoot>, Method)> {
        let mount = mount_of_changeable(original)?;
        let linked = original.metadata.nlink() > 1 && self.hard_links == HardLinks::Keep;
        if !linked
            && may_change(directory_of(target), Access::WRITE_OK | Access::EXEC_OK).is_ok()
            && let Some(root) = self.staging_root(mount, target)?
        {
            return Ok((root, Method::Exchange));
        }
        may_change(target, Access::WRITE_OK)?;
        let first = self.staging_roots.lock().first.clone();
        Ok((first.expect("a stage with a folder has a first root"), Method::CopyOver))
    }

    /// Returns the staging root of a mount. `None` if this user may create none there.
    fn staging_root(&self, mount: Mount, target: &Path) -> io::Result<Option<Arc<StagingRoot>>> {
        let mut roots = self.staging_roots.lock();
        if let Some(root) = roots.by_mount.get(&mount) {
            return Ok(root.clone());
        }
        let made = self.make_staging_root(mount, target).transpose();
        let root = match made {
            Ok(folder) => folder.map(|folder| {
                self.elsewhere.lock().push(folder.clone());
                Arc::new(StagingRoot::new(folder))
            }),
            Err(error) => match error.into_io() {
                Some(error) if !attributes::is_refused(&error) => return Err(error),
                _ => None,
            },
        };
        roots.by_mount.insert(mount, root.clone());
        Ok(root)
    }

    /// Creates a staging root in the topmost directory of that mount that the run works in.
    fn make_staging_root(&self, mount: Mount, target: &Path) -> Option<Result<PathBuf, Error>> {
        let target = self.absolute(target);
        let inside = |folder: &Path| self.roots.iter().any(|root| folder.starts_with(root));
        let is_there = |folder: &Path| Mount::of(folder).is_ok_and(|other| other == mount);
        let above = directory_of(&target).ancestors();
        let top = above.take_while(|folder| inside(folder) && is_there(folder)).last()?;
        Some(Store::staging_root(top, self.folder.as_deref()?))
    }

    fn absolute(&self, target: &Path) -> PathBuf {
        self.here.join(target)
    }

    /// Creates a staged file. Its directory can be entered by its owner only, so `mode` gives no
    /// one else access.
    fn create(&self, root: &StagingRoot, mode: u32) -> io::Result<(Temporary, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let dir = root.dir(number)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777) | Mode::RUSR | Mode::WUSR;
        let file = openat(&dir.directory, number.to_string(), flags, mode)?;
        Ok((Temporary { dir, number, has_old: false, armed: true }, file.into()))
    }
}

impl StagingRoot {
    fn new(folder: PathBuf) -> StagingRoot {
        StagingRoot { folder, dirs: std::array::from_fn(|_| Mutex::new(None)) }
    }

    fn dir(&self, number: u64) -> io::Result<Arc<StagingDir>> {
        let index = number % STAGING_DIRS;
        let slot = &self.dirs[usize::try_from(index).expect("there are few staging directories")];
        let mut slot = slot.lock();
        if let Some(dir) = &*slot {
            return Ok(Arc::clone(dir));
        }
        let path = self.folder.join(index.to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        let dir = Arc::new(StagingDir::open(path)?);
        *slot = Some(Arc::clone(&dir));
        Ok(dir)
    }
}

impl StagingDir {
    /// Opens a directory that exists.
    pub(crate) fn open(path: PathBuf) -> io::Result<StagingDir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty())?;
        Ok(StagingDir { path, directory })
    }

    /// Removes a staged file, and the copy of the old text beside it. What cannot be removed now is
    /// removed with its run.
    pub(crate) fn remove(&self, number: u64) {
        let _ = unlinkat(&self.directory, number.to_string(), AtFlags::empty());
        let _ = unlinkat(&self.directory, format!("{number}.old"), AtFlags::empty());
    }
}

/// Writes the new text of one file. If it is dropped before it is finished, it removes what it
/// wrote.
///
/// It does not buffer: a caller that writes small pieces wraps it.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    stage: &'a Stage,
    target: &'a Path,
    original: &'a Original,
    temporary: Temporary,
    file: File,
    /// The number of bytes that were written.
    written: u64,
    /// Sums up what was written.
    text: crc32fast::Hasher,
    method: Method,
}

impl Writer<'_> {
    /// Copies the attributes of the original to the new file, whose text is complete now.
    pub(crate) fn finish(self) -> Result<Staged, Error> {
        let target = self.target;
        let failed = |error| Error::unstaged(target, error);
        let unread = |error| Error::io("read", target, error);
        let Writer { stage, target, original, mut temporary, file, text, mut method, .. } = self;
        let attributes = Attributes::of(&original.file, &original.metadata).map_err(unread)?;
        if method == Method::Exchange {
            match attributes.give(&file) {
                Ok(()) => {}
                Err(error) if attributes::is_refused(&error) => {
                    may_change(target, Access::WRITE_OK)
                        .map_err(|error| not_planned(target, error))?;
                    method = Method::CopyOver;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if method == Method::CopyOver {
            attributes.give_what_can_be(&file).map_err(failed)?;
            temporary.keep_old(original, &attributes).map_err(failed)?;
        }
        let identity = identity_at_swap(target, original).map_err(failed)?;
        let new = Identity::of(&file.metadata().map_err(failed)?);
        let (target, new_text) = (stage.absolute(target), Some(Checksum(text.finalize())));
        Ok(Staged { target, identity, new, old_text: None, new_text, temporary, method })
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        self.text.update(&bytes[..len]);
        if let Some(flush) = &self.stage.background_flush {
            flush.note(self.written, len as u64, &self.file, &self.temporary.dir.path);
        }
        self.written += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The new text of one file, in the store and not yet visible. Dropping it removes the files.
#[derive(Debug)]
pub(crate) struct Staged {
    /// An absolute path.
    pub(crate) target: PathBuf,
    /// What the file was when it was read.
    pub(crate) identity: Identity,
    /// What the staged file is.
    pub(crate) new: Identity,
    /// The checksum of the old text. `None` for a file that was streamed.
    pub(crate) old_text: Option<Checksum>,
    pub(crate) new_text: Option<Checksum>,
    pub(crate) temporary: Temporary,
    pub(crate) method: Method,
}

/// A staged file, with a copy of the old text beside it where the method needs one. Dropping it
/// removes both.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) dir: Arc<StagingDir>,
    pub(crate) number: u64,
    has_old: bool,
    armed: bool,
}

impl Temporary {
    /// Copies all of the original's text, wherever it has been read to, and the attributes that can
    /// be copied: if the file is deleted later, an undo restores this copy.
    fn keep_old(&mut self, original: &Original, attributes: &Attributes) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let name = format!("{}.old", self.number);
        let file = openat(&self.dir.directory, name, flags, Mode::RUSR | Mode::WUSR)?;
        self.has_old = true;
        let (mut from, mut file) = (&original.file, File::from(file));
        from.rewind()?;
        io::copy(&mut from, &mut file)?;
        attributes.give_what_can_be(&file)
    }

    /// Leaves the files in place when this is dropped.
    pub(crate) fn keep(&mut self) {
        self.armed = false;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.armed {
            // A file that cannot be removed now is removed with its run.
            let _ = unlinkat(&self.dir.directory, self.number.to_string(), AtFlags::empty());
            if self.has_old {
                let name = format!("{}.old", self.number);
                let _ = unlinkat(&self.dir.directory, name, AtFlags::empty());
            }
        }
    }
}

/// Returns the identity that the file will have when it is swapped, if no other program writes to
/// it. An overlay filesystem copies a file up before its first change. The copy may have another
/// inode number, and each name of a hard-linked file may get a copy of its own, so the copying up
/// is caused here.
#[cfg(target_os = "linux")]
fn identity_at_swap(target: &Path, original: &Original) -> io::Result<Identity> {
    use rustix::fs::{fstatfs, major};
    const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;
    let read = original.identity();
    // Only filesystems without a device can be overlays, and most files are on a device.
    let may_be = major(read.file.dev) == 0;
    if !may_be || fstatfs(&original.file)?.f_type.cast_unsigned() != OVERLAYFS_SUPER_MAGIC {
        return Ok(read);
    }
    let flags =
        OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // If the file cannot be opened, the swap finds out whether its inode number has changed.
    let Ok(file) = openat(CWD, target, flags, Mode::empty()) else { return Ok(read) };
    let now = Identity::of(&File::from(file).metadata()?);
    let is_same = (now.size, now.modified) == (read.size, read.modified);
    Ok(if is_same { now } else { read })
}

#[cfg(not(target_os = "linux"))]
fn identity_at_swap(_: &Path, original: &Original) -> io::Result<Identity> {
    Ok(original.identity())
}

/// Returns the mount of the file. Fails if the file is immutable or append-only, so that not even
/// root may change it.
#[cfg(target_os = "linux")]
fn mount_of_changeable(original: &Original) -> io::Result<Mount> {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    let flags = AtFlags::EMPTY_PATH;
    let stat = statx(&original.file, "", flags, StatxFlags::MNT_ID)?;
    if stat.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND) {
        return Err(Errno::PERM.into());
    }
    Ok(Mount::of_statx(&stat))
}

#[cfg(not(target_os = "linux"))]
fn mount_of_changeable(original: &Original) -> io::Result<Mount> {
    Ok(Mount::of_metadata(&original.metadata))
}

/// Returns the error of a file for which no method was found. That this process may not change this
/// file, or that the file has gone, is the failure of this file alone.
fn not_planned(target: &Path, error: io::Error) -> Error {
    const ITS_OWN: &[Errno] =
        &[Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::TXTBSY, Errno::NOENT, Errno::NOTDIR];
    match Errno::from_io_error(&error) {
        Some(errno) if ITS_OWN.contains(&errno) => Error::io("stage new text for", target, error),
        _ => Error::unstaged(target, error),
    }
}

/// Checks that this process may access the path. In a sticky directory the kernel may still refuse
/// a rename.
fn may_change(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

#[cfg(test)]
pub(crate) mod tests;
