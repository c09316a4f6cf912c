//! Writes rows as columns of text. No value can break a row or steer the terminal.

use silkmill_scrape::{BrokenLink, Row, Value};

use crate::sink::schema::Kind;

/// The separator of several values of one field.
const BETWEEN_VALUES: &str = " | ";

/// Appends a row: `STATUS<TAB>URL`, and of a scrape `<TAB>TITLE` and a column for each field. The
/// row of an error is `ERR<TAB>URL<TAB>kind: message`, or begins with `ERR STATUS` when there is a
/// response all the same. So the first column says what the others are.
pub(crate) fn row(row: &Row, kind: Kind, to: &mut Vec<u8>) {
    let status = row.status.map(|status| status.to_string()).unwrap_or_default();
    if let Some(error) = &row.error {
        let outcome = ["ERR", &status].join(" ");
        return write_row(to, &[outcome.trim_end(), &row.url, &error.to_string()]);
    }
    let mut columns = vec![status, row.url.clone()];
    if kind.has_fields() {
        columns.push(row.title.clone().unwrap_or_default());
        columns.extend(row.fields.iter().map(|(_, values)| collapsed(values)));
    }
    write_row(to, &columns);
}

/// Appends `STATUS<TAB>URL<TAB>PAGES`, or `ERR<TAB>URL<TAB>PAGES<TAB>why`. The pages that have the
/// link stand between spaces, and how many more there are.
pub(crate) fn broken_link(broken: &BrokenLink, to: &mut Vec<u8>) {
    let mut pages = broken.pages.join(" ");
    let more = broken.pages_count.saturating_sub(broken.pages.len() as u64);
    if more > 0 {
        pages += &format!(" and {more} more");
    }
    match broken.why.parse::<u16>() {
        Ok(_) => write_row(to, &[broken.why.as_str(), &broken.url, &pages]),
        Err(_) => write_row(to, &["ERR", &broken.url, &pages, &broken.why]),
    }
}

/// Joins the values of a field for reading. White space within a value, of which pages have plenty
/// between their tags, is collapsed as in a browser.
fn collapsed(values: &[Value]) -> String {
    let collapse =
        |value: &Value| value.to_string().split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    values.iter().map(collapse).collect::<Vec<_>>().join(BETWEEN_VALUES)
}

/// Appends columns between tabs, then a line end. A control character in a column becomes a space.
fn write_row<T: AsRef<str>>(to: &mut Vec<u8>, columns: &[T]) {
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            to.push(b'\t');
        }
        let mut utf8 = [0; 4];
        for char in column.as_ref().chars() {
            let breaks = char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
            let char = if breaks { ' ' } else { char };
            to.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
        }
    }
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use silkmill_scrape::{Failure, FailureKind, Phase};

    use super::*;

    fn line(row: &Row, kind: Kind) -> String {
        let mut line = Vec::new();
        super::row(row, kind, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_response_is_a_status_and_a_title() {
        let row = Row {
            url: "http://a/".to_owned(),
            status: Some(404),
            title: Some("Not here".to_owned()),
            fields: vec![
                ("price".to_owned(), vec!["1".into(), "\n  2 and\t3 ".into()]),
                ("none".to_owned(), Vec::new()),
            ],
            ..Row::default()
        };

        assert_eq!(line(&row, Kind::Fetch), "404\thttp://a/\n");
        assert_eq!(line(&row, Kind::Scrape), "404\thttp://a/\tNot here\t1 | 2 and 3\t\n");
    }

    #[test]
    fn an_error_is_a_row_too_that_no_title_looks_like() {
        let message = "connection refused".to_owned();
        let error = Failure { kind: FailureKind::Connect, phase: Phase::Connect, message };
        let row = Row { url: "http://a/".to_owned(), error: Some(error), ..Row::default() };
        for kind in [Kind::Fetch, Kind::Scrape] {
            assert_eq!(line(&row, kind), "ERR\thttp://a/\tconnect: connection refused\n");
            let row = Row { status: Some(200), ..row.clone() };
            assert_eq!(line(&row, kind), "ERR 200\thttp://a/\tconnect: connection refused\n");
        }

        let title = Some("ERR connect: connection refused".to_owned());
        let row = Row { title, status: Some(200), error: None, ..row };
        assert_eq!(line(&row, Kind::Scrape), "200\thttp://a/\tERR connect: connection refused\n");
    }

    #[test]
    fn no_value_breaks_a_row_or_steers_the_terminal() {
        let row = Row {
            url: "http://a/\tb\n".to_owned(),
            title: Some("one\r\ntwo\tthree\u{1b}[31m\u{9b}\u{2028}".to_owned()),
            ..Row::default()
        };

        let line = line(&row, Kind::Scrape);

        assert_eq!(line.matches('\t').count(), 2);
        assert_eq!(line.chars().filter(|char| char.is_control()).count(), 3);
    }
}
