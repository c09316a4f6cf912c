//! Confines a regex to one line. Knows no files and no replacements.
//!
//! The whole text is searched at once, because that is fast. So a regex that must not leave its
//! line is rewritten to one that cannot match a line end. `\s`, `[^,]` and `(?s).` lose `\r` and
//! `\n`. A regex that names a line end could then never match, and is refused.

use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind,
    Repetition,
};

/// The regex names a line end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamesLineEnd;

/// Returns the same regex, except that it matches no `\r` and no `\n`.
pub(crate) fn confine(hir: Hir) -> Result<Hir, NamesLineEnd> {
    Ok(match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Literal(literal) if literal.0.iter().copied().any(is_line_end) => {
            return Err(NamesLineEnd);
        }
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(without_line_ends(class)?),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(confine(*repetition.sub)?), ..repetition })
        }
        HirKind::Capture(capture) => {
            Hir::capture(Capture { sub: Box::new(confine(*capture.sub)?), ..capture })
        }
        HirKind::Concat(subs) => Hir::concat(confine_each(subs)?),
        HirKind::Alternation(subs) => Hir::alternation(confine_each(subs)?),
    })
}

/// Returns whether a byte ends a line, or is half of what does.
pub(crate) fn is_line_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn confine_each(subs: Vec<Hir>) -> Result<Vec<Hir>, NamesLineEnd> {
    subs.into_iter().map(confine).collect()
}

/// Removes the line ends from a class such as `[^,]`. A class such as `[\r\n]` would be left empty:
/// it names a line end and nothing else.
fn without_line_ends(class: Class) -> Result<Class, NamesLineEnd> {
    let (class, was_empty) = match class {
        Class::Unicode(mut class) => {
            let was_empty = class.ranges().is_empty();
            class.difference(&ClassUnicode::new([
                ClassUnicodeRange::new('\n', '\n'),
                ClassUnicodeRange::new('\r', '\r'),
            ]));
            (Class::Unicode(class), was_empty)
        }
        Class::Bytes(mut class) => {
            let was_empty = class.ranges().is_empty();
            class.difference(&ClassBytes::new([
                ClassBytesRange::new(b'\n', b'\n'),
                ClassBytesRange::new(b'\r', b'\r'),
            ]));
            (Class::Bytes(class), was_empty)
        }
    };
    if class.is_empty() && !was_empty { Err(NamesLineEnd) } else { Ok(class) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confined(pattern: &str) -> Result<String, NamesLineEnd> {
        let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).unwrap();
        confine(hir).map(|hir| hir.to_string())
    }

    #[test]
    fn classes_lose_their_line_ends() {
        let regex = regex::Regex::new(&confined(r"a(?P<gap>[^,]+|\s*)(?s:.)?").unwrap()).unwrap();

        assert_eq!(regex.find("a \t \r\nb").unwrap().as_str(), "a \t ");
    }

    #[test]
    fn a_line_end_by_name_is_refused_wherever_it_stands() {
        for pattern in [r"a\nb", r"(\r)?", r"x|[\r\n]", r"\x0A", r"(?-u:\n)"] {
            assert_eq!(confined(pattern), Err(NamesLineEnd), "{pattern}");
        }
    }

    #[test]
    fn a_class_that_was_empty_before_is_no_line_end() {
        assert!(confined(r"[a&&b]").is_ok());
    }
}
