//! `:lang()`: the language that an element declares, and ranges of languages (RFC 4647).

use cssparser::{BasicParseError, BasicParseErrorKind, Parser as CssParser, Token};

use super::element::CssElement;

/// A range of languages: `en`, `de-CH`, `*-Latn`. The empty one means that no language is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LanguageRange(String);

pub(super) fn parse(input: &mut CssParser<'_>) -> Result<Vec<LanguageRange>, BasicParseError> {
    let mut ranges = Vec::new();
    loop {
        ranges.push(LanguageRange(input.expect_ident_or_string()?.as_ref().to_ascii_lowercase()));
        match input.next() {
            Ok(Token::Comma) => {}
            Ok(_) => return Err(BasicParseError { kind: BasicParseErrorKind::UnexpectedToken }),
            Err(_) => return Ok(ranges),
        }
    }
}

pub(super) fn matches(element: CssElement<'_>, ranges: &[LanguageRange]) -> bool {
    let language = language(element);
    element.reading.visits.take_text(language) && ranges.iter().any(|range| range.covers(language))
}

/// Returns the language of the nearest attribute, or else that of the page.
fn language(element: CssElement<'_>) -> &str {
    let own = element.and_ancestors().find_map(|ancestor| {
        ancestor.attribute_in("xml", "lang").or_else(|| ancestor.attribute("lang"))
    });
    own.or_else(|| page_language(element)).unwrap_or("")
}

/// Returns the last `<meta http-equiv=content-language>` with one language in it.
fn page_language(element: CssElement<'_>) -> Option<&str> {
    let reading = element.reading;
    *reading.default_language.get_or_init(|| {
        let document = reading.document;
        let all = document.elements().take_while(|_| reading.visits.take());
        let metas = all.map(|id| CssElement::new(reading, id)).filter(|meta| meta.is("meta"));
        let says = |meta: &CssElement<'_>| {
            let about = meta.attribute("http-equiv");
            about.is_some_and(|about| about.eq_ignore_ascii_case("content-language"))
        };
        let languages = metas.filter(says).filter_map(|meta| meta.attribute("content"));
        let single = |text: &&str| !text.contains(',') && !text.trim_ascii().is_empty();
        languages.filter(single).filter_map(|text| text.split_ascii_whitespace().next()).last()
    })
}

impl LanguageRange {
    /// Matches by extended filtering, RFC 4647 section 3.3.2. In a range, `*` stands for any
    /// subtags.
    fn covers(&self, language: &str) -> bool {
        if self.0.is_empty() || language.is_empty() {
            return self.0 == language;
        }
        let mut wanted = self.0.split('-');
        let mut subtags = language.split('-');
        let is = |want: &str, tag: &str| want == "*" || want.eq_ignore_ascii_case(tag);
        if !wanted.next().zip(subtags.next()).is_some_and(|(want, tag)| is(want, tag)) {
            return false;
        }
        wanted.filter(|&want| want != "*").all(|want| {
            // Subtags in between may be skipped, but not past a singleton.
            let mut open = subtags.by_ref().take_while(|tag| tag.len() > 1 || is(want, tag));
            open.any(|tag| is(want, tag))
        })
    }
}
