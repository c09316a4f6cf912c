//! Many pages through the frontier alone: what they cost, in time, memory and bytes of disk.

use std::collections::VecDeque;
use std::fs;
use std::time::Instant;

use super::*;

/// The variable that says how many pages there are; `cargo xtask bench crawl` sets it.
const VARIABLE: &str = "SILKMILL_FRONTIER_PAGES";
const PAGES: u64 = 3_000;
const LINKS: u64 = 20;
const HOSTS: u64 = 100;
/// The pages of a transaction.
const COMMIT_PAGES: u64 = 4096;
/// The most bytes of disk that a URL that was seen may take.
const BYTES_MAX: u64 = 150;

/// Returns the most memory that the process has had, in MB; 0 where the system does not tell.
fn memory_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

fn host_of(number: u64) -> String {
    format!("h{}.example:80", number % HOSTS)
}

/// Adds a page, as it is found in the page with the index `parent`.
fn add(job: &mut CrawlJob, number: u64, depth: u32, parent: Option<u64>) {
    let (host, url) = (
        host_of(number),
        format!("http://h{}.example/items/of/the/loom/{number}.html", number % HOSTS),
    );
    // The numbers spread over all hashes, as those of real URLs do.
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let origin = Origin { parent, ..Origin::default() };
    job.add(&NewUrl { url: &url, host: &host, hash, depth, origin }).unwrap();
}

fn number_of(url: &str) -> u64 {
    url.rsplit('/').next().and_then(|name| name.strip_suffix(".html")).unwrap().parse().unwrap()
}

#[test]
#[allow(clippy::print_stdout, reason = "the bench reads the figures")]
fn pages_go_through_the_frontier_at_a_bounded_cost() {
    let pages = std::env::var(VARIABLE).map_or(PAGES, |pages| pages.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    let mut job = CrawlJob::open(&path, &[]).unwrap();
    let started = Instant::now();
    add(&mut job, 0, 0, None);
    let mut reached = Reached::default();
    let mut hosts: VecDeque<LeasedHost> = VecDeque::new();
    let mut half_mb = 0.0;
    loop {
        if hosts.is_empty() {
            hosts = job.lease_hosts(64, 0, &|_| false).unwrap().into();
        }
        let Some(host) = hosts.pop_front() else { break };
        for Waiting { place, url, .. } in job.lease_urls(host.number, 64, 0, &|_| false).unwrap() {
            let number = number_of(&url);
            for link in 1..=LINKS {
                let to = (number * LINKS + link) % pages;
                add(&mut job, to, place.depth + 1, Some(reached.rows));
            }
            job.give_back(place, true).unwrap();
            reached.rows += 1;
            if reached.rows % COMMIT_PAGES == 0 {
                job.commit(&reached).unwrap();
            }
            if reached.rows == pages / 2 {
                half_mb = memory_mb();
            }
        }
    }
    job.commit(&reached).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!((reached.rows, job.is_empty().unwrap()), (pages, true));
    drop(job);
    let bytes = fs::metadata(&path).unwrap().len();
    println!(
        "frontier: {seconds:.3} {:.1} {half_mb:.1} {:.1}",
        bytes as f64 / pages as f64,
        memory_mb()
    );
    // The tables alone take some pages of the database.
    assert!(bytes <= pages * BYTES_MAX + 256 * 1024, "{bytes} bytes for {pages} URLs");
}
