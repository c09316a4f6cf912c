//! Asks about file after file, and about files before again when an answer is taken back.

use std::sync::Arc;

use silkmill::CancelToken;

use super::Run;
use crate::error::Error;
use crate::run::planned_rename::PlannedRename;
use crate::run::review::{Review, Reviewed, ReviewedFile};
use crate::run::worker::{Scratch, WorkerContext};
use crate::text::revise::Decision;
use crate::walk::found::Found;

impl Run<'_> {
    /// Asks about the changes of a file, and, if that is wanted, about those of files before it
    /// again. The files before it are staged or left by then.
    pub(super) fn ask(
        &mut self,
        context: &WorkerContext,
        scratch: &mut Scratch,
        place: u64,
        found: Found,
    ) -> Result<(), Error> {
        let mut at = self.reviewed.len();
        let file = ReviewedFile { place, found, decisions: Vec::new(), is_staged: false };
        self.reviewed.push(file);
        while at < self.reviewed.len() {
            let file = &mut self.reviewed[at];
            let (place, found) = (file.place, file.found.clone());
            let earlier = std::mem::take(&mut file.decisions);
            let Some(review) = self.review.as_mut().filter(|review| !review.is_over()) else {
                break;
            };
            let (path, mut reviewed) = (found.path.clone(), None);
            let finding = context.find_wanted(scratch, found, &mut |proposed| {
                let count = proposed.changes.len();
                match review.decide(&path, at, earlier.clone(), proposed) {
                    Reviewed::Decided(decisions) => {
                        reviewed = Some(Reviewed::Decided(decisions.clone()));
                        decisions
                    }
                    Reviewed::Back => {
                        reviewed = Some(Reviewed::Back);
                        vec![Decision::No; count]
                    }
                }
            });
            match reviewed {
                Some(Reviewed::Back) => {
                    at -= 1;
                    self.take_back(at);
                }
                Some(Reviewed::Decided(decisions)) => {
                    self.declined += declined(&decisions);
                    let matched = self.progress.files_matched;
                    self.take(place, finding)?;
                    let file = &mut self.reviewed[at];
                    file.decisions = decisions;
                    file.is_staged = self.progress.files_matched > matched;
                    at += 1;
                }
                None => {
                    self.reviewed.remove(at);
                    self.take(place, finding)?;
                }
            }
        }
        if self.review.as_ref().is_some_and(Review::is_settled) {
            // Nobody is asked any more, so nobody goes back.
            self.reviewed.clear();
            if let Some(Ok(run)) = &self.stored {
                self.changes.spool_in(run.path());
            }
        }
        Ok(())
    }

    /// Asks about the names that are to change, after all texts.
    pub(super) fn review_renames(&mut self, cancel: &CancelToken) -> Result<(), Error> {
        let Some(review) = self.review.as_mut().filter(|_| !self.renames.is_empty()) else {
            return Ok(());
        };
        let plan = Arc::clone(&self.renames);
        let after = |it: &PlannedRename| Ok(plan.path_after(&it.folder)?.join(&it.to));
        // A person answers for each, or ends the questions.
        let renames = plan.iter().collect::<Result<Vec<_>, Error>>()?;
        let decisions = review.decide_names(&renames, after, self.reviewed.len())?;
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        self.declined += declined(&decisions);
        let left_out = renames.iter().zip(&decisions).filter(|(_, it)| **it == Decision::No);
        self.replacements -= left_out.map(|(it, _)| it.replacements).sum::<u64>();
        self.renames = Arc::new(plan.decided(&decisions)?);
        Ok(())
    }

    /// Reverts what came of a file, so that it can be asked about again, from its last change on.
    fn take_back(&mut self, at: usize) {
        let file = &mut self.reviewed[at];
        self.declined -= declined(&file.decisions);
        file.decisions.pop();
        self.progress.files_seen -= 1;
        if std::mem::take(&mut file.is_staged)
            && let Some(file) = self.changes.take_back()
        {
            self.progress.files_matched -= 1;
            self.replacements -= file.counts.replacements;
            self.linked.forget(file.entry.old.file);
        }
    }
}

fn declined(decisions: &[Decision]) -> u64 {
    decisions.iter().filter(|decision| **decision == Decision::No).count() as u64
}
