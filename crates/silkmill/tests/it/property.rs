//! Whatever is done to a pool, every future ends, and with what a naive executor would have given it.

use proptest::prelude::*;
use silkmill::{TaskErrorKind, ThreadPoolExecutor};

#[derive(Clone, Copy, Debug)]
enum Step {
    Return(u8),
    Panic,
    Cancel(usize),
    DropFuture(usize),
    Nested(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Return),
        1 => Just(Step::Panic),
        1 => (0usize..64).prop_map(Step::Cancel),
        1 => (0usize..64).prop_map(Step::DropFuture),
        1 => any::<u8>().prop_map(Step::Nested),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_future_ends_as_a_naive_executor_would_end_it(
        steps in proptest::collection::vec(step(), 1..64),
        workers in 1usize..4,
        capacity in proptest::option::of(1usize..4),
    ) {
        let mut builder = ThreadPoolExecutor::builder().max_workers(workers);
        if let Some(capacity) = capacity {
            builder = builder.queue_capacity(capacity);
        }
        let pool = std::sync::Arc::new(builder.build().unwrap());
        // What each future must end with, beside the future; `None` once it was dropped.
        let mut futures = Vec::new();
        for step in steps {
            match step {
                Step::Return(n) => futures.push(Some((Some(n), pool.submit(move || n)))),
                Step::Panic => {
                    let quietly = || std::panic::resume_unwind(Box::new("asked for"));
                    futures.push(Some((None, pool.submit(quietly))));
                }
                Step::Nested(n) => {
                    let inner = std::sync::Arc::clone(&pool);
                    let nested = move || inner.submit(move || n).result().unwrap();
                    futures.push(Some((Some(n), pool.submit(nested))));
                }
                Step::Cancel(which) => {
                    if let Some(Some((_, future))) = futures.get(which) {
                        future.cancel();
                    }
                }
                Step::DropFuture(which) => {
                    if let Some(place) = futures.get_mut(which) {
                        *place = None;
                    }
                }
            }
        }
        for (expected, future) in futures.into_iter().flatten() {
            let cancelled = future.cancelled();
            match future.result() {
                Ok(value) => prop_assert_eq!(Some(value), expected),
                Err(error) if cancelled => prop_assert_eq!(error.kind(), TaskErrorKind::Cancelled),
                Err(error) => {
                    prop_assert_eq!(error.message(), "asked for");
                    prop_assert_eq!(expected, None);
                }
            }
        }
        pool.shutdown();
        let stats = pool.stats();
        prop_assert_eq!(stats.submitted, stats.completed + stats.cancelled);
        prop_assert_eq!((stats.workers, stats.queued, stats.running), (0, 0, 0));
    }
}
