//! Classifies errors: gives each its kind and message, and tells whether it is transient.

use std::io;
use std::time::Duration;

use crate::error::io_error_in_words;
use crate::net::http::Malformed;
use crate::net::tls::words;
use crate::row::{Failure, FailureKind, Phase};

/// A failure, and whether another attempt may do better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) is_transient: bool,
}

impl Fault {
    /// Makes a fault that will be the same next time.
    pub(crate) fn permanent(kind: FailureKind, phase: Phase, message: impl Into<String>) -> Fault {
        Fault { failure: Failure::new(kind, phase, message), is_transient: false }
    }

    /// Says that the fault is the proxy's and not the host's.
    pub(crate) fn of_proxy(mut self, host: &str, port: u16) -> Fault {
        self.failure.message = format!("the proxy: {} ({host}:{port})", self.failure.message);
        self
    }

    /// Returns what `error` means when it comes in `phase`, for which `limit` was the time.
    pub(crate) fn new(error: &io::Error, phase: Phase, limit: Duration) -> Fault {
        let cause = error.get_ref();
        if let Some(error) = cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            let broken_off = matches!(error, rustls::Error::AlertReceived(_));
            let message = words::in_words(error);
            let failure = Failure::new(FailureKind::Tls, phase, message);
            return Fault { failure, is_transient: broken_off && phase != Phase::Tls };
        }
        if cause.is_some_and(|cause| cause.is::<Malformed>()) {
            return Fault::permanent(FailureKind::Protocol, phase, io_error_in_words(error));
        }
        if error.kind() == io::ErrorKind::TimedOut {
            return Fault::timed_out(phase, limit);
        }
        from_io(error, phase)
    }

    /// Returns the fault of a step that took too long. It is transient until the first byte of the
    /// response has come, like a connection that is refused: a server that hangs is often busy. One
    /// that sends too slowly was seen to do so again.
    pub(crate) fn timed_out(phase: Phase, limit: Duration) -> Fault {
        let doing = match phase {
            Phase::Resolve => "finding the host's address",
            Phase::Connect => "connecting",
            Phase::Tls => "agreeing on TLS",
            Phase::Request => "sending the request",
            Phase::Body => "reading the body",
            Phase::Response | Phase::Input | Phase::Extract | Phase::Internal => {
                "waiting for the response"
            }
        };
        let message = format!("still {doing} when its time of {limit:?} was up");
        let is_transient = !matches!(phase, Phase::Body);
        Fault { failure: Failure::new(FailureKind::Timeout, phase, message), is_transient }
    }
}

fn from_io(error: &io::Error, phase: Phase) -> Fault {
    let closed = is_closed(error);
    let (kind, is_transient) = match phase {
        Phase::Resolve => (FailureKind::Dns, true),
        Phase::Connect => (FailureKind::Connect, true),
        Phase::Tls => (FailureKind::Tls, closed),
        Phase::Body => (FailureKind::Body, closed),
        _ => (FailureKind::Protocol, closed),
    };
    Fault { failure: Failure::new(kind, phase, io_error_in_words(error)), is_transient }
}

/// Tells whether the other side closed the connection.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    #[test]
    fn the_phase_says_what_an_io_error_means() {
        for (phase, kind) in [
            (Phase::Resolve, FailureKind::Dns),
            (Phase::Connect, FailureKind::Connect),
            (Phase::Tls, FailureKind::Tls),
            (Phase::Request, FailureKind::Protocol),
            (Phase::Response, FailureKind::Protocol),
            (Phase::Body, FailureKind::Body),
        ] {
            let fault = Fault::new(&io::ErrorKind::ConnectionReset.into(), phase, LIMIT);
            assert_eq!((fault.failure.kind, fault.failure.phase), (kind, phase));
            assert!(fault.is_transient);
        }
    }

    #[test]
    fn a_timeout_says_what_was_being_done_and_which_time_was_up() {
        let fault = |phase| Fault::new(&io::ErrorKind::TimedOut.into(), phase, LIMIT);
        let body = fault(Phase::Body);

        assert_eq!(body.failure.kind, FailureKind::Timeout);
        assert_eq!(body.failure.message, "still reading the body when its time of 3s was up");
        assert!(!body.is_transient);
        for phase in [Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Request, Phase::Response] {
            assert!(fault(phase).is_transient, "{phase}");
        }
    }

    #[test]
    fn what_is_not_http_breaks_the_protocol_in_any_phase() {
        let fault = Fault::new(&Malformed("what".to_owned()).into(), Phase::Body, LIMIT);

        assert_eq!(fault, Fault::permanent(FailureKind::Protocol, Phase::Body, "what"));
    }

    #[test]
    fn an_error_of_tls_is_one_in_any_phase() {
        let error = io::Error::other(rustls::Error::HandshakeNotComplete);
        let fault = Fault::new(&error, Phase::Response, LIMIT);

        assert_eq!((fault.failure.kind, fault.failure.phase), (FailureKind::Tls, Phase::Response));
    }
}
