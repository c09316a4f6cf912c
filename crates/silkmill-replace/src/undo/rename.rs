//! Gives what a run renamed its old name again.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::journal::{Journal, Method};
use crate::transaction::rename::is_same_but_case;
use crate::undo::history::Direction;

/// Adds to `back` what takes back the names of a run, whose journal is given as the run has left
/// it. Fails if a name is gone, unless `force` allows that, or if an old name is taken.
pub(super) fn rename_back(
    left: &Journal,
    back: &mut Journal,
    direction: Direction,
    force: bool,
    report: &mut dyn FnMut(&Notice),
) -> Result<(), Error> {
    let (mut refused, mut gone) = (0_u64, 0_u64);
    let appearing: HashMap<PathBuf, (Method, u64)> = back
        .entries
        .iter()
        .filter(|entry| matches!(entry.method, Method::Restore | Method::Remove))
        .map(|entry| (back.target(entry), (entry.method, entry.new.file.ino)))
        .collect();
    for chunk in left.renames.chunk_by(|a, b| a.directory == b.directory) {
        let mut given_up: Vec<&[u8]> = Vec::new();
        for it in chunk {
            let path = left.renamed(it);
            let restored = appearing.get(&path);
            let inode = match fs::symlink_metadata(&path) {
                // What is removed needs no name.
                Ok(_) if restored.is_some_and(|(method, _)| *method == Method::Remove) => continue,
                Ok(found) => found.ino(),
                Err(error) if error.kind() == ErrorKind::NotFound && restored.is_some() => {
                    restored.map_or(0, |(_, inode)| *inode)
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    if !force {
                        refused += 1;
                        gone += 1;
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
                |other: &fs::Metadata| other.ino() == inode && is_same_but_case(from, to);
            if taken.is_some_and(|other| !is_itself(&other)) && !given_up.contains(&&it.to[..]) {
                refused += 1;
                report(&Notice::NameTaken { path: target });
            }
            given_up.push(&it.from);
            back.rename(directory, it.from.clone(), it.to.clone(), inode);
        }
    }
    if gone > 0 {
        report(&Notice::CanBeForced { command: direction.command() });
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
