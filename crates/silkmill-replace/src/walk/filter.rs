//! Chooses files by their names, paths and types. Never touches the disk: the walk knows what git
//! ignores.
//!
//! Filters only narrow the choice. A glob brings back nothing that a type, a leading dot or an
//! ignore file excludes, and the order of the globs does not matter.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::types::{Types, TypesBuilder};

use crate::error::Error;
use crate::original::FileId;

/// Which files a run takes.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    wanted: Globs,
    unwanted: Globs,
    types: Types,
    /// Whether hidden files are taken, too.
    pub(crate) hidden: bool,
    /// Whether files that ignore files exclude are taken, too.
    pub(crate) ignored: bool,
    /// The store of the user, from which no run takes a file. Its path has no symbolic links.
    pub(crate) store: Option<PathBuf>,
    /// The paths, by inode, that were named besides the directory that is walked, and that are
    /// visited on their own.
    pub(crate) named: Arc<HashMap<u64, Vec<FileId>>>,
}

impl Filter {
    /// Globs take files, or with a leading `!` exclude them. Types are ripgrep's. Hidden and
    /// ignored files are excluded until the fields of these names are set.
    pub(crate) fn new(globs: &[String], types: &[String]) -> Result<Filter, Error> {
        let wanted = globs.iter().map(String::as_str).filter(|glob| !glob.starts_with('!'));
        let unwanted = globs.iter().filter_map(|glob| glob.strip_prefix('!'));
        Ok(Filter {
            wanted: Globs::new(wanted)?,
            unwanted: Globs::new(unwanted)?,
            types: select(types)?,
            hidden: false,
            ignored: false,
            store: None,
            named: Arc::default(),
        })
    }

    /// Returns whether globs and types take a file. `path` is relative to where the walk started.
    pub(crate) fn takes(&self, path: &Path) -> bool {
        (self.wanted.is_empty() || self.wanted.matches(path))
            && !self.unwanted.matches(path)
            && !self.types.matched(path, false).is_ignore()
    }

    /// Returns whether a directory is entered. One that a glob excludes is excluded with all that
    /// it holds.
    pub(crate) fn enters(&self, path: &Path) -> bool {
        !self.unwanted.matches(path)
    }

    /// Returns whether it matters from which directory a path is seen.
    pub(crate) fn knows_paths(&self) -> bool {
        self.wanted.has_paths || self.unwanted.has_paths
    }

    /// Returns whether a file or directory of this name is considered.
    pub(crate) fn sees(&self, name: &OsStr) -> bool {
        self.hidden || !name.as_bytes().starts_with(b".")
    }
}

/// Globs without a slash match names, the others match paths.
#[derive(Clone, Debug)]
struct Globs {
    names: GlobSet,
    paths: GlobSet,
    has_paths: bool,
}

impl Globs {
    fn new<'a>(globs: impl Iterator<Item = &'a str>) -> Result<Globs, Error> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for given in globs {
            let bad = |why: &dyn std::fmt::Display| bad_filter("glob", given, why);
            if given.is_empty() {
                return Err(bad(&"it is empty"));
            }
            let whole = if given.ends_with('/') { format!("{given}**") } else { given.to_owned() };
            let glob = GlobBuilder::new(whole.trim_start_matches('/'))
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| bad(error.kind()))?;
            let set = if given.contains('/') { &mut paths } else { &mut names };
            set.add(glob);
        }
        let build = |set: GlobSetBuilder| {
            set.build().map_err(|error| Error::filter(format!("failed to read the globs: {error}")))
        };
        let paths = build(paths)?;
        Ok(Globs { names: build(names)?, has_paths: !paths.is_empty(), paths })
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.paths.is_empty()
    }

    fn matches(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.is_match(name)) || self.paths.is_match(path)
    }
}

fn select(names: &[String]) -> Result<Types, Error> {
    let mut builder = TypesBuilder::new();
    builder.add_defaults();
    for name in names {
        builder.select(name);
        builder.build().map_err(|error| match error {
            ignore::Error::UnrecognizedFileType(_) => bad_filter("file type", name, &"unknown"),
            other => bad_filter("file type", name, &other),
        })?;
    }
    builder.build().map_err(|error| Error::filter(error.to_string()))
}

fn bad_filter(what: &str, given: &str, why: &dyn std::fmt::Display) -> Error {
    Error::filter(format!("failed to read the {what} {given:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(globs: &[&str], types: &[&str]) -> Result<Filter, Error> {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(globs), &owned(types))
    }

    fn chosen<'a>(globs: &[&str], types: &[&str], paths: &[&'a str]) -> Vec<&'a str> {
        let filter = filter(globs, types).unwrap();
        paths.iter().copied().filter(|path| filter.takes(Path::new(path))).collect()
    }

    const PATHS: &[&str] = &["a.rs", "b.py", "gen/a.rs", "gen/b.py", "gen/in/a.rs"];

    #[test]
    fn a_glob_without_a_slash_is_for_names_and_one_with_it_for_paths() {
        let claims: &[(&[&str], &[&str])] = &[
            (&[], PATHS),
            (&["*.rs"], &["a.rs", "gen/a.rs", "gen/in/a.rs"]),
            (&["/*.rs"], &["a.rs"]),
            (&["gen/*.rs"], &["gen/a.rs"]),
            (&["gen/**"], &["gen/a.rs", "gen/b.py", "gen/in/a.rs"]),
            (&["gen/"], &["gen/a.rs", "gen/b.py", "gen/in/a.rs"]),
            (&["**/in/*"], &["gen/in/a.rs"]),
            (&["*.{rs,py}", "!b.*"], &["a.rs", "gen/a.rs", "gen/in/a.rs"]),
            (&["gen"], &[]),
        ];
        for (globs, want) in claims {
            assert_eq!(&chosen(globs, &[], PATHS), want, "{globs:?}");
        }
    }

    #[test]
    fn globs_and_types_intersect_whatever_their_order() {
        for globs in [["!gen/**", "a.*"], ["a.*", "!gen/**"]] {
            assert_eq!(chosen(&globs, &["rust"], PATHS), ["a.rs"]);
            assert_eq!(chosen(&globs, &["py"], PATHS), [""; 0]);
        }
        assert_eq!(chosen(&["gen/**"], &["py"], PATHS), ["gen/b.py"]);
        assert_eq!(chosen(&[], &["py", "rust"], PATHS), PATHS);
    }

    #[test]
    fn a_directory_that_a_glob_leaves_is_not_looked_into() {
        let filter = filter(&["*.rs", "!gen", "!out/*"], &[]).unwrap();

        for (path, want) in
            [("src", true), ("gen", false), ("src/gen", false), ("out", true), ("out/x", false)]
        {
            assert_eq!(filter.enters(Path::new(path)), want, "{path}");
        }
    }

    #[test]
    fn a_bad_filter_is_an_error_that_names_it() {
        let error = filter(&["a{b"], &[]).unwrap_err().to_string();
        assert!(error.starts_with("failed to read the glob \"a{b\": unclosed"), "{error}");
        let error = filter(&["!"], &[]).unwrap_err().to_string();
        assert_eq!(error, "failed to read the glob \"\": it is empty");
        let error = filter(&[], &["nosuch"]).unwrap_err().to_string();
        assert_eq!(error, "failed to read the file type \"nosuch\": unknown");
    }
}
