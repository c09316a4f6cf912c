//! Which directory the paths of a dry run's patch are below. `patch` and `git apply` refuse paths
//! that are absolute, contain `..`, or go through a symbolic link, so no header has any of these.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::options::Options;
use crate::original::directory_of;
use crate::run::roots::{common, roots};

/// Returns the directory in which the patch of a dry run applies, if that is not the current one:
/// the deepest that holds all files and directories that were named, where not all of them are in
/// the current directory.
///
/// ```
/// use silkmill_replace::{Options, patch_directory};
///
/// let elsewhere = tempfile::tempdir()?;
/// let options = Options::builder("colour", "color").path(elsewhere.path()).build()?;
/// assert_eq!(patch_directory(&options), Some(elsewhere.path().canonicalize()?));
///
/// let options = Options::builder("colour", "color").path(".").build()?;
/// assert_eq!(patch_directory(&options), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn patch_directory(options: &Options) -> Option<PathBuf> {
    let here = Path::new(".").canonicalize().ok()?;
    PatchDirectory::of(&options.paths).0.filter(|path| *path != here)
}

/// The directory that the paths of a patch are below. `None` where it cannot be found out: then
/// paths stay as they are.
#[derive(Clone, Debug)]
pub(crate) struct PatchDirectory(Option<PathBuf>);

impl PatchDirectory {
    /// Returns the current directory if it holds all paths, or else the deepest that does.
    pub(crate) fn of(paths: &[PathBuf]) -> PatchDirectory {
        let Ok(here) = Path::new(".").canonicalize() else { return PatchDirectory(None) };
        let roots = roots(paths);
        let is_here = roots.iter().all(|root| root.starts_with(&here));
        PatchDirectory(if is_here { Some(here) } else { common(&roots) })
    }

    /// Returns the directory of a run that makes no patch.
    pub(crate) fn none() -> PatchDirectory {
        PatchDirectory(None)
    }

    /// Returns the name in the patch of a path without symbolic links.
    pub(crate) fn below(&self, path: PathBuf) -> PathBuf {
        let below = self.0.as_ref().and_then(|directory| path.strip_prefix(directory).ok());
        below.map(Path::to_path_buf).unwrap_or(path)
    }

    /// Returns the name of a file in the patch. A file that is not below the directory keeps its
    /// path.
    pub(crate) fn name<'a>(&self, target: &'a Path) -> Cow<'a, Path> {
        let below = || {
            let folder = directory_of(target).canonicalize().ok()?;
            let path = folder.join(target.file_name()?);
            Some(path.strip_prefix(self.0.as_ref()?).ok()?.to_path_buf())
        };
        below().map_or(Cow::Borrowed(target), Cow::Owned)
    }
}
