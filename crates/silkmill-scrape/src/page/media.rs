//! What a response is, by its media type: a page of HTML, a document of XML, JSON, or something
//! else. Where there is no type the first bytes tell, as in the MIME Sniffing standard.

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Html,
    Xml,
    Json,
    /// A text without a tree, or no text at all.
    Other,
}

/// The first bytes of a body that are looked at.
const SNIFFED_BYTES: usize = 1024;

impl Media {
    /// Returns how to read a body with this `Content-Type`. A header that names no type is as good
    /// as none.
    pub(crate) fn of(content_type: Option<&str>, body: &[u8]) -> Media {
        match content_type.and_then(essence).as_deref() {
            None => sniffed(body),
            // Many feeds are served as pages, and their markup shows what they are.
            Some("text/html") if is_feed(&beginning(body)) => Media::Xml,
            Some("text/html") => Media::Html,
            Some("text/xml" | "application/xml") => Media::Xml,
            Some("application/json" | "text/json") => Media::Json,
            Some(
                "application/x-ndjson"
                | "application/ndjson"
                | "application/jsonl"
                | "application/json-seq"
                | "application/x-jsonlines",
            ) => Media::Json,
            Some(other) if other.ends_with("+xml") => Media::Xml,
            Some(other) if other.ends_with("+json") => Media::Json,
            Some(_) => Media::Other,
        }
    }

    /// Tells whether the body has a tree of elements.
    pub(crate) fn is_markup(self) -> bool {
        matches!(self, Media::Html | Media::Xml)
    }
}

/// Tells whether the type of a script says that it is JSON.
pub(crate) fn is_json_type(content_type: &str) -> bool {
    essence(content_type).is_some_and(|essence| {
        matches!(&*essence, "application/json" | "text/json") || essence.ends_with("+json")
    })
}

/// Returns the type and subtype in lower case, if there are any.
fn essence(content_type: &str) -> Option<String> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token = |text: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_part)
    };
    let (family, name) = essence.split_once('/')?;
    (is_token(family) && is_token(name)).then_some(essence)
}

fn sniffed(body: &[u8]) -> Media {
    let beginning = beginning(body);
    let text = beginning.trim_ascii_start();
    if text.starts_with(b"<?xml") || is_feed(text) {
        Media::Xml
    } else if matches!(text.first(), Some(b'{' | b'[')) {
        Media::Json
    } else {
        Media::Html
    }
}

/// Returns the first ASCII characters of a body. A byte order mark and the zeros of UTF-16 are left
/// out.
fn beginning(body: &[u8]) -> Vec<u8> {
    let first = body.iter().take(SNIFFED_BYTES).copied();
    first.filter(|byte| byte.is_ascii() && *byte != 0).collect()
}

/// Tells whether markup is a feed, by the standard's "rules for distinguishing if a resource is a
/// feed or HTML".
fn is_feed(beginning: &[u8]) -> bool {
    let mut rest = beginning.trim_ascii_start();
    loop {
        let skipped = match rest {
            [b'<', b'!', b'-', b'-', after @ ..] => behind(after, b"-->"),
            [b'<', b'!', after @ ..] => behind(after, b">"),
            [b'<', b'?', after @ ..] => behind(after, b"?>"),
            _ => break,
        };
        match skipped {
            Some(after) => rest = after.trim_ascii_start(),
            None => return false,
        }
    }
    let has = |word: &[u8]| behind(rest, word).is_some();
    rest.starts_with(b"<rss")
        || rest.starts_with(b"<feed")
        || rest.starts_with(b"<rdf:RDF")
            && has(b"http://purl.org/rss/1.0/")
            && has(b"http://www.w3.org/1999/02/22-rdf-syntax-ns#")
}

fn behind<'a>(bytes: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(needle.len()).position(|part| part == needle)?;
    Some(&bytes[at + needle.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_how_a_body_is_read() {
        for (header, media) in [
            ("text/html", Media::Html),
            ("Text/HTML; charset=utf-8", Media::Html),
            ("application/xhtml+xml", Media::Xml),
            ("text/xml", Media::Xml),
            ("application/xml;charset=utf-8", Media::Xml),
            ("application/rss+xml ;x=y", Media::Xml),
            ("image/svg+xml", Media::Xml),
            ("application/json", Media::Json),
            ("application/ld+json", Media::Json),
            ("application/x-ndjson", Media::Json),
            ("text/plain", Media::Other),
            ("image/png; x=html", Media::Other),
        ] {
            assert_eq!(Media::of(Some(header), b"<p>"), media, "{header}");
        }
    }

    #[test]
    fn a_body_without_a_type_shows_what_it_is() {
        for (body, media) in [
            (&b"<p>x"[..], Media::Html),
            (b"", Media::Html),
            (b"<!DOCTYPE html><html>", Media::Html),
            (b"\xef\xbb\xbf\n <?xml version='1.0'?><a/>", Media::Xml),
            (b"\xff\xfe<\0?\0x\0m\0l\0", Media::Xml),
            (b"<rss version='2.0'>", Media::Xml),
            (b" {\"a\": 1}", Media::Json),
            (b"[1]", Media::Json),
        ] {
            for header in [None, Some(""), Some("nonsense"), Some("*/*"), Some("text/")] {
                assert_eq!(Media::of(header, body), media, "{body:?}");
            }
        }
    }

    #[test]
    fn a_feed_that_is_served_as_a_page_is_one() {
        for (body, media) in [
            ("<?xml version='1.0'?>\n<!-- x --><rss>", Media::Xml),
            ("<feed xmlns='http://www.w3.org/2005/Atom'>", Media::Xml),
            (
                "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' \
                 xmlns='http://purl.org/rss/1.0/'>",
                Media::Xml,
            ),
            ("<rdf:RDF>", Media::Html),
            ("<?xml version='1.0'?><html>", Media::Html),
            ("<p><rss>", Media::Html),
            ("<!-- <rss>", Media::Html),
        ] {
            assert_eq!(Media::of(Some("text/html"), body.as_bytes()), media, "{body}");
        }
    }
}
