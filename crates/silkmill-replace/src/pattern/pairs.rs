//! Reads many pairs of OLD and NEW from a file: tab-separated, CSV, or JSON.
//!
//! Input that cannot be meant is an error with its line: a column too few or too many, an empty
//! OLD, or an OLD that occurs twice.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::Error;

/// Pairs of a text to search for and its replacement.
///
/// ```
/// use silkmill_replace::{Options, Pairs, PairsFormat};
///
/// let pairs = Pairs::parse(b"left\tright\nright\tleft\n", PairsFormat::Tsv)?;
/// let options = Options::with_pairs(pairs).build()?;
/// assert_eq!(options.edit(b"left, right")?.as_deref(), Some(&b"right, left"[..]));
///
/// let error = Pairs::parse(b"left\tright\nleft\tup\n", PairsFormat::Tsv).unwrap_err();
/// assert_eq!(error.to_string(), "line 2: \"left\" stands in line 1 already");
/// # Ok::<(), silkmill_replace::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pairs {
    pub(crate) pairs: Vec<Pair>,
}

/// The format of a list of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairsFormat {
    /// OLD, a tab, NEW; one pair a line. Nothing is quoted.
    Tsv,
    /// OLD, a comma, NEW, quoted as RFC 4180 specifies.
    Csv,
    /// `{"OLD": "NEW"}`, or `[["OLD", "NEW"]]`.
    Json,
}

/// One text to search for and its replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
    /// Where the pair was written. `None` for the command line.
    pub(crate) place: Option<String>,
}

impl Pair {
    /// Adds the place to an error.
    pub(crate) fn error(&self, error: Error) -> Error {
        match &self.place {
            Some(place) => Error::pairs(format!("{place}: {error}")),
            None => error,
        }
    }
}

impl Pair {
    /// Returns the error of a pair whose OLD matches what that of an earlier one does.
    pub(crate) fn repeats(&self, first: &Pair) -> Error {
        let [old, known] = [&self.old, &first.old].map(|old| String::from_utf8_lossy(old));
        let place = first.place.as_deref().map(|place| format!(" of {place}"));
        self.error(Error::pairs(format!(
            "{old:?} matches the same as {known:?}{}",
            place.unwrap_or_default()
        )))
    }
}

impl Pairs {
    /// Reads a file whose name ends in `.tsv`, `.csv` or `.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, its name has none of the endings, or its text is no list of pairs:
    /// see [`Pairs::parse`].
    pub fn read(path: &Path) -> Result<Pairs, Error> {
        let format = match path.extension().and_then(|end| end.to_str()) {
            Some("tsv") => PairsFormat::Tsv,
            Some("csv") => PairsFormat::Csv,
            Some("json") => PairsFormat::Json,
            _ => {
                let message =
                    format!("{path:?} is no .tsv, .csv or .json: its format is not known");
                return Err(Error::pairs(message));
            }
        };
        let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let pairs = Pairs::parse(&bytes, format)
            .map_err(|error| Error::pairs(format!("failed to read {path:?}: {error}")))?;
        let place = |place: String| format!("{}, {place}", path.display());
        let named = |pair: Pair| Pair { place: pair.place.map(place), ..pair };
        Ok(Pairs { pairs: pairs.pairs.into_iter().map(named).collect() })
    }

    /// Reads pairs from text in UTF-8. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// The text is not UTF-8, not in the format, or holds no pair; a pair does not have two
    /// columns; an OLD is empty, or occurs twice. All but the first name the line.
    pub fn parse(bytes: &[u8], format: PairsFormat) -> Result<Pairs, Error> {
        let text = utf8(bytes)?;
        let rows = match format {
            PairsFormat::Tsv => tsv(text)?,
            PairsFormat::Csv => csv(text)?,
            PairsFormat::Json => json(text)?,
        };
        if rows.is_empty() {
            return Err(Error::pairs("there is no pair"));
        }
        let mut seen = HashMap::new();
        let mut pairs = Vec::new();
        for Row { place, old, new } in rows {
            if old.is_empty() {
                return Err(Error::pairs(format!("{place}: OLD is empty")));
            }
            if let Some(first) = seen.insert(old.clone(), place.clone()) {
                return Err(Error::pairs(format!("{place}: {old:?} stands in {first} already")));
            }
            let (old, new) = (old.into_bytes(), new.into_bytes());
            pairs.push(Pair { old, new, place: Some(place) });
        }
        Ok(Pairs { pairs })
    }
}

struct Row {
    place: String,
    old: String,
    new: String,
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(Error::pairs("it is UTF-16, and should be UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count() + 1;
        Error::pairs(format!("line {line}: it is not UTF-8"))
    })
}

fn tsv(text: &str) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.is_empty()) {
        let place = format!("line {number}");
        let columns: Vec<&str> = line.split('\t').collect();
        rows.push(row(place, &columns)?);
    }
    Ok(rows)
}

fn csv(text: &str) -> Result<Vec<Row>, Error> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| Error::pairs(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(row(format!("line {line}"), &record.iter().collect::<Vec<_>>())?);
    }
    Ok(rows)
}

fn row(place: String, columns: &[&str]) -> Result<Row, Error> {
    match columns {
        [old, new] => Ok(Row { place, old: (*old).to_owned(), new: (*new).to_owned() }),
        [_] => Err(Error::pairs(format!("{place}: there is one column, and not OLD and NEW"))),
        more => {
            let count = more.len();
            Err(Error::pairs(format!("{place}: there are {count} columns, and not OLD and NEW")))
        }
    }
}

