//! Lists earlier runs, and undoes them.
//!
//! The originals of a run are the very files that it replaced. An undo is a run of its own, which
//! swaps them with the files that are there now. So an undo can be undone.

pub(crate) mod options;
pub(crate) mod prune;
mod rename;
mod reverse;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use silkmill::CancelToken;

use crate::error::Error;
use crate::outcome::Notice;
use crate::store::durability::Durability;
use crate::store::journal::{Entry, Journal, Method, Phase, RunHeader};
use crate::store::layout::BESIDE;
use crate::store::run_directory::RunDirectory;
use crate::store::run_id::now;
use crate::store::{Probe, Store, links};
use crate::transaction::commit::{self, Completion};
use crate::transaction::recovery;
use crate::transaction::swap::Attempt;
use crate::undo::options::UndoOptions;
use crate::undo::rename::rename_back;
use crate::undo::reverse::reverse;

/// An earlier run that can be undone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredRun {
    /// The name of the run.
    pub id: String,
    /// When the run began.
    pub begun: SystemTime,
    /// What the run replaced by what.
    pub what: String,
    /// The directories that the run worked in.
    pub roots: Vec<PathBuf>,
    /// How many files the run changed.
    pub files: u64,
    /// How many replacements the run made.
    pub replacements: u64,
    /// How many bytes of originals are kept for the run.
    pub bytes_held: u64,
    /// The run that this run undid, if it is an undo.
    pub undoes: Option<String>,
}

/// What became of an undo.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undone {
    /// The run that was undone.
    pub run: StoredRun,
    /// The files, in the order in which the run had changed them.
    pub files: Vec<PathBuf>,
    /// The name of the undo itself, which can be undone in turn. `None` when it was a dry run.
    pub id: Option<String>,
    /// The store of both runs.
    pub store: PathBuf,
}

/// Returns every run that can be undone, oldest first, after runs that crashed have been recovered.
///
/// # Errors
/// When a store cannot be read.
pub fn runs(
    options: &UndoOptions,
    report: &mut dyn FnMut(&Notice),
) -> Result<Vec<StoredRun>, Error> {
    let mut runs = Vec::new();
    for store in stores(options) {
        recovery::recover_store(&store, &mut |notice| report(&notice))?;
        for (mut run, _) in undoable(&store)? {
            let id = run.id().to_owned();
            match run.read() {
                Ok(Some((journal, _))) => runs.push(StoredRun::of(&id, &journal)),
                Ok(None) => {}
                Err(error) => report(&Notice::Unfinished { run: id, error }),
            }
        }
    }
    runs.sort_by_key(|run| run.begun);
    Ok(runs)
}

/// Undoes a run, the last one unless `id` names another: all of its files, or none.
///
/// # Errors
/// There is no such run; a file was edited since (`report` is called for each before); or the
/// operating system refused. In each case no file was changed, unless the error says otherwise.
pub fn undo(
    options: &UndoOptions,
    id: Option<&str>,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Notice),
) -> Result<Undone, Error> {
    if !options.dry_run {
        for store in stores(options) {
            recovery::recover_store(&store, &mut |notice| report(&notice))?;
        }
    }
    let (store, header, id) = choose(options, id)?;
    let own_header = RunHeader {
        begun: now(),
        what: format!("undo of {id}"),
        roots: header.roots,
        undoes: Some(id.clone()),
        keeps: true,
    };
    let own = match options.dry_run {
        true => None,
        false => {
            let home = options.state_directory.as_deref();
            let around = links::around(home, &own_header.roots, &store);
            let report = &mut |notice| report(&notice);
            Some(recovery::begin(&store, &around, &own_header, cancel, report)?)
        }
    };
    let mut run = find(&store, &id)?;
    let (journal, _) = run.read()?.ok_or_else(|| no_such_run(&id))?;
    // Files are edited where they are now, and then get their old names.
    let left = journal.as_left();
    let mut back = reverse(&left, own_header, options.force, report)?;
    rename_back(&left, &mut back, options.force, report)?;
    let mut undone = Undone {
        run: StoredRun::of(&id, &journal),
        files: back.paths_as_left(),
        id: None,
        store: store.path().to_path_buf(),
    };
    if let Some(own) = own {
        undone.id = Some(own.id().to_owned());
        swap(own, &back, Durability::of(options.sync), cancel, report)?;
    }
    Ok(undone)
}

