//! Writes the diff of a file that moves, in git's form. `git apply` and `patch` move it.

use std::path::Path;

use super::{between, header_name};
use crate::text::edit::Change;

/// Returns the diff of a file that also moves, as git writes it.
pub(crate) fn unified(
    (from, to): (&Path, &Path),
    old: &[u8],
    new: &[u8],
    changes: &[Change],
    context: usize,
) -> Vec<u8> {
    let mut out = header(from, to);
    out.append(&mut between(from, to, old, new, changes, context));
    out
}

/// Returns the diff of a file that moves, and stays as it is otherwise.
pub(crate) fn header(from: &Path, to: &Path) -> Vec<u8> {
    let (from, to) = (git_name(from), git_name(to));
    [b"diff --git ", &from[..], b" ", &to, b"\nrename from ", &from, b"\nrename to ", &to, b"\n"]
        .concat()
}

/// Returns the lines that say where a file moves, for a person.
pub(crate) fn lines(from: &Path, to: &Path) -> Vec<u8> {
    [b"rename from ", &git_name(from)[..], b"\nrename to ", &git_name(to), b"\n"].concat()
}

/// Returns the path as git reads it in lines of its own, which a space does not end.
fn git_name(path: &Path) -> Vec<u8> {
    let mut name = header_name(path);
    if name.last() == Some(&b'\t') {
        name.pop();
    }
    name
}
