//! Runs the program under `strace`, which kills it at a call, or makes the call fail.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

/// Every call that changes a file, a name or a lock.
pub(crate) const CALLS: &[&str] = &[
    "write",
    "pwrite64",
    "copy_file_range",
    "ftruncate",
    "renameat2",
    "renameat",
    "rename",
    "linkat",
    "unlinkat",
    "unlink",
    "mkdir",
    "rmdir",
    "fchmod",
    "fchown",
    "fsetxattr",
    "fdatasync",
    "fsync",
    "syncfs",
    "flock",
    "utimensat",
];

/// This call may create a file, and mostly does not: a program opens a hundred files before it
/// changes one. Each `openat` is tried only where nothing else is injected, or in a long test.
pub(crate) const OPENAT: &str = "openat";

/// Returns whether the long tests were requested.
pub(crate) fn is_long() -> bool {
    std::env::var_os("SILKMILL_LONG").is_some_and(|value| value == "1")
}

/// Returns the program under `strace`, which injects the given faults, and logs their calls and
/// some others to `log`.
pub(crate) fn strace(log: &Path, inject: &[String], others: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-o"]).arg(log);
    for inject in inject {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    let calls = inject.iter().filter_map(|one| one.split(':').next()).chain(others.iter().copied());
    strace.args(["-e", &format!("trace={}", calls.collect::<Vec<_>>().join(","))]);
    strace
}

pub(crate) fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}
