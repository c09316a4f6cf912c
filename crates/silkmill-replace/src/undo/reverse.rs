//! Makes the journal of an undo, which reverts what another journal did.

use std::io::ErrorKind;

use crate::error::Error;
use crate::original::Identity;
use crate::outcome::Notice;
use crate::store::durability::Durability;
use crate::store::journal::{Entry, Journal, Method, RunHeader};
use crate::transaction::swap::{Attempt, Swapper};

/// Returns the journal that reverts this one. Fails unless every file is what the run has left, or
/// `force` allows it not to be.
pub(super) fn reverse(
    journal: &Journal,
    header: RunHeader,
    force: bool,
    report: &mut dyn FnMut(&Notice),
) -> Result<Journal, Error> {
    let swapper = Swapper::new(journal, Attempt::Recovery, Durability::Unforced)?;
    let (mut edited, mut homeless) = (0, 0);
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
                report(&Notice::Edited { path });
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
    Err(Error::refused(format!("{why}: nothing was changed")))
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
    let method = match entry.method {
        Method::Remove => return Ok(Reversed::Edited),
        Method::Restore if !force && !now.is_same_text(&entry.new) => return Ok(Reversed::Edited),
        Method::Restore => {
            let removed =
                Entry { method: Method::Remove, old: now, new: Identity::NONE, ..entry.clone() };
            return Ok(Reversed::Swapped(removed));
        }
        _ if !force && !swapper.holds_new(entry)? => return Ok(Reversed::Edited),
        Method::CopyBack => Method::CopyOver,
        Method::CopyOver => Method::CopyBack,
        Method::Exchange if swapper.is_in_place(entry) => Method::CopyBack,
        Method::Exchange => Method::Exchange,
    };
    let kept = swapper.original(entry)?;
    Ok(Reversed::Swapped(Entry { method, old: now, new: kept, ..entry.clone() }))
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
    Ok(Reversed::Swapped(restored))
}
