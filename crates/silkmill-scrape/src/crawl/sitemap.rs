//! Sitemaps: which pages and which further sitemaps a file lists. Pure: bytes in, URLs out.
//!
//! A file is XML (`urlset`, `sitemapindex`, RSS, Atom) or text with a URL a line, perhaps in gzip.
//! Its bounds are those of sitemaps.org. XML is read leniently: names of end tags are not compared,
//! and what was read before an error counts.

pub(crate) mod list;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;

use crate::crawl::date::{Moment, rfc_2822};

/// The most bytes of a sitemap, unpacked.
pub(crate) const SITEMAP_BYTES_MAX: u64 = 50 * 1024 * 1024;
/// The most URLs of a sitemap.
pub(crate) const SITEMAP_URLS_MAX: usize = 50_000;
/// How deep sitemaps may list sitemaps.
pub(crate) const SITEMAP_NESTING_MAX: u32 = 3;
/// The first bytes of a gzip file.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The URLs that a sitemap lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sitemap {
    pub(crate) entries: Vec<Entry>,
    /// Whether the file has more than a sitemap may have.
    pub(crate) is_cut: bool,
}

/// One URL of a sitemap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The URL, or a reference in a feed.
    pub(crate) url: String,
    pub(crate) is_sitemap: bool,
    /// When the page was changed last.
    pub(crate) changed: Option<Moment>,
}

/// Reads a sitemap.
pub(crate) fn read(body: &[u8]) -> Sitemap {
    let mut is_cut = false;
    let body = match body.starts_with(GZIP) {
        true => {
            let mut unpacked = Vec::new();
            let room = SITEMAP_BYTES_MAX + 1;
            // What comes before an error in the packed bytes counts.
            let _ = MultiGzDecoder::new(body).take(room).read_to_end(&mut unpacked);
            Cow::Owned(unpacked)
        }
        false => Cow::Borrowed(body),
    };
    let max = usize::try_from(SITEMAP_BYTES_MAX).unwrap_or(usize::MAX);
    is_cut |= body.len() > max;
    let body = &body[..body.len().min(max)];
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let is_xml = body.trim_ascii_start().starts_with(b"<");
    let mut sitemap = if is_xml { read_xml(body) } else { read_text(body) };
    sitemap.is_cut |= is_cut || sitemap.entries.len() > SITEMAP_URLS_MAX;
    sitemap.entries.truncate(SITEMAP_URLS_MAX);
    sitemap
}

fn read_text(body: &[u8]) -> Sitemap {
    // A text that is no list has no URLs.
    let is_url = |line: &&[u8]| line.windows(3).any(|three| three == b"://");
    let lines = body.split(|byte| b"\r\n".contains(byte)).map(<[u8]>::trim_ascii);
    let urls = lines.filter(is_url).take(SITEMAP_URLS_MAX + 1);
    let entry =
        |line| Entry { url: String::from_utf8_lossy(line).into_owned(), ..Entry::default() };
    Sitemap { entries: urls.map(entry).collect(), is_cut: false }
}

/// What an element of a sitemap says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Url,
    Changed,
}

