//! Reads the rows of a crawl that many processes share.

use crate::crawl::frontier::fleet::FleetJob;
use crate::error::Error;

/// The rows that are read at once.
const ROWS_AT_ONCE: i64 = 1000;

impl FleetJob {
    /// Hands on the cells of every row of the crawl, in the order of their indices, as texts. It
    /// ends early when `take` fails, with that failure.
    ///
    /// # Errors
    ///
    /// When the rows cannot be read.
    pub fn read_rows<E>(
        &mut self,
        mut take: impl FnMut(&[Option<String>]) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        let selection = self.rows.selection();
        let columns = self.rows.columns().len();
        let index_column = self.index_column;
        let mut last = -1_i64;
        loop {
            let statement = selection.clone();
            let rows = self.database.run("read", move |session| {
                let rows = session.query(&statement, &[&last, &ROWS_AT_ONCE])?;
                let cells = |row: &postgres::Row| -> Vec<Option<String>> {
                    (0..columns).map(|column| row.get(column)).collect()
                };
                Ok(rows.iter().map(cells).collect::<Vec<_>>())
            })?;
            if rows.is_empty() {
                return Ok(Ok(()));
            }
            for row in rows {
                let index = row[index_column].as_deref().and_then(|index| index.parse().ok());
                last = index.unwrap_or(i64::MAX);
                if let Err(error) = take(&row) {
                    return Ok(Err(error));
                }
            }
        }
    }
}
