//! The skeleton of a regex: the same text with what only a backtracking engine knows written as
//! something that every parser knows, at the same places. `(?<=a)b` becomes `(?s:a)b`.
//!
//! A skeleton matches other texts than its regex does. It tells where the regex names line ends,
//! classes and letters, and whether it needs the backtracking engine at all.

/// The skeleton of one regex.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skeleton {
    /// It has as many bytes as the regex, and its characters are at the same places.
    pub(crate) pattern: String,
    /// Whether the regex has anything that a linear engine does not know.
    pub(crate) is_extended: bool,
    /// Whether the regex names `\K` or `\G`, so that a match depends on where its search began.
    pub(crate) names_search_start: bool,
}

impl Skeleton {
    pub(crate) fn of(pattern: &str) -> Skeleton {
        let mut scanner = Scanner {
            from: pattern.as_bytes(),
            out: pattern.as_bytes().to_vec(),
            at: 0,
            class_depth: 0,
            after_quantifier: false,
            names_search_start: false,
        };
        while scanner.at < pattern.len() {
            scanner.step();
        }
        let is_extended = scanner.out != pattern.as_bytes();
        let names_search_start = scanner.names_search_start;
        let pattern = String::from_utf8(scanner.out).expect("ASCII replaces whole characters");
        Skeleton { pattern, is_extended, names_search_start }
    }
}

struct Scanner<'a> {
    from: &'a [u8],
    out: Vec<u8>,
    at: usize,
    class_depth: usize,
    after_quantifier: bool,
    names_search_start: bool,
}

impl Scanner<'_> {
    fn step(&mut self) {
        let after_quantifier = std::mem::take(&mut self.after_quantifier);
        match self.from[self.at] {
            b'\\' => return self.escape(),
            b'[' => return self.open_class(),
            b']' if self.class_depth > 0 => self.class_depth -= 1,
            _ if self.class_depth > 0 => {}
            b'(' => return self.open_group(),
            // A possessive quantifier.
            b'+' if after_quantifier => self.out[self.at] = b'?',
            b'?' if after_quantifier => {}
            b'*' | b'+' | b'?' | b'}' => self.after_quantifier = true,
            _ => {}
        }
        self.at += 1;
    }

    fn escape(&mut self) {
        let start = self.at;
        self.at = (start + 2).min(self.from.len());
        let Some(&letter) = self.from.get(start + 1) else { return };
        let simple = match letter {
            b'h' | b'H' | b'O' | b'N' => b'd',
            b'e' => b't',
            _ if self.class_depth > 0 => return,
            b'K' | b'G' => {
                self.names_search_start = true;
                b'b'
            }
            b'Z' => b'z',
            b'1'..=b'9' => {
                while self.from.get(self.at).is_some_and(u8::is_ascii_digit) {
                    self.out[self.at] = b'd';
                    self.at += 1;
                }
                b'd'
            }
            b'k' | b'g' => {
                let close = match self.from.get(start + 2) {
                    Some(b'<') => b'>',
                    Some(b'{') => b'}',
                    Some(b'\'') => b'\'',
                    _ => return,
                };
                return self.fill_to(start, start + 3, close, b"[", b"]");
            }
            _ => return,
        };
        self.out[start + 1] = simple;
    }

    fn open_class(&mut self) {
        self.class_depth += 1;
        self.at += 1;
        if self.from.get(self.at) == Some(&b'^') {
            self.at += 1;
        }
        // A bracket that comes first is a member of the class.
        if self.from.get(self.at) == Some(&b']') {
            self.at += 1;
        }
    }

    fn open_group(&mut self) {
        let start = self.at;
        let rest = &self.from[start + 1..];
        match rest {
            [b'?', b'<', b'=' | b'!', ..] => {
                self.out[start + 2] = b's';
                self.out[start + 3] = b':';
                self.at += 4;
            }
            [b'?', b'=' | b'!' | b'>' | b'~', ..] => {
                self.out[start + 2] = b':';
                self.at += 3;
            }
            [b'?', b'#', ..] | [b'*', b'A'..=b'Z', ..] => {
                self.fill_to(start, start + 2, b')', b"(?:", b")");
            }
            [b'?', b'P', b'=' | b'>', ..] => self.fill_to(start, start + 2, b')', b"[", b"]"),
            [b'?', b'(', b'1'..=b'9' | b'<' | b'\'', ..] => {
                self.out[start + 1] = b'a';
                self.fill_to(start + 2, start + 3, b')', b"(?:", b")");
            }
            [b'?', b'(', ..] => {
                self.out[start + 1] = b'a';
                self.at += 2;
            }
            [b'?', ..] => self.at += 2,
            _ => self.at += 1,
        }
    }

    /// Replaces what begins at `start` and ends with the next `close` at or after `from` by letters
    /// between `before` and `after`.
    fn fill_to(&mut self, start: usize, from: usize, close: u8, before: &[u8], after: &[u8]) {
        let rest = self.from.get(from..).unwrap_or_default();
        let Some(end) = rest.iter().position(|&byte| byte == close) else {
            self.at = start + 1;
            return;
        };
        let out = &mut self.out[start..=from + end];
        self.at = start + out.len();
        out.fill(b'a');
        if out.len() >= before.len() + after.len() {
            out[..before.len()].copy_from_slice(before);
            let len = out.len();
            out[len - after.len()..].copy_from_slice(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_backtracking_is_written_as_what_does_not() {
        for (pattern, want) in [
            (r"(?<=a)b(?!c)", r"(?s:a)b(?:c)"),
            (r"(?<!a|é)b(?=c)", r"(?s:a|é)b(?:c)"),
            (r"(a)\1\12x", r"(a)\d\ddx"),
            (r"(?<n>a)\k<n>(?P=n)", r"(?<n>a)[aaa][aaaa]"),
            (r"a\Kb\Z", r"a\bb\z"),
            (r"(?>a++b?+)c{2}+", r"(?:a+?b??)c{2}?"),
            (r"(a)?(?(1)b|c)", r"(a)?(aaaab|c)"),
            (r"(?<n>a)?(?(<n>)b|c)", r"(?<n>a)?(a(?:a)b|c)"),
            (r"a(?#xy)b", r"a(?:aa)b"),
            (r"a(*FAIL)", r"a(?:aaa)"),
            (r"[)(?=]\h", r"[)(?=]\d"),
        ] {
            let skeleton = Skeleton::of(pattern);
            assert_eq!(skeleton.pattern, want, "{pattern}");
            assert!(skeleton.is_extended, "{pattern}");
            let parsed = regex_syntax::ast::parse::Parser::new().parse(&skeleton.pattern);
            assert!(parsed.is_ok(), "{pattern}: {parsed:?}");
        }
    }

    #[test]
    fn a_plain_regex_is_its_own_skeleton() {
        for pattern in [
            r"(?P<n>a)(?i:b)(?<m>c)|d*?e+?[]a][^]b][[:alpha:]]\(\?=\[",
            r"\x{41}[+*+]\\1 a{2,3}?",
            "",
            r"\",
        ] {
            let skeleton = Skeleton::of(pattern);
            assert_eq!(skeleton.pattern, pattern);
            assert!(!skeleton.is_extended && !skeleton.names_search_start, "{pattern}");
        }
    }
}
