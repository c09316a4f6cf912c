//! Turns a file's bytes into the new ones: decoded if necessary, edited, reviewed, and encoded
//! again. Pure.

use std::path::Path;

use crate::error::Error;
use crate::pattern::{Cache, Pattern};
use crate::text::diff;
use crate::text::edit::{Change, EDITED_SIZE_MAX, EditError, edit_from, text_start};
use crate::text::encoding::{Charset, EncodeError};
use crate::text::utf8::{Doubt, is_foreign};

/// How every file is revised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) pattern: &'a Pattern,
    /// How many replacements are made in a file at most.
    pub(crate) limit: u64,
    /// Whether a text with a NUL is left alone.
    pub(crate) leaves_nul: bool,
    /// Whether changes that may break a text that is not UTF-8 are errors.
    pub(crate) guards_foreign: bool,
    /// Whether the changes are listed, and not only counted.
    pub(crate) lists_changes: bool,
}

/// What was done to a file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) replacements: u64,
    /// The changes from left to right, those of one line joined. Empty unless they were to be
    /// listed.
    pub(crate) changes: Vec<Change>,
}

/// Why a file's bytes were not revised.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReviseError {
    /// The text holds a NUL.
    Nul,
    /// The result would have this many bytes, which is too many.
    TooLarge(u64),
    /// The search took more steps than it may.
    TooManySteps,
    EncodeError(EncodeError),
}

impl ReviseError {
    /// Converts this to an error of a file.
    pub(crate) fn of(self, path: &Path) -> Error {
        match self {
            ReviseError::TooLarge(size) => Error::too_large(path, size, EDITED_SIZE_MAX as u64),
            ReviseError::TooManySteps => Error::too_many_steps(path),
            ReviseError::Nul => Error::unwritable(path, "there is a NUL in it"),
            ReviseError::EncodeError(why) => Error::unwritable(path, why),
        }
    }
}

/// Decides which changes of a text are made: one decision for each.
pub(crate) type Ask<'a> = dyn FnMut(ProposedChanges<'_>) -> Vec<Decision> + 'a;

/// The changes of a text, each of which may be made or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProposedChanges<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) edited: &'a [u8],
    pub(crate) changes: &'a [Change],
}

/// What becomes of a proposed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The old text stays.
    No,
    Yes,
    /// This text takes the place of the old one.
    Edited(Vec<u8>),
}

impl Decision {
    /// Returns what is at the place of the change, if not the old text.
    pub(crate) fn new_text<'a>(&'a self, edited: &'a [u8], change: &Change) -> Option<&'a [u8]> {
        match self {
            Decision::No => None,
            Decision::Yes => Some(&edited[change.new.clone()]),
            Decision::Edited(new) => Some(new),
        }
    }
}

/// Writes what `bytes` become to `out`. If nothing is replaced, `out` holds nothing of use.
pub(crate) fn revise(
    rules: Rules<'_>,
    charset: Option<Charset>,
    cache: &mut Cache,
    bytes: &[u8],
    out: &mut Vec<u8>,
    ask: Option<&mut Ask<'_>>,
) -> Result<Revision, ReviseError> {
    let mut listed = Vec::new();
    let mut list = |change: Change| {
        if rules.lists_changes {
            diff::push(&mut listed, bytes, change);
        }
    };
    let Some(charset) = charset else {
        let mut doubt = None;
        let replacements =
            edit_text(rules, cache, (bytes, text_start(bytes)), out, ask, |change, new| {
                doubt = doubt.or_else(|| Doubt::of(bytes, &change.old, new));
                list(change)
            })?;
        if let Some(doubt) = doubt.filter(|_| rules.guards_foreign && is_foreign(bytes)) {
            return Err(ReviseError::EncodeError(EncodeError::Doubt(doubt)));
        }
        return Ok(Revision { replacements, changes: listed });
    };
    let decoded = charset.decode(bytes);
    if rules.leaves_nul && memchr::memchr(0, &decoded.text).is_some() {
        return Err(ReviseError::Nul);
    }
    let mut edited = Vec::new();
    let mut reencoder = decoded.reencode(bytes, out);
    let reencode_change = |change: Change, new: &[u8]| {
        reencoder.change(change.old, new).into_iter().for_each(&mut list)
    };
    let replacements =
        edit_text(rules, cache, (&decoded.text, 0), &mut edited, ask, reencode_change)?;
    if replacements > 0 {
        reencoder.finish(&edited).map_err(ReviseError::EncodeError)?;
        if out.len() > EDITED_SIZE_MAX {
            return Err(ReviseError::TooLarge(out.len() as u64));
        }
    }
    Ok(Revision { replacements, changes: listed })
}

