//! Counts the rows of a run, and words the counts as messages, during the run and after it.

use std::time::{Duration, Instant};

use silkmill_scrape::{Progress, Row, Summary, Timing};

use crate::cmd::url_list::histogram::Histogram;
use crate::cmd::url_list::hosts::Hosts;
use crate::messages::count;

/// The number of slow hosts that the progress line names.
const SLOWEST: usize = 3;
/// A host that takes less time than this is not called slow.
const SLOW_SECONDS: f64 = 0.5;

/// The name of a phase, and its time in a row.
type Phase = (&'static str, fn(&Timing) -> Option<Duration>);
const PHASES: [Phase; 5] = [
    ("dns", |timing| timing.dns),
    ("connect", |timing| timing.connect),
    ("tls", |timing| timing.tls),
    ("first byte", |timing| timing.first_byte),
    ("total", |timing| timing.total),
];

/// The counts and times of the rows so far.
pub(super) struct Tally {
    started: Instant,
    /// Rows that were in the file before the run.
    earlier: u64,
    /// Times, which are kept only for the progress line and for --stats.
    details: Option<Details>,
}

struct Details {
    hosts: Hosts,
    phases: [Histogram; PHASES.len()],
}

impl Tally {
    /// Starts to count. Times are kept only with `details`.
    pub(super) fn start(earlier: u64, details: bool) -> Tally {
        let new = || Details {
            hosts: Hosts::default(),
            phases: std::array::from_fn(|_| Histogram::new()),
        };
        Tally { started: Instant::now(), earlier, details: details.then(new) }
    }

    pub(super) fn count(&mut self, row: &Row) {
        let Some(details) = &mut self.details else { return };
        details.hosts.add(row.final_url.as_deref().unwrap_or(&row.url), row.elapsed);
        for (histogram, (_, time)) in details.phases.iter_mut().zip(PHASES) {
            if let Some(time) = time(&row.timing) {
                histogram.add(time);
            }
        }
    }

    /// Returns how far the run is, in one line.
    pub(super) fn message(&self, progress: &Progress) -> String {
        let counts = counts(progress.rows, progress.errors);
        let rate = progress.rows as f64 / self.started.elapsed().as_secs_f64().max(f64::EPSILON);
        let mut message = format!("{counts}, {} in flight, {rate:.0} rows/s", progress.in_flight);
        if self.earlier > 0 {
            message = format!("{} rows before, {message}", self.earlier);
        }
        let hosts = self.details.iter().flat_map(|details| details.hosts.slowest(SLOWEST));
        let slow: Vec<String> = hosts
            .filter(|(_, seconds)| *seconds >= SLOW_SECONDS)
            .map(|(host, seconds)| format!("{host} {seconds:.1} s"))
            .collect();
        if !slow.is_empty() {
            message += &format!(", slowest: {}", slow.join(", "));
        }
        message
    }

    /// Returns the totals of the run, in one line.
    pub(super) fn summary(&self, summary: &Summary) -> String {
        let seconds = summary.elapsed.as_secs_f64();
        let counts = counts(summary.rows, summary.errors);
        let rate = summary.rows as f64 / seconds.max(f64::EPSILON);
        let before = match self.earlier {
            0 => String::new(),
            1 => ", 1 row was there before".to_owned(),
            earlier => format!(", {earlier} rows were there before"),
        };
        let held_back = match summary.held_back {
            0 => String::new(),
            1 => ", 1 row was ready and would have left a gap".to_owned(),
            rows => format!(", {rows} rows were ready and would have left a gap"),
        };
        format!("silkmill: {counts} in {seconds:.2} s ({rate:.0} rows/s){before}{held_back}")
    }

    /// Returns a hint when all rows are of one host and `per_host` lets fewer threads request it
    /// than there are. A `per_host` of 0 means no limit.
    pub(super) fn one_host(&self, workers: usize, per_host: usize) -> Option<String> {
        let host = self.details.as_ref()?.hosts.only()?;
        (1..workers).contains(&per_host).then(|| {
            format!(
                "silkmill: all rows are of {host}, which --per-host {per_host} lets no more than {per_host} of \
                 {workers} threads ask at once; if it is yours, --per-host 0 is no limit"
            )
        })
    }

    /// Returns how long the phases of a request took, as a table.
    pub(super) fn phases(&self) -> String {
        let mut table = format!(
            "silkmill: {:<10}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "ms", "p50", "p90", "p99", "max", "requests"
        );
        for (histogram, (name, _)) in self.details.iter().flat_map(|d| d.phases.iter().zip(PHASES))
        {
            let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
            let figures = match histogram.count() {
                0 => ["-"; 4].map(str::to_owned),
                _ => [
                    millis(histogram.percentile(50)),
                    millis(histogram.percentile(90)),
                    millis(histogram.percentile(99)),
                    millis(histogram.max()),
                ],
            };
            table += &format!("\nsilkmill: {name:<10}");
            figures.iter().for_each(|figure| table += &format!("{figure:>9}"));
            table += &format!("{:>9}", histogram.count());
        }
        table
    }
}

fn counts(rows: u64, errors: u64) -> String {
    format!("{}, {}", count(rows, "row"), count(errors, "error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(url: &str, millis: u64) -> Row {
        let took = Duration::from_millis(millis);
        let timing = Timing { total: Some(took), ..Timing::default() };
        Row { url: url.to_owned(), elapsed: took, timing, ..Row::default() }
    }

    #[test]
    fn the_progress_names_slow_hosts() {
        let mut tally = Tally::start(0, true);
        let progress = Progress::default();
        tally.count(&row("http://quick/", 20));
        let message = tally.message(&progress);
        assert!(
            message.starts_with("0 rows, 0 errors, 0 in flight, ") && !message.contains("slowest")
        );

        tally.count(&row("http://slow/", 1500));
        tally.count(&row("http://slower/", 2500));
        assert!(tally.message(&progress).ends_with(", slowest: slower 2.5 s, slow 1.5 s"));
    }

    #[test]
    fn a_limit_that_binds_is_told_where_all_rows_are_of_one_host() {
        let mut tally = Tally::start(0, true);
        assert_eq!(tally.one_host(64, 8), None);
        tally.count(&row("http://a/1", 1));

        assert!(tally.one_host(64, 8).unwrap().contains("all rows are of a, which --per-host 8"));
        assert_eq!((tally.one_host(64, 0), tally.one_host(8, 8)), (None, None));
        tally.count(&row("http://b/1", 1));
        assert_eq!(tally.one_host(64, 8), None);
    }

    #[test]
    fn the_table_has_a_line_for_every_phase() {
        let mut tally = Tally::start(0, true);
        tally.count(&row("http://a/", 100));

        let table = tally.phases();

        let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["silkmill:", "dns", "-", "-", "-", "-", "0"]);
        assert_eq!(lines[5], ["silkmill:", "total", "100.0", "100.0", "100.0", "100.0", "1"]);
    }
}
