//! Asks about every change before it is made. The caller decides who answers and how a change is
//! shown.

use std::path::Path;

use crate::text::diff;
use crate::text::revise::ProposedChange;

/// A change that may be made or not: see [`review`](crate::review()).
#[derive(Debug)]
#[non_exhaustive]
pub struct Proposal<'a> {
    /// The file.
    pub path: &'a Path,
    /// A hunk of a unified diff with this change alone, including its `@@` line, in decoded text.
    pub hunk: Vec<u8>,
    /// The place of the change among those of its file, from 1.
    pub place: usize,
    /// The number of changes of the file.
    pub count: usize,
}

/// The answer to a [`Proposal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Make the change.
    Yes,
    /// Do not make it.
    No,
    /// Make it and all that follow, in all files, without asking again.
    All,
    /// Make neither it nor any that follows. The changes accepted before stay.
    Quit,
}

/// The function that answers, and the answer that holds for all further changes.
pub(crate) struct Review<'a> {
    ask: &'a mut dyn FnMut(&Proposal<'_>) -> Answer,
    standing_answer: Option<bool>,
}

impl<'a> Review<'a> {
    pub(crate) fn new(ask: &'a mut dyn FnMut(&Proposal<'_>) -> Answer) -> Review<'a> {
        Review { ask, standing_answer: None }
    }

    /// Returns whether no further change is made.
    pub(crate) fn is_over(&self) -> bool {
        self.standing_answer == Some(false)
    }

    pub(crate) fn wants(&mut self, path: &Path, proposed: ProposedChange<'_>) -> bool {
        if let Some(standing_answer) = self.standing_answer {
            return standing_answer;
        }
        let ProposedChange { text, edited, change, place, count } = proposed;
        let hunk = diff::excerpt(text, change.old.clone(), &edited[change.new.clone()]);
        match (self.ask)(&Proposal { path, hunk, place: place + 1, count }) {
            Answer::Yes => true,
            Answer::No => false,
            Answer::All => *self.standing_answer.insert(true),
            Answer::Quit => *self.standing_answer.insert(false),
        }
    }
}
