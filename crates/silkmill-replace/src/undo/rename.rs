//! Gives what a run renamed its old name again.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::journal::rename::Rename;
use crate::store::journal::renamed::chunks;
use crate::store::journal::renames::Renames;
use crate::store::journal::writer::Writer;
use crate::store::journal::{Journal, Method};
use crate::store::spool::unkept;
use crate::transaction::rename::is_same_but_case;
use crate::undo::history::Direction;

/// Returns what takes back the names of a run, whose journal is given as the run has left it.
/// `appearing` are the files that appear or go when their texts are taken back. Fails if a name is
/// gone, unless `force` allows that, or if an old name is taken.
pub(super) fn rename_back(
    left: &Journal,
    appearing: &HashMap<PathBuf, (Method, u64)>,
    direction: Direction,
    force: bool,
    report: &mut dyn FnMut(&Notice),
) -> Result<Renames, Error> {
    let (mut refused, mut gone) = (0_u64, 0_u64);
    let mut back = Writer::draft(left.folder.clone());
    for chunk in chunks(&left.renames) {
        let chunk = chunk?;
        let mut given_up: HashSet<&[u8]> = HashSet::new();
        // The inode numbers of what has a third name for a while.
        let mut parked: HashMap<Vec<u8>, u64> = HashMap::new();
        for it in &chunk {
            let path = it.source();
            let restored = appearing.get(&path);
            let on_the_way = it.is_from_third().then(|| parked.get(&it.from).copied()).flatten();
            if it.is_from_third() && on_the_way.is_none() {
                // The file is gone, and its first step with it.
                continue;
            }
            let found = match on_the_way {
                Some(inode) => Ok(inode),
                None => fs::symlink_metadata(&path).map(|found| found.ino()),
            };
            let inode = match found {
                // What is removed needs no name.
                Ok(_) if restored.is_some_and(|(method, _)| *method == Method::Remove) => continue,
                Ok(inode) => inode,
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
            let directory = &it.directory;
            let (from, to) = (name(&it.from), name(&it.to));
            let target = directory.join(to);
            let taken = fs::symlink_metadata(&target).ok();
            let is_itself =
                |other: &fs::Metadata| other.ino() == inode && is_same_but_case(from, to);
            if taken.is_some_and(|other| !is_itself(&other)) && !given_up.contains(&it.to[..]) {
                refused += 1;
                report(&Notice::NameTaken { path: target });
            }
            given_up.insert(&it.from);
            let mut rename = Rename { inodes: [inode; 2], ..it.clone() };
            if it.is_to_third() {
                // It is named by the number that the file has now.
                rename.to = rename.third_name();
                parked.insert(it.to.clone(), inode);
            } else if it.is_from_third() {
                rename.from = rename.third_name();
            }
            back.push_rename(rename).map_err(unkept)?;
        }
    }
    if gone > 0 {
        report(&Notice::CanBeForced { command: direction.command() });
    }
    match refused {
        0 => back.finish_names_draft().map_err(unkept),
        1 => Err(Error::refused("1 name cannot be put back: nothing was changed")),
        _ => {
            Err(Error::refused(format!("{refused} names cannot be put back: nothing was changed")))
        }
    }
}

fn name(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
