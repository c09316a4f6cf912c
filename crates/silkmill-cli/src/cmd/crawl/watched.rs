//! The sink of a crawl that another program runs: rows go to the output, if there is one, and to
//! that program.

use std::io;
use std::ops::ControlFlow;

use silkmill_scrape::{CrawlSink, Edge, Progress, Row, Sink};

use crate::sink::marked::MarkedOutput;

pub(super) struct Watched<'a> {
    output: Option<MarkedOutput>,
    sink: &'a mut dyn Sink,
    /// Set once the other program wants no more.
    is_over: bool,
}

impl<'a> Watched<'a> {
    pub(super) fn new(output: Option<MarkedOutput>, sink: &'a mut dyn Sink) -> Watched<'a> {
        Watched { output, sink, is_over: false }
    }

    /// Returns the name of the output in messages.
    pub(super) fn name(&self) -> Option<&str> {
        self.output.as_ref().map(MarkedOutput::name)
    }
}

impl CrawlSink for Watched<'_> {
    fn row(&mut self, row: &Row) -> io::Result<()> {
        if let Some(output) = &mut self.output {
            output.write(row)?;
        }
        self.is_over |= self.sink.row(row.clone()).is_break();
        Ok(())
    }

    fn edge(&mut self, from: &Row, edge: &Edge) -> io::Result<()> {
        match &mut self.output {
            Some(output) => output.write_link(from, edge),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.output {
            Some(output) => output.sync(),
            None => Ok(Vec::new()),
        }
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.is_over { ControlFlow::Break(()) } else { self.sink.pause(progress) }
    }
}
