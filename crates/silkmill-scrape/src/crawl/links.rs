//! The links of a page, as the HTML standard has them, and what the page says of following them.
//! Pure: a tree in, links out. Which of them are followed is [`mod@crate::crawl::finder`]'s
//! decision.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use url::Url;

use crate::crawl::srcset;
use crate::fetch::refresh::Refresh;
use crate::page::html::document::{Document, Kind, NodeId};

/// The most characters of a link's text that are kept.
pub(crate) const TEXT_CHARS_MAX: usize = 200;

/// What a link is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It leads to a page: `a`, `area`, `iframe`, `frame`, a refresh.
    Page,
    /// It leads to the next or previous page of a series: `link` with `next` or `prev`.
    Series,
    /// It says where the page has its own address (RFC 6596).
    Canonical,
    /// It leads to another form of the page: `link` with `alternate`.
    Alternate,
    /// It leads to a file that the page shows.
    Asset,
}

/// One link of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) role: Role,
    /// The name of the element or the header.
    pub(crate) element: &'static str,
    /// The reference as it was written, where it is no URL.
    pub(crate) target: Result<Url, String>,
    /// Empty where texts are left out.
    pub(crate) text: String,
    pub(crate) rel: String,
    /// Whether the link itself says that it is not to be followed.
    pub(crate) is_nofollow: bool,
}

/// Says whether the texts of links are wanted, which are copied for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    Kept,
    LeftOut,
}

/// What the response says beside its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageHeaders {
    /// The `Link` headers, as one list.
    pub(crate) link: Option<String>,
    pub(crate) refresh: Option<String>,
    /// The `X-Robots-Tag` headers, each by itself, since a comma in one means something else.
    pub(crate) robots: Vec<String>,
}

/// Passes every link of the headers to `found`, until that returns false.
pub(crate) fn of_headers(headers: &PageHeaders, url: &Url, mut found: impl FnMut(Link) -> bool) {
    let base = Base { url: url.clone(), encoding: None, texts: Texts::LeftOut };
    if let Some(refresh) = headers.refresh.as_deref().and_then(Refresh::parse)
        && !refresh.reference.is_empty()
        && !found(base.link(Role::Page, "Refresh", &refresh.reference, ""))
    {
        return;
    }
    for (reference, rel) in headers.link.as_deref().map(of_link_header).unwrap_or_default() {
        if !found(base.link(role_of(&rel), "Link", &reference, &rel)) {
            return;
        }
    }
}

/// Passes every link of a page to `found`, in document order, until that returns false. `charset`
/// is that of the page.
pub(crate) fn of_document(
    document: &Document,
    url: &Url,
    charset: &str,
    texts: Texts,
    mut found: impl FnMut(Link) -> bool,
) {
    let encoding = Encoding::for_label(charset.as_bytes());
    let base = Base { url: base_of(document, url), encoding, texts };
    for id in document.elements() {
        let name = &**document.name(id);
        if document.kind(id) != Kind::Html {
            let has_href = || document.attribute_named(id, "href");
            let reference = has_href().or_else(|| document.attribute_named(id, "xlink:href"));
            let link = reference.filter(|_| name == "a");
            if link.is_some_and(|link| !found(base.link_of(document, id, Role::Page, "a", link))) {
                return;
            }
            continue;
        }
        let attribute = |name| document.attribute_named(id, name);
        let more = match name {
            "a" => attribute("href")
                .is_none_or(|link| found(base.link_of(document, id, Role::Page, "a", link))),
            "area" => attribute("href").is_none_or(|link| {
                let mut link =
                    base.link(Role::Page, "area", link, attribute("rel").unwrap_or_default());
                link.text = base.text_of(attribute("alt").unwrap_or_default());
                found(link)
            }),
            "iframe" => {
                attribute("src").is_none_or(|link| found(base.link(Role::Page, "iframe", link, "")))
            }
            "frame" => {
                attribute("src").is_none_or(|link| found(base.link(Role::Page, "frame", link, "")))
            }
            "link" => attribute("href").is_none_or(|link| {
                let rel = attribute("rel").unwrap_or_default();
                found(base.link(role_of(rel), "link", link, rel))
            }),
            "meta" => refresh_of(document, id)
                .is_none_or(|refresh| found(base.link(Role::Page, "meta", &refresh.reference, ""))),
            "img" | "source" => {
                let element = if name == "img" { "img" } else { "source" };
                let srcset = attribute("srcset").map(srcset::urls_of).unwrap_or_default();
                let mut images = attribute("src").into_iter().chain(srcset);
                images.all(|link| found(base.link(Role::Asset, element, link, "")))
            }
            "script" => attribute("src")
                .is_none_or(|link| found(base.link(Role::Asset, "script", link, ""))),
            "video" | "audio" | "embed" | "track" => {
                let element = match name {
                    "video" => "video",
                    "audio" => "audio",
                    "embed" => "embed",
                    _ => "track",
                };
                attribute("src").is_none_or(|link| found(base.link(Role::Asset, element, link, "")))
            }
            _ => true,
        };
        if !more {
            return;
        }
    }
}

