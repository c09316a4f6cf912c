//! The directories that a run works in.

use std::path::{Path, PathBuf};

/// Returns the directories among the paths, and those that hold the files among them. The walk
/// reports paths that do not exist.
pub(super) fn roots(paths: &[PathBuf]) -> Vec<PathBuf> {
    let root = |path: &PathBuf| {
        let path = path.canonicalize().ok()?;
        if path.is_dir() { Some(path) } else { path.parent().map(Path::to_path_buf) }
    };
    let mut roots: Vec<PathBuf> = paths.iter().filter_map(root).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// Returns the deepest directory that contains them all.
pub(super) fn common(roots: &[PathBuf]) -> Option<PathBuf> {
    let first = roots.first()?;
    let holds_all = |folder: &&Path| roots.iter().all(|root| root.starts_with(folder));
    first.ancestors().find(holds_all).map(Path::to_path_buf)
}
