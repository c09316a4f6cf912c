//! The thread of the engine that drives a run: inputs from the consumer, rows to it.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use silkmill_cli::Cookies;
use silkmill_scrape::{Input, Options, Progress, Row, Sink, Summary, run_into};

use crate::error::message_of;
use crate::scrape::hand_over::{Failed, HandOver};

/// The most rows that are kept before they are handed on together.
const BATCH: usize = 64;

/// Starts the thread.
pub(super) fn start(
    hand_over: &Arc<HandOver>,
    options: Options,
    cookies: Cookies,
) -> io::Result<()> {
    let hand_over = Arc::clone(hand_over);
    let drive = move || {
        let driven = catch_unwind(AssertUnwindSafe(|| drive(&hand_over, &options, &cookies)));
        hand_over.end(match driven {
            Ok(driven) => driven.map_err(Failed::Run),
            Err(payload) => Err(Failed::Defect(message_of(payload.as_ref()))),
        });
    };
    thread::Builder::new().name("silkmill-run".to_owned()).spawn(drive).map(drop)
}

fn drive(
    hand_over: &Arc<HandOver>,
    options: &Options,
    cookies: &Cookies,
) -> Result<Summary, String> {
    let inputs = Inputs { hand_over: Arc::clone(hand_over), ready: VecDeque::new() };
    let mut rows = Rows { hand_over: Arc::clone(hand_over), ready: Vec::with_capacity(BATCH) };
    let summary = run_into(inputs, options, &hand_over.cancel, &mut rows);
    hand_over.put(&mut rows.ready, None);
    let summary = summary.map_err(|error| error.to_string())?;
    cookies.write().map_err(|error| format!("{error:#}"))?;
    Ok(summary)
}

struct Inputs {
    hand_over: Arc<HandOver>,
    ready: VecDeque<Input>,
}

impl Iterator for Inputs {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        if self.ready.is_empty() {
            self.hand_over.next_inputs(&mut self.ready)?;
        }
        Some(self.ready.pop_front().unwrap_or_else(Input::waiting))
    }
}

struct Rows {
    hand_over: Arc<HandOver>,
    ready: Vec<Row>,
}

impl Sink for Rows {
    fn row(&mut self, row: Row) -> ControlFlow<()> {
        self.ready.push(row);
        if self.ready.len() >= BATCH {
            self.hand_over.put(&mut self.ready, None);
        }
        ControlFlow::Continue(())
    }

    fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.hand_over.put(&mut self.ready, Some(progress));
        ControlFlow::Continue(())
    }
}