/// Tells whether the page, or the headers of its response, say that none of its links is to be
/// followed. `product` is the first word of our user agent.
pub(crate) fn is_nofollow(
    document: Option<&Document>,
    headers: &PageHeaders,
    product: &str,
) -> bool {
    let of_header = headers.robots.iter().any(|header| robots_tag_says_nofollow(header, product));
    of_header || document.is_some_and(|document| meta_says_nofollow(document, product))
}

/// Returns the ids and the names of anchors that fragments may point to.
pub(crate) fn anchors_of(document: &Document) -> impl Iterator<Item = &str> {
    document.elements().flat_map(|id| {
        let is_anchor = &**document.name(id) == "a";
        let name = document.attribute_named(id, "name").filter(|_| is_anchor);
        document.attribute_named(id, "id").into_iter().chain(name)
    })
}

/// What references of a page are resolved against.
struct Base {
    url: Url,
    /// The encoding of the page, in which the queries of its links are written.
    encoding: Option<&'static Encoding>,
    texts: Texts,
}

impl Base {
    fn resolve(&self, reference: &str) -> Result<Url, String> {
        let legacy = self.encoding.map(Encoding::output_encoding).unwrap_or(UTF_8);
        let encode = encoder(|text| legacy.encode(text).0.into_owned().into());
        let options = Url::options().base_url(Some(&self.url));
        // Without an encoder the parser takes a quicker way.
        let options = options.encoding_override((legacy != UTF_8).then_some(&encode));
        options.parse(reference).map_err(|_| reference.to_owned())
    }

    fn link(&self, role: Role, element: &'static str, reference: &str, rel: &str) -> Link {
        let target = self.resolve(reference);
        let is_nofollow = has_word(rel, &["nofollow", "ugc", "sponsored"]);
        Link { role, element, target, text: String::new(), rel: shortened(rel), is_nofollow }
    }

    fn link_of(
        &self,
        document: &Document,
        id: NodeId,
        role: Role,
        element: &'static str,
        reference: &str,
    ) -> Link {
        let rel = document.attribute_named(id, "rel").unwrap_or_default();
        let mut link = self.link(role, element, reference, rel);
        link.text = self.text_of(document.text(id));
        link
    }

    fn text_of(&self, text: &str) -> String {
        match self.texts {
            Texts::Kept => shortened(text),
            Texts::LeftOut => String::new(),
        }
    }
}

/// Names the type that the URL parser asks for, which the compiler does not guess of a closure.
fn encoder<F: Fn(&str) -> Cow<'_, [u8]>>(encode: F) -> F {
    encode
}

/// Returns the URL that references are resolved against: that of the first `base` with an `href`,
/// or the page's own.
fn base_of(document: &Document, url: &Url) -> Url {
    let is_base = |&id: &NodeId| document.kind(id) == Kind::Html && &**document.name(id) == "base";
    let mut bases = document.elements().filter(is_base);
    let href = bases.find_map(|id| document.attribute_named(id, "href"));
    let base = href.and_then(|href| url.join(href).ok());
    base.filter(|base| !matches!(base.scheme(), "data" | "javascript"))
        .unwrap_or_else(|| url.clone())
}

