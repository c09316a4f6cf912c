//! What one request is doing right now, and when it did the rest. It measures; it never acts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::outcome::{Phase, Timing};

/// The notes of one request at a time, shared by a client and the parts it gives to `ureq`.
///
/// One worker's thread writes and reads it; the lock is there because `ureq` asks for `Sync`.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Mutex<Notes>>);

#[derive(Debug)]
struct Notes {
    started: Instant,
    phase: Phase,
    phase_started: Instant,
    timing: Timing,
    host_is_public: bool,
    redirected_by_public: bool,
}

impl Trace {
    pub(crate) fn new() -> Trace {
        let now = Instant::now();
        Trace(Arc::new(Mutex::new(Notes {
            started: now,
            phase: Phase::default(),
            phase_started: now,
            timing: Timing::default(),
            host_is_public: false,
            redirected_by_public: false,
        })))
    }

    /// Starts the notes of a new request.
    pub(crate) fn begin(&self, redirected_by_public: bool) {
        let now = Instant::now();
        *self.notes() = Notes {
            started: now,
            phase: Phase::Resolve,
            phase_started: now,
            timing: Timing::default(),
            host_is_public: false,
            redirected_by_public,
        };
    }

    /// Notes that the request goes on to `phase`, and what the one before it took.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut notes = self.notes();
        if notes.phase == phase {
            return;
        }
        let took = notes.phase_started.elapsed();
        match notes.phase {
            Phase::Connect => notes.timing.connect = Some(took),
            Phase::Tls => notes.timing.tls = Some(took),
            _ => {}
        }
        notes.phase = phase;
        notes.phase_started = Instant::now();
    }

    /// Notes that bytes were asked for; while the request is being sent that is its end.
    pub(crate) fn awaits(&self) {
        if self.phase() == Phase::Request {
            self.enter(Phase::Response);
        }
    }

    /// Notes that bytes came.
    pub(crate) fn received(&self) {
        let mut notes = self.notes();
        if notes.timing.first_byte.is_none() {
            notes.timing.first_byte = Some(notes.started.elapsed());
        }
    }

    /// Notes what it took to find a host's addresses.
    pub(crate) fn looked_up(&self, took: Duration) {
        self.notes().timing.dns = Some(took);
    }

    /// Notes whether any of the host's addresses is on the Internet.
    pub(crate) fn resolved(&self, host_is_public: bool) {
        self.notes().host_is_public = host_is_public;
    }

    pub(crate) fn phase(&self) -> Phase {
        self.notes().phase
    }

    /// Whether this request, or one that led to it, went to a host on the Internet.
    pub(crate) fn went_public(&self) -> bool {
        let notes = self.notes();
        notes.host_is_public || notes.redirected_by_public
    }

    pub(crate) fn redirected_by_public(&self) -> bool {
        self.notes().redirected_by_public
    }

    /// Whether the request went over a connection that was there before, and nothing came back.
    pub(crate) fn is_unanswered_reuse(&self) -> bool {
        let notes = self.notes();
        let sent = matches!(notes.phase, Phase::Request | Phase::Response);
        sent && notes.timing.connect.is_none() && notes.timing.first_byte.is_none()
    }

    /// The times so far, with the total up to now.
    pub(crate) fn timing(&self) -> Timing {
        let notes = self.notes();
        Timing { total: Some(notes.started.elapsed()), ..notes.timing }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(phases: &[Phase]) -> Trace {
        let trace = Trace::new();
        trace.begin(false);
        phases.iter().for_each(|&phase| trace.enter(phase));
        trace
    }

    #[test]
    fn a_plain_connection_has_no_tls_time() {
        let trace = reaches(&[Phase::Connect, Phase::Request]);

        assert!(trace.timing().connect.is_some());
        assert_eq!((trace.timing().tls, trace.timing().dns), (None, None));
    }

    #[test]
    fn a_used_connection_that_says_nothing_is_told_from_a_new_one() {
        assert!(reaches(&[Phase::Request]).is_unanswered_reuse());
        assert!(!reaches(&[Phase::Connect, Phase::Request]).is_unanswered_reuse());
        let answered = reaches(&[Phase::Request, Phase::Response]);
        answered.received();
        assert!(!answered.is_unanswered_reuse());
    }

    #[test]
    fn a_public_host_is_remembered_from_redirect_to_redirect() {
        let trace = Trace::new();
        trace.begin(false);
        trace.resolved(false);
        assert!(!trace.went_public());

        trace.resolved(true);
        assert!(trace.went_public());
        trace.begin(true);
        trace.resolved(false);
        assert!(trace.went_public());
    }

    #[test]
    fn waiting_for_bytes_ends_the_sending_and_nothing_else() {
        let sending = reaches(&[Phase::Request]);
        sending.awaits();
        assert_eq!(sending.phase(), Phase::Response);

        let reading = reaches(&[Phase::Request, Phase::Body]);
        reading.awaits();
        assert_eq!(reading.phase(), Phase::Body);
    }
}
