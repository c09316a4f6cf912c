//! Asks about every change before it is made. The caller decides who answers and how a change is
//! shown.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::pattern::replacement::groups_of;
use crate::run::planned_rename::PlannedRename;
use crate::text::diff::{self, Excerpt, moved};
use crate::text::edit::Change;
use crate::text::revise::{Decision, ProposedChanges};
use crate::walk::found::Found;

/// A change that may be made or not: see [`review`](crate::review()).
#[derive(Debug)]
#[non_exhaustive]
pub struct Proposal<'a> {
    /// The file.
    pub path: &'a Path,
    /// A hunk of a unified diff with this change alone, including its `@@` line, in decoded text.
    /// Changes of the file that were accepted before are made in it already. Of a name that
    /// changes, git's lines `rename from` and `rename to`.
    pub hunk: Vec<u8>,
    /// The text that was found, decoded.
    pub old: &'a [u8],
    /// The text that is proposed for it, decoded.
    pub new: &'a [u8],
    /// Where the change begins in its line, in bytes of decoded text.
    pub column: usize,
    /// The place of the change among those of its file, from 1.
    pub place: usize,
    /// The number of changes of the file.
    pub count: usize,
    /// The place of the file among those with a change, from 1.
    pub file: usize,
}

impl Proposal<'_> {
    /// Returns the groups of the match, without the first, which is all of it: `None` for a group
    /// that took no part. There are groups where the options were begun with
    /// [`Options::asking`](crate::Options::asking).
    pub fn groups(&self) -> Vec<Option<&[u8]>> {
        groups_of(self.new)
    }
}

/// The answer to a [`Proposal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Make the change.
    Yes,
    /// Do not make it.
    No,
    /// Make it, with this text instead of the proposed one.
    Edit(Vec<u8>),
    /// Propose the change before this one again, also one of the file before. The first change is
    /// proposed again, and so is the first change of a name.
    Back,
    /// Make it and all that follow in this file.
    File,
    /// Make neither it nor any that follows in this file. The changes accepted before stay.
    SkipFile,
    /// Make it and all that follow, in all files, without asking again.
    All,
    /// Make neither it nor any that follows. The changes accepted before stay.
    Quit,
}

/// A file about which a person was asked.
#[derive(Debug)]
pub(super) struct ReviewedFile {
    /// The place of the file in the walk.
    pub(super) place: u64,
    pub(super) found: Found,
    /// What was decided the last time.
    pub(super) decisions: Vec<Decision>,
    /// Whether the run is to change the file.
    pub(super) is_staged: bool,
}

/// The function that answers, and the answer that holds for all further changes.
pub(crate) struct Review<'a> {
    ask: &'a mut dyn FnMut(&Proposal<'_>) -> Answer,
    context: usize,
    standing_answer: Option<Decision>,
}

/// What came of a file.
pub(super) enum Reviewed {
    Decided(Vec<Decision>),
    /// The file before is to be asked about again.
    Back,
}