fn refresh_of(document: &Document, id: NodeId) -> Option<Refresh> {
    let kind = document.attribute_named(id, "http-equiv")?;
    let refresh =
        kind.eq_ignore_ascii_case("refresh").then(|| document.attribute_named(id, "content"))??;
    Refresh::parse(refresh).filter(|refresh| !refresh.reference.is_empty())
}

fn role_of(rel: &str) -> Role {
    match () {
        () if has_word(rel, &["next", "prev"]) => Role::Series,
        () if has_word(rel, &["canonical"]) => Role::Canonical,
        // A stylesheet may have alternatives, too.
        () if has_word(rel, &["alternate"]) && !has_word(rel, &["stylesheet"]) => Role::Alternate,
        () => Role::Asset,
    }
}

fn has_word(text: &str, words: &[&str]) -> bool {
    text.split_ascii_whitespace().any(|word| words.iter().any(|one| one.eq_ignore_ascii_case(word)))
}

fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut chars = 0;
    for word in text.split_ascii_whitespace() {
        if !short.is_empty() {
            short.push(' ');
            chars += 1;
        }
        for char in word.chars() {
            if chars == TEXT_CHARS_MAX {
                short.push('…');
                return short;
            }
            short.push(char);
            chars += 1;
        }
    }
    short
}

fn meta_says_nofollow(document: &Document, product: &str) -> bool {
    document.elements().any(|id| {
        let is_meta = document.kind(id) == Kind::Html && &**document.name(id) == "meta";
        let name =
            document.attribute_named(id, "name").filter(|_| is_meta).unwrap_or_default().trim();
        let is_ours = name.eq_ignore_ascii_case("robots")
            || (!name.is_empty() && name.eq_ignore_ascii_case(product));
        is_ours && document.attribute_named(id, "content").is_some_and(says_nofollow)
    })
}

/// Reads one `X-Robots-Tag`: directives, perhaps behind the name of the crawler that they are for.
fn robots_tag_says_nofollow(header: &str, product: &str) -> bool {
    let mut is_for_us = true;
    let mut says = false;
    for directive in header.split(',') {
        let directive = match directive.split_once(':') {
            // A directive with a value, as `unavailable_after: DATE`, is no name.
            Some((name, rest)) if !is_directive_with_value(name) => {
                is_for_us = name.trim().eq_ignore_ascii_case(product);
                rest
            }
            _ => directive,
        };
        says |= is_for_us && says_nofollow(directive);
    }
    says
}

fn is_directive_with_value(name: &str) -> bool {
    const NAMES: [&str; 5] =
        ["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview", "noarchive"];
    NAMES.iter().any(|one| one.eq_ignore_ascii_case(name.trim()))
}

fn says_nofollow(directives: &str) -> bool {
    let is =
        |word: &str| word.eq_ignore_ascii_case("nofollow") || word.eq_ignore_ascii_case("none");
    directives.split(|char: char| char == ',' || char.is_ascii_whitespace()).any(is)
}

/// Parses a `Link` header (RFC 8288) into references and their relations. What does not parse ends
/// it.
fn of_link_header(header: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>') else { break };
        let reference = rest[start + 1..start + end].trim().to_owned();
        rest = &rest[start + end + 1..];
        let (mut rel, mut is_anchored) = (None, false);
        loop {
            rest = rest.trim_start();
            let Some(parameter) = rest.strip_prefix(';') else { break };
            let parameter = parameter.trim_start();
            let name_end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
            let name = parameter[..name_end].trim();
            let (value, after) = match parameter[name_end..].strip_prefix('=') {
                Some(value) => value_of(value.trim_start()),
                None => (String::new(), &parameter[name_end..]),
            };
            match name {
                // The first one counts.
                _ if name.eq_ignore_ascii_case("rel") => drop(rel.get_or_insert(value)),
                // The link is then one of another page.
                _ if name.eq_ignore_ascii_case("anchor") => is_anchored = true,
                _ => {}
            }
            rest = after;
        }
        if !is_anchored {
            links.push((reference, rel.unwrap_or_default()));
        }
        rest = rest.find(',').map_or("", |comma| &rest[comma + 1..]);
    }
    links
}

/// Returns the value of a parameter, quoted or not, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            _ => value.push(char),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests;
