//! What a crawl says of a page that it wants: more than its URL.

use std::time::Instant;

use crate::input::lease::Lease;
use crate::run::throttle::Learned;

/// One page, or sitemap, that a crawl wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) url: String,
    pub(crate) purpose: Purpose,
    /// Whether the user named it.
    pub(crate) is_seed: bool,
    /// Whether a server on the Internet led here, and not the user.
    pub(crate) from_public_network: bool,
    /// The redirects that led here, one after another.
    pub(crate) hops: u32,
    /// The time before which it is not requested.
    pub(crate) not_before: Option<Instant>,
    /// What is known of how its host is to be asked.
    pub(crate) learned: Learned,
    /// Until when it may be requested.
    pub(crate) lease: Lease,
}

impl Ticket {
    /// Makes the ticket of a page beyond any crawl.
    pub(crate) fn to(url: String, from_public_network: bool) -> Ticket {
        Ticket {
            url,
            purpose: Purpose::Page,
            is_seed: false,
            from_public_network,
            hops: 0,
            not_before: None,
            learned: Learned::default(),
            lease: Lease::default(),
        }
    }
}

/// What a page is wanted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its row and its links.
    #[default]
    Page,
    /// Its status alone: it is beyond the scope, and only checked.
    Check,
    /// The pages that it lists.
    Sitemap,
}

impl Purpose {
    /// Returns the purpose that a frontier has written down as this number.
    pub(crate) fn of_number(number: i64) -> Purpose {
        match number {
            1 => Purpose::Check,
            2 => Purpose::Sitemap,
            _ => Purpose::Page,
        }
    }
}
