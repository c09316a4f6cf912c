//! Symbolic links that a walk follows: where they may lead, and which file they lead to.
//!
//! A link leads to no file that a path without it would not lead to: not into a repository's own
//! files or a store, and to nothing that a glob excludes where it really is. What ignore files say
//! of the place is not asked, since the user asked for the link. A link to a directory that holds
//! it, and one to nothing, are passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::DirEntry;

use crate::outcome::Outcome;
use crate::walk::filter::Filter;
use crate::walk::found::{Found, lost, path_of};
use crate::walk::named::{end_of_link, is_in_a_store};
use crate::walk::repository::{is_bare, is_own};
use crate::walk::view::View;

/// The links below a root.
#[derive(Debug)]
pub(crate) struct Links {
    /// The root, without symbolic links. `None` when no link is followed.
    real_root: Option<PathBuf>,
}

impl Links {
    pub(crate) fn new(view: &View, filter: &Filter) -> Links {
        let real_root = if filter.follow { fs::canonicalize(&view.root).ok() } else { None };
        Links { real_root }
    }

    /// Returns whether the walk goes on at an entry: if it is a link, whether it leads to where the
    /// walk may go.
    pub(crate) fn are_followed(&self, view: &View, filter: &Filter, entry: &DirEntry) -> bool {
        let Some(real_root) = self.real_root.as_ref().filter(|_| entry.path_is_symlink()) else {
            return true;
        };
        let Ok(real) = fs::canonicalize(entry.path()) else { return true };
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        let below = real.strip_prefix(real_root).unwrap_or(&real);
        let is_a_repositorys =
            below.iter().any(|name| is_own(name, true)) || real.ancestors().any(is_bare);
        !is_a_repositorys
            && !is_in_a_store(&real, filter)
            && !filter.excludes_linked(view, &real, is_directory)
    }
}

/// Returns the file at a path that the walk has come to, perhaps through links. `None` if a glob
/// excludes it where it really is.
pub(super) fn found(view: &View, filter: &Filter, path: PathBuf) -> Result<Option<Found>, Outcome> {
    let real = fs::canonicalize(&path).map_err(|error| lost(&path, error))?;
    if real == path {
        return Ok(Some(Found { path, link_target: None }));
    }
    let target = end_of_link(&path).map_err(|error| lost(&path, error))?;
    if target == path {
        return Ok(Some(Found { path, link_target: None }));
    }
    if filter.excludes_linked(view, &real, false) {
        return Ok(None);
    }
    Ok(Some(Found { path, link_target: Some(target) }))
}

/// Returns whether an error of the walk is that of a link that leads to nothing, or back to where
/// the walk came from.
pub(crate) fn is_passed_over(filter: &Filter, error: &ignore::Error) -> bool {
    let is_dangling = || {
        let is_lost = |error: &io::Error| {
            let kind = error.kind();
            kind == io::ErrorKind::NotFound || is_too_many_links(error)
        };
        let path: Option<&Path> = path_of(error);
        error.io_error().is_some_and(is_lost) && path.is_some_and(Path::is_symlink)
    };
    filter.follow && (is_loop(error) || is_dangling())
}

fn is_too_many_links(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. }
        | ignore::Error::WithDepth { err, .. }
        | ignore::Error::WithLineNumber { err, .. } => is_loop(err),
        _ => false,
    }
}
