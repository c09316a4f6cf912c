//! Tells mounts apart.

#[cfg(not(target_os = "linux"))]
use std::fs;
use std::io;
#[cfg(not(target_os = "linux"))]
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The mount that a path is on. Files cannot be renamed from one mount to another, even of one
/// filesystem.
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
        // Kernels before 5.8 report 0. Then the device decides alone.
        Mount { dev, number: stat.stx_mnt_id }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(path: &Path) -> io::Result<Mount> {
        Ok(Mount { dev: fs::metadata(path)?.dev(), number: 0 })
    }
}

/// Returns whether files can be renamed between the two paths, as far as this can be known
/// beforehand. The store need not exist yet.
pub(crate) fn is_same_mount(store: &Path, root: &Path) -> bool {
    let there = store.ancestors().find(|folder| folder.exists());
    let mounts = there.map(|folder| (Mount::of(folder), Mount::of(root)));
    matches!(mounts, Some((Ok(one), Ok(other))) if one == other)
}
