//! The reasons for which a link is not followed. Each is counted under its name.

/// Why a link is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// It leads to no page: `mailto:`, `javascript:`, `data:` and the like.
    Scheme,
    /// It is no URL.
    Invalid,
    /// It leads out of the scope.
    Scope,
    /// It matches what is excluded.
    Excluded,
    /// It matches nothing that is included.
    NotIncluded,
    /// The page asks that it is not followed.
    Nofollow,
    /// It leads to a file that a page shows and not to a page.
    Asset,
    /// Its URL is too long.
    TooLong,
    /// A segment of its path stands three times in a row.
    RepeatedSegment,
    /// The page has too many links before it.
    TooManyLinks,
    /// It is deeper than the crawl goes.
    TooDeep,
    /// The robots.txt of its host forbids it.
    Robots,
    /// The sitemap says that the page is older than what is wanted.
    TooOld,
}

impl Refusal {
    /// Every reason there is.
    pub const ALL: [Refusal; 13] = [
        Refusal::Scheme,
        Refusal::Invalid,
        Refusal::Scope,
        Refusal::Excluded,
        Refusal::NotIncluded,
        Refusal::Nofollow,
        Refusal::Asset,
        Refusal::TooLong,
        Refusal::RepeatedSegment,
        Refusal::TooManyLinks,
        Refusal::TooDeep,
        Refusal::Robots,
        Refusal::TooOld,
    ];

    /// Returns the name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Scheme => "scheme",
            Refusal::Invalid => "invalid",
            Refusal::Scope => "scope",
            Refusal::Excluded => "excluded",
            Refusal::NotIncluded => "not-included",
            Refusal::Nofollow => "nofollow",
            Refusal::Asset => "asset",
            Refusal::TooLong => "too-long",
            Refusal::RepeatedSegment => "repeated-segment",
            Refusal::TooManyLinks => "too-many-links",
            Refusal::TooDeep => "too-deep",
            Refusal::Robots => "robots",
            Refusal::TooOld => "too-old",
        }
    }
}

/// How many links were not followed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    pub(crate) fn add(&mut self, refusal: Refusal, count: u64) {
        self.0[refusal as usize] += count;
    }

    pub(crate) fn add_all(&mut self, others: &Refusals) {
        self.0.iter_mut().zip(others.0).for_each(|(mine, others)| *mine += others);
    }

    /// Returns how many links were not followed for this reason.
    pub fn count(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize]
    }

    /// Iterates over the reasons for which any link was not followed, with how many those were.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL
            .into_iter()
            .map(|refusal| (refusal, self.count(refusal)))
            .filter(|one| one.1 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let mut refusals = Refusals::default();
        for (count, refusal) in Refusal::ALL.into_iter().enumerate() {
            refusals.add(refusal, count as u64);
        }
        assert!(refusals.iter().map(|(_, count)| count).eq(1..Refusal::ALL.len() as u64));
        assert!(refusals.iter().all(|(refusal, _)| Refusal::ALL[refusal as usize] == refusal));
    }
}
