//! Counts durations in bounded memory: in classes that are three per cent wide, as in HDR
//! histograms.

use std::time::Duration;

/// The number of classes in each doubling is 2⁵.
const CLASS_BITS: u32 = 5;
/// The longest time is 2⁴⁰ microseconds, which is twelve days.
const DOUBLINGS: u32 = 40;
const CLASSES: usize = ((DOUBLINGS - CLASS_BITS + 1) << CLASS_BITS) as usize;

/// Counts durations.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    max: Duration,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        Histogram { counts: vec![0; CLASSES].into(), count: 0, max: Duration::ZERO }
    }

    pub(super) fn add(&mut self, time: Duration) {
        self.counts[class_of(time.as_micros())] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// Returns the time that the given percentage of all durations does not exceed, to three per
    /// cent. It is zero when there are no durations.
    pub(super) fn percentile(&self, hundredths: u64) -> Duration {
        let rank = (self.count * hundredths).div_ceil(100).max(1);
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return last_of(class).min(self.max);
            }
        }
        self.max
    }
}

/// Returns the class of a time. Below 2⁵ microseconds each time has its own.
fn class_of(micros: u128) -> usize {
    let micros = micros.min((1 << DOUBLINGS) - 1) as u64;
    let doubling = (u64::BITS - micros.leading_zeros()).saturating_sub(CLASS_BITS + 1);
    ((u64::from(doubling) << CLASS_BITS) + (micros >> doubling)) as usize
}

/// Returns the longest time of a class.
fn last_of(class: usize) -> Duration {
    let class = class as u64;
    let doubling = (class >> CLASS_BITS).saturating_sub(1);
    let first = (class - (doubling << CLASS_BITS)) << doubling;
    Duration::from_micros(first + (1 << doubling) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_class_and_no_class_is_wider_than_three_per_cent() {
        let mut last = 0;
        for micros in (0..5000).chain((5000..1 << 34).step_by(99_999_989)) {
            let class = class_of(micros);
            assert!(class >= last && class < CLASSES);
            last = class;
            let end = last_of(class).as_micros();
            assert!(micros <= end && end - micros <= micros / 32, "{micros} {end}");
        }
        assert!(class_of(u128::MAX) < CLASSES);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50), Duration::ZERO);
        for millis in (1..=100).rev() {
            histogram.add(Duration::from_millis(millis));
        }

        for (hundredths, millis) in [(50, 50.0), (90, 90.0), (99, 99.0), (100, 100.0), (0, 1.0)] {
            let found = histogram.percentile(hundredths).as_secs_f64() * 1000.0;
            assert!((millis..=millis * 1.04).contains(&found), "{hundredths}: {found}");
        }
        assert_eq!((histogram.count(), histogram.max()), (100, Duration::from_millis(100)));
    }
}
