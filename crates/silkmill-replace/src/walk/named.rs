//! The paths that a run was given: what each leads to, and which lead to the same.

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

/// Of paths that lead to one file or directory the first. What is named as well as walked to is left by the
/// walk, if it will be looked at: the filter is told.
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
        // Names of one file may be files of their own as soon as one is written to: an overlay has it so.
        if metadata.is_file() && metadata.nlink() > 1 {
            return by_path.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
        }
        let file = FileId::of(&metadata);
        let name = path.file_name().map_or(path.as_path(), Path::new);
        let is_looked_at = match metadata.is_dir() {
            true => !filter.knows_paths(),
            false => filter.takes(name),
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

/// What is at a path that was named.
pub(crate) enum NamedPath {
    Directory,
    /// A file, or what became of the path.
    File(Result<Found, Outcome>),
    /// A file that the filter leaves.
    Excluded,
}

/// Looks at a path that was named.
pub(crate) fn enter(root: &Path, filter: &Filter) -> NamedPath {
    let metadata = match reach(root) {
        Ok(metadata) => metadata,
        Err(outcome) => return NamedPath::File(Err(outcome)),
    };
    if is_in_a_store(root, filter) {
        let error = Error::refused(format!("failed to use {root:?}: it holds the files of runs"));
        return NamedPath::File(Err(Outcome::failed(plain(root), error)));
    }
    if metadata.is_dir() {
        return NamedPath::Directory;
    }
    if !filter.takes(root.file_name().map_or(root, Path::new)) {
        return NamedPath::Excluded;
    }
    // Even to open a device may disturb it.
    if !metadata.is_file() {
        return NamedPath::File(Err(Outcome::skipped(plain(root), Skip::NotRegular)));
    }
    NamedPath::File(match root.is_symlink().then(|| end_of_link(root)).transpose() {
        Ok(link_target) => Ok(Found { path: plain(root), link_target }),
        Err(error) => Err(lost(root, error)),
    })
}

/// What is at a path that was named. A current directory that was removed is still there for
/// whoever is in it, and holds nothing: it, too, is lost.
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

/// Whether a path that was named leads to the files of runs.
fn is_in_a_store(root: &Path, filter: &Filter) -> bool {
    let Ok(path) = fs::canonicalize(root) else { return false };
    let store = filter.store.as_ref();
    path.iter().any(is_own_name)
        || store.is_some_and(|store| path.starts_with(store))
        || path.ancestors().any(is_run)
}

/// Where a link leads; below the current directory as a diff needs it, for `patch` changes no links.
fn end_of_link(link: &Path) -> io::Result<PathBuf> {
    let target = fs::canonicalize(link)?;
    let here = fs::canonicalize(".")?;
    Ok(target.strip_prefix(here).map(Path::to_path_buf).unwrap_or(target))
}
