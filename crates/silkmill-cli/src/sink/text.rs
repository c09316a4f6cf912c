//! Writes rows as columns of text. No value can break a row or steer the terminal.

use silkmill_scrape::{Row, Value};

/// The separator of several values of one field.
const BETWEEN_VALUES: &str = " | ";

/// Appends `STATUS<TAB>URL`, or `ERR<TAB>URL<TAB>kind: message`.
pub(crate) fn fetch_row(row: &Row, to: &mut Vec<u8>) {
    match (&row.error, row.status) {
        (None, Some(status)) => write_row(to, &[&status.to_string(), &row.url]),
        (None, None) => write_row(to, &["", &row.url]),
        (Some(error), _) => write_row(to, &["ERR", &row.url, &error.to_string()]),
    }
}

/// Appends `URL<TAB>TITLE` and a column for each field, or `URL<TAB>ERR kind: message`.
pub(crate) fn scrape_row(row: &Row, to: &mut Vec<u8>) {
    if let Some(error) = &row.error {
        return write_row(to, &[&row.url, &format!("ERR {error}")]);
    }
    let fields: Vec<String> = row.fields.iter().map(|(_, values)| collapsed(values)).collect();
    let title = row.title.as_deref().unwrap_or_default();
    let columns: Vec<&str> =
        [row.url.as_str(), title].into_iter().chain(fields.iter().map(String::as_str)).collect();
    write_row(to, &columns);
}

/// Joins the values of a field for reading. White space within a value, of which pages have plenty
/// between their tags, is collapsed as in a browser.
fn collapsed(values: &[Value]) -> String {
    let collapse =
        |value: &Value| value.to_string().split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    values.iter().map(collapse).collect::<Vec<_>>().join(BETWEEN_VALUES)
}

/// Appends columns between tabs, then a line end. A control character in a column becomes a space.
fn write_row(to: &mut Vec<u8>, columns: &[&str]) {
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            to.push(b'\t');
        }
        let mut utf8 = [0; 4];
        for char in column.chars() {
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

    fn line(write: fn(&Row, &mut Vec<u8>), row: &Row) -> String {
        let mut line = Vec::new();
        write(row, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_response_is_a_status_or_a_title() {
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

        assert_eq!(line(fetch_row, &row), "404\thttp://a/\n");
        assert_eq!(line(scrape_row, &row), "http://a/\tNot here\t1 | 2 and 3\t\n");
    }

    #[test]
    fn an_error_is_a_row_too() {
        let message = "connection refused".to_owned();
        let error = Failure { kind: FailureKind::Connect, phase: Phase::Connect, message };
        let row = Row { url: "http://a/".to_owned(), error: Some(error), ..Row::default() };

        assert_eq!(line(fetch_row, &row), "ERR\thttp://a/\tconnect: connection refused\n");
        assert_eq!(line(scrape_row, &row), "http://a/\tERR connect: connection refused\n");
    }

    #[test]
    fn no_value_breaks_a_row_or_steers_the_terminal() {
        let row = Row {
            url: "http://a/\tb\n".to_owned(),
            title: Some("one\r\ntwo\tthree\u{1b}[31m\u{9b}\u{2028}".to_owned()),
            ..Row::default()
        };

        let line = line(scrape_row, &row);

        assert_eq!(line.matches('\t').count(), 1);
        assert_eq!(line.chars().filter(|char| char.is_control()).count(), 2);
    }
}
