//! Line ends in patterns and replacements: `\n` means that of the file, and `\R` any. Pure.
//!
//! A regex that spans lines is rewritten, so that its `\n` matches CRLF, too, and `\R` any line
//! end. One that names `\r` itself means bytes, and is left as it is.

use regex_syntax::ast::{self, Ast, LiteralKind, SpecialLiteralKind};

use crate::pattern::skeleton::Skeleton;

const EITHER: &str = r"(?:\r\n|\n)";
const ANY: &str = r"(?:\r\n|\n|\r)";

/// A regex whose `\R` stand as `\n`, which are as long and valid everywhere, and their places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Newlines {
    pub(crate) pattern: String,
    /// What is parsed in the place of a regex that needs the backtracking engine.
    skeleton: Option<String>,
    any: Vec<usize>,
}

impl Newlines {
    pub(crate) fn read(pattern: &str) -> Newlines {
        let (mut bytes, mut any, mut at) = (pattern.as_bytes().to_vec(), Vec::new(), 0);
        while at < bytes.len() {
            if bytes[at] != b'\\' {
                at += 1;
                continue;
            }
            if bytes.get(at + 1) == Some(&b'R') {
                bytes[at + 1] = b'n';
                any.push(at);
            }
            at += 2;
        }
        let pattern = String::from_utf8(bytes).expect("one letter of ASCII replaces another");
        Newlines { pattern, skeleton: None, any }
    }

    /// Does the same for a regex that may need the backtracking engine.
    pub(crate) fn read_extended(pattern: &str) -> Newlines {
        let newlines = Newlines::read(pattern);
        let skeleton = Some(Skeleton::of(&newlines.pattern).pattern);
        Newlines { skeleton, ..newlines }
    }

    /// Returns whether the regex names `\r`, and so means bytes.
    pub(crate) fn names_return(&self) -> bool {
        self.seek().is_some_and(|seeker| seeker.names_return)
    }

    /// Returns whether a class holds `\R`, which is no character.
    pub(crate) fn is_in_class(&self) -> bool {
        let seeker = self.seek();
        seeker.is_some_and(|seeker| self.any.iter().any(|at| seeker.in_classes.contains(at)))
    }

    /// Returns the regex in which `\n` and `\R` match the line ends they mean.
    pub(crate) fn rewritten(&self) -> String {
        let Some(seeker) = self.seek() else { return self.pattern.clone() };
        let mut edits = Vec::new();
        for (start, end) in &seeker.literals {
            if self.any.contains(start) {
                edits.push((*start, *end, ANY.to_owned()));
            } else if !seeker.names_return {
                edits.push((*start, *end, EITHER.to_owned()));
            }
        }
        if !seeker.names_return {
            for (start, end, is_negated) in &seeker.classes {
                let class = &self.pattern[*start..*end];
                edits.push((
                    *start,
                    *end,
                    match class.strip_prefix("[^") {
                        Some(rest) if *is_negated => format!(r"[^\r{rest}"),
                        _ => format!(r"(?:\r\n|{class})"),
                    },
                ));
            }
        }
        edits.sort_unstable();
        let (mut out, mut copied) = (String::new(), 0);
        for (start, end, text) in edits {
            out.push_str(&self.pattern[copied..start]);
            out.push_str(&text);
            copied = end;
        }
        out + &self.pattern[copied..]
    }

    /// Returns `None` for a regex that does not parse. Whoever compiles it says why.
    fn seek(&self) -> Option<Seeker> {
        let parsed = self.skeleton.as_ref().unwrap_or(&self.pattern);
        let ast = ast::parse::Parser::new().parse(parsed).ok()?;
        let Ok(seeker) = ast::visit(&ast, Seeker::default());
        Some(seeker)
    }
}

/// Where a regex names line ends, in bytes of the pattern.
#[derive(Default)]
struct Seeker {
    names_return: bool,
    /// The literals outside of classes that are a line feed by name.
    literals: Vec<(usize, usize)>,
    /// The outermost classes that hold one, and whether they are negated.
    classes: Vec<(usize, usize, bool)>,
    /// The line feeds in classes.
    in_classes: Vec<usize>,
    class: Option<(usize, usize, bool)>,
}

