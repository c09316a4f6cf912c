//! The paths that the user named: what each leads to, and which lead to the same file.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::original::FileId;
use crate::outcome::{Outcome, Skip};
use crate::store::layout::is_own_name;
use crate::store::run_directory::is_run;
use crate::walk::filter::Filter;
use crate::walk::found::{Found, lost, plain};
use crate::walk::repository::{is_bare, is_own};
use crate::walk::view::View;

/// Returns the first of the paths that lead to one file or directory. The walk skips what is also
/// named itself, if that will be searched: `filter` gets the list.
pub(crate) fn once(paths: &[PathBuf], filter: &mut Filter) -> Vec<PathBuf> {
    if paths.len() < 2 {
        return paths.to_vec();
    }
    let (mut seen, mut by_path) = (HashSet::new(), HashSet::new());
    let mut named: HashMap<u64, Vec<FileId>> = HashMap::new();
    let is_first = |path: &&PathBuf| {
        let Ok(metadata) = fs::metadata(path) else { return by_path.insert(path.to_path_buf()) };
        if !metadata.is_file() && !metadata.is_dir() {
            return true;
        }
        // On an overlay, the names of one file may become separate files with the first write.
        if metadata.is_file() && metadata.nlink() > 1 {
            return by_path.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
        }
        let file = FileId::of(&metadata);
        let view = View::new(path, filter.excludes_by_name());
        let is_looked_at = match metadata.is_dir() {
            true => !filter.knows_paths() && !filter.excludes_named(&view, true),
            false => filter.takes_named(&view),
        };
        if is_looked_at {
            named.entry(file.ino).or_default().push(file);
        }
        seen.insert(file)
    };
    let firsts = paths.iter().filter(is_first).cloned().collect();
    filter.named = Arc::new(named);
    firsts
}

/// What a path that was named leads to.
pub(crate) enum NamedPath {
    Directory(View),
    /// A file, or what became of the path.
    File(Result<Found, Outcome>),
    /// A file or directory that the filter excludes.
    Excluded,
}

/// Finds out what a path that was named leads to.
pub(crate) fn enter(root: &Path, filter: &Filter) -> NamedPath {
    let metadata = match reach(root) {
        Ok(metadata) => metadata,
        Err(outcome) => return NamedPath::File(Err(outcome)),
    };
    if is_in_a_store(root, filter) {
        let error = Error::refused(format!("failed to use {root:?}: it holds the files of runs"));
        return NamedPath::File(Err(Outcome::failed(plain(root), error)));
    }
    let view = View::new(root, filter.excludes_by_name());
    if metadata.is_dir() {
        if filter.excludes_named(&view, true) {
            return NamedPath::Excluded;
        }
        if is_a_repositorys_own(root) {
            let why = "it holds the files of a repository";
            let error = Error::refused(format!("failed to use {root:?}: {why}"));
            return NamedPath::File(Err(Outcome::failed(plain(root), error)));
        }
        return NamedPath::Directory(view);
    }
    if !filter.takes_named(&view) {
        return NamedPath::Excluded;
    }
    // Opening a device may have effects.
    if !metadata.is_file() {
        return NamedPath::File(Err(Outcome::skipped(plain(root), Skip::NotRegular)));
    }
    NamedPath::File(match root.is_symlink().then(|| end_of_link(root)).transpose() {
        Ok(link_target) => Ok(Found { path: plain(root), link_target }),
        Err(error) => Err(lost(root, error)),
    })
}

/// Returns the metadata of a path that was named. A current directory that was removed still exists
/// for this process, but holds nothing, so it fails, too.
pub(crate) fn reach(root: &Path) -> Result<Metadata, Outcome> {
    let metadata = fs::metadata(root).map_err(|error| lost(root, error))?;
    if metadata.is_dir()
        && let Err(error) = fs::canonicalize(root)
        && error.kind() == io::ErrorKind::NotFound
    {
        return Err(lost(root, error));
    }
    Ok(metadata)
}

/// Returns whether a path that was named leads to the files of runs.
pub(super) fn is_in_a_store(root: &Path, filter: &Filter) -> bool {
    let Ok(path) = fs::canonicalize(root) else { return false };
    let store = filter.store.as_ref();
    path.iter().any(is_own_name)
        || store.is_some_and(|store| path.starts_with(store))
        || path.ancestors().any(is_run)
}

/// Returns whether a directory that was named holds what version control keeps for itself.
fn is_a_repositorys_own(root: &Path) -> bool {
    let Ok(path) = fs::canonicalize(root) else { return false };
    path.file_name().is_some_and(|name| is_own(name, true)) || is_bare(&path)
}

/// Returns the target of a link, relative to the current directory if it is below it: `patch` does
/// not change links.
pub(super) fn end_of_link(link: &Path) -> io::Result<PathBuf> {
    let target = fs::canonicalize(link)?;
    let here = fs::canonicalize(".")?;
    Ok(target.strip_prefix(here).map(Path::to_path_buf).unwrap_or(target))
}
