//! The names of what lies in a store.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A store beside the files, and the staging roots of runs whose store is elsewhere.
pub(crate) const BESIDE: &str = ".silkmill";

pub(crate) const LOCK: &str = "lock";
pub(crate) const IGNORE: &str = ".gitignore";
pub(crate) const JOURNAL: &str = "journal";

/// The directory of runs and staging roots that are removed when there is time.
pub(crate) const TRASH: &str = "trash";

/// The directory of staging roots, for runs whose journal is in another store.
pub(crate) const STAGING_ROOTS: &str = "areas";

/// The directory of versions of files that outlive the run that moved them there.
pub(crate) const KEPT: &str = "kept";

/// Returns whether a directory of this name is a store beside files, which walks skip.
pub(crate) fn is_own_name(name: &OsStr) -> bool {
    let Some(rest) = name.as_bytes().strip_prefix(BESIDE.as_bytes()) else { return false };
    match rest {
        [] => true,
        [b'-', user @ ..] => !user.is_empty() && user.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Returns where this user's store in `folder` is, or would be. In a tree that users share, the
/// first has `.silkmill`, and each other a directory with the number of the user in its name: what
/// a run stores may be read by its user only, and nobody acts on the journal of another.
pub(crate) fn beside(folder: &Path) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let (first, own) = (folder.join(BESIDE), folder.join(format!("{BESIDE}-{user}")));
    let is_taken = || fs::symlink_metadata(&first).is_ok_and(|found| found.uid() != user);
    if is_own_directory(&own) || is_taken() { own } else { first }
}

/// Returns the directory if this user may keep files in it. Root, with the environment of another
/// user, keeps nothing in that user's directories: what it made there would be out of that user's
/// reach.
pub(crate) fn usable(home: Option<&Path>) -> Option<&Path> {
    let home = home?;
    let there = home.ancestors().find_map(|folder| fs::metadata(folder).ok())?;
    is_usable(there.uid(), rustix::process::geteuid().as_raw()).then_some(home)
}

fn is_usable(owner: u32, user: u32) -> bool {
    owner == user || owner == 0
}

/// Returns whether it is a directory of this user, in which no other user can have put a journal.
pub(crate) fn is_own_directory(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_stores_are_known_and_no_others() {
        for name in [".silkmill", ".silkmill-0", ".silkmill-1000"] {
            assert!(is_own_name(OsStr::new(name)), "{name}");
        }
        for name in ["silkmill", ".silkmill-", ".silkmill-a", ".silkmill1", ".silkmill.toml"] {
            assert!(!is_own_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn root_keeps_nothing_in_the_directories_of_another_user() {
        for (owner, user, want) in [(0, 0, true), (1000, 0, false), (1000, 1000, true)] {
            assert_eq!(is_usable(owner, user), want, "{owner} {user}");
        }
        assert!(is_usable(0, 1000), "a user may make a directory in /tmp");
        assert!(!is_usable(1001, 1000));
    }
}
