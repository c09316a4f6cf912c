//! The media type of a response, by the Fetch standard's "extract a MIME type" and the parser of
//! the MIME Sniffing standard. What a page of that type says is [`crate::page`]'s.

/// Types that say that the server does not know: the page is looked at instead.
const UNKNOWN: [&str; 3] = ["unknown/unknown", "application/unknown", "*/*"];

/// Returns the media type that one or several `Content-Type` headers name, joined by commas: the
/// last that is one, in lower case, with the charset that was last named with it. Of a type that
/// means "unknown" only the charset is left. A value that is no type comes back as it is.
pub(crate) fn extract(header: &str) -> String {
    let mut last: Option<(String, Option<String>)> = None;
    for value in split(header) {
        let Some((essence, charset)) = parse(value) else { continue };
        if essence == "*/*" {
            continue;
        }
        let inherited = match last {
            Some((before, charset)) if before == essence => charset,
            _ => None,
        };
        last = Some((essence, charset.or(inherited)));
    }
    let Some((essence, charset)) = last else {
        return if header.trim() == "*/*" { String::new() } else { header.to_owned() };
    };
    let essence = if UNKNOWN.contains(&essence.as_str()) { "" } else { &essence };
    match charset {
        Some(charset) => format!("{essence};charset=\"{}\"", escaped(&charset)),
        None => essence.to_owned(),
    }
}

/// Escapes what would end a quoted text or begin an escape in it.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}

/// Splits a list at its commas, but not within quotes.
fn split(header: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let list = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = list.bytes().position(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ => {}
            }
            byte == b',' && !is_quoted
        });
        let value = match end {
            Some(end) => {
                rest = Some(&list[end + 1..]);
                &list[..end]
            }
            None => {
                rest = None;
                list
            }
        };
        Some(value)
    })
}

/// Parses one type into its essence, in lower case, and its charset.
fn parse(value: &str) -> Option<(String, Option<String>)> {
    let value = value.trim_matches(is_space);
    let (essence, mut parameters) = value.split_once(';').unwrap_or((value, ""));
    let (family, name) = essence.trim_end_matches(is_space).split_once('/')?;
    if !is_token(family) || !is_token(name) {
        return None;
    }
    let mut charset = None;
    while !parameters.is_empty() {
        let (key, found, rest) = parameter(parameters);
        parameters = rest;
        if charset.is_none() && key.eq_ignore_ascii_case("charset") {
            charset = found.filter(|found| !found.is_empty());
        }
    }
    Some((format!("{family}/{name}").to_ascii_lowercase(), charset))
}

/// Takes one parameter from the start of `text`: its name, its value if it has one, and what
/// stands behind its semicolon.
fn parameter(text: &str) -> (&str, Option<String>, &str) {
    let end = text.find([';', '=']).unwrap_or(text.len());
    let key = text[..end].trim_start_matches(is_space);
    let Some(value) = text[end..].strip_prefix('=') else {
        return (key, None, text.get(end + 1..).unwrap_or_default());
    };
    match value.strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = unquoted(quoted);
            let rest = rest.split_once(';').map_or("", |(_, rest)| rest);
            (key, Some(value), rest)
        }
        None => {
            let (value, rest) = value.split_once(';').unwrap_or((value, ""));
            (key, Some(value.trim_end_matches(is_space).to_owned()), rest)
        }
    }
}

/// Takes a quoted text, without its first quote, from the start of `text`.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match next {
            '"' => break,
            '\\' => value.push(chars.next().unwrap_or('\\')),
            next => value.push(next),
        }
    }
    (value, chars.as_str())
}

fn is_space(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' ')
}

fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_type_counts_with_the_charset_of_its_own_kind() {
        // The first seven are the examples of the Fetch standard.
        for (header, expected) in [
            ("text/plain;charset=gbk, text/html", "text/html"),
            ("text/html;charset=gbk;a=b, text/html;x=y", "text/html;charset=\"gbk\""),
            ("text/html;charset=gbk;a=b", "text/html;charset=\"gbk\""),
            ("text/html;charset=gbk, x/x, text/html;x=y", "text/html"),
            ("text/html, cannot-parse", "text/html"),
            ("text/html, */*", "text/html"),
            ("text/html, ", "text/html"),
            ("text/html;charset=gbk, text/html;charset=big5", "text/html;charset=\"big5\""),
            ("text/html;\", \", text/plain", "text/plain"),
            ("text/html;x=\",text/plain\"", "text/html"),
            ("text/html;x=\",text/plain", "text/html"),
            (" Text/HTML ; CharSet=\"g\\bk\" ; x", "text/html;charset=\"gbk\""),
            ("text/html;charset=a=\"b\\c", "text/html;charset=\"a=\\\"b\\\\c\""),
            ("text/html;charset=\"a;b,c\"", "text/html;charset=\"a;b,c\""),
            ("text/html;charset=;charset=gbk", "text/html;charset=\"gbk\""),
            ("text/html;charset", "text/html"),
            ("unknown/unknown", ""),
            ("application/unknown; charset=gbk", ";charset=\"gbk\""),
            ("*/*", ""),
            ("", ""),
            ("html", "html"),
        ] {
            assert_eq!(extract(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn every_header_has_a_type_that_stays_what_it_is(
            header in "(a/b; ?charset=)?[a-z/;=,\"\\\\* ]{0,40}"
        ) {
            let once = extract(&header);
            prop_assert_eq!(extract(&once), once);
        }
    }
}
