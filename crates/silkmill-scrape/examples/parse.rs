//! Parses every page of a folder and reads fields from it, again and again, on one thread: `parse
//! FOLDER [XPATH]...`. A file whose name ends in `.xml` is XML, every other is HTML. Prints the
//! nanoseconds for each byte.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use silkmill_scrape::{Extractor, Field};

/// The rounds, of which the fastest counts: other programs had the processor, too.
const ROUNDS: usize = 5;

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().expect("the first word is a folder");
    let number = |(number, text): (usize, String)| Field::xpath(&format!("_{number}={text}"));
    let fields = words.enumerate().map(number).collect::<Result<Vec<Field>, _>>();
    let extractor = Extractor::new(fields.expect("they parse")).expect("their names differ");
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let pages: Vec<(&str, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("it lists").path();
            let is_xml = path.extension().is_some_and(|extension| extension == "xml");
            let media_type = if is_xml { "text/xml" } else { "text/html; charset=utf-8" };
            (media_type, fs::read(path).expect("it reads"))
        })
        .collect();
    let bytes: usize = pages.iter().map(|(_, page)| page.len()).sum();
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for (media_type, page) in &pages {
            black_box(extractor.extract(page, Some(media_type)));
        }
        best = best.min(started.elapsed());
    }
    println!("{}", best.as_nanos() as f64 / bytes.max(1) as f64);
}
