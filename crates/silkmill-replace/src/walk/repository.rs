//! Recognizes what version control keeps for itself, in which no walk may change a byte, and where
//! a repository is.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// The names of directories in which a version control system keeps its own files.
const OWN_DIRECTORIES: [&str; 7] = [".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "CVS"];

/// Returns whether a name is that of a repository's own files. In a linked working tree and in a
/// submodule, `.git` is a file.
pub(crate) fn is_own(name: &OsStr, is_directory: bool) -> bool {
    name == ".git" || (is_directory && OWN_DIRECTORIES.iter().any(|own| name == *own))
}

/// Returns whether a directory is a git repository without a working tree, or one that is kept
/// apart from its working tree. The three names are those that git itself looks for.
pub(crate) fn is_bare(directory: &Path) -> bool {
    fs::symlink_metadata(directory.join("HEAD")).is_ok()
        && directory.join("objects").is_dir()
        && directory.join("refs").is_dir()
}

/// Returns whether a directory is in the working tree of a git repository. Then the ignore files
/// above the tree do not count, as they do not for git.
pub(crate) fn is_in_working_tree(directory: &Path) -> bool {
    let Ok(directory) = fs::canonicalize(directory) else { return false };
    directory.ancestors().any(|above| [".git", ".jj"].iter().any(|own| above.join(own).exists()))
}
