//! Words the line that a run ends with: what it wrote, how fast, and what to type to go on.

use std::time::Duration;

use crate::args::UrlListArgs;
use crate::messages::count;

/// The seconds that the rate of a run is at least computed for.
const SECONDS_MIN: f64 = 1e-3;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every line has its row.
    Complete,
    /// A signal ended it.
    Interrupted,
    /// The rest of the list or of the rows could not be read or written. An error has said so.
    Failed,
}

/// The rows that a run has written, and those that were there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) rows: u64,
    /// The errors among the rows by kind, most first.
    pub(super) errors: Vec<(&'static str, u64)>,
    pub(super) earlier: u64,
    pub(super) earlier_errors: u64,
    /// The rows that were ready and would have left a gap in an ordered run.
    pub(super) held_back: u64,
    /// The responses that came from a cache, and those of them that a server said to be valid.
    pub(super) cached: u64,
    pub(super) validated: u64,
    pub(super) elapsed: Duration,
}

/// What another run can do with the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumption {
    /// Whether the output can be gone on with.
    pub(super) is_possible: bool,
    /// Whether the command had `--force`, which `--resume` takes the place of.
    pub(super) replaces_force: bool,
    /// Whether the errors that were there before are asked for again.
    pub(super) retries_errors: bool,
}

impl Resumption {
    pub(super) fn of(args: &UrlListArgs, is_possible: bool) -> Resumption {
        Resumption { is_possible, replaces_force: args.force, retries_errors: args.retry_errors }
    }
}

impl Written {
    pub(super) fn error_count(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }

    /// Returns how many lines of a whole list are left with an error.
    pub(super) fn errors_left(&self, resumption: Resumption) -> u64 {
        // Errors that were asked for again have new rows.
        let earlier = if resumption.retries_errors { 0 } else { self.earlier_errors };
        self.error_count() + earlier
    }

    /// Returns the line.
    pub(super) fn line(&self, end: End, resumption: Resumption) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.rows as f64 / seconds.max(SECONDS_MIN);
        let mut line = match end {
            End::Complete => String::new(),
            End::Interrupted => "interrupted after ".to_owned(),
            End::Failed => "ended after ".to_owned(),
        };
        line += &format!("{}, {}", count(self.rows, "row"), count(self.error_count(), "error"));
        if !self.errors.is_empty() {
            let kinds = self.errors.iter().map(|(kind, count)| format!("{count} {kind}"));
            line += &format!(" ({})", kinds.collect::<Vec<_>>().join(", "));
        }
        line += &format!(" in {seconds:.2} s ({rate:.0} rows/s)");
        line += &from_cache(self.cached, self.validated);
        line += &self.before(resumption);
        line += &match self.held_back {
            0 => String::new(),
            1 => ", 1 row was ready and would have left a gap".to_owned(),
            rows => format!(", {rows} rows were ready and would have left a gap"),
        };
        if let Some(hint) = self.hint(end, resumption) {
            line += &format!("; {hint}");
        }
        line
    }

    /// Words the rows that were there before.
    fn before(&self, resumption: Resumption) -> String {
        let rows = match self.earlier {
            0 => return String::new(),
            1 => ", 1 row was there before".to_owned(),
            rows => format!(", {rows} rows were there before"),
        };
        let again = if resumption.retries_errors { " that was requested again" } else { "" };
        let all_again = if resumption.retries_errors { " that were requested again" } else { "" };
        match self.earlier_errors {
            0 => rows,
            1 => format!("{rows}, 1 of them an error{again}"),
            errors => format!("{rows}, {errors} of them errors{all_again}"),
        }
    }

    /// Returns what to type to go on.
    fn hint(&self, end: End, resumption: Resumption) -> Option<String> {
        let instead = if resumption.replaces_force { " instead of --force" } else { "" };
        match (end, resumption.is_possible) {
            (End::Complete, true) if self.errors_left(resumption) > 0 => {
                Some(format!("--resume --retry-errors{instead} requests the errors again"))
            }
            (End::Complete, _) if self.rows + self.earlier == 0 => {
                Some("no line was to be requested".to_owned())
            }
            (End::Complete, _) => None,
            (_, true) => Some(format!("--resume{instead} goes on")),
            (End::Interrupted, false) => {
                Some("with rows in a file, as by -o rows.jsonl, --resume would go on".to_owned())
            }
            (End::Failed, false) => None,
        }
    }
}