/// Each OLD is checked while it is read, since only then does the parser know its line.
fn json(text: &str) -> Result<Vec<Row>, Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let rows = parser.deserialize_any(JsonRows).and_then(|rows| parser.end().map(|()| rows));
    rows.map_err(|error| {
        let message = error.to_string();
        let why = message.split(" at line ").next().unwrap_or(&message);
        Error::pairs(format!("line {}: {why}", error.line()))
    })
}

struct JsonRows;

impl<'de> Visitor<'de> for JsonRows {
    type Value = Vec<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"{"OLD": "NEW"} or [["OLD", "NEW"]]"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Row>, A::Error> {
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        while let Some(old) = map.next_key_seed(JsonOld(&mut seen))? {
            rows.push(json_row(&rows, old, map.next_value()?));
        }
        Ok(rows)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Row>, A::Error> {
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        while let Some((old, new)) = seq.next_element_seed(JsonPair(&mut seen))? {
            rows.push(json_row(&rows, old, new));
        }
        Ok(rows)
    }
}

fn json_row(before: &[Row], old: String, new: String) -> Row {
    Row { place: format!("pair {}", before.len() + 1), old, new }
}

/// `["OLD", "NEW"]`
struct JsonPair<'a>(&'a mut HashSet<String>);

impl<'de> DeserializeSeed<'de> for JsonPair<'_> {
    type Value = (String, String);

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(String, String), D::Error> {
        parser.deserialize_tuple(2, self)
    }
}

impl<'de> Visitor<'de> for JsonPair<'_> {
    type Value = (String, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"["OLD", "NEW"]"#)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(String, String), A::Error> {
        let missing = |len| A::Error::invalid_length(len, &r#"["OLD", "NEW"]"#);
        let old = seq.next_element_seed(JsonOld(self.0))?.ok_or_else(|| missing(0))?;
        Ok((old, seq.next_element()?.ok_or_else(|| missing(1))?))
    }
}

/// An OLD that is not empty and did not occur before.
struct JsonOld<'a>(&'a mut HashSet<String>);

impl<'de> DeserializeSeed<'de> for JsonOld<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<String, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for JsonOld<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, old: &str) -> Result<String, E> {
        if old.is_empty() {
            return Err(E::custom("OLD is empty"));
        }
        if !self.0.insert(old.to_owned()) {
            return Err(E::custom(format!("{old:?} stands there twice")));
        }
        Ok(old.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PairsFormat::{Csv, Json, Tsv};

    fn parsed(text: &str, format: PairsFormat) -> Result<Vec<(String, String)>, String> {
        let pairs = Pairs::parse(text.as_bytes(), format).map_err(|error| error.to_string())?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(pairs.pairs.into_iter().map(|pair| (text(pair.old), text(pair.new))).collect())
    }

    #[test]
    fn each_format_gives_the_same_pairs() {
        let want = Ok(vec![("a b".to_owned(), "c,\"d\"".to_owned()), ("e".into(), String::new())]);

        assert_eq!(parsed("\u{feff}a b\tc,\"d\"\r\n\r\ne\t\r\n", Tsv), want);
        assert_eq!(parsed("a b,\"c,\"\"d\"\"\"\n\ne,\n", Csv), want);
        assert_eq!(parsed(r#"{"a b": "c,\"d\"", "e": ""}"#, Json), want);
        assert_eq!(parsed(r#"[["a b", "c,\"d\""], ["e", ""]]"#, Json), want);
    }

    #[test]
    fn what_is_no_list_of_pairs_is_an_error_with_its_line() {
        let claims = [
            ("a\tb\n\nc\n", Tsv, "line 3: there is one column, and not OLD and NEW"),
            ("a\tb\tc\n", Tsv, "line 1: there are 3 columns, and not OLD and NEW"),
            ("a\tb\n\tc\n", Tsv, "line 2: OLD is empty"),
            ("a\tb\na\tb\n", Tsv, "line 2: \"a\" stands in line 1 already"),
            ("", Tsv, "there is no pair"),
            ("a,b\n\"x\ny\",c\nd\n", Csv, "line 4: there is one column, and not OLD and NEW"),
            ("a,b\na,c\n", Csv, "line 2: \"a\" stands in line 1 already"),
            ("{\n\"a\": \"b\",\n\"a\": \"c\"\n}", Json, "line 3: \"a\" stands there twice"),
            ("[[\"a\", \"b\"],\n[\"c\"]]", Json, "line 2: invalid length 1, expected"),
            ("[\n[\"\", \"b\"]]", Json, "line 2: OLD is empty"),
            ("{\"a\": 1}", Json, "line 1: invalid type: integer `1`, expected a string"),
            ("{}", Json, "there is no pair"),
            ("{\"a\": \"b\"} x", Json, "line 1: trailing characters"),
            ("7", Json, "line 1: invalid type: integer `7`, expected {\"OLD\": \"NEW\"} or"),
        ];
        for (text, format, want) in claims {
            let error = parsed(text, format).unwrap_err();
            assert!(error.starts_with(want), "{text:?}: {error}");
        }
    }

    #[test]
    fn another_encoding_is_an_error() {
        let error = |bytes: &[u8]| Pairs::parse(bytes, Tsv).unwrap_err().to_string();

        assert_eq!(error(b"a\tb\n\xE9\tc\n"), "line 2: it is not UTF-8");
        assert_eq!(error(b"\xFF\xFEa\0\t\0b\0"), "it is UTF-16, and should be UTF-8");
    }
}
