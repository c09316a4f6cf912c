//! The function of a map, its states, and how it gets into a pool: alone, or with several items.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock};

use crate::error::{NotStarted, TaskError, message_of};
use crate::executor::ThreadPoolExecutor;
use crate::executor::batch::{Batch, BatchEnd, HandedOver};
use crate::executor::future::Future;
use crate::executor::prepared::TaskSpec;
use crate::executor::task_options::TaskOptions;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Deadline, Mutex};
use crate::task::TaskHandle;

/// Hands one item to the pool.
pub(crate) type Submit<'pool, A, T> = Box<dyn FnMut(A) -> Future<T> + Send + 'pool>;

/// Hands several items to the pool.
pub(crate) type SubmitMany<'pool, A, T> =
    Box<dyn FnMut(Arc<Batch<A, T>>) -> Future<BatchEnd> + Send + 'pool>;

/// The number of times in a row that a map may fail to make a state; with the last of them it ends.
/// More than those of a pool's initializer, because all workers may try at once.
const INIT_FAILURES_MAX: u32 = 8;

/// How often a map has failed to make a state, and so whether it is of any use.
pub(crate) struct InitFailures {
    /// The number of failures since a state was made. Workers count; it orders nothing.
    in_a_row: AtomicU32,
    /// The message of the last failure. Set once there were too many.
    cause: OnceLock<Arc<String>>,
    /// Set when the map has taken the item whose error says why it ends. Only its reader looks.
    took_last: AtomicBool,
}

impl InitFailures {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(InitFailures {
            in_a_row: AtomicU32::new(0),
            cause: OnceLock::new(),
            took_last: AtomicBool::new(false),
        })
    }

    /// Makes a state with `init`, unless that has failed too often: then the calling task ends with
    /// an error that names the cause.
    pub(crate) fn make<S, E: fmt::Display>(
        &self,
        init: impl FnOnce() -> Result<S, E>,
    ) -> Result<S, E> {
        if let Some(cause) = self.cause.get() {
            let error = TaskError::no_state(Arc::clone(cause));
            resume_unwind(Box::new(NotStarted::Failed(error)));
        }
        match catch_unwind(AssertUnwindSafe(init)) {
            Ok(Ok(state)) => {
                self.in_a_row.store(0, Ordering::Relaxed);
                Ok(state)
            }
            Ok(Err(error)) => {
                self.count(|| error.to_string());
                Err(error)
            }
            Err(payload) => {
                self.count(|| message_of(&*payload));
                resume_unwind(payload)
            }
        }
    }

    fn count(&self, message: impl FnOnce() -> String) {
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= INIT_FAILURES_MAX {
            self.cause.get_or_init(|| Arc::new(message()));
        }
    }

    /// Returns whether the map takes no more items.
    pub(crate) fn have_ended_the_map(&self) -> bool {
        self.cause.get().is_some() && self.took_last.load(Ordering::Relaxed)
    }

    /// Returns whether the next item that the map takes is the last, and is to be taken alone.
    pub(crate) fn are_too_many(&self) -> bool {
        self.cause.get().is_some()
    }

    /// Notes that the map has taken an item.
    pub(crate) fn took_item(&self) {
        if self.are_too_many() {
            self.took_last.store(true, Ordering::Relaxed);
        }
    }
}

/// A function with the states it works on, of which `init` makes one when a worker needs it and
/// none is free.
pub(crate) struct Mapper<S, N, F> {
    states: Mutex<Vec<S>>,
    failures: Arc<InitFailures>,
    init: N,
    f: F,
}

impl<S, N, F> Mapper<S, N, F> {
    pub(crate) fn new(init: N, f: F) -> Arc<Self> {
        Arc::new(Mapper { states: Mutex::new(Vec::new()), failures: InitFailures::new(), init, f })
    }

    pub(crate) fn failures(&self) -> Arc<InitFailures> {
        Arc::clone(&self.failures)
    }

    fn make_state(&self) -> S
    where
        N: Fn() -> S,
    {
        match self.failures.make(|| Ok::<S, Infallible>((self.init)())) {
            Ok(state) => state,
        }
    }

    /// Applies the function to one item, with a state that no other thread has meanwhile.
    pub(crate) fn apply<A, T>(&self, item: A) -> T
    where
        N: Fn() -> S,
        F: Fn(&mut S, A) -> T,
    {
        let spare = self.states.lock().pop();
        let mut state = spare.unwrap_or_else(|| self.make_state());
        let result = (self.f)(&mut state, item);
        // Not reached when `f` panics: a state left half changed is not used again.
        self.states.lock().push(state);
        result
    }
}

impl<S, N, F> Mapper<S, N, F>
where
    S: Send + 'static,
    N: Fn() -> S + Send + Sync + 'static,
    F: Send + Sync + 'static,
{
    pub(crate) fn submitting<A, T>(self: Arc<Self>, options: TaskOptions<'_>) -> Submit<'_, A, T>
    where
        A: Send + 'static,
        T: Send + 'static,
        F: Fn(&mut S, A) -> T,
    {
        Box::new(move |item| {
            let mapper = Arc::clone(&self);
            options.clone().submit(move || mapper.apply(item))
        })
    }

    pub(crate) fn submitting_many<A, T>(
        self: Arc<Self>,
        executor: &ThreadPoolExecutor,
    ) -> SubmitMany<'_, A, T>
    where
        A: Send + 'static,
        T: Send + 'static,
        F: Fn(&mut S, A) -> T,
    {
        Box::new(move |batch| {
            let mapper = Arc::clone(&self);
            let batch = HandedOver::new(batch);
            let extra = batch.items() as i64 - 1;
            let run = move || {
                let mut state = mapper.states.lock().pop();
                let end = batch.run(&mut state, || mapper.make_state(), &mapper.f);
                mapper.states.lock().extend(state);
                end
            };
            let wait_policy = executor.wait_policy(Deadline::NEVER);
            let spec = TaskSpec { is_batch: true, ..TaskSpec::default() };
            executor.pool.count_batched_items(extra);
            match executor.push_or_refuse(spec, wait_policy, run) {
                Ok(future) => future,
                Err((run, refused)) => {
                    drop(run);
                    // What was never queued counts neither as submitted nor as cancelled.
                    executor.pool.count_batched_items(-extra);
                    executor.pool.count_cancelled_items(-extra);
                    let task = TaskHandle::failed(executor.pool.refusal(refused));
                    Future::new(task, executor.share())
                }
            }
        })
    }
}
