//! The table of a job that its rows go to, as the caller wants it.

use std::fmt;

use crate::crawl::frontier::fleet::texts::quoted;
use crate::row::Row;

/// The type of [`RowTable`]'s cells.
type Cells = dyn Fn(&Row) -> Vec<Option<String>> + Send;

/// A table for rows: its columns, and how a row becomes cells.
///
/// ```
/// use silkmill_scrape::RowTable;
///
/// let columns = [("index", "bigint PRIMARY KEY"), ("url", "text"), ("parent", "bigint")];
/// let columns = columns.map(|(name, declared)| (name.to_owned(), declared.to_owned()));
/// let cells = |row: &silkmill_scrape::Row| vec![None, Some(row.url.clone()), None];
/// let table = RowTable::new(columns.to_vec(), cells);
/// assert_eq!(table.columns().len(), 3);
/// ```
pub struct RowTable {
    columns: Vec<(String, String)>,
    cells: Box<Cells>,
}

impl fmt::Debug for RowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowTable").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl RowTable {
    /// Makes a table with these columns, each a name and what PostgreSQL is told of it, its type
    /// first. One must be called `index` and one `parent`: what `cells` says of them is replaced by
    /// the places of the row and of its parent among all rows of the crawl. `cells` has one text
    /// for each column, in the way in which PostgreSQL reads its type; `None` is no value.
    pub fn new(
        columns: Vec<(String, String)>,
        cells: impl Fn(&Row) -> Vec<Option<String>> + Send + 'static,
    ) -> RowTable {
        RowTable { columns, cells: Box::new(cells) }
    }

    /// Returns the names of the columns, and their types.
    pub fn columns(&self) -> &[(String, String)] {
        &self.columns
    }

    /// Returns the cells of a row. PostgreSQL's texts have no character U+0000: U+FFFD stands for
    /// it.
    pub(super) fn cells(&self, row: &Row) -> Vec<Option<String>> {
        let mut cells = (self.cells)(row);
        for cell in cells.iter_mut().flatten() {
            if cell.contains('\0') {
                *cell = cell.replace('\0', "\u{fffd}");
            }
        }
        debug_assert_eq!(cells.len(), self.columns.len());
        cells
    }

    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| column == name)
    }

    /// Returns the statement that inserts rows: a list of texts for each column.
    pub(super) fn insertion(&self) -> String {
        let count = self.columns.len();
        let lists: Vec<String> = (1..=count).map(|place| format!("${place}::text[]")).collect();
        let names: Vec<String> = (1..=count).map(|place| format!("c{place}")).collect();
        let cells: Vec<String> = (self.columns.iter().zip(&names))
            .map(|((_, declared), name)| format!("{name}::{}", type_of(declared)))
            .collect();
        format!(
            "INSERT INTO rows SELECT {} FROM unnest({}) AS r({})",
            cells.join(", "),
            lists.join(", "),
            names.join(", ")
        )
    }

    /// Returns the statement that reads rows behind an index, as texts.
    pub(super) fn selection(&self) -> String {
        let columns: Vec<String> =
            (self.columns.iter()).map(|(name, _)| format!("{}::text", quoted(name))).collect();
        format!(
            "SELECT {} FROM rows WHERE \"index\" > $1 ORDER BY rows.\"index\" LIMIT $2",
            columns.join(", ")
        )
    }
}

/// Returns the type in what is said of a column.
fn type_of(declared: &str) -> &str {
    let end = [" PRIMARY KEY", " NOT NULL"].iter().filter_map(|word| declared.find(word)).min();
    &declared[..end.unwrap_or(declared.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_inserted_and_read_as_texts() {
        let columns = [("index", "bigint PRIMARY KEY"), ("a\"b", "double precision NOT NULL")];
        let columns = columns.map(|(name, declared)| (name.to_owned(), declared.to_owned()));
        let table = RowTable::new(columns.to_vec(), |row| vec![None, Some(row.url.clone())]);
        assert_eq!(
            table.insertion(),
            "INSERT INTO rows SELECT c1::bigint, c2::double precision \
             FROM unnest($1::text[], $2::text[]) AS r(c1, c2)"
        );
        assert!(table.selection().starts_with("SELECT \"index\"::text, \"a\"\"b\"::text FROM"));
        let row = Row { url: "a\0b".to_owned(), ..Row::default() };
        assert_eq!(table.cells(&row), [None, Some("a\u{fffd}b".to_owned())]);
    }
}