/// Words the responses that came from a cache.
pub(in crate::cmd) fn from_cache(cached: u64, validated: u64) -> String {
    match (cached, validated) {
        (0, _) => String::new(),
        (_, 0) => format!(", {} from the cache", count(cached, "response")),
        _ => format!(", {} from the cache ({validated} validated)", count(cached, "response")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Resumption =
        Resumption { is_possible: true, replaces_force: false, retries_errors: false };

    fn written(rows: u64, errors: &[(&'static str, u64)]) -> Written {
        Written {
            rows,
            errors: errors.to_vec(),
            earlier: 0,
            earlier_errors: 0,
            held_back: 0,
            cached: 0,
            validated: 0,
            elapsed: Duration::from_millis(500),
        }
    }

    #[test]
    fn the_line_says_how_the_run_ended_and_what_to_type() {
        let pipe = Resumption { is_possible: false, ..FILE };
        let forced = Resumption { replaces_force: true, ..FILE };
        let errors = [("connect", 2), ("url", 1)];
        let before = Written { earlier: 5, earlier_errors: 1, ..written(0, &[]) };
        let cached = Written { cached: 3, validated: 1, ..written(2, &[]) };
        let held_back = Written { held_back: 2, ..written(1, &[]) };
        let retried = Resumption { retries_errors: true, ..FILE };
        for (written, end, resumption, line) in [
            (written(1, &[]), End::Complete, FILE, "1 row, 0 errors in 0.50 s (2 rows/s)"),
            (
                written(10, &errors),
                End::Complete,
                FILE,
                "10 rows, 3 errors (2 connect, 1 url) in 0.50 s (20 rows/s); \
                 --resume --retry-errors requests the errors again",
            ),
            (
                written(10, &errors),
                End::Complete,
                pipe,
                "10 rows, 3 errors (2 connect, 1 url) in 0.50 s (20 rows/s)",
            ),
            (
                written(3, &[]),
                End::Interrupted,
                forced,
                "interrupted after 3 rows, 0 errors in 0.50 s (6 rows/s); \
                 --resume instead of --force goes on",
            ),
            (
                cached,
                End::Complete,
                FILE,
                "2 rows, 0 errors in 0.50 s (4 rows/s), 3 responses from the cache (1 validated)",
            ),
            (
                held_back,
                End::Interrupted,
                pipe,
                "interrupted after 1 row, 0 errors in 0.50 s (2 rows/s), 2 rows were ready and \
                 would have left a gap; with rows in a file, as by -o rows.jsonl, --resume would go on",
            ),
            (
                written(3, &[]),
                End::Failed,
                FILE,
                "ended after 3 rows, 0 errors in 0.50 s (6 rows/s); --resume goes on",
            ),
            (
                before.clone(),
                End::Complete,
                FILE,
                "0 rows, 0 errors in 0.50 s (0 rows/s), 5 rows were there before, 1 of them an \
                 error; --resume --retry-errors requests the errors again",
            ),
            (
                before,
                End::Complete,
                retried,
                "0 rows, 0 errors in 0.50 s (0 rows/s), 5 rows were there before, 1 of them an \
                 error that was requested again",
            ),
            (
                written(0, &[]),
                End::Complete,
                pipe,
                "0 rows, 0 errors in 0.50 s (0 rows/s); no line was to be requested",
            ),
        ] {
            assert_eq!(written.line(end, resumption), line);
        }
    }
}