/// Edits decoded text, which begins at `start`, and calls `made` with every change that is made.
fn edit_text(
    rules: Rules<'_>,
    cache: &mut Cache,
    (text, start): (&[u8], usize),
    out: &mut Vec<u8>,
    ask: Option<&mut Ask<'_>>,
    made: impl FnMut(Change, &[u8]),
) -> Result<u64, ReviseError> {
    let Rules { pattern, limit, .. } = rules;
    let mut changes = Vec::new();
    let count = match ask {
        None => edit_from(start, pattern, cache, text, limit, out, made),
        Some(ask) => {
            edit_from(start, pattern, cache, text, limit, out, |change, _| changes.push(change))
                .map(|_| look_over(text, out, changes, ask, made))
        }
    };
    count.map_err(|error| match error {
        EditError::TooLarge => ReviseError::TooLarge(out.len() as u64),
        EditError::TooManySteps => ReviseError::TooManySteps,
    })
}

/// Makes what `ask` decides of the changes. Returns how many are left.
fn look_over(
    text: &[u8],
    out: &mut Vec<u8>,
    changes: Vec<Change>,
    ask: &mut Ask<'_>,
    mut made: impl FnMut(Change, &[u8]),
) -> u64 {
    let (mut kept, mut copied, mut wanted) = (Vec::with_capacity(text.len()), 0, 0);
    let decisions = match changes.is_empty() {
        true => Vec::new(),
        false => ask(ProposedChanges { text, edited: out, changes: &changes }),
    };
    for (change, decision) in changes.iter().zip(&decisions) {
        let Some(new) = decision.new_text(out, change) else { continue };
        wanted += 1;
        kept.extend_from_slice(&text[copied..change.old.start]);
        let start = kept.len();
        kept.extend_from_slice(new);
        copied = change.old.end;
        made(Change { old: change.old.clone(), new: start..kept.len() }, new);
    }
    kept.extend_from_slice(&text[copied..]);
    *out = kept;
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::syntax::Syntax;

    #[test]
    fn only_wanted_changes_are_made() {
        let pattern = Pattern::new(b"a".to_vec(), b"bb".to_vec(), Syntax::default()).unwrap();
        let rules = Rules {
            pattern: &pattern,
            limit: u64::MAX,
            leaves_nul: true,
            guards_foreign: true,
            lists_changes: true,
        };
        let text = b"a a a a";
        for wanted in 0_usize..16 {
            let mut out = Vec::new();
            let mut ask = |proposed: ProposedChanges<'_>| {
                let starts = proposed.changes.iter().map(|change| change.old.start);
                assert_eq!(starts.collect::<Vec<_>>(), [0, 2, 4, 6]);
                let decide = |place: usize| match (wanted >> place & 1, place) {
                    (0, _) => Decision::No,
                    (_, 3) => Decision::Edited(b"bb".to_vec()),
                    _ => Decision::Yes,
                };
                (0..4).map(decide).collect()
            };

            let revision =
                revise(rules, None, &mut pattern.cache(), text, &mut out, Some(&mut ask)).unwrap();

            let want: Vec<&str> =
                (0..4).map(|place| if wanted >> place & 1 == 1 { "bb" } else { "a" }).collect();
            assert_eq!(revision.replacements, u64::from(wanted.count_ones()));
            assert_eq!(String::from_utf8(out.clone()).unwrap(), want.join(" "));
            assert_eq!(revision.changes.len(), usize::from(wanted > 0));
        }
    }
}
