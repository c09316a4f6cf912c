//! Asks about every change before it is made. Who answers, and how a change is shown, is the caller's.

use std::path::Path;

use crate::text::diff;
use crate::text::revise::ProposedChange;

/// A change that may be made or not: see [`review`](crate::review()).
#[derive(Debug)]
#[non_exhaustive]
pub struct Proposal<'a> {
    /// The file.
    pub path: &'a Path,
    /// A hunk of a unified diff, `@@` line included, with this change alone; the text as it was decoded.
    pub hunk: Vec<u8>,
    /// Its place among the changes of its file, from 1.
    pub place: usize,
    /// How many changes of its file may be made.
    pub count: usize,
}

/// What is to become of a change that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is made.
    Yes,
    /// It is not.
    No,
    /// It is made, and so are all that follow, in all files, without being asked for.
    All,
    /// Neither it nor any that follows is made. Those made so far stay.
    Quit,
}

/// Whoever is asked, and what has been said for good.
pub(crate) struct Review<'a> {
    ask: &'a mut dyn FnMut(&Proposal<'_>) -> Answer,
    standing_answer: Option<bool>,
}

impl<'a> Review<'a> {
    pub(crate) fn new(ask: &'a mut dyn FnMut(&Proposal<'_>) -> Answer) -> Review<'a> {
        Review { ask, standing_answer: None }
    }

    /// Whether no further change is made.
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