fn swap(
    mut own: RunDirectory,
    back: &Journal,
    durability: Durability,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Notice),
) -> Result<(), Error> {
    own.write(back)?;
    if durability.is_forced() {
        commit::flush(back)?;
    }
    if cancel.is_cancelled() {
        return Err(Error::interrupted());
    }
    own.set_phase(Phase::Committed, durability)?;
    match commit::finish(&mut own, back, Attempt::First, durability, &mut || {})? {
        Completion::Done { late: None, .. } => Ok(()),
        Completion::Done { late: Some(late), .. } => {
            Err(Error::store(format!("every file was put back; but {late}")))
        }
        Completion::RolledBack(rolled_back) => {
            rolled_back.notices.iter().for_each(&mut *report);
            commit::remove(own, back)?;
            Err(Error::refused(format!("{}: nothing was changed", rolled_back.why)))
        }
    }
}

/// Returns the user's store, those beside files from `from` upwards, and those that the user's
/// store links to.
fn stores(options: &UndoOptions) -> Vec<Store> {
    let home = options.state_directory.as_deref();
    let above = options.from.ancestors().map(|folder| folder.join(BESIDE));
    let paths = home.map(Path::to_path_buf).into_iter().chain(above);
    let here = paths.filter_map(|path| Store::existing(&path));
    let mut stores: Vec<Store> = here.chain(links::remembered(home)).collect();
    let mut seen = HashSet::new();
    stores.retain(|store| seen.insert(store.path().to_path_buf()));
    stores
}

/// Returns the runs of a store that are done and not undone, oldest first, each locked.
fn undoable(store: &Store) -> Result<Vec<(RunDirectory, RunHeader)>, Error> {
    let mut done = Vec::new();
    for found in store.lock()?.probe_all()? {
        let Probe::Stopped(run) = found else { continue };
        if let Ok(Some((Phase::Done, header))) = run.phase_and_header()
            && header.keeps
        {
            done.push((run, header));
        }
    }
    let spent: HashSet<String> =
        done.iter().filter_map(|(_, header)| header.undoes.clone()).collect();
    done.retain(|(run, _)| !spent.contains(run.id()));
    done.sort_by_key(|(_, header)| header.begun);
    Ok(done)
}

/// Returns the store, the header and the name of the run called `id`, or of the last run.
fn choose(options: &UndoOptions, id: Option<&str>) -> Result<(Store, RunHeader, String), Error> {
    let mut last: Option<(Store, RunHeader, String)> = None;
    for store in stores(options) {
        for (run, header) in undoable(&store)? {
            let is_newer = last.as_ref().is_none_or(|(_, other, _)| header.begun > other.begun);
            let wanted = id.map_or(is_newer, |id| id == run.id());
            if wanted {
                last = Some((store.clone(), header, run.id().to_owned()));
            }
        }
    }
    last.ok_or_else(|| match id {
        Some(id) => no_such_run(id),
        None => Error::refused("there is no run to undo"),
    })
}

fn no_such_run(id: &str) -> Error {
    Error::refused(format!("there is no run {id:?} that can be undone; see `silkmill undo --list`"))
}

fn find(store: &Store, id: &str) -> Result<RunDirectory, Error> {
    let runs = undoable(store)?.into_iter().map(|(run, _)| run);
    runs.into_iter().find(|run| run.id() == id).ok_or_else(|| no_such_run(id))
}

