//! The modules of a crate, the files that define them, and the file that each import leads to.

use std::collections::BTreeMap;

use super::graph::Graph;
use super::imports::{Import, Written, read};
use crate::tidy::tree::Tree;

/// A module's path from the root of its crate, which is empty.
type ModulePath<'a> = Vec<&'a str>;

/// A crate, read from its root on along its `mod` declarations. Files that only tests declare are
/// none of it.
pub(super) struct Crate<'a> {
    /// The file that has each module, inline ones included.
    files: BTreeMap<ModulePath<'a>, String>,
    /// What each file says, with the path of its module.
    written: Vec<(ModulePath<'a>, Written<'a>)>,
}

impl<'a> Crate<'a> {
    /// Reads the crate that begins with the file `root`.
    pub(super) fn read(tree: &'a Tree, root: &str) -> Crate<'a> {
        let mut found = Crate { files: BTreeMap::new(), written: Vec::new() };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        found.add(tree, Vec::new(), root.to_owned(), folder);
        found
    }

    /// Adds the module in `file`, and those it declares, whose files are in `folder`.
    fn add(&mut self, tree: &'a Tree, module: ModulePath<'a>, file: String, folder: &str) {
        let written = read(tree.text(&file).unwrap_or_default());
        for inline in &written.inline {
            self.files.insert([&module[..], inline].concat(), file.clone());
        }
        for child in &written.children {
            let path = format!("{folder}/{}", child.join("/"));
            let candidates = [format!("{path}.rs"), format!("{path}/mod.rs")];
            if let Some(file) = candidates.into_iter().find(|file| tree.text(file).is_some()) {
                self.add(tree, [&module[..], child].concat(), file, &path);
            }
        }
        self.files.insert(module.clone(), file);
        self.written.push((module, written));
    }

    /// Which file imports which, and where first.
    pub(super) fn imports(&self) -> Graph {
        let mut graph = Graph::default();
        for (module, written) in &self.written {
            let file = &self.files[module];
            for import in &written.imports {
                if let Some(imported) = self.file_of(module, import) {
                    graph.add(file, import.line, imported);
                }
            }
        }
        graph
    }

    /// The file that an import leads to: the one of the longest part of the path that is a module.
    /// `None` for what is of another crate.
    fn file_of(&self, module: &[&'a str], import: &Import<'a>) -> Option<&str> {
        let mut base = [module, &import.within].concat();
        let mut rest = import.segments.as_slice();
        match rest.first().copied()? {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while let ["super", behind @ ..] = rest {
                    base.pop();
                    rest = behind;
                }
            }
            child if import.is_use && self.files.contains_key(&join(&base, child)) => {}
            _ => return None,
        }
        for name in rest {
            match join(&base, name) {
                deeper if self.files.contains_key(&deeper) => base = deeper,
                _ => break,
            }
        }
        self.files.get(&base).map(String::as_str)
    }
}

fn join<'a>(path: &[&'a str], name: &'a str) -> ModulePath<'a> {
    [path, &[name]].concat()
}

#[cfg(test)]
mod tests {
    use super::{Crate, Tree};

    /// The files that `a/src/b.rs` imports when it has this text.
    fn imports_of_b(text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "mod b; mod e; #[cfg(test)] mod t; mod i { pub use crate::e::E; }"),
            ("a/src/b.rs", text),
            ("a/src/b/c.rs", "mod d;"),
            ("a/src/b/c/d.rs", ""),
            ("a/src/e/mod.rs", "mod f;"),
            ("a/src/e/f.rs", ""),
            ("a/src/t.rs", "use crate::b;"),
        ]);
        let graph = Crate::read(&tree, "a/src/lib.rs").imports();
        graph.imports_of("a/src/b.rs").map(|(file, _)| file.to_owned()).collect()
    }

    #[test]
    fn an_import_leads_to_the_file_of_the_deepest_module() {
        assert_eq!(imports_of_b("use crate::e::f::F;"), ["a/src/e/f.rs"]);
        assert_eq!(imports_of_b("use crate::e::Name;"), ["a/src/e/mod.rs"]);
        assert_eq!(imports_of_b("use crate::Name;"), ["a/src/lib.rs"]);
        assert_eq!(imports_of_b("use super::e::f;"), ["a/src/e/f.rs"]);
        assert_eq!(imports_of_b("mod c; use c::d::{D, E};"), ["a/src/b/c/d.rs"]);
        assert_eq!(imports_of_b("mod c; use self::c::C;"), ["a/src/b/c.rs"]);
    }

    #[test]
    fn an_inline_module_is_in_the_file_that_has_it() {
        assert_eq!(imports_of_b("use crate::i::E;"), ["a/src/lib.rs"]);
        assert!(imports_of_b("mod g { use super::B; } fn h() { g::i(); }").is_empty());
        assert_eq!(imports_of_b("mod g { use super::super::e::E; }"), ["a/src/e/mod.rs"]);
    }

    #[test]
    fn other_crates_and_files_of_tests_are_none_of_it() {
        assert!(imports_of_b("use std::e::f; use ::e::f; use e::f; fn g() { e::f(); }").is_empty());
        assert_eq!(imports_of_b("use crate::t::T;"), ["a/src/lib.rs"]);
    }
}
