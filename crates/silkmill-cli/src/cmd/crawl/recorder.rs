//! The sink of a crawl: writes the rows, and shows the progress.

use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

use silkmill_scrape::{CrawlSink, Edge, Progress, Row};

use crate::args::{UrlListArgs, When};
use crate::messages::count;
use crate::progress::ProgressLine;
use crate::sink::marked::MarkedOutput;

pub(super) struct Recorder {
    output: MarkedOutput,
    progress: ProgressLine,
    started: Instant,
    /// Rows that earlier runs wrote.
    earlier: u64,
}

impl Recorder {
    pub(super) fn new(output: MarkedOutput, args: &UrlListArgs, earlier: u64) -> Recorder {
        let when = if args.quiet { When::Never } else { args.progress };
        let progress = ProgressLine::new(when);
        Recorder { output, progress, started: Instant::now(), earlier }
    }

    /// Takes the progress away. Returns the name of the output in messages.
    pub(super) fn finish(mut self) -> String {
        self.progress.clear();
        self.output.name().to_owned()
    }
}

impl CrawlSink for Recorder {
    fn row(&mut self, row: &Row) -> io::Result<()> {
        self.output.write(row)
    }

    fn edge(&mut self, from: &Row, edge: &Edge) -> io::Result<()> {
        self.output.write_link(from, edge)
    }

    fn sync(&mut self) -> io::Result<Vec<u8>> {
        self.output.sync()
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        let (started, earlier) = (self.started, self.earlier);
        self.progress.show(|| {
            let rate = progress.rows as f64 / started.elapsed().as_secs_f64().max(f64::EPSILON);
            let rows = count(earlier + progress.rows, "row");
            let errors = count(progress.errors, "error");
            format!("{rows}, {errors}, {} in flight, {rate:.0} rows/s", progress.in_flight)
        });
        ControlFlow::Continue(())
    }
}
