//! Rust source as tokens: words, signs and comments. It knows just enough of the language that
//! nothing within a string or a comment is taken for code, and no test for what is built.

/// A piece of source text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword or a name; a raw name without its `r#`.
    Word(&'a str),
    /// `::`
    PathSep,
    /// Any other sign, by itself.
    Sign(char),
    /// A string, a character, a number or a lifetime.
    Literal,
    /// A comment, of a line or a block, documentation included.
    Comment(&'a str),
}

/// A token, and the line it begins on, from 1.
pub(super) type Placed<'a> = (usize, Token<'a>);

/// Splits source text into tokens.
pub(super) fn tokens(text: &str) -> Vec<Placed<'_>> {
    let mut reader = Reader { rest: text, line: 1 };
    std::iter::from_fn(|| reader.next()).collect()
}

/// Splits source text into the tokens of what is built when no test is: without comments, and
/// without items, statements and fields under `#[cfg(test)]` or `#[test]`.
pub(super) fn production_tokens(text: &str) -> Vec<Placed<'_>> {
    let mut all = tokens(text);
    all.retain(|(_, token)| !matches!(token, Token::Comment(_)));
    let (mut kept, mut rest) = (Vec::new(), all.as_slice());
    while let Some((first, after)) = rest.split_first() {
        let Some((attribute, is_inner, behind)) = split_attribute(rest) else {
            kept.push(*first);
            rest = after;
            continue;
        };
        match is_test(attribute) {
            false => rest = behind,
            // The rest of the file, or of the block, which is a module in all code we have.
            true if is_inner => break,
            true => rest = behind_item(behind),
        }
    }
    kept
}

/// Splits off an attribute when the tokens begin with one. Says whether it is one of the form
/// `#![…]`.
fn split_attribute<'t, 'a>(
    tokens: &'t [Placed<'a>],
) -> Option<(&'t [Placed<'a>], bool, &'t [Placed<'a>])> {
    use Token::Sign;
    let is_inner = match tokens {
        [(_, Sign('#')), (_, Sign('[')), ..] => false,
        [(_, Sign('#')), (_, Sign('!')), (_, Sign('[')), ..] => true,
        _ => return None,
    };
    let open = if is_inner { 2 } else { 1 };
    let end = open + len_of_group(&tokens[open..]);
    let (attribute, behind) = tokens.split_at(end);
    Some((attribute, is_inner, behind))
}

