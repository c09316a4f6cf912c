//! Finds the JSON of a page: its body, or every script in it that is JSON.

use serde_json::Value;

use super::bounded::{Failure, parse};
use crate::page::content::Content;
use crate::page::flaw::PageFlaw;
use crate::page::html::cost_limit::memory_max;
use crate::page::html::document::{Document, Kind, NodeId};
use crate::page::media::{Media, is_json_type};

/// The JSON of a page.
#[derive(Debug, Default)]
pub(crate) struct JsonTexts {
    /// The values in the order of the page.
    pub(crate) values: Vec<Value>,
    /// Why a text that should be JSON is none: the first of them.
    pub(crate) flaw: Option<PageFlaw>,
    /// Whether there was too much of it.
    pub(crate) is_too_large: bool,
}

impl JsonTexts {
    pub(crate) fn of(content: &Content<'_>) -> JsonTexts {
        let mut texts = JsonTexts::default();
        let memory_max = memory_max(content.text.len());
        match content.media {
            Media::Json => texts.add(&content.text, memory_max, || "JSON".to_owned()),
            Media::Other => texts.try_body(&content.text, memory_max),
            Media::Html | Media::Xml => {
                for (number, id) in scripts(&content.document).enumerate() {
                    let text = unwrapped(content.document.text(id));
                    texts.add(text, memory_max, || format!("JSON in script {}", number + 1));
                }
                // Some servers send JSON as a page.
                if texts.values.is_empty() && texts.flaw.is_none() {
                    texts.try_body(&content.text, memory_max);
                }
            }
        }
        texts
    }

    /// Adds the values of a text that is JSON by its type. What comes before a mistake is kept.
    fn add(&mut self, text: &str, memory_max: usize, what: impl Fn() -> String) {
        match parse(text, memory_max, &mut self.values) {
            Ok(()) => {}
            Err(Failure::Memory) => self.is_too_large = true,
            Err(Failure::Syntax(error)) => {
                self.flaw.get_or_insert_with(|| PageFlaw {
                    message: format!("invalid {}: {error}", what()),
                    is_at_end: error.is_eof(),
                });
            }
        }
    }

    /// Adds the values of a text that may be JSON.
    fn try_body(&mut self, text: &str, memory_max: usize) {
        if !text.trim_ascii_start().starts_with(['{', '[']) {
            return;
        }
        let mut values = Vec::new();
        match parse(text, memory_max, &mut values) {
            Ok(()) => self.values.extend(values),
            Err(Failure::Memory) => self.is_too_large = true,
            Err(Failure::Syntax(_)) => {}
        }
    }
}

/// Returns the scripts that say that they are JSON and are not empty.
fn scripts(document: &Document) -> impl Iterator<Item = NodeId> + '_ {
    document.elements().filter(|&id| {
        document.kind(id) == Kind::Html
            && &**document.name(id) == "script"
            && document.attribute_named(id, "type").is_some_and(is_json_type)
            && !document.text(id).trim_ascii().is_empty()
    })
}

/// Takes a text out of the comment or CDATA section that hides it from old readers.
fn unwrapped(text: &str) -> &str {
    const WRAPPINGS: [(&str, &str); 3] =
        [("<!--", "-->"), ("//<![CDATA[", "//]]>"), ("<![CDATA[", "]]>")];
    let trimmed = text.trim_ascii();
    WRAPPINGS
        .iter()
        .find_map(|(open, close)| trimmed.strip_prefix(open)?.trim_ascii_end().strip_suffix(close))
        .unwrap_or(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::html::cost_limit::Until;

    fn texts(content_type: &str, body: &str) -> JsonTexts {
        JsonTexts::of(&Content::read(body.as_bytes(), Some(content_type), None, Until::End))
    }

    fn written(content_type: &str, body: &str) -> String {
        let values = texts(content_type, body).values;
        values.iter().map(|value| value.to_string() + ";").collect()
    }

    #[test]
    fn json_is_found_where_it_is() {
        let page = "<script type='application/ld+json'>{\"a\":1}</script><script>{}</script>\
                    <script type='Application/JSON; x'> <!-- [2] --> </script>\
                    <script type=application/json> </script>\
                    <template><script type=application/json>3</script></template>";
        for (content_type, body, expected) in [
            ("application/json", "{\"a\": 1}", "{\"a\":1};"),
            ("application/problem+json", "null", "null;"),
            ("application/x-ndjson", "1\n2\n", "1;2;"),
            ("text/plain", " [1]", "[1];"),
            ("text/plain", "[1] x", ""),
            ("text/javascript", "f([1])", ""),
            ("text/html", "{\"a\": 1}", "{\"a\":1};"),
            ("text/html", page, "{\"a\":1};[2];"),
            (
                "application/xhtml+xml",
                "<script xmlns='http://www.w3.org/1999/xhtml' type='text/json'><![CDATA[\"<\"]]></script>",
                "\"<\";",
            ),
        ] {
            assert_eq!(written(content_type, body), expected, "{content_type} {body}");
        }
    }

    #[test]
    fn a_mistake_is_told_and_the_rest_is_kept() {
        let found = texts("application/json", "{\"a\": 1}{,}");
        assert_eq!(found.values.len(), 1);
        assert!(
            found
                .flaw
                .unwrap()
                .to_string()
                .starts_with("invalid JSON: key must be a string at line 1")
        );
        let page = "<script type='text/json'>{x}</script><script type='text/json'>2</script>";
        let found = texts("text/html", page);
        assert_eq!(found.values.len(), 1);
        assert!(found.flaw.unwrap().to_string().starts_with("invalid JSON in script 1: "));
    }
}
