//! Refreshes: the `Refresh` header, and `<meta http-equiv=refresh>`, by the HTML standard's "shared
//! declarative refresh steps". They redirect where the options say so.

use url::Url;

use crate::page::charset;
use crate::page::extract::Extractor;
use crate::page::field::Field;

/// A refresh that waits longer than this many seconds is a page that is to be read first.
const SECONDS_MAX: u64 = 60;

/// A refresh, as a text names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refresh {
    /// The wait before it.
    pub(crate) seconds: u64,
    /// A reference to a URL. Empty for one that loads the same page again.
    pub(crate) reference: String,
}

impl Refresh {
    /// Parses `5; url=/next`, in all the forms that the standard allows. `None` is no refresh.
    pub(crate) fn parse(text: &str) -> Option<Refresh> {
        let text = text.trim_start_matches(is_space);
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        if number.is_empty() && !rest.starts_with('.') {
            return None;
        }
        // A number that does not fit is very long.
        let seconds = if number.is_empty() { 0 } else { number.parse().unwrap_or(u64::MAX) };
        let rest = rest.trim_start_matches(|char: char| char.is_ascii_digit() || char == '.');
        let reference = match rest.chars().next() {
            None => "",
            Some(next) if next == ';' || next == ',' || is_space(next) => {
                let rest = rest.trim_start_matches(is_space);
                let rest = rest.strip_prefix([';', ',']).unwrap_or(rest);
                reference(rest.trim_start_matches(is_space))
            }
            Some(_) => return None,
        };
        Some(Refresh { seconds, reference: reference.to_owned() })
    }

    /// Returns where the refresh of the page at `url` leads, if it leads anywhere else soon.
    fn target(&self, base: &Url, url: &Url) -> Option<Url> {
        if self.seconds > SECONDS_MAX || self.reference.is_empty() {
            return None;
        }
        let mut next = base.join(&self.reference).ok()?;
        next.set_fragment(None);
        let mut this = url.clone();
        this.set_fragment(None);
        (matches!(next.scheme(), "http" | "https") && next != this).then_some(next)
    }
}

/// Takes the URL from what stands behind the number: perhaps `url=`, perhaps in quotes.
fn reference(text: &str) -> &str {
    let value = match text.get(..3) {
        Some(name) if name.eq_ignore_ascii_case("url") => {
            let rest = text[3..].trim_start_matches(is_space);
            rest.strip_prefix('=').map_or(text, |value| value.trim_start_matches(is_space))
        }
        _ => text,
    };
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
        _ => value,
    }
}

fn is_space(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

/// Returns where the header of a response from `url` leads.
pub(super) fn of_header(header: &str, url: &Url) -> Option<Url> {
    Refresh::parse(header)?.target(url, url)
}

/// Finds refreshes in pages.
#[derive(Debug)]
pub(super) struct PageRefresh {
    /// Reads the base of the document, and the first refresh.
    extractor: Extractor,
}

impl PageRefresh {
    pub(super) fn new() -> PageRefresh {
        // A page is read without scripts here, and what is in a `noscript` is for those who cannot
        // run them: few of those refreshes lead to the page that people see.
        let fields =
            ["base=base[href]@href", "refresh=meta[http-equiv=refresh i]:not(noscript *)@content"];
        let fields = fields.map(|field| Field::css(field).expect("the selectors are valid"));
        let extractor = Extractor::new(fields.into()).expect("two names are few and differ");
        PageRefresh { extractor }
    }

    /// Returns where the page at `url` leads.
    pub(super) fn of_page(
        &self,
        body: &[u8],
        content_type: Option<&str>,
        url: &Url,
    ) -> Option<Url> {
        let is_html = |header: &str| {
            let essence = header.split(';').next().unwrap_or_default();
            matches!(essence, "" | "text/html" | "application/xhtml+xml")
        };
        if !content_type.is_none_or(is_html) {
            return None;
        }
        // Most pages have no refresh, and need no tree.
        let text = charset::decode(body, content_type).text;
        let has_word = memchr::memchr2_iter(b'r', b'R', text.as_bytes()).any(|at| {
            let word = text.as_bytes().get(at..at + b"refresh".len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(b"refresh"))
        });
        if !has_word {
            return None;
        }
        let found = self.extractor.extract(body, content_type);
        let first = |at: usize| found.fields.get(at)?.1.first().map(|value| value.to_string());
        let base = first(0).and_then(|base| url.join(base.trim()).ok());
        // The first refresh that is one counts, as in a browser.
        let refreshes = found.fields.get(1)?.1.iter();
        let refresh = refreshes.into_iter().find_map(|value| Refresh::parse(&value.to_string()))?;
        refresh.target(base.as_ref().unwrap_or(url), url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(u64, String)> {
        Refresh::parse(text).map(|refresh| (refresh.seconds, refresh.reference))
    }

    #[test]
    fn a_refresh_is_read_in_the_forms_of_the_standard() {
        for (text, seconds, reference) in [
            ("5", 5, ""),
            ("5; url=/next", 5, "/next"),
            ("0;URL='/a b'x", 0, "/a b"),
            ("0,/next", 0, "/next"),
            ("0 /next", 0, "/next"),
            ("0;url", 0, "url"),
            ("0;url =  \"/next\"", 0, "/next"),
            ("0;url=", 0, ""),
            ("0;uri=/x", 0, "uri=/x"),
            ("  3.7 ; url=x;y", 3, "x;y"),
            (".5;url=x", 0, "x"),
            ("0; \"/q", 0, "/q"),
            ("99999999999999999999;x", u64::MAX, "x"),
            ("0;url=caf\u{e9}", 0, "caf\u{e9}"),
            ("0;\u{e9}\u{e9}", 0, "\u{e9}\u{e9}"),
        ] {
            assert_eq!(parsed(text), Some((seconds, reference.to_owned())), "{text}");
        }
        for text in ["", "x", "-1;url=x", "5x;url=x", ";url=x", "url=x"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_refresh_leads_elsewhere_or_nowhere() {
        let url = Url::parse("http://a.test/b/c#d").unwrap();
        for (header, next) in [
            ("0;url=x", Some("http://a.test/b/x")),
            ("60;url=//b.test", Some("http://b.test/")),
            ("61;url=x", None),
            ("0", None),
            ("0;url=c", None),
            ("0;url=#e", None),
            ("0;url=javascript:x", None),
            ("0;url=http://", None),
        ] {
            assert_eq!(of_header(header, &url).as_ref().map(Url::as_str), next, "{header}");
        }
    }

    #[test]
    fn a_page_names_its_refresh_and_its_base() {
        let url = Url::parse("http://a.test/b/c").unwrap();
        let of_page = |html: &str| {
            let next = PageRefresh::new().of_page(html.as_bytes(), Some("text/html"), &url);
            next.map(String::from).unwrap_or_default()
        };
        let refresh = "<meta http-equiv=ReFresh content='0; url=x'>";

        assert_eq!(of_page(refresh), "http://a.test/b/x");
        assert_eq!(of_page(&format!("<base href=/d/>{refresh}")), "http://a.test/d/x");
        let broken_first = format!("<meta http-equiv=refresh content=soon>{refresh}");
        assert_eq!(of_page(&broken_first), "http://a.test/b/x");
        for none in [
            format!("<!-- {refresh} -->"),
            format!("<noscript>{refresh}</noscript>"),
            format!("<script>{refresh}</script>"),
            "<p>refresh</p>".to_owned(),
            "<meta name=refresh content='0; url=x'>".to_owned(),
        ] {
            assert_eq!(of_page(&none), "", "{none}");
        }
    }
}
