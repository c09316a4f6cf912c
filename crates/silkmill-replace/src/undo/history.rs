//! Which runs of a store belong together, and which of them an undo or a redo is about.
//!
//! An undo names the run that it takes back, and a redo the undo. So they form *chains*: a run, its
//! undo, the redo, and so on. The files that are kept for a chain are those of its last run, the
//! *tip*. A user knows a chain by the name of its first run.

use std::collections::HashMap;
use std::path::Path;

use crate::error::Error;
use crate::store::journal::{Phase, RunHeader};
use crate::store::run_directory::{self, RunDirectory};
use crate::store::{Probe, Store};

/// Which way a run is reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Undo,
    Redo,
}

impl Direction {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Direction::Undo => "undo",
            Direction::Redo => "redo",
        }
    }

    /// Returns what is said of the files afterwards.
    pub(super) fn done(self) -> &'static str {
        match self {
            Direction::Undo => "put back",
            Direction::Redo => "changed again",
        }
    }

    /// Returns the command of the program, for messages.
    pub(super) fn command(self) -> &'static str {
        match self {
            Direction::Undo => "silkmill undo",
            Direction::Redo => "silkmill redo",
        }
    }
}

/// A run that is done.
#[derive(Clone, Debug)]
pub(super) struct DoneRun {
    pub(super) id: String,
    pub(super) header: RunHeader,
}

/// A run, its undo, the redo of that, and so on.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Never empty.
    runs: Vec<DoneRun>,
}

impl Chain {
    pub(super) fn root(&self) -> &DoneRun {
        self.runs.first().expect("a chain has a run")
    }

    pub(super) fn tip(&self) -> &DoneRun {
        self.runs.last().expect("a chain has a run")
    }

    /// Returns the names of its runs, the oldest first.
    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.runs.iter().map(|run| &*run.id)
    }

    /// Returns whether the files have the text from before the first run. Of a chain that was being
    /// removed the oldest runs may be gone.
    pub(super) fn is_undone(&self) -> bool {
        let reverted = self.runs.iter().filter(|run| run.header.undoes.is_some()).count();
        reverted % 2 == 1
    }

    fn is_new(&self) -> bool {
        self.tip().header.undoes.is_none()
    }

    /// Returns whether the chain changed a file in this directory or below it.
    fn touches(&self, store: &Store, directory: &Path) -> bool {
        let roots = &self.tip().header.roots;
        if roots.iter().any(|root| root.starts_with(directory)) {
            return true;
        }
        // A run may have given a root another name.
        let places = roots.iter().map(|root| root.parent().unwrap_or(root));
        let may_touch = places.into_iter().any(|place| directory.starts_with(place));
        may_touch
            && find(store, &self.tip().id).and_then(|mut run| run.read()).is_ok_and(|read| {
                read.is_some_and(|(journal, _)| {
                    run_directory::touches(&journal, directory).unwrap_or(false)
                })
            })
    }
}

/// Returns the chains of a store, the one whose tip is the oldest first.
pub(super) fn chains(store: &Store) -> Result<Vec<Chain>, Error> {
    let mut done = Vec::new();
    let locked = store.lock()?;
    for found in locked.probe_all()? {
        let Probe::Stopped(run) = found? else { continue };
        if let Ok(Some((Phase::Done, header))) = run.phase_and_header()
            && header.keeps
        {
            done.push(DoneRun { id: run.id().to_owned(), header });
        }
    }
    drop(locked);
    Ok(in_chains(done))
}

fn in_chains(mut done: Vec<DoneRun>) -> Vec<Chain> {
    // A run began before those that revert it.
    done.sort_by_key(|run| run.header.begun);
    let mut chains: Vec<Chain> = Vec::new();
    let mut by_tip: HashMap<String, usize> = HashMap::new();
    for run in done {
        let before = run.header.undoes.as_ref().and_then(|id| by_tip.remove(id));
        let place = before.unwrap_or_else(|| {
            chains.push(Chain { runs: Vec::new() });
            chains.len() - 1
        });
        by_tip.insert(run.id.clone(), place);
        chains[place].runs.push(run);
    }
    chains.sort_by_key(|chain| chain.tip().header.begun);
    chains
}

