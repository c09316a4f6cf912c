//! Makes the journal of an undo, which reverts what another journal did.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::original::Identity;
use crate::outcome::Notice;
use crate::store::durability::Durability;
use crate::store::journal::entries::Entries;
use crate::store::journal::writer::Writer;
use crate::store::journal::{Entry, Journal, Method};
use crate::store::spool::unkept;
use crate::transaction::swap::{Attempt, Holds, Swapper};
use crate::undo::history::Direction;

/// How many files are named that were edited since.
const EDITED_NAMED_MAX: u64 = 20;

/// What reverts a run, before it is a journal.
pub(super) struct Reverse {
    /// Its files.
    pub(super) entries: Entries,
    /// The files that appear or go, by their paths: how, and the inode number that each will have.
    /// There are some only where files were deleted and put back by force.
    pub(super) appearing: HashMap<PathBuf, (Method, u64)>,
}

/// Returns the files that revert a journal. Fails unless every file has the text that the run has
/// left, or has its old text already, or `force` allows it to have another. What is too much for
/// memory goes to the directory `folder`.
pub(super) fn reverse(
    journal: &Journal,
    folder: &Path,
    direction: Direction,
    force: bool,
    report: &mut dyn FnMut(&Notice),
) -> Result<Reverse, Error> {
    let swapper = Swapper::new(journal, Attempt::Recovery, Durability::Unforced)?;
    let (mut edited, mut homeless, mut separated): (u64, u64, u64) = (0, 0, 0);
    let (mut draft, mut appearing) = (Writer::draft(folder.to_path_buf()), HashMap::new());
    for entry in journal.entries.iter() {
        let entry = entry?;
        let path = entry.target();
        let failed = |error| Error::io("put back", &path, error);
        match reverse_entry(&swapper, &entry, force).map_err(failed)? {
            Reversed::Swapped(entry) => {
                draft.push(&entry).map_err(unkept)?;
                // The run has put a file of one name there.
                if entry.method == Method::Exchange
                    && separated < EDITED_NAMED_MAX
                    && swapper.target_names(&entry).is_ok_and(|names| names > 1)
                {
                    separated += 1;
                    report(&Notice::Separated { path: path.clone() });
                }
                if matches!(entry.method, Method::Restore | Method::Remove) {
                    appearing.insert(path, (entry.method, entry.new.file.ino));
                }
            }
            Reversed::Already => {}
            Reversed::Edited => {
                edited += 1;
                if edited <= EDITED_NAMED_MAX {
                    report(&Notice::Edited { path });
                }
            }
            Reversed::NoDirectory => {
                homeless += 1;
                report(&Notice::NoDirectory { path });
            }
        }
    }
    let files = |count, rest| match count {
        1 => format!("1 file {rest}"),
        _ => format!("{count} files {rest}"),
    };
    let why = match (edited, homeless) {
        (0, 0) => {
            let entries = draft.finish_draft().map_err(unkept)?;
            return Ok(Reverse { entries, appearing });
        }
        (0, _) => files(homeless, "cannot be put back without a directory"),
        (1, _) => "1 file was edited since, or is gone".to_owned(),
        _ => files(edited, "were edited since, or are gone"),
    };
    if edited > EDITED_NAMED_MAX {
        report(&Notice::EditedMore { files: edited - EDITED_NAMED_MAX });
    }
    if edited > 0 && !force {
        report(&Notice::CanBeForced { command: direction.command() });
    }
    Err(Error::refused(format!("{why}: nothing was changed")))
}

/// Makes the files in the store ready that are to be put back: they get the attributes that their
/// targets have now. Nobody sees that before the undo is committed. Returns what becomes of them.
pub(super) fn make_ready(back: &Journal, folder: &Path) -> Result<Entries, Error> {
    let swapper = Swapper::new(back, Attempt::Recovery, Durability::Unforced)?;
    let mut draft = Writer::draft(folder.to_path_buf());
    for entry in back.entries.iter() {
        let mut entry = entry?;
        let failed = |error| Error::io("put back", &entry.target(), error);
        if !swapper.make_ready(&entry).map_err(failed)? {
            entry.method = Method::CopyLate;
        }
        draft.push(&entry).map_err(unkept)?;
    }
    draft.finish_draft().map_err(unkept)
}

/// Writes down what reverts a run, now that it is ready. A file of several names is made ready once
/// for each, so what it is then is read when all are.
pub(super) fn write_ready(back: &Journal, writer: &mut Writer) -> Result<(), Error> {
    let swapper = Swapper::new(back, Attempt::Recovery, Durability::Unforced)?;
    for entry in back.entries.iter() {
        let mut entry = entry?;
        let path = entry.target();
        identify(&swapper, &mut entry).map_err(|error| Error::io("put back", &path, error))?;
        writer.push(&entry).map_err(unkept)?;
    }
    Ok(())
}

/// Notes what the file is that is to be put back, now that it is ready.
fn identify(swapper: &Swapper<'_>, entry: &mut Entry) -> std::io::Result<()> {
    match entry.method {
        Method::Exchange | Method::CopyLate => {
            entry.new = swapper.original(entry)?;
            if entry.new_text.is_none() {
                entry.new_text = Some(swapper.original_checksum(entry)?);
            }
        }
        Method::Restore => entry.new = swapper.restored(entry)?,
        Method::CopyOver | Method::CopyBack | Method::Remove => {}
    }
    Ok(())
}

/// How an entry is reverted.
enum Reversed {
    Swapped(Entry),
    /// The file is as it was before.
    Already,
    /// The file is not what the run has left.
    Edited,
    /// The file's directory is gone.
    NoDirectory,
}

fn reverse_entry(swapper: &Swapper<'_>, entry: &Entry, force: bool) -> std::io::Result<Reversed> {
    let now = match swapper.target(entry) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(if force { Reversed::NoDirectory } else { Reversed::Edited });
        }
        now => now?,
    };
    let Some(now) = now else { return reverse_without(swapper, entry, force) };
    if entry.method == Method::Remove {
        return Ok(Reversed::Edited);
    }
    let old_text = match swapper.holds(entry)? {
        Holds::New => entry.new_text,
        Holds::Old => return Ok(Reversed::Already),
        Holds::Other if force => None,
        Holds::Other => return Ok(Reversed::Edited),
    };
    let method = match entry.method {
        Method::Restore => {
            let (method, new) = (Method::Remove, Identity::NONE);
            let removed =
                Entry { method, old: now, new, old_text, new_text: None, ..entry.clone() };
            return Ok(Reversed::Swapped(removed));
        }
        Method::CopyBack => Method::CopyOver,
        Method::CopyOver | Method::CopyLate => Method::CopyBack,
        Method::Exchange if swapper.is_in_place(entry) => Method::CopyBack,
        other => other,
    };
    let (new, new_text) = (swapper.original(entry)?, entry.old_text);
    Ok(Reversed::Swapped(Entry { method, old: now, new, old_text, new_text, ..entry.clone() }))
}

/// Reverts an entry whose target does not exist.
fn reverse_without(swapper: &Swapper<'_>, entry: &Entry, force: bool) -> std::io::Result<Reversed> {
    match entry.method {
        Method::Remove => {}
        _ if !force => return Ok(Reversed::Edited),
        Method::Restore => return Ok(Reversed::Already),
        _ => {}
    }
    let kept = swapper.original_text(entry)?;
    let restored =
        Entry { method: Method::Restore, old: Identity::NONE, new: kept, ..entry.clone() };
    let restored = Entry { old_text: None, new_text: entry.old_text, ..restored };
    Ok(Reversed::Swapped(restored))
}
