//! The site that is crawled: pages with 20 links each, all of which lie within it.

use std::fs;
use std::path::Path;

/// The links of a page.
const LINKS: usize = 20;
/// The pages in a folder.
const FOLDER: usize = 1_000;

/// Returns the path of a page.
pub(super) fn name(number: usize) -> String {
    format!("{}/{number}.html", number / FOLDER)
}

/// Writes a site of so many pages, unless it is there.
pub(super) fn make(folder: &Path, pages: usize) -> anyhow::Result<()> {
    let size = folder.with_file_name("site-size");
    if fs::read_to_string(&size).is_ok_and(|size| size == pages.to_string()) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(folder);
    for number in 0..pages {
        if number % FOLDER == 0 {
            fs::create_dir_all(folder.join((number / FOLDER).to_string()))?;
        }
        fs::write(folder.join(name(number)), page(number, pages))?;
    }
    fs::write(size, pages.to_string())?;
    Ok(())
}

/// Makes a page. The first links lead to the pages that no earlier page has a link to.
fn page(number: usize, pages: usize) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>Page {number}</title>\
         </head><body><h1>Page {number}</h1><ul>\n"
    );
    for link in 1..=LINKS {
        let to = (number * LINKS + link) % pages;
        page += &format!("<li><a href=\"/{}\">Page {to} of the loom</a></li>\n", name(to));
    }
    page + "</ul><p>A page of a mill that weaves.</p></body></html>\n"
}
