//! How an attempt ends, and what its end says: whether the host wants a pause, is down, or has no
//! HTTPS. Pure: the attempt is [`crate::fetch::attempt`]'s.

use std::time::Duration;

use crate::fetch::job::RedirectChain;
use crate::fetch::look::OfCrawl;
use crate::net::fault::Fault;
use crate::retry;
use crate::row::{FailureKind, Phase};

/// What the run learns about a host from an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Feedback {
    #[default]
    Unknown,
    Ok,
    /// The host asks to be left alone, perhaps for a certain time.
    Backoff(Option<Duration>),
    /// The host did not answer in time.
    TimedOut,
}

/// What a row says about whether its host is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The host was not asked, or nothing can be told.
    #[default]
    None,
    /// The host has answered.
    Answer,
    /// The host has not answered, or with a status that is transient, and no retry is left.
    Failure,
    /// The host has no HTTPS, and goes on to be asked by HTTP.
    NoHttps,
}

/// How an attempt ended, as far as it could be made at one host.
#[derive(Debug)]
pub(super) enum AttemptEnd {
    Page(Page),
    /// The attempt goes on at another host.
    Elsewhere,
    /// The host's robots.txt is known now, and asks for a pause.
    Later,
    /// The host may be requested by this process no more.
    Unleased,
}

/// Facts about a body that was read. Its bytes are in the client.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What the Fetch standard makes of the `Content-Type` headers.
    pub(super) content_type: Option<String>,
    pub(super) refresh: Option<String>,
    pub(super) bytes: u64,
    pub(super) truncated: bool,
    /// What a crawl needs to know besides.
    pub(super) of_crawl: Option<Box<OfCrawl>>,
}

/// Returns what an attempt teaches about the host that was requested last.
pub(super) fn feedback(chain: &RedirectChain, attempted: &Result<AttemptEnd, Fault>) -> Feedback {
    match (attempted, chain.status) {
        (Ok(AttemptEnd::Page(_)), Some(status)) if retry::is_refusal(status) => {
            Feedback::Backoff(chain.retry_after)
        }
        (Err(fault), _) if fault.is_transient && fault.failure.kind == FailureKind::Robots => {
            Feedback::Backoff(chain.retry_after)
        }
        (Err(fault), _) if fault.failure.kind == FailureKind::Timeout => Feedback::TimedOut,
        (Ok(_), Some(_)) => Feedback::Ok,
        _ => Feedback::Unknown,
    }
}

/// Returns what an attempt without a retry says about the host that was requested last.
pub(super) fn sign(status: Option<u16>, attempted: &Result<AttemptEnd, Fault>) -> Sign {
    use FailureKind::{Archive, Blocked, Host, Redirects, Robots, Url};
    let of_status = match status.is_some_and(retry::is_transient_status) {
        true => Sign::Failure,
        false => Sign::Answer,
    };
    match attempted {
        Ok(AttemptEnd::Page(_)) => of_status,
        Ok(AttemptEnd::Elsewhere) => Sign::Answer,
        Ok(AttemptEnd::Later | AttemptEnd::Unleased) => Sign::None,
        Err(fault) => match (fault.failure.kind, fault.failure.phase) {
            (Archive | Blocked | Host | Robots | Url, _) => Sign::None,
            (Redirects, _) => Sign::Answer,
            // The head of the response has come.
            (_, Phase::Body | Phase::Extract) => of_status,
            // The status, if there is one, is of the host that redirected here.
            _ => Sign::Failure,
        },
    }
}

/// Tells whether a server that was asked with `HEAD` may say something else with `GET`: some know
/// no `HEAD`.
pub(super) fn may_want_body(chain: &RedirectChain, attempted: &Result<AttemptEnd, Fault>) -> bool {
    match attempted {
        Ok(AttemptEnd::Page(_)) => chain.status.is_some_and(|status| status >= 400),
        Ok(AttemptEnd::Elsewhere | AttemptEnd::Later | AttemptEnd::Unleased) => false,
        Err(fault) => matches!(fault.failure.kind, FailureKind::Protocol | FailureKind::Body),
    }
}

/// Tells whether an attempt failed as where a server has no HTTPS, or none that works.
pub(super) fn has_no_https(chain: &RedirectChain, fault: &Fault) -> bool {
    use FailureKind::{Archive, Connect, Protocol, Timeout, Tls};
    let failure = &fault.failure;
    chain.status.is_none()
        && matches!(failure.kind, Archive | Connect | Tls | Timeout | Protocol)
        && matches!(failure.phase, Phase::Connect | Phase::Tls | Phase::Request | Phase::Response)
}

/// Tells whether an attempt failed before its request was sent.
pub(super) fn was_not_sent(chain: &RedirectChain, attempted: &Result<AttemptEnd, Fault>) -> bool {
    let is_early = |fault: &Fault| {
        fault.failure.kind == FailureKind::Robots
            || matches!(fault.failure.phase, Phase::Resolve | Phase::Connect | Phase::Tls)
    };
    chain.status.is_none() && attempted.as_ref().is_err_and(is_early)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_answers_is_told_from_one_that_does_not() {
        use FailureKind as Kind;
        let page = || Ok(AttemptEnd::Page(Page::default()));
        let fault = |kind, phase| Err(Fault::permanent(kind, phase, ""));
        for (status, attempted, expected) in [
            (Some(200), page(), Sign::Answer),
            (Some(404), page(), Sign::Answer),
            (Some(500), page(), Sign::Answer),
            (Some(429), page(), Sign::Failure),
            (Some(503), page(), Sign::Failure),
            (Some(200), fault(Kind::Body, Phase::Body), Sign::Answer),
            (Some(504), fault(Kind::Timeout, Phase::Body), Sign::Failure),
            (None, fault(Kind::Dns, Phase::Resolve), Sign::Failure),
            (None, fault(Kind::Connect, Phase::Connect), Sign::Failure),
            (None, fault(Kind::Tls, Phase::Tls), Sign::Failure),
            (None, fault(Kind::Timeout, Phase::Response), Sign::Failure),
            (None, fault(Kind::Protocol, Phase::Response), Sign::Failure),
            // Another host redirected here.
            (Some(302), fault(Kind::Connect, Phase::Connect), Sign::Failure),
            (Some(302), fault(Kind::Redirects, Phase::Response), Sign::Answer),
            (Some(302), Ok(AttemptEnd::Elsewhere), Sign::Answer),
            (None, Ok(AttemptEnd::Later), Sign::None),
            (None, fault(Kind::Robots, Phase::Request), Sign::None),
            (None, fault(Kind::Archive, Phase::Request), Sign::None),
            (None, fault(Kind::Blocked, Phase::Resolve), Sign::None),
            (None, fault(Kind::Host, Phase::Request), Sign::None),
        ] {
            assert_eq!(sign(status, &attempted), expected, "{status:?} {attempted:?}");
        }
    }
}
