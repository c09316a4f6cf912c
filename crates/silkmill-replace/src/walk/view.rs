//! A path that was named, as globs see what is below it.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A path that was named, and the other ways to write it. What a glob excludes stays excluded
/// however the path to it is written.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) root: PathBuf,
    /// The path as it was typed, without `./`. Empty for the current directory.
    pub(crate) typed: PathBuf,
    /// The path from the current directory, symbolic links resolved, where that is another one.
    pub(crate) from_here: Option<PathBuf>,
    /// The absolute path, symbolic links resolved.
    pub(crate) absolute: Option<PathBuf>,
}

impl View {
    /// Looks for the other ways to write the path only if `all` of them matter.
    pub(crate) fn new(root: &Path, all: bool) -> View {
        let typed = without_dots(root);
        let real = if all { fs::canonicalize(root).ok() } else { None };
        let from_here = real.as_ref().and_then(|real| {
            let here = fs::canonicalize(".").ok()?;
            real.strip_prefix(here).ok().map(Path::to_path_buf).filter(|path| *path != typed)
        });
        View { root: root.to_path_buf(), typed, from_here, absolute: real }
    }

    /// Returns a path below this one without it. For the path itself that is nothing.
    pub(crate) fn below<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}
