//! The canonical form of a URL: two URLs that have the same one are the same page. It is a key and
//! is never requested; what is requested is the URL as it was written.

use std::borrow::Cow;

use url::Url;

/// Returns the canonical form: what the URL standard's parser makes of it, with the normalization
/// of RFC 3986, section 6.2.2 (escapes that are not needed are taken away, and the others have
/// capitals), and without a fragment.
pub(crate) fn canonical_of(url: &Url) -> Cow<'_, str> {
    let text = url.as_str();
    let text = &text[..text.find('#').unwrap_or(text.len())];
    let path = url[..url::Position::BeforePath].len().min(text.len());
    // Most URLs are their own canonical form.
    if text.as_bytes()[path..].iter().all(|byte| IS_PLAIN[usize::from(*byte)]) {
        return Cow::Borrowed(text);
    }
    let mut form = String::with_capacity(text.len());
    form.push_str(&text[..path]);
    normalize(&text.as_bytes()[path..], &mut form);
    Cow::Owned(form)
}

/// Returns the canonical form of a URL: the key by which a crawl tells pages apart. `None` when the
/// text is no URL.
///
/// ```
/// let form = |text| silkmill_scrape::canonical(text).unwrap();
/// assert_eq!(form("http://a.test/%7Esilk#top"), form("HTTP://A.test:80/~silk"));
/// assert_ne!(form("http://a.test/?b"), form("http://a.test/?B"));
/// ```
pub fn canonical(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| canonical_of(&url).into_owned())
}

/// The bytes that stay as they are, whatever follows them.
const IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_unreserved(byte as u8) || is_reserved(byte as u8);
        byte += 1;
    }
    table
};

fn normalize(bytes: &[u8], form: &mut String) {
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.get(..2).and_then(escaped)) {
            (b'%', Some(escaped)) => {
                rest = &after[2..];
                if is_unreserved(escaped) {
                    form.push(escaped.into())
                } else {
                    escape(escaped, form)
                }
            }
            _ if is_unreserved(byte) || is_reserved(byte) || byte == b'%' => form.push(byte.into()),
            _ => escape(byte, form),
        }
    }
}

