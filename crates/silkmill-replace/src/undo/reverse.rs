//! Makes the journal of an undo, which reverts what another journal did.

use std::io::ErrorKind;

use crate::error::Error;
use crate::original::Identity;
use crate::outcome::Notice;
use crate::store::durability::Durability;
use crate::store::journal::{Entry, Journal, Method, RunHeader};
use crate::transaction::swap::{Attempt, Holds, Swapper};
use crate::undo::history::Direction;

/// How many files are named that were edited since.
const EDITED_NAMED_MAX: u64 = 20;

/// Returns the journal that reverts this one. Fails unless every file has the text that the run has
/// left, or has its old text already, or `force` allows it to have another.
pub(super) fn reverse(
    journal: &Journal,
    header: RunHeader,
    direction: Direction,
    force: bool,
    report: &mut dyn FnMut(&Notice),
) -> Result<Journal, Error> {
    let swapper = Swapper::new(journal, Attempt::Recovery, Durability::Unforced)?;
    let (mut edited, mut homeless): (u64, u64) = (0, 0);
    let mut back = Journal {
        header,
        replacements: journal.replacements,
        staging_dirs: journal.staging_dirs.clone(),
        directories: journal.directories.clone(),
        entries: Vec::with_capacity(journal.entries.len()),
        renames: Vec::new(),
    };
    for entry in &journal.entries {
        let path = journal.target(entry);
        let failed = |error| Error::io("put back", &path, error);
        match reverse_entry(&swapper, entry, force).map_err(failed)? {
            Reversed::Swapped(entry) => back.entries.push(entry),
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
        (0, 0) => return Ok(back),
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
/// targets have now. Nobody sees that before the undo is committed.
pub(super) fn make_ready(back: &mut Journal) -> Result<(), Error> {
    let swapper = Swapper::new(back, Attempt::Recovery, Durability::Unforced)?;
    let mut entries = back.entries.clone();
    for entry in &mut entries {
        let failed = |error| Error::io("put back", &back.target(entry), error);
        if !swapper.make_ready(entry).map_err(failed)? {
            entry.method = Method::CopyLate;
        }
    }
    // A file of several names is made ready once for each, so what it is then is read afterwards.
    for entry in &mut entries {
        let path = back.target(entry);
        identify(&swapper, entry).map_err(|error| Error::io("put back", &path, error))?;
    }
    drop(swapper);
    back.entries = entries;
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
