//! Counts the rows of a run, and words how far it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use silkmill_scrape::{Failure, FailureKind, Progress, Row, Timing};

use crate::cmd::url_list::covered::{Covered, Total};
use crate::cmd::url_list::histogram::Histogram;
use crate::cmd::url_list::hosts::Hosts;
use crate::messages::{count, grouped};

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
    /// The kinds of the rows that were taken and not written yet, oldest first. The output bounds
    /// them: it writes when it holds many.
    unwritten: VecDeque<Option<FailureKind>>,
    /// The rows that were written.
    rows: u64,
    errors: Vec<KindOfError>,
    /// Times, which are kept only for the progress line and for --stats.
    details: Option<Details>,
}

/// The errors of one kind.
struct KindOfError {
    kind: FailureKind,
    /// Those that were written.
    count: u64,
    /// The URL and the failure of the first one.
    first: (String, Failure),
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
        Tally {
            started: Instant::now(),
            earlier,
            unwritten: VecDeque::new(),
            rows: 0,
            errors: Vec::new(),
            details: details.then(new),
        }
    }

    /// Counts a row that is given to the output.
    pub(super) fn take(&mut self, row: &Row) {
        self.unwritten.push_back(row.error.as_ref().map(|error| error.kind));
        if let Some(error) = &row.error
            && !self.errors.iter().any(|known| known.kind == error.kind)
        {
            let first = (row.url.clone(), error.clone());
            self.errors.push(KindOfError { kind: error.kind, count: 0, first });
        }
        let Some(details) = &mut self.details else { return };
        details.hosts.add(row.final_url.as_deref().unwrap_or(&row.url), row.elapsed);
        for (histogram, (_, time)) in details.phases.iter_mut().zip(PHASES) {
            if let Some(time) = time(&row.timing) {
                histogram.add(time);
            }
        }
    }

    /// Notes how many of the rows have been written, in the order in which they were taken.
    pub(super) fn note_written(&mut self, rows: u64) {
        while self.rows < rows
            && let Some(kind) = self.unwritten.pop_front()
        {
            self.rows += 1;
            if let Some(kind) = kind
                && let Some(known) = self.errors.iter_mut().find(|known| known.kind == kind)
            {
                known.count += 1;
            }
        }
    }

    /// Returns the number of rows that were written.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the errors that were written, by kind, most first.
    pub(super) fn errors(&self) -> Vec<(&'static str, u64)> {
        self.most_first().map(|known| (known.kind.name(), known.count)).collect()
    }

    /// Returns the first error of every kind, as lines.
    pub(super) fn first_errors(&self) -> impl Iterator<Item = String> {
        self.most_first().map(|known| {
            let (url, failure) = &known.first;
            format!("{}: {}, the first of {url:?}: {}", known.kind, known.count, failure.message)
        })
    }

    fn most_first(&self) -> impl Iterator<Item = &KindOfError> {
        let mut errors: Vec<_> = self.errors.iter().filter(|known| known.count > 0).collect();
        errors.sort_by_key(|known| (std::cmp::Reverse(known.count), known.kind.name()));
        errors.into_iter()
    }

    /// Returns how far the run is, in one line.
    pub(super) fn message(&self, progress: &Progress, covered: &Covered) -> String {
        let rate = progress.rows as f64 / self.started.elapsed().as_secs_f64().max(f64::EPSILON);
        let done = covered.taken.saturating_sub(progress.in_flight as u64);
        let of = |about: &str, all| {
            let rows = if done == 1 { "row" } else { "rows" };
            (format!("{} {rows} of {about}{}", grouped(done), grouped(all)), Some(all))
        };
        let (mut message, left) = match covered.total() {
            Total::Unknown => (count(progress.rows, "row"), None),
            Total::About(all) => of("about ", all),
            Total::Exactly(all) => of("", all),
        };
        if let Some(all) = left {
            let hundredths = (u128::from(done) * 100).checked_div(all.into()).unwrap_or(100);
            message += &format!(" ({}%)", hundredths.min(100));
        } else if self.earlier > 0 {
            message = format!("{} rows before, {message}", self.earlier);
        }
        message += &format!(", {}", count(progress.errors, "error"));
        message += &format!(", {} under way, {rate:.0} rows/s", progress.running);
        let seconds = left.map(|all| covered.own(all.saturating_sub(done)) / rate);
        if let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0) {
            message += &format!(", {} left", in_words(seconds));
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

/// Words a time for a reader who waits for its end.
fn in_words(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    match seconds {
        seconds if seconds < 2.0 * MINUTE => format!("{seconds:.0} s"),
        seconds if seconds < 2.0 * HOUR => format!("{:.0} min", seconds / MINUTE),
        seconds => format!("{:.0} h", seconds / HOUR),
    }
}

#[cfg(test)]
mod tests {
    use silkmill_scrape::Phase;

    use super::*;

    fn row(url: &str, millis: u64) -> Row {
        let took = Duration::from_millis(millis);
        let timing = Timing { total: Some(took), ..Timing::default() };
        Row { url: url.to_owned(), elapsed: took, timing, ..Row::default() }
    }

    #[test]
    fn the_progress_names_slow_hosts() {
        let mut tally = Tally::start(0, true);
        let (progress, covered) = (Progress::default(), Covered::default());
        tally.take(&row("http://quick/", 20));
        let message = tally.message(&progress, &covered);
        assert!(
            message.starts_with("0 rows, 0 errors, 0 under way, ") && !message.contains("slowest")
        );

        tally.take(&row("http://slow/", 1500));
        tally.take(&row("http://slower/", 2500));
        let message = tally.message(&progress, &covered);
        assert!(message.ends_with(", slowest: slower 2.5 s, slow 1.5 s"), "{message}");
    }

    #[test]
    fn the_progress_tells_how_much_of_the_list_is_done() {
        let tally = Tally::start(7, true);
        let mut progress = Progress::default();
        (progress.rows, progress.errors, progress.in_flight, progress.running) = (200, 1, 50, 8);
        let covered = Covered {
            taken: 300,
            of_others: 0,
            of_list: 300,
            list_bytes_read: 3_000,
            list_bytes: Some(12_000),
            is_all: false,
        };

        let message = tally.message(&progress, &covered);
        assert!(
            message.starts_with("250 rows of about 1,200 (20%), 1 error, 8 under way, "),
            "{message}"
        );
        assert!(message.ends_with(" left"), "{message}");
        let message = tally.message(&progress, &Covered { is_all: true, ..covered });
        assert!(message.starts_with("250 rows of 300 (83%), 1 error"), "{message}");
        let message = tally.message(&progress, &Covered { list_bytes: None, ..covered });
        assert!(message.starts_with("7 rows before, 200 rows, 1 error"), "{message}");
    }

    #[test]
    fn a_time_is_told_in_the_unit_that_a_reader_needs() {
        let words = [0.4, 119.0, 121.0, 7199.0, 7201.0, 1e6].map(in_words);
        assert_eq!(words, ["0 s", "119 s", "2 min", "120 min", "2 h", "278 h"]);
    }

    #[test]
    fn only_rows_that_were_written_are_counted_and_the_most_frequent_errors_come_first() {
        let mut tally = Tally::start(0, false);
        for (place, kind) in
            [None, Some(FailureKind::Dns), Some(FailureKind::Tls), Some(FailureKind::Tls)]
                .into_iter()
                .enumerate()
        {
            let error =
                kind.map(|kind| Failure { kind, phase: Phase::Resolve, message: "why".to_owned() });
            tally.take(&Row { error, ..row(&format!("http://{place}/"), 1) });
        }
        assert_eq!((tally.rows(), tally.errors()), (0, vec![]));
        tally.note_written(2);
        assert_eq!((tally.rows(), tally.errors()), (2, vec![("dns", 1)]));
        tally.note_written(4);
        assert_eq!((tally.rows(), tally.errors()), (4, vec![("tls", 2), ("dns", 1)]));
        let first: Vec<String> = tally.first_errors().collect();
        assert_eq!(first[0], "tls: 2, the first of \"http://2/\": why");
    }

    #[test]
    fn a_limit_that_binds_is_told_where_all_rows_are_of_one_host() {
        let mut tally = Tally::start(0, true);
        assert_eq!(tally.one_host(64, 8), None);
        tally.take(&row("http://a/1", 1));

        assert!(tally.one_host(64, 8).unwrap().contains("all rows are of a, which --per-host 8"));
        assert_eq!((tally.one_host(64, 0), tally.one_host(8, 8)), (None, None));
        tally.take(&row("http://b/1", 1));
        assert_eq!(tally.one_host(64, 8), None);
    }

    #[test]
    fn the_table_has_a_line_for_every_phase() {
        let mut tally = Tally::start(0, true);
        tally.take(&row("http://a/", 100));

        let table = tally.phases();

        let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["silkmill:", "dns", "-", "-", "-", "-", "0"]);
        assert_eq!(lines[5], ["silkmill:", "total", "100.0", "100.0", "100.0", "100.0", "1"]);
    }
}
