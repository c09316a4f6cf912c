//! Finds the files of a run, lazily and in a fixed order. Opens none of them.
//!
//! Ignore files and leading dots apply to what is found below a directory, not to a path that was
//! named. Globs and types apply to both. `.gitignore` files apply without a repository, too, from
//! every directory above; in a repository, those above its working tree do not, as for git.
//! Symbolic links are followed if that was asked for: see [`follow`].

pub(crate) mod filter;
pub(crate) mod follow;
pub(crate) mod found;
pub(crate) mod named;
mod repository;
pub(crate) mod view;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::vec;

use ignore::{DirEntry, WalkBuilder};

use crate::original::FileId;
use crate::outcome::Outcome;
use crate::store::layout::is_own_name;
use crate::store::run_directory::is_run;
use crate::walk::filter::Filter;
use crate::walk::follow::Links;
use crate::walk::found::{Found, lost_below, plain};
use crate::walk::named::{NamedPath, enter};
use crate::walk::repository::{is_bare, is_in_working_tree, is_own};
use crate::walk::view::View;

/// Every file below the roots that passes the filter, each directory in the order of its names.
pub(crate) struct Walk {
    roots: vec::IntoIter<PathBuf>,
    filter: Filter,
    below: Option<(View, ignore::Walk)>,
}

impl Walk {
    pub(crate) fn new(roots: Vec<PathBuf>, filter: Filter) -> Walk {
        Walk { roots: roots.into_iter(), filter, below: None }
    }
}

/// Returns the file or the failure that an entry below a root means to a run, if any.
pub(crate) fn found(
    view: &View,
    filter: &Filter,
    entry: Result<DirEntry, ignore::Error>,
) -> Option<Result<Found, Outcome>> {
    match entry {
        Ok(entry) => {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            if !is_file || !filter.takes(view, entry.path()) {
                return None;
            }
            let path = plain(entry.path());
            match filter.follow {
                true => follow::found(view, filter, path).transpose(),
                false => Some(Ok(Found { path, link_target: None })),
            }
        }
        Err(error) if follow::is_passed_over(filter, &error) => None,
        Err(error) => Some(Err(lost_below(&view.root, &error))),
    }
}

impl Iterator for Walk {
    /// A path that leads to no file is an outcome already.
    type Item = Result<Found, Outcome>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((view, mut walk)) = self.below.take() else {
                let root = self.roots.next()?;
                match enter(&root, &self.filter) {
                    NamedPath::File(item) => return Some(item),
                    NamedPath::Excluded => {}
                    NamedPath::Directory(view) => {
                        let walk =
                            below_root(&view, &self.filter).sort_by_file_name(OsStr::cmp).build();
                        self.below = Some((view, walk));
                    }
                }
                continue;
            };
            let Some(entry) = walk.next() else { continue };
            let item = found(&view, &self.filter, entry);
            self.below = Some((view, walk));
            if item.is_some() {
                return item;
            }
        }
    }
}

/// Walks the entries below a directory that git's rules and the names admit. The other filters are
/// for files.
pub(crate) fn below_root(view: &View, filter: &Filter) -> WalkBuilder {
    let (start, names) = (view.clone(), filter.clone());
    let store = filter.store.as_ref().and_then(|store| fs::metadata(store).ok());
    let store = store.map(|metadata| FileId::of(&metadata));
    let store_name = filter.store.as_deref().and_then(Path::file_name).map(OsStr::to_os_string);
    let links = Links::new(view, filter);
    let mut walk = WalkBuilder::new(&view.root);
    // If the walk hid these itself, the `!` of an ignore file would bring them back.
    walk.hidden(false)
        .ignore(!filter.ignored)
        .git_ignore(!filter.ignored)
        .git_exclude(!filter.ignored)
        .git_global(!filter.ignored)
        .parents(!filter.ignored)
        .require_git(is_in_working_tree(&view.root))
        .follow_links(filter.follow)
        .filter_entry(move |entry| {
            entry.depth() == 0
                || (!is_named(&names, entry)
                    && is_entered(&start, &names, entry)
                    && !is_store(entry, store, store_name.as_deref())
                    && links.are_followed(&start, &names, entry))
        });
    walk
}

fn is_entered(view: &View, filter: &Filter, entry: &DirEntry) -> bool {
    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
    let (name, path) = (entry.file_name(), entry.path());
    let is_seen = filter.sees(name);
    // What is hidden is asked about, too, so that a glob that names it has excluded something.
    let is_excluded = (is_directory || !is_seen) && filter.excludes(view, path, is_directory);
    is_seen
        && !is_excluded
        && !is_own_name(name)
        && !is_own(name, is_directory)
        && (!is_directory || (!is_run(path) && !is_bare(path)))
}

/// Returns whether an entry was named itself.
fn is_named(filter: &Filter, entry: &DirEntry) -> bool {
    let files = entry.ino().and_then(|ino| filter.named.get(&ino));
    let is_one = |files: &Vec<FileId>| {
        entry.metadata().is_ok_and(|metadata| files.contains(&FileId::of(&metadata)))
    };
    files.is_some_and(is_one)
}

