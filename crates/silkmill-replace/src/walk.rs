//! Finds the files a run is about, lazily and in a fixed order. Opens none of them.
//!
//! A path that was named is taken as it is: filters are for what is found below a directory.
//! `.gitignore` files count inside a git repository, as they do for git. An unpacked release is none,
//! and its `.gitignore` may well exclude everything; `.ignore` files count everywhere.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::vec;

use ignore::WalkBuilder;
use ignore::overrides::{Override, OverrideBuilder};
use ignore::types::{Types, TypesBuilder};

use crate::error::Error;
use crate::outcome::{Outcome, Skip};
use crate::stage;

/// Which files below a directory are taken.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    overrides: Override,
    types: Types,
    hidden: bool,
    ignored: bool,
}

impl Filter {
    /// Globs take files, or with a leading `!` leave them; types are ripgrep's. `hidden` and
    /// `ignored` files are taken if asked for.
    pub(crate) fn new(
        globs: &[String],
        types: &[String],
        hidden: bool,
        ignored: bool,
    ) -> Result<Filter, Error> {
        Ok(Filter { overrides: overrides(globs)?, types: select(types)?, hidden, ignored })
    }
}

/// A file to look at.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its path, as the run was led to it.
    pub(crate) path: PathBuf,
    /// Where a link that was named leads to.
    pub(crate) link_target: Option<PathBuf>,
}

impl Found {
    /// The path of the file itself, which is not a link.
    pub(crate) fn target(&self) -> &Path {
        self.link_target.as_deref().unwrap_or(&self.path)
    }
}

/// Every file below the roots that passes the filter, each directory in the order of its names.
pub(crate) struct Walk {
    roots: vec::IntoIter<PathBuf>,
    filter: Filter,
    below: Option<(PathBuf, ignore::Walk)>,
}

impl Walk {
    pub(crate) fn new(roots: Vec<PathBuf>, filter: Filter) -> Walk {
        Walk { roots: roots.into_iter(), filter, below: None }
    }

    /// A file that was named, or the start of a directory.
    fn enter(&mut self, root: &Path) -> Option<Result<Found, Outcome>> {
        let metadata = match fs::metadata(root) {
            Ok(metadata) => metadata,
            Err(error) => return Some(Err(lost(root, error))),
        };
        if metadata.is_dir() {
            self.below = Some((root.to_path_buf(), self.filter.walk(root)));
            return None;
        }
        // Even to open a device may disturb it.
        if !metadata.is_file() {
            return Some(Err(Outcome::skipped(plain(root), Skip::NotRegular)));
        }
        let link_target = match root.is_symlink().then(|| end_of_link(root)).transpose() {
            Ok(target) => target,
            Err(error) => return Some(Err(lost(root, error))),
        };
        Some(Ok(Found { path: plain(root), link_target }))
    }
}

impl Iterator for Walk {
    /// A path that leads to no file is an outcome already.
    type Item = Result<Found, Outcome>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((root, walk)) = &mut self.below else {
                let root = self.roots.next()?;
                match self.enter(&root) {
                    Some(item) => return Some(item),
                    None => continue,
                }
            };
            match walk.next() {
                Some(Ok(entry)) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    return Some(Ok(Found { path: plain(entry.path()), link_target: None }));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(Err(lost_below(root, error))),
                None => self.below = None,
            }
        }
    }
}

impl Filter {
    fn walk(&self, root: &Path) -> ignore::Walk {
        WalkBuilder::new(root)
            .overrides(self.overrides.clone())
            .types(self.types.clone())
            .hidden(!self.hidden)
            .ignore(!self.ignored)
            .git_ignore(!self.ignored)
            .git_exclude(!self.ignored)
            .git_global(!self.ignored)
            .parents(!self.ignored)
            .sort_by_file_name(OsStr::cmp)
            .filter_entry(|entry| entry.depth() == 0 || !is_never_entered(entry.file_name()))
            .build()
    }
}

/// The repository's own files, and the runs' own.
fn is_never_entered(name: &OsStr) -> bool {
    name == ".git" || stage::is_staged_name(name)
}

/// Where a link leads; below the current directory as a diff needs it, for `patch` changes no links.
fn end_of_link(link: &Path) -> io::Result<PathBuf> {
    let target = fs::canonicalize(link)?;
    let here = fs::canonicalize(".")?;
    Ok(target.strip_prefix(here).map(Path::to_path_buf).unwrap_or(target))
}

/// The path without `.` and doubled slashes, as a diff needs it: `git apply` takes no `./a`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

fn lost(path: &Path, error: io::Error) -> Outcome {
    Outcome::failed(path.to_path_buf(), Error::io("find", path, error))
}

