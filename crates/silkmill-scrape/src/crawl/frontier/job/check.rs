//! What a crawl that checks links keeps in its job: which pages have which links, and which links
//! are broken.

use rusqlite::{OptionalExtension, params};

use crate::crawl::frontier::job::CrawlJob;
use crate::crawl::frontier::{Answer, NotedLink};
use crate::error::Error;

/// The most pages that are named for one broken link.
pub(crate) const BROKEN_PAGES_MAX: usize = 10;
/// Stands for a page that was read, among its anchors.
const WAS_READ: i64 = 0;

pub(super) const TABLES: &str = "
    CREATE TABLE page (number INTEGER PRIMARY KEY, url TEXT NOT NULL);
    CREATE TABLE linked (
        host INTEGER NOT NULL, hash INTEGER NOT NULL, page INTEGER NOT NULL,
        PRIMARY KEY (host, hash, page)
    ) WITHOUT ROWID;
    CREATE TABLE fragment (
        host INTEGER NOT NULL, hash INTEGER NOT NULL, anchor INTEGER NOT NULL,
        page INTEGER NOT NULL, url TEXT NOT NULL, PRIMARY KEY (host, hash, anchor, page)
    ) WITHOUT ROWID;
    CREATE TABLE anchor (
        host INTEGER NOT NULL, hash INTEGER NOT NULL, anchor INTEGER NOT NULL,
        PRIMARY KEY (host, hash, anchor)
    ) WITHOUT ROWID;
    CREATE TABLE broken (
        number INTEGER PRIMARY KEY, host INTEGER NOT NULL, hash INTEGER NOT NULL,
        url TEXT NOT NULL, why TEXT NOT NULL
    );
";

/// A link that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenLink {
    /// The URL that the link leads to.
    pub url: String,
    /// Why it is broken: a status, the kind of failure and its message, or `no such fragment`.
    pub why: String,
    /// The pages that have the link, at most 10 of them, in the order of their rows.
    pub pages: Vec<String>,
    /// How many pages have it.
    pub pages_count: u64,
}

impl CrawlJob {
    /// Passes every broken link to `found`: those whose URL cannot be had, in the order of their
    /// rows, then those whose page has no such fragment.
    ///
    /// # Errors
    ///
    /// When the job cannot be read.
    pub fn broken_links(&self, mut found: impl FnMut(BrokenLink)) -> Result<(), Error> {
        self.try_broken_links(&mut found).map_err(|error| self.failed("read", &error))
    }

    fn try_broken_links(&self, found: &mut dyn FnMut(BrokenLink)) -> rusqlite::Result<()> {
        let mut query =
            self.connection.prepare("SELECT host, hash, url, why FROM broken ORDER BY number")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let key: (i64, i64) = (row.get(0)?, row.get(1)?);
            let pages = "FROM linked JOIN page ON page.number = page WHERE host = ? AND hash = ?";
            let (pages, pages_count) = self.pages(pages, params![key.0, key.1])?;
            found(BrokenLink { url: row.get(2)?, why: row.get(3)?, pages, pages_count });
        }
        // A page that was never read, or is none, may have any fragment.
        let mut query = self.connection.prepare(
            "SELECT host, hash, anchor, min(url) FROM fragment AS wanted \
             WHERE EXISTS (SELECT 1 FROM anchor WHERE host = wanted.host AND hash = wanted.hash \
             AND anchor = 0) AND NOT EXISTS (SELECT 1 FROM anchor WHERE host = wanted.host \
             AND hash = wanted.hash AND anchor = wanted.anchor) GROUP BY host, hash, anchor",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let key: (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let pages = "FROM fragment JOIN page ON page.number = page \
                         WHERE host = ? AND hash = ? AND anchor = ?";
            let (pages, pages_count) = self.pages(pages, params![key.0, key.1, key.2])?;
            let why = "no such fragment".to_owned();
            found(BrokenLink { url: row.get(3)?, why, pages, pages_count });
        }
        Ok(())
    }

    /// Returns the URLs of the first pages of a query, and how many there are.
    fn pages(
        &self,
        from: &str,
        keys: impl rusqlite::Params + Copy,
    ) -> rusqlite::Result<(Vec<String>, u64)> {
        let query = format!("SELECT page.url {from} ORDER BY page.number LIMIT {BROKEN_PAGES_MAX}");
        let mut query = self.connection.prepare_cached(&query)?;
        let pages = query.query_map(keys, |row| row.get(0))?.collect::<Result<_, _>>()?;
        let query = format!("SELECT count(*) {from}");
        let mut query = self.connection.prepare_cached(&query)?;
        let count = query.query_row(keys, |row| row.get::<_, i64>(0)).optional()?;
        Ok((pages, count.unwrap_or(0).cast_unsigned()))
    }

    pub(super) fn try_note_link(&mut self, link: &NotedLink<'_>) -> rusqlite::Result<()> {
        let host = self.number_of(link.host)?;
        self.begin()?;
        let (hash, page) = (link.hash.cast_signed(), link.page.cast_signed());
        let insert = "INSERT OR IGNORE INTO page VALUES (?, ?)";
        self.connection.prepare_cached(insert)?.execute(params![page, link.page_url])?;
        let insert = "INSERT OR IGNORE INTO linked VALUES (?, ?, ?)";
        self.connection.prepare_cached(insert)?.execute(params![host, hash, page])?;
        let insert = "INSERT OR IGNORE INTO fragment VALUES (?, ?, ?, ?, ?)";
        let mut insert = self.connection.prepare_cached(insert)?;
        for (fragment, anchor) in link.fragments {
            let url = format!("{}#{fragment}", link.url);
            insert.execute(params![host, hash, anchor.cast_signed(), page, url])?;
        }
        Ok(())
    }

    pub(super) fn try_note_answer(&mut self, answer: &Answer<'_>) -> rusqlite::Result<()> {
        self.begin()?;
        let hash = answer.hash.cast_signed();
        if let Some(why) = &answer.broken {
            let insert = "INSERT INTO broken VALUES (?, ?, ?, ?, ?)";
            let number = answer.row.cast_signed();
            let values = params![number, answer.host, hash, answer.url, why];
            self.connection.prepare_cached(insert)?.execute(values)?;
        }
        if let Some(anchors) = answer.anchors {
            let insert = "INSERT OR IGNORE INTO anchor VALUES (?, ?, ?)";
            let mut insert = self.connection.prepare_cached(insert)?;
            for anchor in anchors.iter().map(|anchor| anchor.cast_signed()).chain([WAS_READ]) {
                insert.execute(params![answer.host, hash, anchor])?;
            }
        }
        Ok(())
    }
}
