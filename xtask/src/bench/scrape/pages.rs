//! The pages that are read: made-up ones of 26 KB, and product pages, which are real where a
//! variable names a folder of them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;

/// The variable that names a folder of real pages. Without it the made-up ones are read.
pub(in crate::bench) const VARIABLE: &str = "SILKMILL_PAGES";

/// About how large a page is, in bytes.
const PAGE_BYTES: usize = 26_000;

/// Writes `count` pages into a folder and returns their names.
pub(in crate::bench) fn make(folder: &Path, count: usize) -> anyhow::Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    let names: Vec<String> = (0..count).map(|number| format!("{number}.html")).collect();
    for (number, name) in names.iter().enumerate() {
        fs::write(folder.join(name), page(number))?;
    }
    Ok(names)
}

/// Copies the real pages into a folder and returns their names. There are none when no folder is
/// named.
pub(in crate::bench) fn copy_real(folder: &Path) -> anyhow::Result<Vec<String>> {
    let Some(from) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return Ok(Vec::new()) };
    fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&from)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            let name = format!("real-{name}");
            fs::copy(entry.path(), folder.join(&name))?;
            names.push(name);
        }
    }
    ensure!(!names.is_empty(), "{VARIABLE} names a folder without pages: {from:?}");
    names.sort();
    Ok(names)
}

fn page(number: usize) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n\
         <title>\n  Page {number} of the loom &amp; its mill\n</title></head><body>\n"
    );
    let mut row = 0;
    while page.len() < PAGE_BYTES {
        row += 1;
        let _ = writeln!(
            page,
            "<article class=\"product\"><h3><a href=\"/item/{row}\" title=\"Item {row}\">Item {row}</a></h3>\
             <p class=\"price\">£{}.{:02}</p><p class='stock'><i class=icon></i> In stock</p></article>",
            row * 7 % 90,
            row * 13 % 100
        );
    }
    page + "</body></html>\n"
}

/// Makes a feed as large as a page.
pub(super) fn feed(number: usize) -> String {
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\" \
         xmlns:media=\"http://search.yahoo.com/mrss/\">\n<channel>\n<title>Feed {number}</title>\n"
    );
    let mut item = 0;
    while feed.len() < PAGE_BYTES {
        item += 1;
        let category = ["silk", "wool", "linen"][item % 3];
        let _ = write!(
            feed,
            "<item>\n  <title>Item {item} &amp; more</title>\n  \
             <link>https://example.com/item/{item}?feed={number}&amp;from=rss</link>\n  \
             <guid isPermaLink=\"false\">{number}-{item}</guid>\n  \
             <category>{category}</category>\n  \
             <pubDate>Sat, 28 Nov 2026 10:{:02}:00 GMT</pubDate>\n  \
             <media:thumbnail url=\"https://example.com/{item}.jpg\" width=\"120\" height=\"90\"/>\n  \
             <description><![CDATA[<p>Of <b>item {item}</b> there are {} in stock.</p>]]></description>\n\
             </item>\n",
            item % 60,
            item * 13 % 100
        );
    }
    feed + "</channel>\n</rss>\n"
}
