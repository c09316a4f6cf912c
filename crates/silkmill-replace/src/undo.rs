//! Lists earlier runs, takes them back and makes them again.
//!
//! The originals of a run are the very files that it replaced. An undo is a run of its own, which
//! swaps them with the files that are there now. A redo is an undo of that undo. `history` says
//! which runs belong together.

mod history;
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
use crate::store::journal::{Journal, Phase, RunHeader};
use crate::store::run_directory::RunDirectory;
use crate::store::run_id::now;
use crate::store::{Store, layout, links};
use crate::transaction::barrier;
use crate::transaction::commit::{self, Completion};
use crate::transaction::recovery;
use crate::transaction::swap::Attempt;
use crate::undo::history::{Chain, Direction, chains, choose, find};
use crate::undo::options::UndoOptions;
use crate::undo::rename::rename_back;
use crate::undo::reverse::reverse;

/// An earlier run that can be undone, or that was undone and can be made again.
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
    /// How many bytes of files are kept for the run.
    pub bytes_held: u64,
    /// Whether the run is undone now.
    pub is_undone: bool,
    /// The store with its files.
    pub store: PathBuf,
}

/// What became of an undo or a redo.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undone {
    /// The run that was undone or made again.
    pub run: StoredRun,
    /// How many files were put back or renamed, or would be.
    pub files: u64,
    /// The name of the undo itself. `None` when it was a dry run.
    pub id: Option<String>,
    /// The store of both runs.
    pub store: PathBuf,
    /// What was done, or would be.
    journal: Journal,
}

impl Undone {
    /// Calls `each` with every file, in the order in which the run had changed them. There may be
    /// more than fit into memory.
    ///
    /// # Errors
    /// What is known of the files cannot be read any more.
    pub fn for_each_path(&self, each: &mut dyn FnMut(PathBuf)) -> Result<(), Error> {
        self.journal.for_each_path_as_left(each)
    }
}

/// Returns every run that can be undone or made again, oldest first, after runs that crashed have
/// been recovered.
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
        for chain in chains(&store)? {
            let id = chain.tip().id.clone();
            match find(&store, &id).and_then(|mut run| run.read()) {
                Ok(Some((journal, _))) => runs.push(StoredRun::of(&store, &chain, &journal)?),
                Ok(None) => {}
                Err(error) => report(&Notice::Unfinished { run: id, error }),
            }
        }
    }
    runs.sort_by_key(|run| run.begun);
    Ok(runs)
}

/// Undoes a run: all of its files, or none. Without an `id`, it is the newest that changed a file
/// in the directory of the options or below it, and is not undone.
///
/// The files get a new modification time, and have the mode, owner and attributes that they have
/// now. A file with the bytes that the run has left is not edited, whatever its times are.
///
/// # Errors
/// There is no such run; a file was edited since (`report` is called before); or the operating
/// system refused. In each case no file was changed, unless the error says otherwise.
pub fn undo(
    options: &UndoOptions,
    id: Option<&str>,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Notice),
) -> Result<Undone, Error> {
    revert(Direction::Undo, options, id, cancel, report)
}

/// Makes a run again that was undone: all of its files, or none. Without an `id`, it is the one
/// that was undone last in the directory of the options or below it, unless a new run was made
/// there since.
///
/// # Errors
/// Those of [`undo`].
pub fn redo(
    options: &UndoOptions,
    id: Option<&str>,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Notice),
) -> Result<Undone, Error> {
    revert(Direction::Redo, options, id, cancel, report)
}

fn revert(
    direction: Direction,
    options: &UndoOptions,
    id: Option<&str>,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Notice),
) -> Result<Undone, Error> {
    let stores = stores(options);
    if !options.dry_run {
        for store in &stores {
            recovery::recover_store(store, &mut |notice| report(&notice))?;
        }
    }
    let (store, chain) = choose(&stores, direction, &options.from, id)?;
    let id = chain.tip().id.clone();
    let own_header = RunHeader {
        begun: now(),
        what: format!("{} of {}", direction.noun(), chain.root().id),
        roots: chain.tip().header.roots.clone(),
        undoes: Some(id.clone()),
        keeps: true,
    };
    let own = match options.dry_run {
        true => None,
        false => {
            let home = layout::usable(options.state_directory.as_deref());
            let around = links::around(home, &own_header.roots, &store);
            let report = &mut |notice| report(&notice);
            let own = recovery::begin(&store, &around, &own_header, cancel, report);
            Some(own.map_err(Error::before_the_commit)?)
        }
    };
    // Another process may have undone the run while this one waited for its turn.
    if !chains(&store)?.iter().any(|chain| chain.tip().id == id) {
        return Err(history::no_such_run(&id));
    }
    let mut run = find(&store, &id)?;
    let (journal, _) = run.read()?.ok_or_else(|| history::no_such_run(&id))?;
    // Files are edited where they are now, and then get their old names.
    let left = journal.as_left()?;
    // A draft that is too long for memory goes to a file without a name.
    let folder = own.as_ref().map_or_else(std::env::temp_dir, |own| own.path().to_path_buf());
    let drafted = reverse(&left, &folder, direction, options.force, report)?;
    let renames = rename_back(&left, &drafted.appearing, direction, options.force, report)?;
    let mut back = Journal {
        header: own_header,
        replacements: journal.replacements,
        staging_dirs: journal.staging_dirs.clone(),
        entries: drafted.entries,
        renames,
        folder: folder.clone(),
    };
    let mut undone_id = None;
    if let Some(mut own) = own {
        let durability = Durability::of(options.sync);
        back.entries = reverse::make_ready(&back, &folder)?;
        if durability.is_forced() {
            // If the mark that this run is done were lost, a recovery would make it once more.
            run.sync_all()?;
        }
        undone_id = Some(own.id().to_owned());
        back = write_journal(&mut own, back).map_err(Error::before_the_commit)?;
        swap(own, &back, direction, durability, cancel, report)?;
    }
    let mut undone = StoredRun::of(&store, &chain, &journal)?;
    if undone_id.is_some() {
        undone.is_undone = direction == Direction::Undo;
    }
    Ok(Undone {
        run: undone,
        files: back.count_paths()?,
        id: undone_id,
        store: store.path().to_path_buf(),
        journal: back,
    })
}

