//! Prints the events of a run as text or JSON, and shows its progress.

use std::io;
use std::path::PathBuf;

use silkmill_replace::{Action, Error, Event, Notice, Outcome, Summary};

use crate::args::{ReplaceArgs, When};
use crate::cmd::replace::json::Json;
use crate::cmd::replace::stdout::Stdout;
use crate::cmd::replace::text::{Listing, Text, Verbosity};
use crate::messages::count;
use crate::progress::ProgressLine;

/// Takes the events of a run, and reports its end.
pub(super) struct Output {
    format: Format,
    out: Stdout,
    progress: ProgressLine,
    dry_run: bool,
    quiet: bool,
    stats: bool,
    /// Where the patch of a dry run applies, until that has been said.
    patch_directory: Option<PathBuf>,
}

enum Format {
    Text(Text),
    Json(Json),
}

impl Format {
    fn new(args: &ReplaceArgs) -> Format {
        if args.json {
            return Format::Json(Json::new(args.rename || args.rename_only));
        }
        let verbosity = match (args.quiet, args.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let listing = match (args.files_with_matches, args.count) {
            (true, _) => Some(Listing::Names),
            (_, true) => Some(Listing::Counts),
            _ => None,
        };
        let listing = listing.map(|listing| (listing, args.null));
        Format::Text(Text::new(verbosity, is_coloured(args.color), listing))
    }
}

impl Output {
    pub(super) fn new(args: &ReplaceArgs) -> Output {
        let progress = if args.quiet || args.interactive { When::Never } else { args.progress };
        let mut progress = ProgressLine::new(progress);
        progress.show(|| "looking for files".to_owned());
        Output {
            format: Format::new(args),
            out: Stdout::new(),
            progress,
            dry_run: args.dry_run || args.lists_files(),
            quiet: args.quiet,
            stats: args.stats,
            patch_directory: None,
        }
    }

    /// Sets where the patch of a dry run applies, if not in the current directory.
    pub(super) fn applies_in(&mut self, directory: Option<PathBuf>) {
        self.patch_directory = directory;
    }

    /// Prints an event, or shows it as progress.
    pub(super) fn event(&mut self, event: Event<'_>) {
        if let (Format::Json(json), Event::Progress(now)) = (&mut self.format, &event) {
            json.progress(now);
        }
        match event {
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::Notice(Notice::ExcludedNothing { .. }) if self.quiet => {}
            Event::Notice(notice) => {
                let out = &mut self.out;
                self.progress.suspend(|| out.stderr(format_args!("silkmill: {notice}")));
            }
            Event::Progress(now) if now.files_committed > 0 => self.progress.show(|| {
                format!("{} of {} files replaced", now.files_committed, now.files_matched)
            }),
            Event::Progress(now) => self.progress.show(|| {
                format!("{} files read, {} with a match", now.files_seen, now.files_matched)
            }),
            _ => {}
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let (format, out) = (&mut self.format, &mut self.out);
        let is_patch = matches!(
            &outcome.action,
            Action::WouldChange { diff } | Action::WouldMove { diff } if !diff.is_empty()
        );
        let directory = if is_patch { self.patch_directory.take() } else { None };
        self.progress.suspend(|| match format {
            Format::Text(text) => {
                directory.iter().for_each(|directory| text.patch_directory(directory, out));
                text.outcome(outcome, out);
            }
            Format::Json(json) => json.outcome(outcome, out),
        });
    }

    /// Returns whether nothing is left to do, because this is a dry run whose diff can no longer be
    /// written. A run that changes files goes on without a reader.
    pub(super) fn is_abandoned(&self) -> bool {
        self.dry_run && self.out.error.is_some()
    }

    /// Removes the progress line, before the end of the run is reported.
    pub(super) fn clear_progress(&mut self) {
        self.progress.clear();
    }

    /// Reports a run that reached its end.
    pub(super) fn finish(&mut self, summary: &Summary) {
        match &self.format {
            Format::Text(text) => text.summary(summary, self.dry_run, &mut self.out),
            Format::Json(json) => json.summary(summary.run.as_deref(), &mut self.out),
        }
        self.stats(summary);
    }

    /// Reports a run whose OLD and NEW are the same.
    pub(super) fn nothing_to_do(&mut self, summary: &Summary) {
        match &self.format {
            Format::Text(text) => text.nothing_to_do(&mut self.out),
            Format::Json(json) => json.summary(summary.run.as_deref(), &mut self.out),
        }
        self.stats(summary);
    }

    /// Says what may have been meant.
    pub(super) fn hint(&mut self, hint: &str) {
        if !self.quiet {
            self.out.stderr(format_args!("silkmill: {hint}"));
        }
    }

    /// Reports why the run did not reach its end.
    pub(super) fn failure(&mut self, error: &Error) {
        if let Format::Json(json) = &self.format {
            json.summary(None, &mut self.out);
        }
        self.out.stderr(format_args!("silkmill: {error}"));
    }

    fn stats(&mut self, summary: &Summary) {
        let Some(stats) = summary.stats.filter(|_| self.stats) else { return };
        let phases = &summary.phases;
        let [staging, barrier, swapping, flushing] =
            [phases.staging, phases.barrier, phases.swapping, phases.flushing]
                .map(|time| format!("{:.3} s", time.as_secs_f64()));
        self.out.stderr(format_args!(
            "silkmill: {staging} to read and stage, {barrier} to flush, {swapping} to swap, {flushing} to flush that"
        ));
        // Small files are edited by the threads that walk the tree, and are no tasks of a worker.
        if stats.completed > 0 {
            let (tasks, workers) =
                (count(stats.completed, "task"), count(stats.workers as u64, "worker"));
            let advice = stats.advice();
            self.out.stderr(format_args!("silkmill: {tasks} on {workers}; {advice}"));
        }
    }

    /// Flushes standard output. A reader that has closed it is not an error.
    pub(super) fn close(self) -> anyhow::Result<()> {
        self.out.close()
    }
}

fn is_coloured(color: When) -> bool {
    match color {
        When::Always => true,
        When::Never => false,
        // This function honours NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
        When::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}