/// Returns the chain of the run called `id`, or the one that is meant in this directory, and its
/// store.
pub(super) fn choose(
    stores: &[Store],
    direction: Direction,
    from: &Path,
    id: Option<&str>,
) -> Result<(Store, Chain), Error> {
    let mut all: Vec<(&Store, Chain)> = Vec::new();
    for store in stores {
        all.extend(chains(store)?.into_iter().map(|chain| (store, chain)));
    }
    all.sort_by_key(|(_, chain)| chain.tip().header.begun);
    let wants_undone = direction == Direction::Redo;
    if let Some(id) = id {
        let named = all.into_iter().find(|(_, chain)| chain.ids().any(|other| other == id));
        return match named {
            Some((store, chain)) if chain.is_undone() == wants_undone => Ok((store.clone(), chain)),
            Some((_, chain)) if wants_undone => {
                let id = &chain.root().id;
                Err(Error::refused(format!("run {id} is not undone; `silkmill undo {id}` does so")))
            }
            Some((_, chain)) => {
                let id = &chain.root().id;
                Err(Error::refused(format!(
                    "run {id} is undone already; `silkmill redo {id}` makes it again"
                )))
            }
            None => Err(no_such_run(id)),
        };
    }
    let from = &from.canonicalize().unwrap_or_else(|_| from.to_path_buf());
    let mut elsewhere = None;
    for (store, chain) in all.into_iter().rev() {
        let is_meant = chain.is_undone() == wants_undone;
        let is_in_the_way = wants_undone && chain.is_new();
        if !is_meant && !is_in_the_way {
            continue;
        }
        if !chain.touches(store, from) {
            elsewhere = elsewhere.or(is_meant.then_some(chain));
        } else if is_in_the_way {
            return Err(Error::refused(format!(
                "run {} was made in {from:?} since the last undo; name the run to make again: see \
                 `silkmill undo --list`",
                chain.root().id
            )));
        } else {
            return Ok((store.clone(), chain));
        }
    }
    Err(none_here(direction, from, elsewhere.as_ref()))
}

fn none_here(direction: Direction, from: &Path, elsewhere: Option<&Chain>) -> Error {
    let noun = direction.noun();
    let Some(chain) = elsewhere else {
        return Error::refused(format!("there is no run to {noun}"));
    };
    let (id, command) = (&chain.root().id, direction.command());
    let roots = &chain.root().header.roots;
    let place = roots.first().map(|root| format!(" in {root:?}")).unwrap_or_default();
    Error::refused(format!(
        "there is no run to {noun} in {from:?}; the last one elsewhere is {id}{place}: \
         `{command} {id}`"
    ))
}

/// Returns the directory of a run that no process is working on.
pub(super) fn find(store: &Store, id: &str) -> Result<RunDirectory, Error> {
    match store.lock()?.probe(id.to_owned())? {
        Probe::Stopped(run) => Ok(run),
        Probe::Running { .. } => {
            Err(Error::refused(format!("another process is working on run {id}")))
        }
    }
}

pub(super) fn no_such_run(id: &str) -> Error {
    Error::refused(format!("there is no run {id:?} that can be undone; see `silkmill undo --list`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, begun: u64, undoes: Option<&str>) -> DoneRun {
        let header = RunHeader { begun, undoes: undoes.map(str::to_owned), ..RunHeader::default() };
        DoneRun { id: id.to_owned(), header }
    }

    #[test]
    fn runs_undos_and_redos_form_chains_in_the_order_of_their_ends() {
        let done = vec![
            run("redo", 5, Some("undo")),
            run("one", 1, None),
            run("two", 2, None),
            run("undo", 3, Some("one")),
            run("orphan", 6, Some("gone")),
        ];

        let chains = in_chains(done);

        let ids = chains.iter().map(|chain| chain.ids().collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(ids, [&["two"][..], &["one", "undo", "redo"], &["orphan"]]);
        let undone = chains.iter().map(Chain::is_undone).collect::<Vec<_>>();
        assert_eq!(undone, [false, false, true]);
    }
}
