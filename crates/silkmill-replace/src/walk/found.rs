//! What a walk finds: a file, or the reason why there is none.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;
use crate::outcome::Outcome;

/// A file to search.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The path by which the run reached the file.
    pub(crate) path: PathBuf,
    /// The file itself, where a symbolic link that was named or followed leads to it.
    pub(crate) link_target: Option<PathBuf>,
}

impl Found {
    /// Returns the path of the file itself, which is no symbolic link.
    pub(crate) fn target(&self) -> &Path {
        self.link_target.as_deref().unwrap_or(&self.path)
    }
}

/// Returns the path without `.` and doubled slashes, as a diff needs it: `git apply` refuses `./a`.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let plain: PathBuf =
        path.components().filter(|component| *component != Component::CurDir).collect();
    if plain.as_os_str().is_empty() { path.to_path_buf() } else { plain }
}

pub(crate) fn lost(path: &Path, error: io::Error) -> Outcome {
    let error = Error::io("find", path, error);
    Outcome::failed(plain(path), error)
}

/// Converts an error of `ignore`, which wraps the operating system's in layers that repeat the
/// path.
pub(crate) fn lost_below(root: &Path, error: &ignore::Error) -> Outcome {
    let path = plain(path_of(error).unwrap_or(root));
    let source = match error.io_error() {
        Some(error) => os_error(error).unwrap_or_else(|| io::Error::other(error.to_string())),
        None => io::Error::other(error.to_string()),
    };
    let error = Error::io("read", &path, source);
    Outcome::failed(path, error)
}

/// Returns the operating system's error, below everything that was wrapped around it.
fn os_error(error: &io::Error) -> Option<io::Error> {
    let mut layer: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = layer {
        let code = error.downcast_ref().and_then(io::Error::raw_os_error);
        if let Some(code) = code {
            return Some(io::Error::from_raw_os_error(code));
        }
        layer = error.source();
    }
    None
}

pub(super) fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}
