//! Chooses files by their names, paths and types. Never touches the disk: the walk knows what git
//! ignores.
//!
//! A glob that includes must match, and one that excludes must not fail to: it is matched with
//! every way to write a path, and excludes what is below a directory that it matches.
//!
//! Filters only narrow the choice. A glob brings back nothing that a type, a leading dot or an
//! ignore file excludes, and the order of the globs does not matter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::types::{Types, TypesBuilder};

use crate::error::Error;
use crate::original::FileId;
use crate::walk::view::View;

/// Which files a run takes.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    wanted: Globs,
    unwanted: Globs,
    types: Types,
    /// The globs that exclude, as they were typed, and whether each has excluded anything. Walkers
    /// set the flags, and the caller's thread reads them when all walkers have ended.
    excluding: Arc<Vec<(String, AtomicBool)>>,
    /// Whether hidden files are taken, too.
    pub(crate) hidden: bool,
    /// Whether files that ignore files exclude are taken, too.
    pub(crate) ignored: bool,
    /// Whether the walk follows symbolic links.
    pub(crate) follow: bool,
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
        let typed = globs.iter().filter(|glob| glob.starts_with('!'));
        Ok(Filter {
            wanted: Globs::new(wanted)?,
            unwanted: Globs::new(unwanted)?,
            types: select(types)?,
            excluding: Arc::new(typed.map(|glob| (glob.clone(), AtomicBool::new(false))).collect()),
            hidden: false,
            ignored: false,
            follow: false,
            store: None,
            named: Arc::default(),
        })
    }

    /// Returns whether globs and types take a file that the walk of a view has come to.
    pub(crate) fn takes(&self, view: &View, path: &Path) -> bool {
        self.includes(view, path)
            && !self.types.matched(path, false).is_ignore()
            && !self.excludes(view, path, false)
    }

    /// Returns whether globs and types take a file that was named.
    pub(crate) fn takes_named(&self, view: &View) -> bool {
        self.includes(view, &view.root)
            && !self.types.matched(&view.root, false).is_ignore()
            && !self.excludes_named(view, false)
    }

    fn includes(&self, view: &View, path: &Path) -> bool {
        let below = view.below(path);
        // A file that was named is below itself as its own name.
        let below = if below.as_os_str().is_empty() { name_of(path) } else { below };
        let typed = joined(&view.typed, view.below(path));
        self.wanted.is_empty()
            || self.wanted.names.is_match(name_of(path))
            || self.wanted.paths.is_match(below)
            || self.wanted.paths.is_match(&typed)
            || self.wanted.absolute.is_match(&typed)
    }

    /// Returns whether a glob excludes what the walk of a view has come to. A directory that is
    /// excluded is not entered, so the directories above it need no look.
    pub(crate) fn excludes(&self, view: &View, path: &Path, is_directory: bool) -> bool {
        if self.unwanted.is_empty() {
            return false;
        }
        let below = view.below(path);
        let mut excluded = self.excludes_component(name_of(path));
        let forms = iter::once(below).map(Cow::Borrowed);
        let from_here = view.from_here.iter();
        let others = iter::once(&view.typed).filter(|typed| !typed.as_os_str().is_empty());
        for form in forms.chain(others.chain(from_here).map(|base| joined(base, below))) {
            excluded |= self.excludes_path(&form, is_directory);
        }
        if let Some(absolute) = &view.absolute {
            excluded |= self.hit(&self.unwanted.absolute, &joined(absolute, below));
        }
        excluded
    }

    /// Returns whether a glob excludes a path that was named, or a directory that holds it.
    pub(crate) fn excludes_named(&self, view: &View, is_directory: bool) -> bool {
        if self.unwanted.is_empty() {
            return false;
        }
        let mut excluded = false;
        for form in iter::once(&view.typed).chain(&view.from_here) {
            for part in form.ancestors().filter(|part| part.file_name().is_some()) {
                excluded |= self.excludes_component(name_of(part));
                excluded |= self.excludes_path(part, is_directory || part != form);
            }
        }
        // A named file is below itself as its own name; a named directory is the top.
        if !is_directory {
            excluded |= self.excludes_path(name_of(&view.root), false);
        }
        for part in view.absolute.iter().flat_map(|absolute| absolute.ancestors()) {
            excluded |= self.hit(&self.unwanted.absolute, part);
        }
        excluded
    }

    /// Returns whether a glob excludes the file or directory to which a link leads. A path below
    /// the view is matched as if the walk had come to it without the link; any other as if it had
    /// been named. `real` has no symbolic links.
    pub(crate) fn excludes_linked(&self, view: &View, real: &Path, is_directory: bool) -> bool {
        if self.unwanted.is_empty() {
            return false;
        }
        let below = view.absolute.as_ref().and_then(|absolute| real.strip_prefix(absolute).ok());
        let Some(below) = below else {
            return self.excludes_named(&View::new(real, true), is_directory);
        };
        let parts = below.ancestors().filter(|part| part.file_name().is_some());
        let is_directory = |part: &Path| is_directory || part != below;
        parts.fold(false, |excluded, part| {
            excluded | self.excludes(view, &view.root.join(part), is_directory(part))
        })
    }

    fn excludes_component(&self, name: &Path) -> bool {
        self.hit(&self.unwanted.names, name)
    }

    fn excludes_path(&self, path: &Path, is_directory: bool) -> bool {
        let path_is = self.hit(&self.unwanted.paths, path);
        let absolute_is = path.is_absolute() && self.hit(&self.unwanted.absolute, path);
        path_is | absolute_is | (is_directory && self.hit(&self.unwanted.directories, path))
    }

    /// Returns whether a glob of the set matches, and notes which do.
    fn hit(&self, set: &PlacedSet, path: &Path) -> bool {
        let matched = set.set.matches(path);
        for place in &matched {
            self.excluding[set.places[*place]].1.store(true, Ordering::Relaxed);
        }
        !matched.is_empty()
    }

    /// Returns the same filter for another run, in which no glob has excluded anything yet.
    pub(crate) fn fresh(&self) -> Filter {
        let globs = self.excluding.iter().map(|(glob, _)| (glob.clone(), AtomicBool::new(false)));
        Filter { excluding: Arc::new(globs.collect()), ..self.clone() }
    }

    /// Returns the globs, as they were typed, that have excluded nothing so far.
    pub(crate) fn idle_exclusions(&self) -> impl Iterator<Item = &str> {
        let idle = self.excluding.iter().filter(|(_, has_hit)| !has_hit.load(Ordering::Relaxed));
        idle.map(|(glob, _)| glob.as_str())
    }

    /// Returns whether there is a glob that excludes.
    pub(crate) fn excludes_by_name(&self) -> bool {
        !self.unwanted.is_empty()
    }

    /// Returns whether it matters from which directory a path is seen.
    pub(crate) fn knows_paths(&self) -> bool {
        [&self.wanted, &self.unwanted].iter().any(|globs| !globs.paths.set.is_empty())
    }

    /// Returns whether a file or directory of this name is considered.
    pub(crate) fn sees(&self, name: &OsStr) -> bool {
        self.hidden || !name.as_bytes().starts_with(b".")
    }
}

