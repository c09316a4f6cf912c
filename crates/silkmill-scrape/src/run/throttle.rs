//! How fast a host is asked that does not say how fast it wants to be asked: as fast as it answers.
//!
//! The delay between two requests follows the time to the first byte, as Scrapy's AutoThrottle has
//! it. Only good answers make it shorter, and never by more than a quarter; a host that asks to be
//! left alone, or does not answer in time, has it doubled. Pure: it is told the times.

use std::time::Duration;

/// A host that answers sooner than this is not made to wait: the delay would take more than the
/// page.
const LATENCY_MIN: Duration = Duration::from_millis(5);
/// The shortest and the longest delay after a host has asked to be left alone.
const STRAINED_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(60);
/// The good answers after which one more request at once is allowed.
const ANSWERS_PER_REQUEST: u32 = 10;

/// What a throttle has learned of its host, for a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The moving average of the time to the first byte, if there is one.
    pub(crate) latency: Option<Duration>,
    pub(crate) delay: Duration,
}

/// The pace of one host.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    /// How many requests at once the delay is meant for, at least 1 in 1,000.
    target: f64,
    /// The moving average of the time to the first byte.
    latency: Option<Duration>,
    delay: Duration,
    answers: u32,
}

impl Throttle {
    pub(crate) fn new(target: f64) -> Throttle {
        Throttle { target: target.max(0.001), latency: None, delay: Duration::ZERO, answers: 0 }
    }

    /// Goes on where an earlier throttle of the same host was, but with one request at once, unless
    /// this one knows better already. Returns whether it does not.
    pub(crate) fn recall(&mut self, learned: Learned) -> bool {
        let is_fresh = self.learned() == Learned::default();
        if is_fresh {
            self.latency = learned.latency;
            self.delay = learned.delay.min(DELAY_MAX);
        }
        is_fresh
    }

    /// Returns what a later throttle of the same host is to know.
    pub(crate) fn learned(&self) -> Learned {
        Learned { latency: self.latency, delay: self.delay }
    }

    /// Returns the time between the starts of two requests.
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// Returns how many requests there may be at once.
    pub(crate) fn requests_max(&self) -> usize {
        (1 + self.answers / ANSWERS_PER_REQUEST) as usize
    }

    /// Notes a good answer, whose first byte came after `latency`.
    pub(crate) fn note_answer(&mut self, latency: Duration) {
        self.answers = self.answers.saturating_add(1);
        let average = match self.latency {
            None => latency,
            Some(average) if latency > average => average + (latency - average) / 4,
            Some(average) => average - (average - latency) / 8,
        };
        self.latency = Some(average);
        let wanted = if average < LATENCY_MIN { Duration::ZERO } else { average };
        let wanted = wanted.div_f64(self.target).min(DELAY_MAX);
        // The delay falls to nothing only from where it is next to nothing.
        let least = if self.delay < LATENCY_MIN { Duration::ZERO } else { self.delay * 3 / 4 };
        self.delay = wanted.max(least);
    }

    /// Notes that the host asks to be left alone, or does not answer in time.
    pub(crate) fn note_strain(&mut self) {
        self.delay = (self.delay * 2).clamp(STRAINED_MIN, DELAY_MAX);
        self.answers = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_host_is_asked_as_fast_as_it_answers() {
        let mut throttle = Throttle::new(1.0);
        assert_eq!((throttle.delay(), throttle.requests_max()), (Duration::ZERO, 1));
        throttle.note_answer(ms(200));
        assert_eq!(throttle.delay(), ms(200));
        throttle.note_answer(ms(400));
        assert_eq!(throttle.delay(), ms(250));
        (0..18).for_each(|_| throttle.note_answer(ms(250)));
        assert_eq!(throttle.requests_max(), 3);
        let mut two = Throttle::new(2.0);
        two.note_answer(ms(200));
        assert_eq!(two.delay(), ms(100));
    }

    #[test]
    fn a_host_that_answers_at_once_does_not_wait() {
        let mut throttle = Throttle::new(1.0);
        throttle.note_answer(ms(4));
        assert_eq!(throttle.delay(), Duration::ZERO);
    }

    #[test]
    fn strain_doubles_the_delay_and_only_answers_shorten_it() {
        let mut throttle = Throttle::new(1.0);
        throttle.note_answer(ms(20));
        let delays: Vec<u128> = (0..8)
            .map(|_| {
                throttle.note_strain();
                throttle.delay().as_secs().into()
            })
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(throttle.requests_max(), 1);
        throttle.note_answer(ms(20));
        assert_eq!(throttle.delay(), Duration::from_secs(45));
        (0..60).for_each(|_| throttle.note_answer(ms(1)));
        assert_eq!(throttle.delay(), Duration::ZERO);
    }

    #[test]
    fn what_was_learned_of_a_host_is_not_learned_again() {
        let mut throttle = Throttle::new(1.0);
        (0..20).for_each(|_| throttle.note_answer(ms(200)));
        throttle.note_strain();
        let mut later = Throttle::new(1.0);
        assert!(later.recall(throttle.learned()));
        assert_eq!((later.delay(), later.requests_max()), (Duration::from_secs(1), 1));
        assert!(throttle.requests_max() == 1 && later.learned() == throttle.learned());
        throttle.note_answer(ms(200));
        later.note_answer(ms(200));
        assert_eq!(later.delay(), throttle.delay());
        // What it has seen itself is newer.
        assert!(!later.recall(Learned { latency: Some(ms(9)), delay: ms(9) }));
        assert_eq!(later.delay(), ms(750));
        let mut bounded = Throttle::new(1.0);
        bounded.recall(Learned { latency: None, delay: Duration::MAX });
        assert_eq!(bounded.delay(), DELAY_MAX);
    }

    proptest! {
        #[test]
        fn a_throttle_that_goes_on_has_the_delays_of_one_that_never_stopped(steps in prop::collection::vec((prop::option::of(0..100_000u64), any::<bool>()), 0..60)) {
            let (mut whole, mut cut) = (Throttle::new(1.0), Throttle::new(1.0));
            for (step, is_cut) in steps {
                if is_cut {
                    let learned = cut.learned();
                    cut = Throttle::new(1.0);
                    cut.recall(learned);
                    prop_assert_eq!(cut.requests_max(), 1);
                }
                for throttle in [&mut whole, &mut cut] {
                    match step {
                        None => throttle.note_strain(),
                        Some(latency) => throttle.note_answer(ms(latency)),
                    }
                }
                prop_assert_eq!(cut.delay(), whole.delay());
            }
        }

        #[test]
        fn the_delay_has_bounds_and_follows_the_latency(steps in prop::collection::vec(prop::option::of(0..100_000u64), 0..60), more in 0..10_000u64) {
            let (mut one, mut slower) = (Throttle::new(1.0), Throttle::new(1.0));
            for step in steps {
                let before = one.delay();
                match step {
                    None => {
                        one.note_strain();
                        slower.note_strain();
                        prop_assert!(one.delay() >= before.max(STRAINED_MIN).min(DELAY_MAX));
                    }
                    Some(latency) => {
                        one.note_answer(ms(latency));
                        slower.note_answer(ms(latency + more));
                        prop_assert!(before < LATENCY_MIN || one.delay() >= before * 3 / 4);
                    }
                }
                prop_assert!(one.delay() <= DELAY_MAX && one.delay() <= slower.delay());
            }
        }
    }
}