impl Seeker {
    fn see(&mut self, literal: &ast::Literal) {
        self.names_return |= literal.c == '\r';
        // `\x0A` means the byte.
        let is_named = matches!(
            literal.kind,
            LiteralKind::Verbatim | LiteralKind::Special(SpecialLiteralKind::LineFeed)
        );
        if literal.c != '\n' || !is_named {
            return;
        }
        let (start, end) = (literal.span.start.offset, literal.span.end.offset);
        match self.class {
            None => self.literals.push((start, end)),
            Some(class) => {
                self.in_classes.push(start);
                if self.classes.last() != Some(&class) {
                    self.classes.push(class);
                }
            }
        }
    }
}

impl ast::Visitor for Seeker {
    type Output = Seeker;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Seeker, Self::Err> {
        Ok(self)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Literal(literal) => self.see(literal),
            Ast::ClassBracketed(class) => {
                let span = class.span;
                self.class = Some((span.start.offset, span.end.offset, class.negated));
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        if let Ast::ClassBracketed(_) = ast {
            self.class = None;
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ast::ClassSetItem::Literal(literal) => self.see(literal),
            ast::ClassSetItem::Range(range) => {
                self.names_return |= range.start.c == '\r' || range.end.c == '\r';
            }
            _ => {}
        }
        Ok(())
    }
}

/// Finds the line end that `\n` writes: that of the line in which a match begins. A last line
/// without one takes that of the line before, and a text without any `\n`.
#[derive(Debug, Default)]
pub(crate) struct LineEnds {
    /// Where the search for the next line end began, and where that is.
    known: Option<(usize, Option<usize>)>,
}

impl LineEnds {
    pub(crate) fn at(&mut self, text: &[u8], start: usize) -> &'static [u8] {
        let next = match self.known {
            // One long line with many matches is searched once.
            Some((from, next)) if from <= start && next.is_none_or(|next| start <= next) => next,
            _ => memchr::memchr2(b'\r', b'\n', &text[start..]).map(|at| start + at),
        };
        self.known = Some((start, next));
        let before = || memchr::memrchr2(b'\r', b'\n', &text[..start]);
        let Some(at) = next.or_else(before) else { return b"\n" };
        match (text[at], at.checked_sub(1).map(|before| text[before]), text.get(at + 1)) {
            (b'\r', _, Some(b'\n')) | (b'\n', Some(b'\r'), _) => b"\r\n",
            (b'\r', ..) => b"\r",
            _ => b"\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_by_name_match_what_they_mean() {
        let claims = [
            (r"a\nb", r"a(?:\r\n|\n)b"),
            (r"a\R+", r"a(?:\r\n|\n|\r)+"),
            ("a\nb", r"a(?:\r\n|\n)b"),
            (r"[^\n,]*", r"[^\r\n,]*"),
            (r"[\n,]*", r"(?:\r\n|[\n,])*"),
            (r"a\x0A\\n\\R", r"a\x0A\\n\\R"),
            (r"\r?\n", r"\r?\n"),
            (r"[\r\n]\R", r"[\r\n](?:\r\n|\n|\r)"),
            ("(", "("),
        ];
        for (pattern, want) in claims {
            assert_eq!(Newlines::read(pattern).rewritten(), want, "{pattern}");
        }
        assert!(Newlines::read(r"[\R]").is_in_class());
        assert!(!Newlines::read(r"[\n]\R").is_in_class());

        let extended = Newlines::read_extended(r"(?<=\n)a(?![\n,])\R");
        assert_eq!(extended.rewritten(), r"(?<=(?:\r\n|\n))a(?!(?:\r\n|[\n,]))(?:\r\n|\n|\r)");
    }

    #[test]
    fn a_line_end_is_that_of_the_line_of_the_match() {
        let text = b"a\r\nb\nc\rd";
        let mut ends = LineEnds::default();

        let found: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 7].map(|at| ends.at(text, at)).into();
        let want: [&[u8]; 8] = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\n", b"\r", b"\r", b"\r"];
        assert_eq!(found, want);
        assert_eq!(LineEnds::default().at(b"a", 0), b"\n");
    }
}