/// Returns the name of a path, or nothing.
fn name_of(path: &Path) -> &Path {
    path.file_name().map_or(Path::new(""), Path::new)
}

fn joined<'a>(base: &Path, below: &'a Path) -> Cow<'a, Path> {
    match (base.as_os_str().is_empty(), below.as_os_str().is_empty()) {
        (true, _) => Cow::Borrowed(below),
        (false, true) => Cow::Owned(base.to_path_buf()),
        (false, false) => Cow::Owned(base.join(below)),
    }
}

/// Globs by what they are matched with.
#[derive(Clone, Debug)]
struct Globs {
    /// Those without a slash, for names.
    names: PlacedSet,
    /// Those with a slash, for paths.
    paths: PlacedSet,
    /// Those with a slash at their end, without it, for paths of directories.
    directories: PlacedSet,
    /// Those with a slash at their start, for absolute paths.
    absolute: PlacedSet,
}

/// A set of globs, and the place of each among all globs.
#[derive(Clone, Debug)]
struct PlacedSet {
    set: GlobSet,
    places: Vec<usize>,
}

impl PlacedSet {
    fn new(globs: Vec<(usize, Glob)>) -> Result<PlacedSet, Error> {
        let mut set = GlobSetBuilder::new();
        let places = globs.iter().map(|(place, _)| *place).collect();
        globs.into_iter().for_each(|(_, glob)| {
            set.add(glob);
        });
        let set = set
            .build()
            .map_err(|error| Error::filter(format!("failed to read the globs: {error}")))?;
        Ok(PlacedSet { set, places })
    }

    fn is_match(&self, path: impl AsRef<Path>) -> bool {
        self.set.is_match(path)
    }
}

