//! Reads what `ureq` says went wrong: what to call it, and whether it may pass.

use std::io;
use std::time::Duration;

use ureq::Timeout;

use crate::connection::Blocked;
use crate::options::Options;
use crate::outcome::{Failure, FailureKind, Phase};

/// A failure, and whether another attempt may do better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) may_pass: bool,
}

impl Fault {
    /// A failure that will be the same next time.
    pub(crate) fn lasting(kind: FailureKind, phase: Phase, message: impl Into<String>) -> Fault {
        Fault { failure: Failure::new(kind, phase, message), may_pass: false }
    }

    /// What `error` means when it comes in `phase` of an attempt under `options`.
    pub(crate) fn new(error: ureq::Error, phase: Phase, options: &Options) -> Fault {
        use FailureKind as Kind;
        let message = match &error {
            ureq::Error::Io(error) => io_error_in_words(error),
            // The kind of the failure says that it is the protocol's.
            ureq::Error::Protocol(error) => error.to_string(),
            error => error.to_string(),
        };
        let lasting = |kind| Fault::lasting(kind, phase, message.clone());
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                timed_out(phase, options.connect_timeout)
            }
            ureq::Error::Timeout(_) => timed_out(phase, options.timeout),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                timed_out(phase, options.timeout)
            }
            ureq::Error::Io(error) => from_io(&error, phase, message),
            ureq::Error::Other(why) if why.is::<Blocked>() => {
                Fault::lasting(Kind::Blocked, phase, why.to_string())
            }
            ureq::Error::HostNotFound => lasting(Kind::Dns),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => lasting(Kind::Url),
            ureq::Error::Decompress(..) => lasting(Kind::Body),
            _ if phase == Phase::Tls => lasting(Kind::Tls),
            _ => lasting(Kind::Protocol),
        }
    }
}

/// Waiting longer for a connection may help; waiting as long again for a server that has the
/// request and says nothing has not been seen to.
fn timed_out(phase: Phase, limit: Duration) -> Fault {
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
    let may_pass = matches!(phase, Phase::Resolve | Phase::Connect);
    Fault { failure: Failure::new(FailureKind::Timeout, phase, message), may_pass }
}

fn from_io(error: &io::Error, phase: Phase, message: String) -> Fault {
    let closed = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    );
    let (kind, may_pass) = match phase {
        Phase::Resolve => (FailureKind::Dns, true),
        Phase::Connect => (FailureKind::Connect, true),
        Phase::Tls => (FailureKind::Tls, closed),
        Phase::Body => (FailureKind::Body, closed),
        _ => (FailureKind::Protocol, closed),
    };
    Fault { failure: Failure::new(kind, phase, message), may_pass }
}

/// An I/O error as our errors are worded: no capital, no number of the operating system.
pub(crate) fn io_error_in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    match (rest.next(), rest.as_str()) {
        // A word in capitals (TLS, DNS) stays one.
        (Some(first), more) if !more.starts_with(|next: char| next.is_uppercase()) => {
            first.to_lowercase().chain(more.chars()).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(error: impl Into<ureq::Error>, phase: Phase) -> Fault {
        let options = Options::fetch().timeout(Duration::from_secs(3));
        let options = options.connect_timeout(Duration::from_secs(1));
        Fault::new(error.into(), phase, &options)
    }

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
            let fault = fault(io::Error::from(io::ErrorKind::ConnectionReset), phase);
            assert_eq!((fault.failure.kind, fault.failure.phase), (kind, phase));
            assert!(fault.may_pass);
        }
    }

    #[test]
    fn a_timeout_says_what_was_being_done() {
        let fault = fault(io::Error::from(io::ErrorKind::TimedOut), Phase::Body);

        assert_eq!(fault.failure.kind, FailureKind::Timeout);
        assert!(fault.failure.message.starts_with("still reading the body"));
        assert!(fault.failure.message.contains("3s"));
        assert!(!fault.may_pass);
    }

    #[test]
    fn a_timeout_says_which_time_was_up() {
        let connecting = fault(ureq::Error::Timeout(Timeout::Connect), Phase::Connect);
        let all = fault(ureq::Error::Timeout(Timeout::Global), Phase::Connect);

        assert!(connecting.failure.message.contains("1s"), "{connecting:?}");
        assert!(all.failure.message.contains("3s"), "{all:?}");
        assert!(connecting.may_pass);
    }

    #[test]
    fn an_io_error_is_put_in_our_words() {
        assert_eq!(io_error_in_words(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(io_error_in_words(&io::Error::other("TLS is off")), "TLS is off");
    }
}
