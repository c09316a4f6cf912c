//! What a response says that is not its body: where it redirects to, and when to come back; and
//! what is said of a page that could not be read.

use std::time::{Duration, SystemTime};

use crate::net::http::Head;
use crate::page::flaw::PageFlaw;
use crate::retry;
use crate::row::{Failure, FailureKind, Phase};

/// Returns where a response redirects to. An empty `Location` leads nowhere, and the response is
/// read as it is, as browsers do.
pub(super) fn location(head: &Head) -> Option<&str> {
    let location = head.location.as_deref().filter(|_| is_redirect(head.status));
    location.filter(|location| !location.is_empty())
}

pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Returns the wait that a server asks for, if its status is transient.
pub(super) fn retry_after(head: &Head) -> Option<Duration> {
    let header = head.retry_after.as_deref().filter(|_| retry::is_transient_status(head.status))?;
    retry::retry_after(header, SystemTime::now())
}

/// Returns the failure of a page of which a part could not be read: some fields cost too much, or
/// it breaks the rules of its language.
pub(super) fn unread(fields: &[String], flaw: Option<&PageFlaw>) -> Option<Failure> {
    let too_costly = fields.first().map(|name| match fields.len() {
        1 => format!("field {name:?} costs too much on this page"),
        count => format!("{count} fields cost too much on this page, the first of them {name:?}"),
    });
    let flaw = flaw.map(PageFlaw::to_string);
    let message = flaw.into_iter().chain(too_costly).collect::<Vec<_>>().join("; ");
    (!message.is_empty()).then(|| Failure::new(FailureKind::Body, Phase::Extract, message))
}