/// Counts the tokens from an opening bracket to the one that closes it.
fn len_of_group(tokens: &[Placed<'_>]) -> usize {
    let mut depth = 0;
    for (place, (_, token)) in tokens.iter().enumerate() {
        depth += change_of_depth(*token);
        if depth == 0 {
            return place + 1;
        }
    }
    tokens.len()
}

fn change_of_depth(token: Token<'_>) -> i32 {
    match token {
        Token::Sign('(' | '[' | '{') => 1,
        Token::Sign(')' | ']' | '}') => -1,
        _ => 0,
    }
}

/// Returns whether an attribute keeps what it stands before out of a build without tests.
fn is_test(attribute: &[Placed<'_>]) -> bool {
    let is_word = |place: usize, word| {
        attribute.get(place).map(|(_, token)| *token) == Some(Token::Word(word))
    };
    let open = attribute.iter().position(|(_, token)| *token == Token::Sign('[')).unwrap_or(0);
    if is_word(open + 1, "test") {
        return true;
    }
    // `not(test)` is the one form that keeps it in; `any(test, …)` is not used for modules.
    let names_test = (0..attribute.len())
        .any(|place| is_word(place, "test") && !(place >= 2 && is_word(place - 2, "not")));
    is_word(open + 1, "cfg") && names_test
}

/// Skips further attributes and the one item, statement, field or match arm behind them.
fn behind_item<'t, 'a>(mut tokens: &'t [Placed<'a>]) -> &'t [Placed<'a>] {
    const ITEMS: [&str; 16] = [
        "pub",
        "mod",
        "fn",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "unsafe",
        "async",
        "macro_rules",
        "extern",
        "let",
    ];
    while let Some((_, _, behind)) = split_attribute(tokens) {
        tokens = behind;
    }
    // A public field begins like an item: a colon stands behind its name.
    let visibility = match tokens {
        [(_, Token::Word("pub")), (_, Token::Sign('(')), ..] => 1 + len_of_group(&tokens[1..]),
        [(_, Token::Word("pub")), ..] => 1,
        _ => 0,
    };
    let is_field = matches!(&tokens[visibility..], [_, (_, Token::Sign(':')), ..]);
    let begins_item =
        matches!(tokens, [(_, Token::Word(word)), ..] if ITEMS.contains(word)) && !is_field;
    let mut depth = 0;
    for (place, (_, token)) in tokens.iter().enumerate() {
        depth += change_of_depth(*token);
        let is_end = match token {
            Token::Sign('}') if depth < 0 => return &tokens[place..],
            Token::Sign(')' | ']') if depth < 0 => return &tokens[place..],
            Token::Sign('}' | ';') => depth == 0,
            Token::Sign(',') => depth == 0 && !begins_item,
            _ => false,
        };
        if is_end {
            return &tokens[place + 1..];
        }
    }
    &[]
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Takes the next token.
    fn next(&mut self) -> Option<Placed<'a>> {
        let blank = self.rest.len() - self.rest.trim_start().len();
        self.take(blank);
        let first = self.rest.chars().next()?;
        let line = self.line;
        let token = match first {
            '/' if self.rest.starts_with("//") => {
                let len = self.rest.find('\n').unwrap_or(self.rest.len());
                Token::Comment(self.take(len))
            }
            '/' if self.rest.starts_with("/*") => {
                let len = len_of_block_comment(self.rest);
                Token::Comment(self.take(len))
            }
            ':' if self.rest.starts_with("::") => {
                self.take(2);
                Token::PathSep
            }
            '"' => self.literal(len_of_quoted(self.rest)),
            '\'' => self.literal(len_of_character_or_lifetime(self.rest)),
            _ if is_name(first) => self.word_or_literal(),
            _ => {
                self.take(first.len_utf8());
                Token::Sign(first)
            }
        };
        Some((line, token))
    }

    /// A word or a number, or a string with a prefix such as `br#`.
    fn word_or_literal(&mut self) -> Token<'a> {
        let len = self.rest.find(|letter| !is_name(letter)).unwrap_or(self.rest.len());
        let (word, behind) = self.rest.split_at(len);
        let marks = behind.len() - behind.trim_start_matches('#').len();
        match word {
            "r" | "br" | "cr" if behind[marks..].starts_with('"') => {
                let end = format!("\"{}", &behind[..marks]);
                let inner = marks + 1;
                let close = behind[inner..].find(&end).map(|at| inner + at + end.len());
                self.literal(len + close.unwrap_or(behind.len()))
            }
            "b" | "c" if behind.starts_with('"') => self.literal(len + len_of_quoted(behind)),
            "b" if behind.starts_with('\'') => {
                self.literal(len + len_of_character_or_lifetime(behind))
            }
            "r" if marks == 1 && behind[1..].starts_with(is_name) => {
                self.take(2);
                let len = self.rest.find(|letter| !is_name(letter)).unwrap_or(self.rest.len());
                Token::Word(self.take(len))
            }
            _ if word.starts_with(|letter: char| letter.is_ascii_digit()) => self.literal(len),
            _ => Token::Word(self.take(len)),
        }
    }

    fn literal(&mut self, len: usize) -> Token<'a> {
        self.take(len);
        Token::Literal
    }

    /// Takes so many bytes, and counts the lines in them.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of the string that the text begins with, quotes included.
