//! The function of a map, its states, and how it gets into a pool: alone, or with several items.

use std::sync::Arc;

use crate::executor::batch::{Batch, BatchEnd};
use crate::executor::future::Future;
use crate::executor::task_options::TaskOptions;
use crate::executor::{TaskSpec, ThreadPoolExecutor};
use crate::sync::{Deadline, Mutex};
use crate::task::TaskHandle;

/// Hands one item to the pool.
pub(crate) type Submit<'pool, A, T> = Box<dyn FnMut(A) -> Future<T> + Send + 'pool>;

/// Hands several items to the pool.
pub(crate) type SubmitMany<'pool, A, T> =
    Box<dyn FnMut(Arc<Batch<A, T>>) -> Future<BatchEnd> + Send + 'pool>;

/// A function with the states it works on, of which `init` makes one when a worker needs it and
/// none is free.
pub(crate) struct Mapper<S, N, F> {
    states: Mutex<Vec<S>>,
    init: N,
    f: F,
}

impl<S, N, F> Mapper<S, N, F> {
    pub(crate) fn new(init: N, f: F) -> Arc<Self> {
        Arc::new(Mapper { states: Mutex::new(Vec::new()), init, f })
    }

    /// Applies the function to one item, with a state that no other thread has meanwhile.
    pub(crate) fn apply<A, T>(&self, item: A) -> T
    where
        N: Fn() -> S,
        F: Fn(&mut S, A) -> T,
    {
        let spare = self.states.lock().pop();
        let mut state = spare.unwrap_or_else(&self.init);
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
            let extra = batch.len() as i64 - 1;
            let run = move || {
                let mut state = mapper.states.lock().pop();
                let end = batch.run(&mut state, &mapper.init, &mapper.f);
                mapper.states.lock().extend(state);
                end
            };
            let wait_policy = executor.wait_policy(Deadline::NEVER);
            executor.pool.count_batched_items(extra);
            match executor.push_or_refuse(TaskSpec::default(), wait_policy, run) {
                Ok(future) => future,
                Err((_, refused)) => {
                    // What was never queued counts neither as submitted nor as cancelled.
                    executor.pool.count_batched_items(-extra);
                    executor.pool.count_cancelled_items(-extra);
                    let task = TaskHandle::failed(executor.pool.refusal(refused));
                    Future::new(task, Arc::clone(&executor.pool))
                }
            }
        })
    }
}
