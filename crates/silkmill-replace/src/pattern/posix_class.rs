//! Finds `[:digit:]`, which is the letters of "digit" and a colon, where `[[:digit:]]` was meant.

use regex_syntax::ast::{self, Ast};

/// Returns the first class of a regex that looks like the name of one.
pub(crate) fn misspelt(pattern: &str) -> Option<String> {
    let ast = ast::parse::Parser::new().parse(pattern).ok()?;
    let Ok(found) = ast::visit(&ast, Seeker { pattern, found: None });
    found
}

struct Seeker<'a> {
    pattern: &'a str,
    found: Option<String>,
}

impl ast::Visitor for Seeker<'_> {
    type Output = Option<String>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Option<String>, Self::Err> {
        Ok(self.found)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        if let Ast::ClassBracketed(class) = ast {
            let text = &self.pattern[class.span.start.offset..class.span.end.offset];
            let name = text.strip_prefix("[:").and_then(|rest| rest.strip_suffix(":]"));
            let name = name.map(|name| name.strip_prefix('^').unwrap_or(name));
            let is_name = |name: &str| name.len() > 1 && name.chars().all(char::is_alphabetic);
            if name.is_some_and(is_name) && self.found.is_none() {
                self.found = Some(text.to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_class_alone_is_misspelt() {
        assert_eq!(misspelt("a[:digit:]+").as_deref(), Some("[:digit:]"));
        assert_eq!(misspelt("([:^alpha:])").as_deref(), Some("[:^alpha:]"));
        for right in ["[[:digit:]]", "[:,;]", "[::]", "[:a:]", r"\[:digit:\]"] {
            assert_eq!(misspelt(right), None, "{right}");
        }
    }
}