fn len_of_quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (place, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `'x'`, `'\u{78}'` or `'name`.
fn len_of_character_or_lifetime(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    let Some((first_at, first)) = letters.next() else { return text.len() };
    if first == '\\' {
        letters.next();
        return letters.find(|(_, letter)| *letter == '\'').map_or(text.len(), |(at, _)| at + 1);
    }
    let behind = &text[first_at + first.len_utf8()..];
    if behind.starts_with('\'') {
        return text.len() - behind.len() + 1;
    }
    let name = text[1..].find(|letter| !is_name(letter)).unwrap_or(text.len() - 1);
    1 + name
}

/// The length of the block comment that the text begins with; block comments nest.
fn len_of_block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Token, production_tokens, tokens};

    fn words(tokens: Vec<super::Placed<'_>>) -> Vec<(usize, &str)> {
        let word = |(line, token)| match token {
            Token::Word(word) => Some((line, word)),
            _ => None,
        };
        tokens.into_iter().filter_map(word).collect()
    }

    #[test]
    fn words_keep_their_lines_and_raw_names_lose_their_mark() {
        let text = "fn a() {\n    r#type::b();\n}";
        assert_eq!(words(tokens(text)), [(1, "fn"), (1, "a"), (2, "type"), (2, "b")]);
    }

    #[test]
    fn nothing_in_a_literal_is_code() {
        for text in [
            r#""use crate::a""#,
            r###"r##"use "# crate"##"###,
            r#"b"\"use""#,
            "br\"use\\\"",
            "c\"use\"",
            "'u'",
            r"'\''",
            r"'\u{75}'",
            "b'u'",
            "'use_lifetime",
            "0xuse",
            "'é'",
        ] {
            let found = tokens(text);
            assert_eq!(found, [(1, Token::Literal)], "{text}");
        }
    }

    #[test]
    fn lifetimes_and_characters_are_told_apart() {
        let found = words(tokens("fn f<'a>(x: &'a str) { x == 'a' || y == '\\\\' || z }"));
        assert!(found.iter().any(|(_, word)| *word == "z"), "{found:?}");
    }

    #[test]
    fn comments_are_found_where_they_begin_and_blocks_nest() {
        let text = "a // b\n/* c /* d */\n e */ f \"//\" /// g";
        let found: Vec<_> = tokens(text)
            .into_iter()
            .filter(|(_, token)| matches!(token, Token::Comment(_)))
            .collect();
        let expected = [
            (1, Token::Comment("// b")),
            (2, Token::Comment("/* c /* d */\n e */")),
            (3, Token::Comment("/// g")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        for text in [
            "#[cfg(test)] mod tests { use a; fn b() { c } }",
            "#[cfg(all(test, loom))]\nmod models;",
            "#[cfg(test)] use a::{b, c};",
            "#[cfg(test)] #[derive(Debug)] pub(crate) struct A<B, C>(B, C);",
            "#[test] fn a<B, C>() -> Vec<B> { c }",
            "#![cfg(test)] use a; fn b() {}",
            "/* a */ // b",
        ] {
            assert!(words(production_tokens(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_built_is_kept() {
        let kept = |text| words(production_tokens(text)).into_iter().map(|(_, word)| word);
        assert!(kept("#[cfg(not(test))] mod a;").eq(["mod", "a"]));
        assert!(kept("#[derive(test)] enum A {}").eq(["enum", "A"]));
        assert!(kept("#[cfg(test)] mod a {} fn b() {}").eq(["fn", "b"]));
        let fields = "struct A { #[cfg(test)] pub b: C<D>, e: F }";
        assert!(kept(fields).eq(["struct", "A", "e", "F"]));
        let last = "struct A { e: F, #[cfg(test)] b: C }";
        assert!(kept(last).eq(["struct", "A", "e", "F"]));
        let statement = "fn a() { #[cfg(test)] b(c, d); e }";
        assert!(kept(statement).eq(["fn", "a", "e"]));
    }

    #[test]
    fn brackets_are_in_balance_in_all_code_we_have() {
        let tree = crate::tidy::tree::Tree::read().unwrap();
        for (path, text) in tree.sources() {
            for found in [tokens(text), production_tokens(text)] {
                let mut open = Vec::new();
                for (line, token) in found {
                    match token {
                        Token::Sign('(') => open.push(')'),
                        Token::Sign('[') => open.push(']'),
                        Token::Sign('{') => open.push('}'),
                        Token::Sign(sign @ (')' | ']' | '}')) => {
                            assert_eq!(open.pop(), Some(sign), "{path}:{line}");
                        }
                        _ => {}
                    }
                }
                assert!(open.is_empty(), "{path}: {open:?}");
            }
        }
    }
}