impl<'a> Review<'a> {
    pub(crate) fn new(
        ask: &'a mut dyn FnMut(&Proposal<'_>) -> Answer,
        context: usize,
    ) -> Review<'a> {
        Review { ask, context, standing_answer: None }
    }

    /// Returns whether no further change is made.
    pub(crate) fn is_over(&self) -> bool {
        self.standing_answer == Some(Decision::No)
    }

    /// Asks about names that change. `files` is the number of files that were asked about before.
    pub(super) fn decide_names(
        &mut self,
        renames: &[PlannedRename],
        after: impl Fn(&PlannedRename) -> Result<PathBuf, Error>,
        files: usize,
    ) -> Result<Vec<Decision>, Error> {
        let mut decisions: Vec<Decision> = Vec::new();
        while let Some(it) = renames.get(decisions.len()) {
            if let Some(standing_answer) = &self.standing_answer {
                decisions.push(standing_answer.clone());
                continue;
            }
            let path = it.path();
            let proposal = Proposal {
                path: &path,
                hunk: moved::lines(&path, &after(it)?),
                old: it.from.as_bytes(),
                new: it.to.as_bytes(),
                column: 0,
                place: 1,
                count: 1,
                file: files + decisions.len() + 1,
            };
            match (self.ask)(&proposal) {
                Answer::Yes | Answer::File => decisions.push(Decision::Yes),
                Answer::No | Answer::SkipFile => decisions.push(Decision::No),
                Answer::Edit(new) => decisions.push(Decision::Edited(new)),
                Answer::Back => drop(decisions.pop()),
                Answer::All => self.standing_answer = Some(Decision::Yes),
                Answer::Quit => self.standing_answer = Some(Decision::No),
            }
        }
        Ok(decisions)
    }

    /// Returns whether nothing more is asked.
    pub(super) fn is_settled(&self) -> bool {
        self.standing_answer.is_some()
    }

    /// Asks about the changes of a file, from the first that `decisions` leave open. `file` is the
    /// number of files before it.
    pub(super) fn decide(
        &mut self,
        path: &Path,
        file: usize,
        mut decisions: Vec<Decision>,
        proposed: ProposedChanges<'_>,
    ) -> Reviewed {
        let count = proposed.changes.len();
        // The file may have changed since it was asked about.
        decisions.truncate(count);
        while decisions.len() < count {
            if let Some(standing_answer) = &self.standing_answer {
                decisions.resize(count, standing_answer.clone());
                break;
            }
            match (self.ask)(&proposal(path, file, self.context, &decisions, proposed)) {
                Answer::Yes => decisions.push(Decision::Yes),
                Answer::No => decisions.push(Decision::No),
                Answer::Edit(new) => decisions.push(Decision::Edited(new)),
                Answer::Back if decisions.is_empty() && file > 0 => return Reviewed::Back,
                Answer::Back => drop(decisions.pop()),
                Answer::File => decisions.resize(count, Decision::Yes),
                Answer::SkipFile => decisions.resize(count, Decision::No),
                Answer::All => self.standing_answer = Some(Decision::Yes),
                Answer::Quit => self.standing_answer = Some(Decision::No),
            }
        }
        Reviewed::Decided(decisions)
    }
}

/// Describes the first change that `decisions` leave open, in the text that they make.
fn proposal<'a>(
    path: &'a Path,
    file: usize,
    context: usize,
    decisions: &[Decision],
    proposed: ProposedChanges<'a>,
) -> Proposal<'a> {
    let ProposedChanges { text, edited, changes } = proposed;
    let place = decisions.len();
    let Change { old, new } = &changes[place];
    let mut from = diff::lines_above(text, diff::line_start(text, old.start), context);
    let first = changes[..place].partition_point(|change| change.old.end < from);
    if first < place {
        from = from.min(diff::line_start(text, changes[first].old.start));
    }
    let lines_before = lines_before(from, &decisions[..first], proposed);
    let (mut near, mut copied) = (Vec::new(), from);
    for (change, decision) in changes[first..place].iter().zip(&decisions[first..]) {
        if let Some(new) = decision.new_text(edited, change) {
            near.extend_from_slice(&text[copied..change.old.start]);
            near.extend_from_slice(new);
            copied = change.old.end;
        }
    }
    near.extend_from_slice(&text[copied..old.start]);
    let start = near.len();
    let to = diff::lines_below(text, diff::line_end(text, old.end), context);
    near.extend_from_slice(&text[old.start..to]);
    let (column, new) = (start - diff::line_start(&near, start), &edited[new.clone()]);
    let how = Excerpt { context, lines_before };
    let hunk = diff::excerpt(&near, start..start + old.len(), new, how);
    let old = &text[old.clone()];
    Proposal {
        path,
        hunk,
        old,
        new,
        column,
        place: place + 1,
        count: changes.len(),
        file: file + 1,
    }
}

/// Counts the lines before `from` in the text that the decisions about changes before it make.
fn lines_before(from: usize, decisions: &[Decision], proposed: ProposedChanges<'_>) -> usize {
    let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
    let (mut added, mut removed) = (0, 0);
    for (change, decision) in proposed.changes.iter().zip(decisions) {
        if let Some(new) = decision.new_text(proposed.edited, change) {
            added += lines(new);
            removed += lines(&proposed.text[change.old.clone()]);
        }
    }
    (lines(&proposed.text[..from]) + added).saturating_sub(removed)
}