fn read_xml(body: &[u8]) -> Sitemap {
    // The standard has nothing but UTF-8.
    let body = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(&body);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let mut entries = Vec::new();
    let mut entry: Option<Entry> = None;
    let mut entry_name = String::new();
    // Elements of other vocabularies (images, translations) have another prefix than their entry.
    let mut prefix = None;
    // The part that is being read, and its text.
    let (mut part, mut text) = (None, String::new());
    while entries.len() <= SITEMAP_URLS_MAX {
        match reader.read_event() {
            Ok(Event::Start(tag)) => match tag.local_name().as_ref() {
                name @ ("url" | "item" | "entry" | "sitemap")
                    if entry.is_none() || name == entry_name =>
                {
                    // An entry that does not end before the next begins is one all the same.
                    entries.extend(entry.take().filter(|entry| !entry.url.is_empty()));
                    entry_name = name.to_owned();
                    prefix = prefix_of(tag.name());
                    entry = Some(Entry { is_sitemap: name == "sitemap", ..Entry::default() });
                }
                name => {
                    let is_ours = entry.is_some() && prefix_of(tag.name()) == prefix;
                    part = if is_ours { part_of(name) } else { None };
                    text.clear();
                    if is_ours {
                        link_of(&tag, &mut entry);
                    }
                }
            },
            Ok(Event::Empty(tag)) if prefix_of(tag.name()) == prefix => link_of(&tag, &mut entry),
            Ok(Event::Text(piece)) if part.is_some() => text += &piece,
            Ok(Event::CData(piece)) if part.is_some() => text += &piece,
            Ok(Event::GeneralRef(name)) if part.is_some() => {
                let reference = format!("&{};", &*name);
                text +=
                    &quick_xml::escape::unescape(&reference).unwrap_or(Cow::Borrowed(&reference));
            }
            Ok(Event::End(tag)) => match tag.local_name().as_ref() {
                name if name == entry_name => {
                    entries.extend(entry.take().filter(|entry| !entry.url.is_empty()));
                }
                _ => {
                    if let (Some(part), Some(entry)) = (part.take(), &mut entry) {
                        note(part, text.trim(), entry);
                    }
                }
            },
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Sitemap { entries, is_cut: false }
}

fn prefix_of(name: QName<'_>) -> Option<String> {
    name.prefix().map(|prefix| prefix.as_ref().to_owned())
}

fn part_of(name: &str) -> Option<Part> {
    match name {
        "loc" | "link" => Some(Part::Url),
        "lastmod" | "updated" | "pubDate" => Some(Part::Changed),
        _ => None,
    }
}

fn note(part: Part, text: &str, entry: &mut Entry) {
    match part {
        _ if text.is_empty() => {}
        Part::Url if entry.url.is_empty() => entry.url = text.to_owned(),
        Part::Url => {}
        Part::Changed => entry.changed = Moment::parse(text).or_else(|| rfc_2822(text)),
    }
}

/// Takes the URL of Atom's `<link href=...>`, unless it is one to something else than the page.
fn link_of(tag: &BytesStart<'_>, entry: &mut Option<Entry>) {
    if tag.local_name().as_ref() != "link" {
        return;
    }
    let Some(entry) = entry else { return };
    let value = |name: &str| {
        let mut attributes = tag.html_attributes();
        let mut attributes = attributes.with_checks(false).flatten();
        let found = attributes.find(|attribute| attribute.key.as_ref() == name)?;
        let text = found.value;
        Some(quick_xml::escape::unescape(&text).map_or_else(|_| text.to_string(), Cow::into_owned))
    };
    let is_page = value("rel").is_none_or(|rel| rel == "alternate");
    if let Some(url) = value("href").filter(|_| is_page && entry.url.is_empty()) {
        entry.url = url.trim().to_owned();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn urls(body: &[u8]) -> Vec<(String, bool)> {
        read(body).entries.into_iter().map(|entry| (entry.url, entry.is_sitemap)).collect()
    }

    fn pages(body: &str) -> Vec<String> {
        urls(body.as_bytes()).into_iter().map(|(url, _)| url).collect()
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_kind_of_sitemap_lists_its_pages() {
        for body in [
            "http://a/1\r\n\n  http://a/2  ",
            "\u{feff}http://a/1\nhttp://a/2\n",
            "<?xml version='1.0'?><urlset xmlns='x'><url><loc> http://a/1 </loc></url>\
             <url><loc>http://a/2</loc></url></urlset>",
            " <s:urlset xmlns:s='x'><s:url><s:loc><![CDATA[http://a/1]]></s:loc></s:url>\
             <s:url><s:loc>http://a/2</s:loc></s:url>",
            "<rss><channel><link>http://a/</link><item><title>t</title><link>http://a/1</link></item>\
             <item><link>http://a/2</link></item></channel></rss>",
            "<feed><link href='http://a/'/><entry><link rel='edit' href='http://a/x'/>\
             <link href='http://a/1'/></entry><entry><link rel='alternate' href='http://a/2'></link></entry></feed>",
        ] {
            assert_eq!(pages(body), ["http://a/1", "http://a/2"], "{body}");
            assert_eq!(urls(&gzip(body.as_bytes())), urls(body.as_bytes()));
        }
    }

    #[test]
    fn an_index_lists_sitemaps() {
        let body = "<sitemapindex><sitemap><loc>http://a/1.xml</loc><lastmod>2026-01-01</lastmod></sitemap>";
        assert_eq!(urls(body.as_bytes()), [("http://a/1.xml".to_owned(), true)]);
        assert_eq!(read(body.as_bytes()).entries[0].changed, Moment::parse("2026-01-01"));
    }

    #[test]
    fn characters_that_are_escaped_are_read() {
        let body =
            "<urlset><url><loc>http://a/?a=1&amp;b=&#50;&#x33;&nosuch;&c</loc></url></urlset>";
        assert_eq!(pages(body), ["http://a/?a=1&b=23&nosuch;&c"]);
        let body = "<feed><entry><link href='http://a/?a=1&amp;b'/></entry></feed>";
        assert_eq!(pages(body), ["http://a/?a=1&b"]);
    }

    #[test]
    fn images_and_other_extensions_are_no_pages() {
        let body = "<urlset><url><image:image><image:loc>http://a/i</image:loc><image:caption>x</image:caption>\
                    </image:image><xhtml:link rel='alternate' hreflang='de' href='http://a/de'/>\
                    <loc>http://a/1</loc></url></urlset>";
        assert_eq!(pages(body), ["http://a/1"]);
    }

    #[test]
    fn what_is_broken_counts_up_to_there() {
        let body = "<urlset><url><loc>http://a/1</loc></urls><url><loc>http://a/2</loc></url><url><loc>http://a/3</loc>";
        assert!(pages(body).contains(&"http://a/2".to_owned()));
        let mut packed = gzip("http://a/1\n".repeat(1000).as_bytes());
        packed.truncate(packed.len() - 8);
        assert_eq!(urls(&packed).len(), 1000);
        assert!(urls(b"").is_empty() && urls(&gzip(b"")).is_empty() && urls(GZIP).is_empty());
    }

    #[test]
    fn no_sitemap_is_larger_than_the_standard_allows() {
        let many = "http://a/\n".repeat(SITEMAP_URLS_MAX + 1);
        let sitemap = read(many.as_bytes());
        assert_eq!((sitemap.entries.len(), sitemap.is_cut), (SITEMAP_URLS_MAX, true));
        let bomb = gzip(&vec![b' '; SITEMAP_BYTES_MAX as usize + 10]);
        assert!(bomb.len() < 1_000_000 && read(&bomb).is_cut);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(body in prop::collection::vec(any::<u8>(), 0..300), text in "[<>/a-z&;:'\"= !\\[\\]-]{0,200}") {
            read(&body);
            read(text.as_bytes());
            read(format!("<urlset><url><loc>{text}").as_bytes());
        }
    }
}
