//! Measures what pages cost: time and memory for every byte, of pages that are made to be expensive
//! and of the pages in the folders named as arguments. A page that costs too much is a finding, and
//! makes the program fail.
//!
//! ```text
//! cargo run --release -p silkmill-scrape --example cost -- fuzz/corpus/document
//! ```
//!
//! A page is read as it is, and then repeated until it is large: a cost that grows faster than the
//! page shows there.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use silkmill_scrape::{Extractor, Field};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most time for a byte of a page, and for any page at all.
const TIME_PER_BYTE: Duration = Duration::from_micros(1);
const TIME_FLOOR: Duration = Duration::from_millis(2);
/// The most memory for a byte of a page, and for any page. An extractor keeps much of the floor.
const MEMORY_PER_BYTE: usize = 64;
const MEMORY_FLOOR: usize = 1 << 20;
/// The most time for a page, however large it is.
const TIME_MAX: Duration = Duration::from_secs(2);
const MEMORY_MAX: usize = 64 << 20;
/// The size to which a page is repeated.
const REPEATED_BYTES: usize = 256 * 1024;
/// The rounds, of which the fastest counts: other programs had the processor, too.
const ROUNDS: usize = 3;

/// Returns the pages that the program makes up, and whether a part of each must be cut.
fn bombs() -> Vec<(&'static str, String, bool)> {
    let fonts: String = (0..3000).map(|size| format!("<font size={size}>")).collect();
    let attributes: String = (0..20_000).map(|number| format!(" a{number}=1")).collect();
    let many: String = (0..256).map(|number| format!(" a{number}")).collect();
    let bold: String = (0..100).map(|id| format!("<b id={id}{many}>")).collect();
    let open: String = (0..500).map(|id| format!("<b id={id}>")).collect();
    vec![
        ("100,000 nested elements", "<div>".repeat(100_000), true),
        ("1,000,000 nested elements", "<div>".repeat(1_000_000), true),
        ("nested formatting elements", "<b>".repeat(200_000), true),
        (
            "3,000 elements reopened 3,000 times",
            format!("<p>{fonts}{}", "</p><p>x".repeat(3000)),
            true,
        ),
        ("attributes reopened", format!("<p>{bold}{}", "</p><p>x".repeat(3000)), true),
        ("20,000 adoptions", "<b>".repeat(20_000) + &"</p>".repeat(20_000), true),
        ("an adoption agency loop", open + &"<div><b></div></b>".repeat(20_000), true),
        ("misnested links", "<a><div>".repeat(100_000), true),
        ("20,000 attributes", format!("<div{attributes}>x"), true),
        ("a tag that does not end", format!("<div{}", attributes.repeat(20)), true),
        ("body tags", (0..100_000).map(|n| format!("<body a{n}>")).collect(), true),
        ("5,000,000 elements", "<i></i>".repeat(5_000_000 / 4), true),
        ("fostered text", "<table>x<b>y".repeat(100_000), true),
        ("a table in a table", "<table><tr><td>".repeat(100_000), true),
        ("options", "<select><option>x".repeat(200_000), false),
        ("foreign elements", "<svg><g><path d=x /></g>".repeat(100_000), true),
        ("comments", "<!---->".repeat(500_000), false),
        ("templates", "<template>".repeat(100_000), true),
        ("references", "&nGt;".repeat(1_000_000), false),
    ]
}

fn main() -> ExitCode {
    let mut findings = 0;
    println!("{:<40}{:>12}{:>12}{:>10}{:>12}{:>8}", "page", "bytes", "ms", "ns/byte", "MB", "cut");
    for (name, bomb, is_cut) in bombs() {
        let cost = cost(format!("<title>T</title>{bomb}").as_bytes());
        cost.print(name);
        let is_right = cost.title.as_deref() == Some("T") && cost.truncated == is_cut;
        let is_bounded = cost.time <= TIME_MAX && cost.memory <= MEMORY_MAX;
        if !(is_right && is_bounded) {
            println!("  a finding: title {:?}, cut {}", cost.title, cost.truncated);
            findings += 1;
        }
    }
    let mut pages = 0;
    for folder in std::env::args().skip(1) {
        for entry in fs::read_dir(Path::new(&folder)).expect("the argument is a folder") {
            let path = entry.expect("the folder can be read").path();
            let page = fs::read(&path).expect("a page is a file");
            let repeated = page.repeat(REPEATED_BYTES / page.len().max(1));
            for page in [page, repeated] {
                let cost = cost(&page);
                if cost.is_too_much() {
                    cost.print(&path.display().to_string());
                    findings += 1;
                }
                pages += 1;
            }
        }
    }
    println!("{pages} pages of folders, {findings} findings");
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The cost of a page, and what was found in it.
struct Cost {
    bytes: usize,
    time: Duration,
    memory: usize,
    title: Option<String>,
    truncated: bool,
}

/// Reads a page with fields, so that all of it is parsed.
fn cost(page: &[u8]) -> Cost {
    let fields = ["//*[@id]", "count(//p)"].map(|text| Field::xpath(text).expect("it parses"));
    let extractor = Extractor::new(fields.into()).expect("the names differ");
    let mut cost =
        Cost { bytes: page.len(), time: Duration::MAX, memory: 0, title: None, truncated: false };
    for _ in 0..ROUNDS {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let started = Instant::now();
        let found = extractor.extract(page, Some("text/html; charset=utf-8"));
        cost.time = cost.time.min(started.elapsed());
        cost.memory = MEMORY.peak_usage() - before;
        (cost.title, cost.truncated) = (found.title, found.truncated);
    }
    cost
}

impl Cost {
    fn is_too_much(&self) -> bool {
        self.time > TIME_FLOOR + TIME_PER_BYTE * self.bytes as u32
            || self.memory > MEMORY_FLOOR + MEMORY_PER_BYTE * self.bytes
    }

    fn print(&self, name: &str) {
        println!(
            "{name:<40}{:>12}{:>12.1}{:>10.0}{:>12.1}{:>8}",
            self.bytes,
            self.time.as_secs_f64() * 1e3,
            self.time.as_secs_f64() * 1e9 / self.bytes.max(1) as f64,
            self.memory as f64 / f64::from(1 << 20),
            if self.truncated { "yes" } else { "" },
        );
    }
}