impl StoredRun {
    fn of(id: &str, journal: &Journal) -> StoredRun {
        let held = |entry: &Entry| match entry.method {
            Method::Exchange => entry.old.size,
            Method::CopyOver | Method::CopyBack => entry.old.size + entry.new.size,
            Method::Restore => 0,
            Method::Remove => entry.old.size,
        };
        StoredRun {
            id: id.to_owned(),
            begun: UNIX_EPOCH + Duration::from_nanos(journal.header.begun),
            what: journal.header.what.clone(),
            roots: journal.header.roots.clone(),
            files: journal.paths_as_left().len() as u64,
            replacements: journal.replacements,
            bytes_held: journal.entries.iter().map(held).sum(),
            undoes: journal.header.undoes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use std::fs;
    use tempfile::TempDir;

    /// Makes a run over two files, one of them with two names. Its journal has other device
    /// numbers, as after a reboot.
    fn run_before_a_restart(phases: &[Phase]) -> (TempDir, UndoOptions) {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("tree")).unwrap();
        for name in ["tree/a", "tree/b"] {
            fs::write(path(name), "old").unwrap();
        }
        fs::hard_link(path("tree/b"), path("tree/c")).unwrap();
        let state = path("state/silkmill");
        let options = Options::builder("old", "new").path(path("tree")).state_directory(&state);
        let options = options.build().unwrap();
        crate::run::run(&options, &CancelToken::new(), &mut |_| {}).unwrap();

        let store = Store::existing(&state).unwrap();
        let found = store.lock().unwrap().probe_all().unwrap().pop().unwrap();
        let Probe::Stopped(mut run) = found else { panic!("{found:?}") };
        let (mut journal, _) = run.read().unwrap().unwrap();
        for entry in &mut journal.entries {
            entry.old.file.dev += 1000;
            entry.new.file.dev += 1000;
        }
        run.write(&journal).unwrap();
        phases.iter().for_each(|phase| run.set_phase(*phase, Durability::Unforced).unwrap());
        let options = UndoOptions::builder(root.path()).state_directory(state).build();
        (root, options)
    }

    fn texts(root: &TempDir) -> [String; 3] {
        ["a", "b", "c"].map(|name| fs::read_to_string(root.path().join("tree").join(name)).unwrap())
    }

    #[test]
    fn a_run_is_undone_though_its_disk_has_another_number_now() {
        let (root, options) = run_before_a_restart(&[Phase::Committed, Phase::Done]);
        assert_eq!(texts(&root), ["new"; 3]);

        undo(&options, None, &CancelToken::new(), &mut |notice| panic!("{notice}")).unwrap();

        assert_eq!(texts(&root), ["old"; 3]);
    }

    #[test]
    fn a_run_is_finished_though_its_disk_has_another_number_now() {
        let (root, options) = run_before_a_restart(&[Phase::Committed]);

        let mut reported = Vec::new();
        let runs = runs(&options, &mut |notice| reported.push(notice.to_string())).unwrap();

        assert!(
            reported.len() == 1 && reported[0].ends_with("it is finished now, in 2 files"),
            "{reported:?}"
        );
        assert_eq!((runs.len(), texts(&root)), (1, ["new"; 3].map(String::from)));
        undo(&options, None, &CancelToken::new(), &mut |notice| panic!("{notice}")).unwrap();
        assert_eq!(texts(&root), ["old"; 3]);
    }

    /// A filesystem such as vfat invents its inode numbers at every mount.
    #[test]
    fn what_cannot_be_known_again_is_kept_and_named() {
        let (root, options) = run_before_a_restart(&[Phase::Committed]);
        // Another file has the number now, and another one is at the target.
        let store = Store::existing(options.state_directory.as_deref().unwrap()).unwrap();
        let found = store.lock().unwrap().probe_all().unwrap().pop().unwrap();
        let Probe::Stopped(mut run) = found else { panic!("{found:?}") };
        let (journal, _) = run.read().unwrap().unwrap();
        let entry = &journal.entries[0];
        let stored =
            journal.staging_dirs[entry.staging_dir as usize].join(entry.number.to_string());
        for path in [&stored, &journal.target(entry)] {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
        }
        drop(run);

        let mut reported = Vec::new();
        runs(&options, &mut |notice| reported.push(notice.to_string())).unwrap();

        let kept =
            reported.iter().find_map(|message| message.split_once("from before is kept as "));
        let kept = kept.unwrap_or_else(|| panic!("{reported:?}")).1.trim_matches('"');
        assert_eq!(fs::read_to_string(kept).unwrap(), "old");
        assert_eq!(texts(&root), ["new", "old", "old"]);
    }
}
