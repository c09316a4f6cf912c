//! What one file imports and declares, as it is written: paths, not yet the files they lead to.

use crate::tidy::rust::{Placed, Token, production_tokens};

/// What one file says of modules.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Written<'a> {
    pub(super) imports: Vec<Import<'a>>,
    /// Modules declared with a body (`mod name { … }`), by their path within the file.
    pub(super) inline: Vec<Vec<&'a str>>,
    /// Modules declared without one (`mod name;`), by their path within the file.
    pub(super) children: Vec<Vec<&'a str>>,
}

/// One path that may lead to another file.
#[derive(Debug, PartialEq)]
pub(super) struct Import<'a> {
    pub(super) line: usize,
    /// The inline modules that it stands in.
    pub(super) within: Vec<&'a str>,
    /// `crate`, `super`, `self` or a name; then names.
    pub(super) segments: Vec<&'a str>,
    /// Whether it is in a `use`, where a path may begin with the name of a child.
    pub(super) is_use: bool,
}

/// Reads the text of a file.
pub(super) fn read(text: &str) -> Written<'_> {
    let tokens = production_tokens(text);
    let mut reader = Reader { tokens: &tokens, at: 0, depth: 0, within: Vec::new() };
    let mut written = Written::default();
    while let Some((line, token)) = reader.next() {
        match token {
            Token::Sign('{') => reader.depth += 1,
            Token::Sign('}') => reader.close(),
            Token::Word("mod") => reader.declaration(&mut written),
            // `use<'a>` in a type is no import.
            Token::Word("use") if reader.peek() != Some(Token::Sign('<')) => {
                reader.use_tree(&[], &mut written);
            }
            Token::Word(first @ ("crate" | "super")) if reader.peek() == Some(Token::PathSep) => {
                let mut segments = vec![first];
                reader.rest_of_path(&mut segments);
                let within = reader.modules();
                written.imports.push(Import { line, within, segments, is_use: false });
            }
            _ => {}
        }
    }
    written
}

struct Reader<'t, 'a> {
    tokens: &'t [Placed<'a>],
    at: usize,
    /// How many braces are open.
    depth: usize,
    /// The inline modules that are open, each with the depth outside of it.
    within: Vec<(&'a str, usize)>,
}

impl<'a> Reader<'_, 'a> {
    fn next(&mut self) -> Option<Placed<'a>> {
        let next = self.tokens.get(self.at).copied();
        self.at += 1;
        next
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|(_, token)| *token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(line, _)| *line)
    }

    fn modules(&self) -> Vec<&'a str> {
        self.within.iter().map(|(name, _)| *name).collect()
    }

    /// Leaves a block, and the inline module whose block it is.
    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.within.last().is_some_and(|(_, outside)| *outside == self.depth) {
            self.within.pop();
        }
    }

    /// Behind `mod`.
    fn declaration(&mut self, written: &mut Written<'a>) {
        let Some(Token::Word(name)) = self.peek() else { return };
        self.at += 1;
        let mut path = self.modules();
        path.push(name);
        match self.peek() {
            Some(Token::Sign(';')) => written.children.push(path),
            Some(Token::Sign('{')) => {
                self.at += 1;
                self.within.push((name, self.depth));
                self.depth += 1;
                written.inline.push(path);
            }
            _ => {}
        }
    }

    /// Behind `use`, or within its braces: everything up to the `;`, `,` or `}` that ends one tree.
    fn use_tree(&mut self, before: &[&'a str], written: &mut Written<'a>) {
        let line = self.line();
        let mut segments = before.to_vec();
        loop {
            match self.peek() {
                Some(Token::Word("as")) => self.at += 2,
                // `a::{self}` is `a`.
                Some(Token::Word("self")) if !before.is_empty() => self.at += 1,
                Some(Token::Word(name)) => {
                    segments.push(name);
                    self.at += 1;
                }
                // A leading `::` is a crate of another name, which no module is called by.
                Some(Token::PathSep) if segments.is_empty() => {
                    segments.push("");
                    self.at += 1;
                }
                Some(Token::PathSep | Token::Sign('*')) => self.at += 1,
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    return self.use_group(&segments, written);
                }
                _ => break,
            }
        }
        if !segments.is_empty() {
            let within = self.modules();
            written.imports.push(Import { line, within, segments, is_use: true });
        }
    }

    /// Behind the opening brace of a group.
    fn use_group(&mut self, before: &[&'a str], written: &mut Written<'a>) {
        loop {
            match self.peek() {
                None => return,
                Some(Token::Sign('}')) => {
                    self.at += 1;
                    return;
                }
                Some(Token::Sign(',')) => self.at += 1,
                Some(_) => {
                    let from = self.at;
                    self.use_tree(before, written);
                    // What is no use tree, in a macro perhaps, is stepped over.
                    self.at = self.at.max(from + 1);
                }
            }
        }
    }

    /// The names behind the first one, up to a bracket or sign.
    fn rest_of_path(&mut self, segments: &mut Vec<&'a str>) {
        while self.peek() == Some(Token::PathSep) {
            let Some((_, Token::Word(name))) = self.tokens.get(self.at + 1) else { return };
            segments.push(name);
            self.at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    fn paths(text: &str) -> Vec<(usize, String)> {
        let imports = read(text).imports.into_iter();
        imports.map(|import| (import.line, import.segments.join("::"))).collect()
    }

    fn path(line: usize, path: &str) -> (usize, String) {
        (line, path.to_owned())
    }

    #[test]
    fn groups_are_taken_apart_and_each_path_has_its_line() {
        let text = "use crate::{\n    a::{self, B as C},\n    d::*,\n};\nuse {super::e, std::fmt};";
        let expected = [
            path(2, "crate::a"),
            path(2, "crate::a::B"),
            path(3, "crate::d"),
            path(5, "super::e"),
            path(5, "std::fmt"),
        ];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn paths_in_code_end_where_they_are_used() {
        let text = "fn a(x: crate::b::B<super::C>) -> super::super::D { crate::e::f::<u8>() }";
        let expected = ["crate::b::B", "super::C", "super::super::D", "crate::e::f"];
        assert_eq!(paths(text), expected.map(|found| path(1, found)));
    }

    #[test]
    fn visibilities_comments_strings_and_captures_are_no_paths() {
        let text = "/// See [`crate::a`].\npub(crate) fn f(_: pub(super)) { \"crate::a\"; }\n\
            fn g() -> impl Sized + use<'_> { h }";
        assert!(paths(text).is_empty(), "{:?}", paths(text));
    }

    #[test]
    fn inline_modules_are_known_while_they_are_open() {
        let text =
            "mod a { mod b { use super::c; } fn d() { { } super::e(); } }\nuse super::f; mod g;";
        let written = read(text);
        let within: Vec<_> = written.imports.iter().map(|import| &import.within[..]).collect();
        assert_eq!(within, [&["a", "b"][..], &["a"], &[]]);
        assert_eq!(written.inline, [vec!["a"], vec!["a", "b"]]);
        assert_eq!(written.children, [vec!["g"]]);
    }
}
