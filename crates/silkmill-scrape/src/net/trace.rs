//! What one request is doing at the moment, and how long its earlier steps took. It measures, and
//! never acts.

use std::time::{Duration, Instant};

use crate::row::{Phase, Timing};

/// The measurements of one request.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    started: Instant,
    phase: Phase,
    phase_started: Instant,
    timing: Timing,
}

impl Trace {
    pub(crate) fn begin() -> Trace {
        let now = Instant::now();
        Trace { started: now, phase: Phase::Resolve, phase_started: now, timing: Timing::default() }
    }

    /// Notes that the request goes on to `phase`, and how long the phase before it took.
    pub(crate) fn enter(&mut self, phase: Phase) {
        if self.phase == phase {
            return;
        }
        // Sending, and the start of the body, are not measured, which saves reads of the clock.
        if matches!(self.phase, Phase::Connect | Phase::Tls) || matches!(phase, Phase::Connect) {
            let now = Instant::now();
            let took = now - self.phase_started;
            match self.phase {
                Phase::Connect => self.timing.connect = Some(took),
                Phase::Tls => self.timing.tls = Some(took),
                _ => {}
            }
            self.phase_started = now;
        }
        self.phase = phase;
    }

    /// Notes that bytes came.
    pub(crate) fn received(&mut self) {
        if self.timing.first_byte.is_none() {
            self.timing.first_byte = Some(self.started.elapsed());
        }
    }

    /// Notes how long the lookup of the host took.
    pub(crate) fn looked_up(&mut self, took: Duration) {
        self.timing.dns = Some(took);
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Tells whether the first byte of the response has come.
    pub(crate) fn is_answered(&self) -> bool {
        self.timing.first_byte.is_some()
    }

    /// Returns the times so far, with the total up to now.
    pub(crate) fn timing(&self) -> Timing {
        Timing { total: Some(self.started.elapsed()), ..self.timing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(phases: &[Phase]) -> Timing {
        let mut trace = Trace::begin();
        phases.iter().for_each(|&phase| trace.enter(phase));
        trace.timing()
    }

    #[test]
    fn what_did_not_happen_has_no_time() {
        let used_again = reaches(&[Phase::Request, Phase::Response, Phase::Body]);
        assert_eq!((used_again.connect, used_again.tls, used_again.dns), (None, None, None));
        let plain = reaches(&[Phase::Connect, Phase::Request]);
        assert_eq!((plain.connect.is_some(), plain.tls), (true, None));
        let tls = reaches(&[Phase::Connect, Phase::Tls, Phase::Request]);
        assert!(tls.connect.is_some() && tls.tls.is_some());
    }

    #[test]
    fn the_first_byte_comes_once() {
        let mut trace = Trace::begin();
        assert!(!trace.is_answered());
        trace.received();
        let first = trace.timing().first_byte;
        trace.received();
        assert!(trace.is_answered() && trace.timing().first_byte == first);
    }
}
