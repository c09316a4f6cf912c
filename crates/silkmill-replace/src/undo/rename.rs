//! Gives what a run renamed its old name again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::journal::Journal;
use crate::transaction::rename::is_same_but_case;

/// Adds to `back` what takes back the names of a run, whose journal is given as the run has left
/// it. Fails if a name is gone, unless `force` allows that, or if an old name is taken.
pub(super) fn rename_back(
    left: &Journal,
    back: &mut Journal,
    force: bool,
    report: &mut dyn FnMut(&Notice),
) -> Result<(), Error> {
    let mut refused = 0_u64;
    for chunk in left.renames.chunk_by(|a, b| a.directory == b.directory) {
        let mut given_up: Vec<&[u8]> = Vec::new();
        for it in chunk {
            let path = left.renamed(it);
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    if !force {
                        refused += 1;
                        report(&Notice::Edited { path });
                    }
                    continue;
                }
                Err(error) => return Err(Error::io("put back", &path, error)),
            };
            let directory = &left.directories[it.directory as usize];
            let (from, to) = (name(&it.from), name(&it.to));
            let target = directory.join(to);
            let taken = fs::symlink_metadata(&target).ok();
            let is_itself =
                |other: &fs::Metadata| other.ino() == found.ino() && is_same_but_case(from, to);
            if taken.is_some_and(|other| !is_itself(&other)) && !given_up.contains(&&it.to[..]) {
                refused += 1;
                report(&Notice::NameTaken { path: target });
            }
            given_up.push(&it.from);
            back.rename(directory, it.from.clone(), it.to.clone(), found.ino());
        }
    }
    match refused {
        0 => Ok(()),
        1 => Err(Error::refused("1 name cannot be put back: nothing was changed")),
        _ => {
            Err(Error::refused(format!("{refused} names cannot be put back: nothing was changed")))
        }
    }
}

fn name(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
