//! Which new names are names, are free, and in which order those of one directory become free.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::error::Error;
use crate::run::planned_rename::PlannedRename;
use crate::transaction::rename::is_same_but_case;

/// The longest name of a file, in bytes, on the filesystems of Linux.
const NAME_LEN_MAX: usize = 255;

/// Refuses what is no name.
pub(super) fn check_name(path: &Path, to: &[u8]) -> Result<(), Error> {
    let shown = String::from_utf8_lossy(to);
    match to {
        b"" => Err(refused(path, "the new name is empty")),
        b"." | b".." => Err(refused(path, format!("{shown:?} is no name"))),
        _ if to.contains(&b'/') || to.contains(&0) => {
            Err(refused(path, format!("{shown:?} is no name")))
        }
        _ if to.len() > NAME_LEN_MAX => Err(refused(path, "the new name is too long")),
        _ => Ok(()),
    }
}

pub(super) fn refused(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::refused(format!("failed to rename {path:?}: {why}: nothing was changed"))
}

/// Refuses a directory in which this process may change no name.
pub(super) fn may_change(directory: &Path) -> Result<(), Error> {
    accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|error| Error::io("rename what is in", directory, error))
}

/// Orders the renames of a directory so that a name is free when its turn comes.
///
/// # Errors
/// Two files would get one name, or a new name is taken.
pub(super) fn in_order(
    directory: &Path,
    group: Vec<PlannedRename>,
) -> Result<Vec<PlannedRename>, Error> {
    refuse_equals(&group)?;
    let mut renamed: Vec<&OsStr> = group.iter().map(|it| it.from.as_os_str()).collect();
    renamed.sort_unstable();
    let is_given_away = |name: &OsStr| renamed.binary_search(&name).is_ok();
    let mut all_free = true;
    for it in &group {
        if is_given_away(&it.to) {
            all_free = false;
            continue;
        }
        // A filesystem that ignores case finds the file itself.
        let taken = fs::symlink_metadata(directory.join(&it.to)).ok();
        let is_itself =
            |found: &fs::Metadata| found.ino() == it.inode && is_same_but_case(&it.from, &it.to);
        if taken.is_some_and(|found| !is_itself(&found) || is_listed(directory, &it.to)) {
            let path = it.path();
            return Err(refused(&path, format!("{:?} exists", path.with_file_name(&it.to))));
        }
    }
    Ok(if all_free { group } else { in_turn(group) })
}

/// Refuses two new names that are the same.
fn refuse_equals(group: &[PlannedRename]) -> Result<(), Error> {
    let mut by_new: Vec<(&OsStr, usize)> =
        group.iter().enumerate().map(|(place, it)| (it.to.as_os_str(), place)).collect();
    by_new.sort_unstable();
    let equals = by_new.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    // The first that is met again is named.
    let Some(pair) = equals.min_by_key(|pair| pair[1].1) else { return Ok(()) };
    let (other, it) = (&group[pair[0].1], &group[pair[1].1]);
    let why = format!("{:?} would get the same name, {:?}", other.path(), it.to);
    Err(refused(&it.path(), why))
}

/// Orders renames of which some wait for the old names of others.
fn in_turn(group: Vec<PlannedRename>) -> Vec<PlannedRename> {
    let mut left: HashSet<OsString> = group.iter().map(|it| it.from.clone()).collect();
    let (mut ordered, mut waiting) = (Vec::with_capacity(group.len()), group);
    while !waiting.is_empty() {
        let count = waiting.len();
        let mut still = Vec::new();
        for it in waiting {
            if left.contains(&it.to) && it.to != it.from {
                still.push(it);
            } else {
                left.remove(&it.from);
                ordered.push(it);
            }
        }
        if still.len() == count {
            // Their names change places.
            let mut parked = still.remove(0);
            left.remove(&parked.from);
            parked.is_parked = true;
            ordered.push(parked);
        }
        waiting = still;
    }
    ordered
}

/// Returns whether a directory lists a name as it is written. Where case is ignored, a file is
/// found by names that are not listed.
fn is_listed(directory: &Path, name: &OsStr) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(names: &[(&str, &str)]) -> Result<Vec<(String, bool)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let group = names.iter().map(|(from, to)| PlannedRename {
            folder: folder.path().into(),
            directory: folder.path().into(),
            from: from.into(),
            to: to.into(),
            inode: 7,
            is_directory: false,
            replacements: 1,
            is_parked: false,
        });
        let ordered =
            in_order(folder.path(), group.collect()).map_err(|error| error.to_string())?;
        let seen = |it: PlannedRename| (it.from.into_string().unwrap(), it.is_parked);
        Ok(ordered.into_iter().map(seen).collect())
    }

    #[test]
    fn a_name_is_free_when_its_turn_comes() {
        let order = |names: &[(&str, bool)]| {
            Ok(names.iter().map(|(name, is_parked)| ((*name).to_owned(), *is_parked)).collect())
        };
        assert_eq!(ordered(&[("a", "x"), ("b", "y")]), order(&[("a", false), ("b", false)]));
        assert_eq!(ordered(&[("a", "b"), ("b", "c")]), order(&[("b", false), ("a", false)]));
        assert_eq!(ordered(&[("a", "b"), ("b", "a")]), order(&[("a", true), ("b", false)]));
    }

    #[test]
    fn the_first_new_name_that_is_met_again_is_refused() {
        let names = [("a", "x"), ("b", "y"), ("c", "y"), ("d", "x")];
        let error = ordered(&names).unwrap_err();
        assert!(error.contains("/c\": \"") && error.contains("same name, \"y\""), "{error}");
    }
}
