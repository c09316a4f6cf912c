//! Counts the attributes of a tag that has not ended yet.
//!
//! The tokenizer compares every attribute of a tag with all before it, and passes on nothing until
//! the tag ends: a tag of a megabyte takes minutes. So markup that gives no token is scanned here
//! as well. The start of the tag is known when a token ended just before it, which is nearly
//! always; when it is not, everything that could be an attribute counts as one.

/// Follows one tag through pieces of markup.
#[derive(Debug, Default)]
pub(crate) struct TagScan {
    state: State,
    attributes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Somewhere in a tag or a comment, at an unknown position.
    #[default]
    Unknown,
    /// Before the `<`.
    Start,
    Opened,
    TagName,
    /// Where the name of an attribute may start.
    Between,
    Name,
    AfterName,
    BeforeValue,
    Unquoted,
    Quoted(u8),
    /// A comment, or something else without attributes.
    Other,
}

impl TagScan {
    /// Makes a scan of markup that starts with a tag, if it does not start with text.
    pub(crate) fn at_start() -> TagScan {
        TagScan { state: State::Start, attributes: 0 }
    }

    /// Returns the comparisons that the attributes in the next piece of the tag cause.
    pub(crate) fn work(&mut self, piece: &str) -> u64 {
        let before = self.attributes;
        if self.state == State::Unknown {
            self.attributes += possible_attributes(piece.as_bytes());
        } else {
            piece.bytes().for_each(|byte| self.step(byte));
        }
        (self.attributes - before) * self.attributes
    }

    fn step(&mut self, byte: u8) {
        use State::*;
        self.state = match (self.state, byte) {
            (Start, b'<') => Opened,
            (Start, _) => Other,
            (Opened, b'/') => Opened,
            (Opened, _) if byte.is_ascii_alphabetic() => TagName,
            (Opened, _) => Other,
            (TagName | Unquoted, _) if is_space(byte) => Between,
            (TagName, b'/') => Between,
            (Between, b'/') => Between,
            (Between, _) if is_space(byte) => Between,
            (Name | AfterName, b'=') => BeforeValue,
            (Name | AfterName, b'/') => Between,
            (Name | AfterName, _) if is_space(byte) => AfterName,
            // Even a `=` starts a name here.
            (Between | AfterName, _) => {
                self.attributes += 1;
                Name
            }
            (BeforeValue, b'"' | b'\'') => Quoted(byte),
            (BeforeValue, _) if is_space(byte) => BeforeValue,
            (BeforeValue, _) => Unquoted,
            (Quoted(quote), _) if byte == quote => Between,
            (state, _) => state,
        };
    }
}

/// Returns an upper bound: an attribute ends at a space, a slash or a quote; several in a row end
/// only one.
fn possible_attributes(bytes: &[u8]) -> u64 {
    let ends = |byte: u8| is_space(byte) || b"/\"'".contains(&byte);
    bytes.windows(2).filter(|pair| ends(pair[0]) && !ends(pair[1])).count() as u64
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(markup: &str) -> u64 {
        let mut scan = TagScan::at_start();
        scan.work(markup);
        scan.attributes
    }

    #[test]
    fn attributes_are_counted_as_the_tokenizer_counts_them() {
        let cases = [
            ("<div", 0),
            ("<div a", 1),
            ("<div a b/c\nd", 4),
            ("<div a=b c = d e='f g' h=\"i j\"k", 5),
            ("<div a=b/c d", 2),
            ("<div =a =b c=d =e=f", 3),
            ("<div a='x y z / \" w", 1),
            ("</div a b", 2),
            ("<!-- a b c", 0),
            ("<? a b c", 0),
            ("text a b c", 0),
        ];
        for (markup, expected) in cases {
            assert_eq!(attributes(markup), expected, "{markup}");
        }
    }

    #[test]
    fn where_the_start_is_unknown_no_attribute_is_missed() {
        let mut scan = TagScan::default();
        scan.work("x y' a=b c='d'e=\"f\"g /h ");
        assert!(scan.attributes >= 5);
    }

    #[test]
    fn work_grows_with_the_square() {
        let mut scan = TagScan::at_start();
        assert_eq!(scan.work("<div a b c"), 9);
        assert_eq!(scan.work(" d e"), 2 * 5);
    }
}