/// `ignore` wraps the operating system's error in layers that repeat the path.
fn lost_below(root: &Path, error: ignore::Error) -> Outcome {
    let path = path_of(&error).unwrap_or(root).to_path_buf();
    let words = error.to_string();
    lost(&path, error.into_io_error().unwrap_or_else(|| io::Error::other(words)))
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

fn overrides(globs: &[String]) -> Result<Override, Error> {
    // Globs are relative to where paths are relative to.
    let here = std::env::current_dir().unwrap_or_default();
    let mut builder = OverrideBuilder::new(here);
    for glob in globs {
        builder.add(glob).map_err(|error| bad_filter("glob", glob, &error))?;
    }
    builder.build().map_err(|error| Error::filter(error.to_string()))
}

fn select(names: &[String]) -> Result<Types, Error> {
    let mut builder = TypesBuilder::new();
    builder.add_defaults();
    for name in names {
        builder.select(name);
        builder.build().map_err(|error| bad_filter("file type", name, &error))?;
    }
    builder.build().map_err(|error| Error::filter(error.to_string()))
}

fn bad_filter(what: &str, given: &str, error: &ignore::Error) -> Error {
    let why = match error {
        ignore::Error::Glob { err, .. } => err.clone(),
        ignore::Error::UnrecognizedFileType(_) => "unknown".to_owned(),
        other => other.to_string(),
    };
    Error::filter(format!("failed to read the {what} {given:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn walk(root: &Path, filter: Filter) -> Vec<String> {
        let found = Walk::new(vec![root.to_path_buf()], filter);
        found
            .map(|found| {
                found.unwrap().path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
            })
            .collect()
    }

    fn filter(globs: &[&str], types: &[&str]) -> Result<Filter, Error> {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(globs), &owned(types), false, false)
    }

    #[test]
    fn files_come_in_the_order_of_their_names() {
        let root = tree(&[("b", ""), ("a/2", ""), ("a/1", ""), ("c", "")]);

        assert_eq!(walk(root.path(), filter(&[], &[]).unwrap()), ["a/1", "a/2", "b", "c"]);
    }

    #[test]
    fn git_ignores_files_where_there_is_a_repository() {
        let root = tree(&[(".gitignore", "/*\n!in\n*.o\n"), ("in/a.o", ""), ("in/b", "")]);
        let below = root.path().join("in");

        assert_eq!(walk(&below, filter(&[], &[]).unwrap()), ["a.o", "b"]);
        fs::create_dir(root.path().join(".git")).unwrap();
        assert_eq!(walk(&below, filter(&[], &[]).unwrap()), ["b"]);
    }

    #[test]
    fn the_repository_and_staged_files_are_never_entered() {
        let root = tree(&[
            (".git/config", ""),
            (".silkmill-12-3", ""),
            (".silkmill-notes", ""),
            ("a", ""),
        ]);
        let everything = Filter::new(&[], &[], true, true).unwrap();

        assert_eq!(walk(root.path(), everything), [".silkmill-notes", "a"]);
    }

    #[test]
    fn globs_and_types_choose_files() {
        let root = tree(&[("a.rs", ""), ("b.py", ""), ("sub/c.rs", ""), ("sub/d.min.rs", "")]);
        let chosen =
            |globs: &[&str], types: &[&str]| walk(root.path(), filter(globs, types).unwrap());

        assert_eq!(chosen(&["*.rs", "!*.min.rs"], &[]), ["a.rs", "sub/c.rs"]);
        assert_eq!(chosen(&[], &["py"]), ["b.py"]);
    }

    #[test]
    fn a_bad_filter_is_an_error_that_names_it() {
        let error = filter(&["a{b"], &[]).unwrap_err().to_string();
        assert!(error.starts_with("failed to read the glob \"a{b\": unclosed"), "{error}");
        let error = filter(&[], &["nosuch"]).unwrap_err().to_string();
        assert_eq!(error, "failed to read the file type \"nosuch\": unknown");
    }

    #[test]
    fn links_are_followed_only_when_named() {
        let root = tree(&[("real/a", "")]);
        symlink(root.path().join("real/a"), root.path().join("link")).unwrap();
        symlink(root.path().join("real"), root.path().join("linked")).unwrap();

        assert_eq!(walk(root.path(), filter(&[], &[]).unwrap()), ["real/a"]);
        let named = vec![root.path().join("link"), root.path().join("linked")];
        let found: Vec<_> =
            Walk::new(named, filter(&[], &[]).unwrap()).map(Result::unwrap).collect();
        assert_eq!(found[0].path, root.path().join("link"));
        assert_eq!(found[0].target(), fs::canonicalize(root.path().join("real/a")).unwrap());
        assert_eq!(found[1].target(), root.path().join("linked/a"));
    }

    #[test]
    fn a_path_that_is_not_there_is_named_and_the_others_are_found() {
        let root = tree(&[("a", "")]);
        let roots = vec![root.path().join("no"), root.path().join("a")];
        let found: Vec<_> = Walk::new(roots, filter(&[], &[]).unwrap()).collect();

        assert_eq!(found[0].as_ref().unwrap_err().path, root.path().join("no"));
        assert!(found[1].is_ok());
    }
}
