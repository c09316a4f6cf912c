//! Where the program keeps what outlives a run, by the XDG Base Directory Specification.

use std::env;
use std::path::PathBuf;

/// Returns `$XDG_STATE_HOME/silkmill`, or `~/.local/state/silkmill`, or `None` when neither
/// variable is set to an absolute path. The specification says to ignore a relative one.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| home.join(".local/state"));
    Some(variable("XDG_STATE_HOME").or_else(home)?.join("silkmill"))
}