fn escape(byte: u8, form: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    form.push('%');
    form.push(HEX[usize::from(byte >> 4)].into());
    form.push(HEX[usize::from(byte & 15)].into());
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_reserved(byte: u8) -> bool {
    let is_general = matches!(byte, b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@');
    is_general || matches!(byte, b'!' | b'$' | b'&'..=b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> String {
        canonical(text).unwrap()
    }

    #[test]
    fn spellings_of_one_page_have_one_form() {
        for (one, other) in [
            ("http://a.test", "HTTP://A.TEST:80/"),
            ("http://a.test/a/./b/../c", "http://a.test/a/c"),
            ("http://a.test/%61", "http://a.test/a"),
            ("http://a.test/?q=%c3%a9", "http://a.test/?q=é"),
            ("http://a.test/x#one", "http://a.test/x#two"),
            ("http://a.test/x#", "http://a.test/x"),
            ("http://a.test/?a|b", "http://a.test/?a%7cb"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://bücher.test/", "http://xn--bcher-kva.test/"),
            ("http://a.test/%", "http://a.test/%"),
            ("http://a.test/%2e%2E/b", "http://a.test/b"),
        ] {
            assert_eq!(form(one), form(other), "{one} {other}");
        }
    }

    #[test]
    fn the_form_is_what_the_url_standard_makes_of_each_part() {
        for (text, expected) in [
            // White space around and within, and backslashes.
            (" \thttp://a.test/x \n", "http://a.test/x"),
            ("ht\ntp://a.t\test/a\rb", "http://a.test/ab"),
            ("http:\\\\a.test\\x\\..\\y", "http://a.test/y"),
            ("http:a.test/x", "http://a.test/x"),
            ("http:////a.test/x", "http://a.test/x"),
            // Hosts: case, escapes, names of other scripts, addresses in every spelling.
            ("http://%61.TEST/", "http://a.test/"),
            ("http://a.test./", "http://a.test./"),
            ("http://faß.test/", "http://xn--fa-hia.test/"),
            ("http://Ａ.test/", "http://a.test/"),
            ("http://a\u{ad}b.test/", "http://ab.test/"),
            ("http://10.0xa80001/", "http://10.168.0.1/"),
            ("http://017700000001/", "http://127.0.0.1/"),
            ("http://[1:0::0]/", "http://[1::]/"),
            ("http://[::ffff:1.2.3.4]/", "http://[::ffff:102:304]/"),
            // Ports: the usual one, an empty one, leading zeros.
            ("https://a.test:443/", "https://a.test/"),
            ("https://a.test:80/", "https://a.test:80/"),
            ("http://a.test:/x", "http://a.test/x"),
            ("http://a.test:00080/x", "http://a.test/x"),
            // Paths: dots in every spelling, what is escaped and what is not.
            ("http://a.test/a/.%2E/b/%2e", "http://a.test/b/"),
            ("http://a.test/../../x", "http://a.test/x"),
            ("http://a.test/a/..", "http://a.test/"),
            ("http://a.test/a//b/../c", "http://a.test/a//c"),
            ("http://a.test/a b<c>\"`{}^", "http://a.test/a%20b%3Cc%3E%22%60%7B%7D%5E"),
            ("http://a.test/%41%5a%7E%2D", "http://a.test/AZ~-"),
            ("http://a.test/%2f%3a%3b", "http://a.test/%2F%3A%3B"),
            ("http://a.test/a;b=1,2", "http://a.test/a;b=1,2"),
            ("http://a.test/%zz%4", "http://a.test/%zz%4"),
            ("http://a.test/\u{0}\u{1f}\u{7f}", "http://a.test/%00%1F%7F"),
            // Queries.
            ("http://a.test?x", "http://a.test/?x"),
            ("http://a.test/?'<>\" ", "http://a.test/?%27%3C%3E%22"),
            ("http://a.test/?é=%C3%a9&b=%7e", "http://a.test/?%C3%A9=%C3%A9&b=~"),
            ("http://a.test/?a?b#c?d", "http://a.test/?a?b"),
        ] {
            assert_eq!(form(text), expected, "{text:?}");
        }
        for text in [
            "http://",
            "http://a b/",
            "http://a.test:65536/",
            "http://a.test:x/",
            "http://[1::2::3]/",
            "http://256.0.0.1/",
            "http://a<b/",
            "http://%zz/",
            "x",
            "//a.test/",
            "",
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
    }

    #[test]
    fn pages_that_differ_have_forms_that_differ() {
        for (one, other) in [
            ("http://a.test/", "https://a.test/"),
            ("http://a.test/", "http://a.test:81/"),
            ("http://a.test/a", "http://a.test/A"),
            ("http://a.test/a", "http://a.test/a/"),
            ("http://a.test/a%2Fb", "http://a.test/a/b"),
            ("http://a.test/?a=1&b=2", "http://a.test/?b=2&a=1"),
            ("http://a.test/a?", "http://a.test/a"),
            ("http://a.test/?%26", "http://a.test/?&"),
            ("http://a.test/?a+b", "http://a.test/?a%20b"),
            ("http://a.test/%2525", "http://a.test/%25"),
        ] {
            assert_ne!(form(one), form(other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(path in "(/[a-zA-Z0-9%.~|é \\-]{0,6}){0,5}", query in "(\\?[a-z%&=+é{}\"^]{0,12})?") {
            let first = form(&format!("http://a.test{path}{query}"));
            prop_assert_eq!(form(&first), first);
        }

        #[test]
        fn a_form_that_is_borrowed_is_the_one_that_is_written_out(tail in "/[a-zA-Z0-9%.~|/?&=+!$'()*,;:@\\[\\]_-]{0,20}(#.{0,3})?") {
            let url = Url::parse(&format!("http://a.test{tail}")).unwrap();
            let mut plain = url[..url::Position::BeforePath].to_owned();
            normalize(url[url::Position::BeforePath..url::Position::AfterQuery].as_bytes(), &mut plain);
            prop_assert_eq!(&*canonical_of(&url), plain);
        }

        #[test]
        fn an_escape_more_changes_nothing(path in "[a-zA-Z0-9~_-]{1,20}", at in any::<prop::sample::Index>()) {
            let at = at.index(path.len());
            let byte = path.as_bytes()[at];
            let spelled = format!("{}%{byte:02x}{}", &path[..at], &path[at + 1..]);
            prop_assert_eq!(form(&format!("http://a.test/{spelled}")), form(&format!("http://a.test/{path}")));
        }
    }
}
