//! Where the program keeps what outlives a run, by the XDG Base Directory Specification.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the system says which user has which home directory.
const USERS: &str = "/etc/passwd";

/// The user who may write everywhere.
const ROOT: u32 = 0;

/// Returns `$XDG_STATE_HOME/silkmill`, or `~/.local/state/silkmill`, or `None` when neither
/// variable is set to an absolute path. The specification says to ignore a relative one.
///
/// Root may run with the environment of another user, for instance by `sudo`. Then the directory is
/// that of root's own home, since what root makes in another user's is out of that user's reach.
pub fn state_directory() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| home.join(".local/state"));
    let state = variable("XDG_STATE_HOME").or_else(home)?;
    if rustix::process::geteuid().is_root() && owner(&state).is_some_and(|owner| owner != ROOT) {
        let home = home_of(ROOT, &fs::read_to_string(USERS).ok()?)?;
        return Some(home.join(".local/state/silkmill"));
    }
    Some(state.join("silkmill"))
}

/// Returns the owner of the directory, or of the nearest one above that exists.
fn owner(path: &Path) -> Option<u32> {
    path.ancestors().find_map(|folder| fs::metadata(folder).ok()).map(|found| found.uid())
}

/// Finds a user's home directory in the system's list: `name:password:number:group:comment:home`.
fn home_of(user: u32, users: &str) -> Option<PathBuf> {
    let fields = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number: u32 = fields.get(2)?.parse().ok()?;
        Some((number, PathBuf::from(fields.get(5)?)))
    };
    let mut homes = users.lines().filter_map(fields);
    homes.find(|(number, home)| *number == user && home.is_absolute()).map(|(_, home)| home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_root_is_found_in_the_list_of_users() {
        let users = "# users\nnobody:x:65534:65534::/:/bin/false\nroot:x:0:0:root:/root:/bin/sh\n";

        assert_eq!(home_of(0, users), Some(PathBuf::from("/root")));
        assert_eq!(home_of(65534, users), Some(PathBuf::from("/")));
        assert_eq!(home_of(1, users), None);
        assert_eq!(home_of(0, "root:x:0:0:root\n"), None);
    }
}