impl Globs {
    fn new<'a>(globs: impl Iterator<Item = &'a str>) -> Result<Globs, Error> {
        let (mut names, mut paths) = (Vec::new(), Vec::new());
        let (mut directories, mut absolute) = (Vec::new(), Vec::new());
        for (place, given) in globs.enumerate() {
            let glob = |text: &str| {
                let glob =
                    GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
                glob.map(|glob| (place, glob))
                    .map_err(|error| bad_filter("glob", given, error.kind()))
            };
            let anchored = given.starts_with('/');
            // `./gen//x` is `gen/x`.
            let parts = given.split('/').filter(|part| !matches!(*part, "" | "."));
            let plain = parts.collect::<Vec<_>>().join("/");
            if plain.is_empty() {
                return Err(bad_filter("glob", given, &"it is empty"));
            }
            if given.ends_with('/') {
                // Directories are meant at any depth.
                let depth = if anchored { "" } else { "**/" };
                directories.push(glob(&format!("{depth}{plain}"))?);
                paths.push(glob(&format!("{depth}{plain}/**"))?);
                if anchored {
                    absolute.push(glob(&format!("/{plain}/**"))?);
                }
            } else if given.contains('/') {
                paths.push(glob(&plain)?);
                if anchored {
                    absolute.push(glob(&format!("/{plain}"))?);
                }
            } else {
                names.push(glob(given)?);
            }
        }
        Ok(Globs {
            names: PlacedSet::new(names)?,
            paths: PlacedSet::new(paths)?,
            directories: PlacedSet::new(directories)?,
            absolute: PlacedSet::new(absolute)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.names.set.is_empty() && self.paths.set.is_empty()
    }
}

fn select(names: &[String]) -> Result<Types, Error> {
    let mut builder = TypesBuilder::new();
    builder.add_defaults();
    for name in names {
        builder.select(name);
        builder.build().map_err(|error| match error {
            ignore::Error::UnrecognizedFileType(_) => {
                let near = near_types(&builder, name).join(", ");
                let hint = if near.is_empty() { near } else { format!("; near ones are {near}") };
                bad_filter("file type", name, &format!("unknown{hint}"))
            }
            other => bad_filter("file type", name, &other),
        })?;
    }
    builder.build().map_err(|error| Error::filter(error.to_string()))
}

/// How many types an error names at most.
const NEAR_TYPES_MAX: usize = 5;

/// Returns the types whose files end as `name` says, and then those whose names begin as it does or
/// differ in one letter.
fn near_types(builder: &TypesBuilder, name: &str) -> Vec<String> {
    let (ending, head) = (format!("*.{name}"), name.get(..2).unwrap_or(name));
    let mut near: Vec<(u8, String)> = builder
        .definitions()
        .into_iter()
        .filter_map(|known| {
            let rank = match known.name() {
                _ if known.globs().contains(&ending) => 0,
                known if known.starts_with(name) || name.starts_with(known) => 1,
                known if differs_in_one(known, name) => 2,
                known if name.len() > 3 && known.starts_with(head) && known.len() > 3 => 3,
                _ => return None,
            };
            Some((rank, known.name().to_owned()))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(NEAR_TYPES_MAX).map(|(_, name)| name).collect()
}

/// Returns whether one letter is another, is missing, is too many, or has changed places with the
/// next.
fn differs_in_one(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    let behind = |chars: &[char], len: usize| chars.get(len..).map(<[char]>::to_vec);
    [(1, 1), (0, 1), (1, 0)].into_iter().any(
        |(in_a, in_b)| matches!((behind(a, in_a), behind(b, in_b)), (Some(a), Some(b)) if a == b),
    ) || (a.len() == b.len() && a.len() > 1 && a[0] == b[1] && a[1] == b[0] && a[2..] == b[2..])
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

    /// Returns what a walk of `root` takes of these files below it, as the path says.
    fn chosen_below<'a>(
        root: &str,
        globs: &[&str],
        types: &[&str],
        paths: &[&'a str],
    ) -> Vec<&'a str> {
        let (filter, view) = (filter(globs, types).unwrap(), View::new(Path::new(root), false));
        let is_entered = |path: &Path| {
            let mut above = path.ancestors().skip(1).filter(|above| *above != view.root);
            above.all(|above| !above.starts_with(root) || !filter.excludes(&view, above, true))
        };
        if filter.excludes_named(&view, true) {
            return Vec::new();
        }
        let taken = |path: &&str| {
            let path = Path::new(root).join(path);
            is_entered(&path) && filter.takes(&view, &path)
        };
        paths.iter().copied().filter(taken).collect()
    }

    fn chosen<'a>(globs: &[&str], types: &[&str], paths: &[&'a str]) -> Vec<&'a str> {
        chosen_below("", globs, types, paths)
    }

    fn takes_named(globs: &[&str], path: &str) -> bool {
        filter(globs, &[]).unwrap().takes_named(&View::new(Path::new(path), false))
    }

    const PATHS: &[&str] = &["a.rs", "b.py", "gen/a.rs", "gen/b.py", "gen/in/a.rs"];

    #[test]
    fn a_glob_without_a_slash_is_for_names_and_one_with_it_for_paths() {
        let claims: &[(&[&str], &[&str])] = &[
            (&[], PATHS),
            (&["*.rs"], &["a.rs", "gen/a.rs", "gen/in/a.rs"]),
            (&["/*.rs"], &["a.rs"]),
            (&["gen/*.rs"], &["gen/a.rs"]),
            (&["./gen//*.rs"], &["gen/a.rs"]),
            (&["gen/**"], &["gen/a.rs", "gen/b.py", "gen/in/a.rs"]),
            (&["gen/"], &["gen/a.rs", "gen/b.py", "gen/in/a.rs"]),
            (&["in/"], &["gen/in/a.rs"]),
            (&["/in/"], &[]),
            (&["**/in/*"], &["gen/in/a.rs"]),
            (&["*.{rs,py}", "!b.*"], &["a.rs", "gen/a.rs", "gen/in/a.rs"]),
            (&["gen"], &[]),
        ];
        for (globs, want) in claims {
            assert_eq!(&chosen(globs, &[], PATHS), want, "{globs:?}");
        }
    }

    #[test]
    fn an_exclusion_holds_however_the_path_and_the_glob_are_written() {
        let files = ["a", "gen/b", "gen/in/c", "gen.rs"];
        let claims: &[(&str, &str, &[&str])] = &[
            ("src", "!src/gen/**", &["a", "gen.rs"]),
            ("./src/", "!src/gen/**", &["a", "gen.rs"]),
            ("./src", "!./src/gen/", &["a", "gen.rs"]),
            ("src", "!gen/**", &["a", "gen.rs"]),
            ("src", "!gen", &["a", "gen.rs"]),
            ("src", "!gen/", &["a", "gen.rs"]),
            ("src", "!in/", &["a", "gen/b", "gen.rs"]),
            ("src", "!/in/", &["a", "gen/b", "gen/in/c", "gen.rs"]),
            ("src", "!a/", &["a", "gen/b", "gen/in/c", "gen.rs"]),
            ("src", "!src/gen", &["a", "gen.rs"]),
            ("src", "!src", &[]),
            ("src", "!src/", &[]),
            ("src", "!src/**", &[]),
            ("/x/src", "!/x/src/gen/**", &["a", "gen.rs"]),
            ("/x/src", "!x", &[]),
            ("../src", "!../src/gen/*", &["a", "gen.rs"]),
            ("../src", "!.*", &["a", "gen/b", "gen/in/c", "gen.rs"]),
        ];
        for (root, glob, want) in claims {
            assert_eq!(&chosen_below(root, &[glob], &[], &files), want, "{root} {glob}");
        }
    }

    #[test]
    fn an_exclusion_wins_over_a_file_being_named() {
        for glob in ["!vendor", "!vendor/", "!vendor/**", "!./vendor/lib", "!lib/", "!*.c", "!v.c"]
        {
            assert!(!takes_named(&[glob], "vendor/lib/v.c"), "{glob}");
            assert!(!takes_named(&[glob], "./vendor/lib/v.c"), "{glob}");
        }
        for glob in ["!vendor", "!v.c/", "!lib/**", "!/v"] {
            assert!(takes_named(&[glob], "src/v.c"), "{glob}");
        }
        assert!(takes_named(&["src/*.c"], "./src/v.c"));
        assert!(!takes_named(&["src/*.c"], "lib/v.c"));
    }

    #[test]
    fn an_exclusion_that_excludes_nothing_is_known() {
        let filter = filter(&["*.c", "!vendor", "!./none/", "!*.h"], &[]).unwrap();
        let view = View::new(Path::new("src"), false);

        assert!(filter.excludes(&view, Path::new("src/vendor"), true));
        assert!(filter.takes(&view, Path::new("src/a.c")));

        assert_eq!(filter.idle_exclusions().collect::<Vec<_>>(), ["!./none/", "!*.h"]);
        assert_eq!(filter.fresh().idle_exclusions().count(), 3);
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
    fn a_bad_filter_is_an_error_that_names_it() {
        let error = filter(&["a{b"], &[]).unwrap_err().to_string();
        assert!(error.starts_with("failed to read the glob \"a{b\": unclosed"), "{error}");
        let error = filter(&["!"], &[]).unwrap_err().to_string();
        assert_eq!(error, "failed to read the glob \"\": it is empty");
        let error = filter(&[], &["nosuch"]).unwrap_err().to_string();
        assert!(error.starts_with("failed to read the file type \"nosuch\": unknown"), "{error}");
        for (name, near) in [("rs", "rust"), ("pyhton", "python"), ("rsut", "rust")] {
            let error = filter(&[], &[name]).unwrap_err().to_string();
            assert!(error.contains(near), "{error}");
        }
    }
}
