//! A set of tasks that grows while it is read, and maps whose items come when they come.

use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;

use silkmill::ThreadPoolExecutor;

/// Stands for a page that is fetched and parsed: returns its links.
fn links(page: u32) -> Vec<u32> {
    std::thread::sleep(Duration::from_millis(5));
    [page * 2, page * 3].into_iter().filter(|page| *page <= 40).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;

    // A crawler: each result may bring about further tasks, and comes with its key.
    let mut seen = HashSet::from([1]);
    let mut pages = pool.task_set();
    pages.submit(1, || links(1));
    while let Some((page, found)) = pages.next() {
        let found = found?;
        println!("page {page} links to {found:?}; {} are under way", pages.len());
        for page in found {
            if seen.insert(page) {
                pages.submit(page, move || links(page));
            }
        }
    }
    println!("{} pages", seen.len());

    // Items that come from elsewhere, and slowly: each result is there before the next item.
    let (sender, receiver) = mpsc::channel();
    let mut lengths = pool.map(receiver, |word: &str| word.len()).prefetch();
    for word in ["one", "three", "fifteen"] {
        sender.send(word)?;
        if let Some(length) = lengths.next_timeout(Duration::from_secs(5))? {
            println!("{word} has {} letters", length?);
        }
    }
    Ok(())
}