/// Returns whether an entry is the directory `store`, by whatever name.
fn is_store(entry: &DirEntry, store: Option<FileId>, name: Option<&OsStr>) -> bool {
    // Most entries differ from it by the inode number that came with their name. For a mount
    // point, and for directories of some overlays, that number is another one.
    let may_be = |store: &FileId| entry.ino() == Some(store.ino) || Some(entry.file_name()) == name;
    let Some(store) = store.filter(may_be) else { return false };
    entry.metadata().is_ok_and(|metadata| FileId::of(&metadata) == store)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::outcome::{Action, Skip};
    use crate::walk::named::{once, reach};
    use std::io;
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
        Filter::new(&owned(globs), &owned(types))
    }

    fn everything() -> Filter {
        let mut filter = filter(&[], &[]).unwrap();
        (filter.hidden, filter.ignored) = (true, true);
        filter
    }

    #[test]
    fn files_come_in_the_order_of_their_names() {
        let root = tree(&[("b", ""), ("a/2", ""), ("a/1", ""), ("c", "")]);

        assert_eq!(walk(root.path(), filter(&[], &[]).unwrap()), ["a/1", "a/2", "b", "c"]);
    }

    #[test]
    fn ignore_files_count_without_a_repository_and_end_at_one() {
        let root = tree(&[(".gitignore", "*.o\n"), ("in/a.o", ""), ("in/b", ""), ("in/c", "")]);
        fs::write(root.path().join("in/.ignore"), "c\n").unwrap();
        let below = root.path().join("in");

        assert_eq!(walk(root.path(), filter(&[], &[]).unwrap()), ["in/b"]);
        assert_eq!(walk(&below, filter(&[], &[]).unwrap()), ["b"]);
        fs::create_dir(root.path().join(".git")).unwrap();
        assert_eq!(walk(&below, filter(&[], &[]).unwrap()), ["b"]);
        // For git, a repository knows nothing of the ignore files above it.
        fs::create_dir(below.join(".git")).unwrap();
        assert_eq!(walk(&below, filter(&[], &[]).unwrap()), ["a.o", "b"]);
    }

    #[test]
    fn what_version_control_keeps_is_never_entered_and_refused_when_it_is_named() {
        let own = [".git/config", ".hg/a", ".svn/a", ".jj/a", ".bzr/a", "_darcs/a", "CVS/Root"];
        let bare = ["bare.git/HEAD", "bare.git/config", "bare.git/objects/a", "bare.git/refs/a"];
        let files = own.iter().chain(&bare).map(|path| (*path, ""));
        let files: Vec<_> = files.chain([("a", ""), ("cvs/a", ""), ("sub/.git", "")]).collect();
        let root = tree(&files);

        assert_eq!(walk(root.path(), everything()), ["a", "cvs/a"]);
        for named in [".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "CVS", "bare.git"] {
            let named = root.path().join(named);
            let found: Vec<_> = Walk::new(vec![named], everything()).collect();
            let [Err(Outcome { action: Action::Failed(error), .. })] = &found[..] else {
                panic!("{found:?}")
            };
            assert!(error.to_string().ends_with("it holds the files of a repository"), "{error}");
        }
        let named = root.path().join(".git/config");
        assert_eq!(Walk::new(vec![named], everything()).filter_map(Result::ok).count(), 1);
    }

    #[test]
    fn the_repository_and_the_runs_own_files_are_never_entered() {
        let root = tree(&[
            (".git/config", ""),
            (".silkmill/lock", ""),
            (".silkmill-notes", ""),
            ("a", ""),
        ]);
        let everything = everything();

        assert_eq!(walk(root.path(), everything), [".silkmill-notes", "a"]);
    }

    #[test]
    fn every_store_is_left_wherever_it_is_and_refused_when_it_is_named() {
        let other = "other/silkmill/20261124-184502-a1b2";
        let root = tree(&[
            ("a", ""),
            ("state/silkmill/1/0/0", ""),
            (".silkmill/1/0/0", ""),
            (&format!("{other}/journal"), ""),
            (&format!("{other}/0/0"), ""),
        ]);
        let store = fs::canonicalize(root.path()).unwrap().join("state/silkmill");
        symlink(&store, root.path().join("link")).unwrap();
        let mut filter = everything();
        filter.store = Some(store);

        assert_eq!(walk(root.path(), filter.clone()), ["a"]);
        for named in [
            "state/silkmill",
            "state/silkmill/1/0/0",
            "link/1",
            ".silkmill",
            ".silkmill/1/0/0",
            other,
            &format!("{other}/0/0"),
        ] {
            let found: Vec<_> = Walk::new(vec![root.path().join(named)], filter.clone()).collect();
            let [Err(Outcome { action: Action::Failed(error), .. })] = &found[..] else {
                panic!("{named}: {found:?}")
            };
            assert!(error.to_string().ends_with("it holds the files of runs"), "{error}");
        }
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
    fn globs_and_types_bring_back_nothing_that_is_hidden_or_ignored() {
        let root = tree(&[
            (".git/HEAD", ""),
            (".gitignore", "out.rs\n!.listed.rs\n"),
            (".a.rs", ""),
            (".listed.rs", ""),
            (".dir/a.rs", ""),
            ("out.rs", ""),
            ("b.rs", ""),
        ]);
        for globs in [&["*.rs"][..], &["**/*.rs"], &["**"], &["out.rs", "b.rs"], &["!x"]] {
            for types in [&[][..], &["rust"]] {
                let filter = filter(globs, types).unwrap();
                assert_eq!(walk(root.path(), filter), ["b.rs"], "{globs:?} {types:?}");
            }
        }
    }

    #[test]
    fn a_glob_sees_the_path_below_the_root_wherever_that_is() {
        let root = tree(&[("sub/gen/a", ""), ("sub/b", ""), ("gen/c", "")]);

        let filter = |globs| filter(globs, &[]).unwrap();
        assert_eq!(walk(root.path(), filter(&["!gen/*"])), ["sub/b", "sub/gen/a"]);
        assert_eq!(walk(&root.path().join("sub"), filter(&["!gen/*"])), ["b"]);
        assert_eq!(walk(&root.path().join("sub"), filter(&["gen/*"])), ["gen/a"]);
    }

    #[test]
    fn a_file_that_is_named_is_subject_to_globs_and_types_alone() {
        let root =
            tree(&[(".git/HEAD", ""), (".gitignore", ".a.rs\n"), (".a.rs", ""), ("b.py", "")]);
        let named = vec![root.path().join(".a.rs"), root.path().join("b.py")];
        let chosen = |globs: &[&str], types: &[&str]| {
            let found = Walk::new(named.clone(), filter(globs, types).unwrap());
            found.map(|found| found.unwrap().path).collect::<Vec<_>>()
        };

        assert_eq!(chosen(&[], &[]), named);
        assert_eq!(chosen(&[], &["rust"]), named[..1]);
        assert_eq!(chosen(&["*.py"], &[]), named[1..]);
        assert_eq!(chosen(&["!*.py"], &[]), named[..1]);
    }

    #[test]
    fn an_error_below_a_root_is_reported_as_any_other() {
        let denied = |path: &str| ignore::Error::WithDepth {
            depth: 1,
            err: Box::new(ignore::Error::WithPath {
                path: path.into(),
                err: Box::new(ignore::Error::Io(io::Error::from_raw_os_error(13))),
            }),
        };

        let outcome = lost_below(Path::new("."), &denied("./sec"));

        assert_eq!(outcome.path, Path::new("sec"));
        let Action::Failed(error) = outcome.action else { panic!("{:?}", outcome.action) };
        assert_eq!(error.to_string(), r#"failed to read "sec": permission denied"#);
    }

    #[test]
    fn a_pipe_that_has_no_name_is_passed_over() {
        use std::os::fd::AsRawFd;

        let (reader, _writer) = io::pipe().unwrap();
        let name = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));

        let found: Vec<_> = Walk::new(vec![name], filter(&[], &[]).unwrap()).collect();

        let [Err(outcome)] = &found[..] else { panic!("{found:?}") };
        assert!(matches!(outcome.action, Action::Skipped(Skip::NotRegular)), "{outcome:?}");
    }

    #[test]
    fn a_link_to_itself_is_no_missing_file() {
        let root = tree(&[]);
        symlink("self", root.path().join("self")).unwrap();

        let lost = reach(&root.path().join("self")).unwrap_err();

        let Action::Failed(error) = lost.action else { panic!("{:?}", lost.action) };
        assert!(error.to_string().ends_with(": too many levels of symbolic links"), "{error}");
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
    fn what_is_named_more_than_once_or_also_walked_to_is_found_once() {
        let root = tree(&[("a", ""), ("sub/b", ""), ("sub/.c", ""), ("d", "")]);
        symlink("a", root.path().join("link")).unwrap();
        let path = |name: &str| root.path().join(name);
        let found = |names: &[&str], globs: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| path(name)).collect();
            let mut filter = filter(globs, &[]).unwrap();
            let roots = once(&paths, &mut filter);
            let found = Walk::new(roots, filter).map(Result::unwrap);
            let below = |found: Found| found.path.strip_prefix(root.path()).unwrap().to_path_buf();
            found.map(below).map(|path| path.display().to_string()).collect::<Vec<_>>()
        };

        assert_eq!(found(&["a", "a", "sub/../a", "link"], &[]), ["a"]);
        assert_eq!(found(&["link", "a"], &[]), ["link"]);
        assert_eq!(found(&["", "a", "sub", "sub/.c"], &[]), ["d", "a", "sub/b", "sub/.c"]);
        // A file that was named is found even if a glob excludes its directory.
        assert_eq!(found(&["", "sub"], &["sub/*"]), ["sub/b"]);
        assert_eq!(found(&["", "sub/b"], &["sub/*"]), ["sub/b"]);
        let lost = once(&[path("no"), path("no"), path("a")], &mut filter(&[], &[]).unwrap());
        assert_eq!(lost, [path("no"), path("a")]);
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
