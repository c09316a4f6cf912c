//! Where the events of a run go: to standard output as text or JSON, and to the progress line.

use std::io;

use silkmill_replace::{Error, Event, Outcome, Summary};

use crate::args::{ReplaceArgs, When};
use crate::cmd::replace::json::Json;
use crate::cmd::replace::stdout::Stdout;
use crate::cmd::replace::text::{Text, Verbosity};
use crate::messages::count;
use crate::progress::Meter;

/// Where a run's events go.
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) out: Stdout,
    pub(super) meter: Meter,
}

pub(super) enum Format {
    Text(Text),
    Json(Json),
}

impl Format {
    pub(super) fn new(args: &ReplaceArgs) -> Format {
        if args.json {
            return Format::Json(Json::new());
        }
        let verbosity = match (args.quiet, args.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Format::Text(Text::new(verbosity, is_coloured(args.color)))
    }
}

impl Output {
    pub(super) fn tell(&mut self, event: Event<'_>) {
        if let (Format::Json(json), Event::Progress(now)) = (&mut self.format, &event) {
            json.progress(now);
        }
        match event {
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::Notice(notice) => {
                let out = &mut self.out;
                self.meter.suspend(|| out.aside(format_args!("silkmill: {notice}")));
            }
            Event::Progress(now) if now.files_committed > 0 => self.meter.show(|| {
                format!("{} of {} files replaced", now.files_committed, now.files_matched)
            }),
            Event::Progress(now) => self.meter.show(|| {
                format!("{} files read, {} with a match", now.files_seen, now.files_matched)
            }),
            _ => {}
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let (format, out) = (&mut self.format, &mut self.out);
        self.meter.suspend(|| match format {
            Format::Text(text) => text.outcome(outcome, out),
            Format::Json(json) => json.outcome(outcome, out),
        });
    }

    pub(super) fn finish(
        &mut self,
        summary: &Summary,
        nothing_to_do: bool,
        dry_run: bool,
        stats: bool,
    ) {
        match &self.format {
            Format::Text(text) if nothing_to_do => text.nothing_to_do(&mut self.out),
            Format::Text(text) => text.summary(summary, dry_run, &mut self.out),
            Format::Json(json) => json.summary(summary.run.as_deref(), &mut self.out),
        }
        if stats && let Some(stats) = summary.stats {
            let (tasks, workers) =
                (count(stats.completed, "task"), count(stats.workers as u64, "worker"));
            let phases = &summary.phases;
            let [staging, barrier, swapping, flushing] =
                [phases.staging, phases.barrier, phases.swapping, phases.flushing]
                    .map(|time| format!("{:.3} s", time.as_secs_f64()));
            self.out.aside(format_args!(
                "silkmill: {staging} to read and stage, {barrier} to flush, {swapping} to swap, {flushing} to flush that"
            ));
            // Small files need no worker: those that walk the tree settle them.
            if stats.completed > 0 {
                let advice = stats.advice();
                self.out.aside(format_args!("silkmill: {tasks} on {workers}; {advice}"));
            }
        }
    }

    /// Tells why the run did not come to its end.
    pub(super) fn give_up(&mut self, error: &Error) {
        if let Format::Json(json) = &self.format {
            json.summary(None, &mut self.out);
        }
        self.out.aside(format_args!("silkmill: {error}"));
    }
}

fn is_coloured(color: When) -> bool {
    match color {
        When::Always => true,
        When::Never => false,
        // Knows NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
        When::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}
