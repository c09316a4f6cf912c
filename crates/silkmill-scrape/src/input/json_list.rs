//! Reads a list of URLs from JSON objects, one a line. Never holds more than two lines, whose
//! length is bounded.

use std::fmt;
use std::io::{self, BufRead};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::input::url_list::LineReader;
use crate::input::{Input, RECORD_BYTES_MAX, is_url_column};

/// An iterator over the URLs of a list of JSON objects, one a line. Each comes with the other keys
/// of its object, whose values stay as they are written: see [`Input::carried`].
///
/// Blank lines are skipped. Any other line is one input, also one that is no object or has no URL.
///
/// ```
/// use silkmill_scrape::JsonList;
///
/// let text = r#"{"url": "http://a.example/", "id": 7, "price": 1.50}"#;
/// let mut list = JsonList::new(text.as_bytes(), None);
/// assert_eq!(list.columns()?, ["id", "price"]);
/// let input = list.next().unwrap()?;
/// assert_eq!(input.shown(), "http://a.example/");
/// assert_eq!(input.carried(), Some(r#"{"id":7,"price":1.50}"#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonList<R> {
    lines: LineReader<R>,
    url_column: Option<String>,
    /// The first input, when it was read to learn the names of the columns.
    first: Option<Input>,
}

impl<R: BufRead> JsonList<R> {
    /// Makes a list that is read as it is iterated over. The URLs are the values of the key
    /// `url_column`; without that, of the one that is called `url` in capitals or not.
    pub fn new(from: R, url_column: Option<&str>) -> JsonList<R> {
        let lines = LineReader::new(from, RECORD_BYTES_MAX);
        JsonList { lines, url_column: url_column.map(str::to_owned), first: None }
    }

    /// Returns the keys of the first object other than the URL's, in their order. None when the
    /// list is empty, or its first line is no object.
    ///
    /// # Errors
    ///
    /// When the list cannot be read.
    pub fn columns(&mut self) -> io::Result<Vec<String>> {
        if self.first.is_none() {
            self.first = self.read()?;
        }
        let carried = self.first.as_ref().and_then(Input::carried).unwrap_or("{}");
        let object: Object<'_> = serde_json::from_str(carried).expect("an object was carried");
        Ok(object.0.into_iter().map(|(name, _)| name).collect())
    }

    /// Returns the number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.lines.number
    }

    /// Returns how many bytes of the list have been read as lines, in the list's own encoding.
    pub fn position(&self) -> u64 {
        self.lines.position()
    }

    fn read(&mut self) -> io::Result<Option<Input>> {
        loop {
            if !self.lines.read()? {
                return Ok(None);
            }
            let line = self.lines.line.trim_ascii();
            if !line.is_empty() {
                return Ok(Some(input(line, self.url_column.as_deref())));
            }
        }
    }
}

impl<R: BufRead> Iterator for JsonList<R> {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.read().transpose(),
        }
    }
}

/// Returns the input of a line.
fn input(line: &[u8], url_column: Option<&str>) -> Input {
    if line.len() > RECORD_BYTES_MAX {
        return Input::unusable(line, "the line is too long".to_owned());
    }
    let object: Object<'_> = match serde_json::from_slice(line) {
        Ok(object) => object,
        Err(error) => return Input::unusable(line, format!("the line is no JSON object: {error}")),
    };
    let Some(place) = object.0.iter().position(|(name, _)| is_url_column(name, url_column)) else {
        let wanted = url_column.unwrap_or("url");
        return Input::unusable(line, format!("the object has no key {wanted:?}"))
            .carrying(object.without(usize::MAX));
    };
    let (name, value) = &object.0[place];
    let input = match serde_json::from_str::<String>(value.get()) {
        Ok(url) => Input::from_bytes(url.trim().as_bytes()),
        Err(_) => {
            Input::unusable(value.get().as_bytes(), format!("the value of {name:?} is no string"))
        }
    };
    input.carrying(object.without(place))
}

/// The keys of an object and their values, as they are written.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl Object<'_> {
    /// Returns the object without the key in this place.
    fn without(&self, place: usize) -> String {
        let mut object = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut object);
        let mut map = serializer.serialize_map(None).expect("an object goes to memory");
        let others = self.0.iter().enumerate().filter(|(at, _)| *at != place);
        for (_, (name, value)) in others {
            map.serialize_entry(name, value).expect("values go to memory");
        }
        map.end().expect("an object goes to memory");
        String::from_utf8(object).expect("JSON is UTF-8")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'a>, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn list(text: &str, url_column: Option<&str>) -> Vec<Input> {
        let from = BufReader::with_capacity(5, text.as_bytes());
        JsonList::new(from, url_column).map(Result::unwrap).collect()
    }

    #[test]
    fn every_line_is_a_url_with_its_other_keys() {
        let text = "{\"url\":\"http:\\/\\/a/\",\"n\":12345678901234567890.0,\"deep\":{\"a\":[1, null]}}\r\n\n\
                    {\"n\":1e400,\"URL\":\" http://b/\\u00e9 \"}\n{\"url\":\"http://c/\"}";
        let found: Vec<(String, String)> = list(text, None)
            .iter()
            .map(|input| (input.shown().to_owned(), input.carried().unwrap().to_owned()))
            .collect();
        let expected = [
            ("http://a/", r#"{"n":12345678901234567890.0,"deep":{"a":[1, null]}}"#),
            ("http://b/é", r#"{"n":1e400}"#),
            ("http://c/", "{}"),
        ];
        assert_eq!(found, expected.map(|(url, rest)| (url.to_owned(), rest.to_owned())));
        assert_eq!(list(r#"{"url":1,"link":"http://a/"}"#, Some("link"))[0].shown(), "http://a/");
    }

    #[test]
    fn a_line_that_is_no_object_with_a_url_is_one_input_with_an_error() {
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX));
        for (line, says) in [
            ("http://a/", "the line is no JSON object: "),
            ("[1]", "the line is no JSON object: "),
            ("{\"url\":\"http://a/\"", "the line is no JSON object: "),
            ("{\"link\":\"http://a/\"}", "the object has no key \"url\""),
            ("{\"url\":null}", "the value of \"url\" is no string"),
            (&long, "the line is too long"),
        ] {
            let inputs = list(&format!("{line}\n{{\"url\":\"http://b/\"}}"), None);
            let why = inputs[0].parse().unwrap_err().message;
            assert!(why.starts_with(says), "{why}");
            assert_eq!(inputs[1].shown(), "http://b/");
        }
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
        let inputs = list(&format!("{{\"url\":\"http://a/\",\"x\":{deep}}}"), None);
        assert_eq!(inputs[0].carried(), Some(format!("{{\"x\":{deep}}}").as_str()));
    }

    #[test]
    fn the_first_object_names_the_columns_and_is_not_lost() {
        let mut list = JsonList::new(&b"{\"id\":1,\"url\":\"http://a/\",\"b\":2}\n"[..], None);
        assert_eq!(list.columns().unwrap(), ["id", "b"]);
        assert_eq!(list.columns().unwrap(), ["id", "b"]);
        assert_eq!(list.next().unwrap().unwrap().shown(), "http://a/");
        assert!(list.next().is_none());
        assert!(JsonList::new(&b""[..], None).columns().unwrap().is_empty());
        assert!(JsonList::new(&b"nothing\n"[..], None).columns().unwrap().is_empty());
    }
}
