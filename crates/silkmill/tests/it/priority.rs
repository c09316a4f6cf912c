//! The order of tasks, step by step: whatever is submitted when, it keeps what `Priority` promises.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};

use proptest::prelude::*;
use silkmill::{Priority, ThreadPoolExecutor};

use crate::pool;

/// The highest comes first.
const CLASSES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// The number of times a class may be passed over before it is served: eight, and once more when
/// two have been.
const PASSED_OVER: std::ops::RangeInclusive<usize> = 8..=9;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Of the class with this number.
    Submit(usize),
    /// The running task ends, so the next one starts.
    Next,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(0usize..3).prop_map(Step::Submit), Just(Step::Next)]
}

/// One worker, whose tasks report that they have started and end when the test says so.
struct Stepwise<'a> {
    pool: &'a ThreadPoolExecutor,
    started: Sender<(usize, Sender<()>)>,
}

impl Stepwise<'_> {
    fn submit(&self, class: usize, number: usize) {
        let started = self.started.clone();
        let (end, ended) = channel();
        drop(self.pool.task().priority(CLASSES[class]).submit(move || {
            // When the test has failed it no longer listens, and would never end this task.
            if started.send((number, end)).is_ok() {
                let _ = ended.recv();
            }
        }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_task_is_of_the_highest_class_or_of_one_that_was_passed_over(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let pool = pool(1);
        let (started, has_started) = channel();
        let stepwise = Stepwise { pool: &pool, started };
        let mut waiting: [VecDeque<usize>; 3] = Default::default();
        let mut passed_over = [0; 3];
        stepwise.submit(1, usize::MAX);
        let (_, mut end) = has_started.recv().unwrap();
        let mut submitted = 0..;
        let rest = std::iter::repeat_n(Step::Next, steps.len());
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Submit(class) => {
                    let number = submitted.next().unwrap();
                    waiting[class].push_back(number);
                    stepwise.submit(class, number);
                }
                Step::Next => {
                    let Some(highest) = waiting.iter().position(|class| !class.is_empty()) else {
                        continue;
                    };
                    end.send(()).unwrap();
                    let number;
                    (number, end) = has_started.recv().unwrap();

                    let class = waiting.iter().position(|class| class.front() == Some(&number));
                    prop_assert!(class.is_some(), "{} is not the first of its class: {:?}", number, waiting);
                    let class = class.unwrap();
                    waiting[class].pop_front();
                    let was_due = passed_over[class] >= *PASSED_OVER.start();
                    prop_assert!(class == highest || was_due, "class {} before {}", class, highest);
                    passed_over[class] = 0;
                    for lower in highest + 1..CLASSES.len() {
                        if lower != class && !waiting[lower].is_empty() {
                            passed_over[lower] += 1;
                            prop_assert!(passed_over[lower] <= *PASSED_OVER.end(), "{} starves", lower);
                        }
                    }
                }
            }
        }
        drop(end);
    }
}