fn write_journal(own: &mut RunDirectory, back: Journal) -> Result<Journal, Error> {
    let mut writer = own.writer(&back.header, &back.staging_dirs)?;
    if !back.renames.is_empty() {
        writer.expect_renames(own.path());
    }
    reverse::write_ready(&back, &mut writer)?;
    for rename in back.renames.iter() {
        writer.push_rename(rename?).map_err(|error| own.unwritten(error))?;
    }
    own.finish(writer, (back.header, back.replacements, back.staging_dirs))
}

fn swap(
    mut own: RunDirectory,
    back: &Journal,
    direction: Direction,
    durability: Durability,
    cancel: &CancelToken,
    report: &mut dyn FnMut(&Notice),
) -> Result<(), Error> {
    commit_own(&mut own, back, durability, cancel).map_err(Error::before_the_commit)?;
    match commit::finish(&mut own, back, Attempt::First, durability, &mut || {})? {
        Completion::Done { late: None, .. } => Ok(()),
        Completion::Done { late: Some(late), .. } => {
            let done = direction.done();
            Err(Error::store(format!("every file was {done}; but {late}")))
        }
        Completion::RolledBack(rolled_back) => {
            rolled_back.notices.iter().for_each(&mut *report);
            commit::remove(own, back)?;
            Err(Error::refused(format!("{}: nothing was changed", rolled_back.why)))
        }
    }
}

/// Forces the journal of the undo to disk and commits it.
fn commit_own(
    own: &mut RunDirectory,
    back: &Journal,
    durability: Durability,
    cancel: &CancelToken,
) -> Result<(), Error> {
    if durability.is_forced() {
        barrier::before_the_mark(own, back)?;
    }
    if cancel.is_cancelled() {
        return Err(Error::interrupted());
    }
    own.set_phase(Phase::Committed, durability)
}

/// Returns the user's store, those beside files from `from` upwards, and those that the user's
/// store links to.
fn stores(options: &UndoOptions) -> Vec<Store> {
    let home = layout::usable(options.state_directory.as_deref());
    let above = options.from.ancestors().map(layout::beside);
    let paths = home.map(Path::to_path_buf).into_iter().chain(above);
    let here = paths.filter_map(|path| Store::existing(&path));
    let mut stores: Vec<Store> = here.chain(links::remembered(home)).collect();
    let mut seen = HashSet::new();
    stores.retain(|store| seen.insert(store.path().to_path_buf()));
    stores
}

impl StoredRun {
    fn of(store: &Store, chain: &Chain, journal: &Journal) -> Result<StoredRun, Error> {
        let header = &chain.root().header;
        Ok(StoredRun {
            id: chain.root().id.clone(),
            begun: UNIX_EPOCH + Duration::from_nanos(header.begun),
            what: header.what.clone(),
            roots: header.roots.clone(),
            files: journal.count_paths()?,
            replacements: journal.replacements,
            bytes_held: journal.entries.held(),
            is_undone: chain.is_undone(),
            store: store.path().to_path_buf(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::store::Probe;
    use crate::store::journal::Entry;
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
        let mut run = only_run(&store);
        let (journal, _) = run.read().unwrap().unwrap();
        let entries: Vec<Entry> = journal.entries.iter().map(Result::unwrap).collect();
        let mut writer = run.writer(&journal.header, &journal.staging_dirs).unwrap();
        for mut entry in entries {
            entry.old.file.dev += 1000;
            entry.new.file.dev += 1000;
            writer.push(&entry).unwrap();
        }
        let rest = (journal.header, journal.replacements, journal.staging_dirs);
        run.finish(writer, rest).unwrap();
        phases.iter().for_each(|phase| run.set_phase(*phase, Durability::Unforced).unwrap());
        let options = UndoOptions::builder(root.path()).state_directory(state).build();
        (root, options)
    }

    fn only_run(store: &Store) -> RunDirectory {
        let locked = store.lock().unwrap();
        let found = locked.probe_all().unwrap().last().unwrap().unwrap();
        let Probe::Stopped(run) = found else { panic!("{found:?}") };
        run
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
        let mut run = only_run(&store);
        let (journal, _) = run.read().unwrap().unwrap();
        let entry = journal.entries.iter().next().unwrap().unwrap();
        let stored =
            journal.staging_dirs[entry.staging_dir as usize].join(entry.number.to_string());
        for path in [&stored, &entry.target()] {
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
