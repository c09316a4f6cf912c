//! Whatever is done to a pool, every future ends, and with the result that a naive executor would
//! have given it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use silkmill::{Future, Priority, ReturnWhen, TaskError, TaskErrorKind, ThreadPoolExecutor, wait};

use crate::{occupy, patiently};

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
        let mut builder = ThreadPoolExecutor::builder().max_workers(workers).on_unread_error(|_| {});
        if let Some(capacity) = capacity {
            builder = builder.queue_capacity(capacity);
        }
        let pool = Arc::new(builder.build().unwrap());
        // The expected end of each future, beside it; `None` once the future was dropped.
        let mut futures = Vec::new();
        for step in steps {
            match step {
                Step::Return(n) => futures.push(Some((Some(n), pool.submit(move || n)))),
                Step::Panic => {
                    let quietly = || std::panic::resume_unwind(Box::new("asked for"));
                    futures.push(Some((None, pool.submit(quietly))));
                }
                Step::Nested(n) => {
                    let inner = Arc::clone(&pool);
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

/// A step of a program whose every result is known beforehand, because tasks run only at
/// [`Known::Run`] and [`Known::Map`]: until then all workers are kept busy.
#[derive(Clone, Debug)]
enum Known {
    Submit { how: How, high: bool, does: Does },
    Cancel(usize),
    DropFuture(usize),
    Run,
    Map { items: Vec<Does>, in_flight: usize, read: usize, ordered: bool },
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// Only where there is room, because it would wait.
    Submit,
    TrySubmit,
    NoTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    Return(u8),
    Panic,
}

impl Does {
    fn run(self) -> u8 {
        match self {
            Does::Return(n) => n,
            Does::Panic => std::panic::resume_unwind(Box::new("asked for")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Ran,
    Cancelled,
}

/// The naive executor: a list of all tasks ever taken, and the order in which they ran.
#[derive(Default)]
struct Naive {
    tasks: Vec<Planned>,
    order: Vec<usize>,
    /// The number of panics that can no longer be read.
    unread: usize,
}

struct Planned {
    high: bool,
    does: Does,
    state: State,
    dropped: bool,
}

impl Naive {
    fn queued(&self) -> usize {
        self.tasks.iter().filter(|task| task.state == State::Queued).count()
    }

    fn submit(&mut self, high: bool, does: Does) {
        self.tasks.push(Planned { high, does, state: State::Queued, dropped: false });
    }

    fn cancel(&mut self, which: usize) -> bool {
        let task = &mut self.tasks[which];
        if task.state == State::Queued {
            task.state = State::Cancelled;
        }
        task.state == State::Cancelled
    }

    fn drop_future(&mut self, which: usize) {
        let task = &mut self.tasks[which];
        task.dropped = true;
        self.unread += usize::from(task.state == State::Ran && task.does == Does::Panic);
    }

    fn run(&mut self) {
        for high in [true, false] {
            for (number, task) in self.tasks.iter_mut().enumerate() {
                if task.state == State::Queued && task.high == high {
                    task.state = State::Ran;
                    self.unread += usize::from(task.dropped && task.does == Does::Panic);
                    self.order.push(number);
                }
            }
        }
    }
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![4 => any::<u8>().prop_map(Does::Return), 1 => Just(Does::Panic)]
}

fn known() -> impl Strategy<Value = Known> {
    let how =
        prop_oneof![2 => Just(How::Submit), 1 => Just(How::TrySubmit), 1 => Just(How::NoTime)];
    let items = proptest::collection::vec(does(), 0..12);
    prop_oneof![
        8 => (how, any::<bool>(), does())
            .prop_map(|(how, high, does)| Known::Submit { how, high, does }),
        2 => (0usize..32).prop_map(Known::Cancel),
        2 => (0usize..32).prop_map(Known::DropFuture),
        1 => Just(Known::Run),
        1 => (items, 1usize..6, 0usize..16, any::<bool>()).prop_map(
            |(items, in_flight, read, ordered)| Known::Map { items, in_flight, read, ordered }
        ),
    ]
}

/// Returns what became of a task, as the reader of its result sees it.
fn seen(result: Result<u8, TaskError>) -> Option<Does> {
    match result {
        Ok(n) => Some(Does::Return(n)),
        Err(error) if error.is_panic() => Some(Does::Panic),
        Err(error) => {
            assert_eq!(error.kind(), TaskErrorKind::Cancelled);
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_queued_ends_and_is_refused_as_a_naive_executor_would_have_it(
        steps in proptest::collection::vec(known(), 1..64),
        workers in 1usize..4,
        capacity in proptest::option::of(1usize..8),
    ) {
        let unread = Arc::new(AtomicUsize::new(0));
        let mut builder = ThreadPoolExecutor::builder().max_workers(workers).on_unread_error({
            let unread = Arc::clone(&unread);
            move |_| _ = unread.fetch_add(1, Ordering::Relaxed)
        });
        if let Some(capacity) = capacity {
            builder = builder.queue_capacity(capacity);
        }
        let pool = builder.build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut naive = Naive::default();
        let mut futures: Vec<Option<Future<u8>>> = Vec::new();
        let keep_busy = || (0..workers).map(|_| occupy(&pool)).collect::<Vec<_>>();
        let mut busy = keep_busy();
        // The naive executor has no list of these tasks: those that keep workers busy, and items of
        // maps.
        let (mut others, mut unsure) = (workers, 0);
        for step in steps.into_iter().chain([Known::Run]) {
            match step {
                Known::Submit { how, high, does } => {
                    let number = futures.len();
                    let order = Arc::clone(&order);
                    let task = move || {
                        order.lock().unwrap().push(number);
                        does.run()
                    };
                    let has_room = capacity.is_none_or(|capacity| naive.queued() < capacity);
                    let priority = if high { Priority::High } else { Priority::Normal };
                    let options = pool.task().priority(priority);
                    let future = match how {
                        How::Submit if has_room => Ok(options.submit(task)),
                        How::Submit => continue,
                        How::TrySubmit => options.try_submit(task),
                        How::NoTime => options.submit_timeout(task, Duration::ZERO),
                    };
                    prop_assert_eq!(future.is_ok(), has_room);
                    if let Ok(future) = future {
                        naive.submit(high, does);
                        futures.push(Some(future));
                    }
                }
                Known::Cancel(which) => {
                    if let Some(Some(future)) = futures.get(which) {
                        prop_assert_eq!(future.cancel(), naive.cancel(which));
                    }
                }
                Known::DropFuture(which) => {
                    if futures.get_mut(which).and_then(Option::take).is_some() {
                        naive.drop_future(which);
                    }
                }
                Known::Run | Known::Map { .. } => {
                    naive.run();
                    let waiting = naive.order.len() - order.lock().unwrap().len();
                    prop_assert_eq!(pool.stats().queued, waiting);
                    for (gate, future) in busy.drain(..) {
                        gate.open();
                        future.result().unwrap();
                    }
                    patiently("all have run", || order.lock().unwrap().len() == naive.order.len());
                    // Tasks of one priority keep their order, where one worker runs them all.
                    for high in [true, false] {
                        let of_it = |order: &[usize]| {
                            let is_of_it = |number: &usize| naive.tasks[*number].high == high;
                            let mut order: Vec<_> =
                                order.iter().copied().filter(is_of_it).collect();
                            if workers > 1 {
                                order.sort_unstable();
                            }
                            order
                        };
                        prop_assert_eq!(of_it(&order.lock().unwrap()), of_it(&naive.order));
                    }
                    wait(futures.iter().flatten(), ReturnWhen::All, None);
                    if let Known::Map { items, in_flight, read, ordered } = step {
                        let mut taken = 0;
                        let counted = items.iter().copied().inspect(|_| taken += 1);
                        let mut results: Vec<_> = if ordered {
                            let map = pool.map(counted, Does::run).in_flight(in_flight);
                            map.take(read).map(seen).collect()
                        } else {
                            let map = pool.map_unordered(counted, Does::run).in_flight(in_flight);
                            map.take(read).map(seen).collect()
                        };
                        let most = items.len().min(read);
                        prop_assert_eq!(results.len(), most);
                        prop_assert!(taken <= most + in_flight, "{} taken, {} read", taken, most);
                        let mut naively: Vec<_> = items.into_iter().map(Some).collect();
                        if ordered {
                            naively.truncate(most);
                            prop_assert_eq!(results, naively);
                        } else if taken == most {
                            naively.truncate(most);
                            results.sort_unstable();
                            naively.sort_unstable();
                            prop_assert_eq!(results, naively);
                        }
                        others += taken;
                        unsure += taken - most;
                    }
                    busy = keep_busy();
                    others += workers;
                }
            }
        }
        for (gate, _) in busy {
            gate.open();
        }
        for (future, task) in futures.into_iter().zip(&naive.tasks) {
            let Some(future) = future else { continue };
            let ran = task.state == State::Ran;
            prop_assert_eq!(seen(future.result()), ran.then_some(task.does));
        }
        pool.shutdown();
        let stats = pool.stats();
        let cancelled = naive.tasks.iter().filter(|task| task.state == State::Cancelled).count();
        prop_assert_eq!(stats.submitted as usize, naive.tasks.len() + others);
        prop_assert_eq!(stats.submitted, stats.completed + stats.cancelled);
        let cancelled = cancelled..=cancelled + unsure;
        prop_assert!(cancelled.contains(&(stats.cancelled as usize)), "{:?}: {:?}", cancelled, stats);
        let reported = naive.unread..=naive.unread + unsure;
        prop_assert!(reported.contains(&unread.load(Ordering::Relaxed)), "{:?}", reported);
    }
}
