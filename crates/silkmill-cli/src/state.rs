//! Where the program keeps what is to outlive a run, by the XDG Base Directory Specification.

use std::env;
use std::path::PathBuf;

/// `$XDG_STATE_HOME/silkmill`, or `~/.local/state/silkmill`; `None` where neither variable says where.
/// A relative path is to be ignored, says the specification.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| home.join(".local/state"));
    Some(variable("XDG_STATE_HOME").or_else(home)?.join("silkmill"))
}
