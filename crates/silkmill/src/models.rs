//! Models of the queue and of a task, checked by loom in every interleaving (`cargo xtask test` runs them).
//!
//! One model for each change of state that two threads can race for. A worker is modelled by what `worker::work` does
//! with the queue, without its thread-locals and clocks. Each model says what it would catch.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread::{JoinHandle, spawn};

use crate::error::TaskError;
use crate::queue::{Patience, Pushed, Queue};
use crate::sync::Deadline;
use crate::task::{Anyone, Claim, Host, Run, Task};
use crate::wait::Waiter;

type Counted = Arc<AtomicUsize>;

fn counter() -> Counted {
    Arc::new(AtomicUsize::new(0))
}

fn task(runs: &Counted) -> Arc<Task<()>> {
    let runs = Arc::clone(runs);
    Arc::new(Task::new(Box::new(move || {
        runs.fetch_add(1, Ordering::SeqCst);
    })))
}

/// What a worker does: see `worker::work`.
fn work(queue: &Queue) {
    while let Some(task) = queue.pop() {
        task.run_claimed(&Worker(queue));
    }
}

struct Worker<'a>(&'a Queue);

impl Host for Worker<'_> {
    fn ended(&self, _panicked: bool) {
        self.0.mark_free();
    }

    fn interlude(&self, f: &mut dyn FnMut()) {
        f();
    }
}

/// Pushes `task` and starts a worker when the queue asks for one, as `Crew::push` does.
fn submit(queue: &Arc<Queue>, task: &Arc<Task<()>>) -> Option<JoinHandle<()>> {
    let task: Arc<dyn Run> = Arc::clone(task) as _;
    match queue.push(Patience::Until(Deadline::NEVER), || task) {
        Ok(Pushed::StartWorker) => {
            let queue = Arc::clone(queue);
            Some(spawn(move || work(&queue)))
        }
        _ => None,
    }
}

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// Catches a push that trusts a worker which has already decided to sleep or to leave.
#[test]
fn two_pushes_and_a_worker_strand_no_task() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let (first, second) = (task(&runs), task(&runs));
        let worker = submit(&queue, &first);
        assert!(submit(&queue, &second).is_none(), "one worker is allowed");

        first.wait_until(Deadline::NEVER);
        second.wait_until(Deadline::NEVER);

        queue.close();
        worker.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a call that is not passed on: two workers sleep, and two tasks need them both.
#[test]
fn two_sleeping_workers_are_both_called() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let met = Arc::new((Mutex::new(0), Condvar::new()));
        // Ends when `guests` have come.
        let meet = |guests| {
            let met = Arc::clone(&met);
            Arc::new(Task::new(Box::new(move || {
                let mut here = met.0.lock().unwrap();
                *here += 1;
                met.1.notify_all();
                while *here < guests {
                    here = met.1.wait(here).unwrap();
                }
            })))
        };
        let mut workers = Vec::new();
        for guests in [2, 4] {
            let tasks = [meet(guests), meet(guests)];
            workers.extend(tasks.iter().flat_map(|task| submit(&queue, task)));
            tasks.iter().for_each(|task| assert!(task.wait_until(Deadline::NEVER)));
        }

        queue.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// Catches a worker that is counted as free only after its result was seen: the second push would start another.
#[test]
fn who_has_seen_a_result_meets_a_free_worker() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let runs = counter();
        let (first, second) = (task(&runs), task(&runs));
        let worker = submit(&queue, &first);
        first.wait_until(Deadline::NEVER);

        assert!(submit(&queue, &second).is_none(), "the worker is free");

        second.wait_until(Deadline::NEVER);
        queue.close();
        worker.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// Catches a task that a shutdown leaves behind, and a wait for workers that misses the last goodbye.
#[test]
fn a_push_that_races_a_close_is_refused_or_run() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let theirs = (Arc::clone(&queue), task(&runs));
        let submitter = spawn(move || {
            let (queue, task) = theirs;
            let pushed: Arc<dyn Run> = Arc::clone(&task) as _;
            let pushed = queue.push(Patience::Until(Deadline::NEVER), || pushed);
            if pushed == Ok(Pushed::StartWorker) {
                work(&queue);
            }
            (pushed.is_ok(), task.is_done())
        });

        queue.close();
        queue.wait_for_workers(Deadline::NEVER);

        let (taken, done) = submitter.join().unwrap();
        assert_eq!(taken, done);
        assert_eq!(runs.load(Ordering::SeqCst), usize::from(taken));
    });
}

/// Catches a submitter that sleeps on although there is room, or although the queue was closed.
#[test]
fn a_submitter_that_waits_for_room_gets_it() {
    model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let tasks = [task(&runs), task(&runs), task(&runs)];
        let worker = submit(&queue, &tasks[0]);
        for task in &tasks[1..] {
            assert!(submit(&queue, task).is_none());
        }

        queue.close();
        worker.into_iter().for_each(|worker| worker.join().unwrap());

        assert_eq!(runs.load(Ordering::SeqCst), 3);
    });
}

/// Catches room that is lost when a queued task is cancelled just as a worker passes it.
#[test]
fn a_cancellation_gives_room_and_races_a_worker_for_the_task() {
    model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let first = task(&runs);
        let worker = submit(&queue, &first);
        let theirs = (Arc::clone(&queue), Arc::clone(&first));
        let canceller = spawn(move || {
            let (queue, first) = theirs;
            let won = first.claim(Claim::ToCancel);
            if won {
                queue.count_husk();
                first.fail_claimed(TaskError::cancelled());
            }
            won
        });

        let second = task(&runs);
        assert!(submit(&queue, &second).is_none());
        second.wait_until(Deadline::NEVER);

        let won = canceller.join().unwrap();
        queue.close();
        worker.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(first.is_cancelled(), won);
        assert_eq!(runs.load(Ordering::SeqCst), if won { 1 } else { 2 });
        assert_eq!(queue.census().queued, 0);
    });
}

/// Catches a pool whose only worker waits for a task that nobody else may run.
#[test]
fn a_worker_that_waits_for_its_own_pool_is_replaced() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let inner = task(&runs);
        let nested = (Arc::clone(&queue), Arc::clone(&inner));
        let outer = Arc::new(Task::new(Box::new(move || {
            let (queue, inner) = nested;
            assert!(submit(&queue, &inner).is_none(), "the only worker is busy");
            let substitute = queue.block().then(|| {
                let queue = Arc::clone(&queue);
                spawn(move || work(&queue))
            });
            inner.wait_until(Deadline::NEVER);
            queue.unblock();
            drop(substitute);
        })));
        let worker = submit(&queue, &outer);

        outer.wait_until(Deadline::NEVER);

        queue.close();
        queue.wait_for_workers(Deadline::NEVER);
        worker.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    });
}

/// Catches a waiter that sleeps through the publication, and a result that is seen before its callback has run.
#[test]
fn a_result_is_seen_by_whoever_waits_and_after_its_callback() {
    model(|| {
        let called = counter();
        let task = Arc::new(Task::new(Box::new(|| 25)));
        let theirs = Arc::clone(&task);
        let worker = spawn(move || {
            assert!(theirs.claim(Claim::ToRun));
            theirs.run_claimed(&Anyone);
        });
        let calling = Arc::clone(&called);
        task.add_callback(Box::new(move |result| {
            assert_eq!(result.ok(), Some(&25));
            calling.fetch_add(1, Ordering::SeqCst);
        }));

        assert!(task.wait_until(Deadline::NEVER));

        assert_eq!(called.load(Ordering::SeqCst), 1);
        assert_eq!(task.take_result().unwrap().unwrap(), 25);
        worker.join().unwrap();
    });
}

/// Catches a task that is both run and cancelled, or neither, and a waiter for many that is told nothing.
#[test]
fn a_task_is_run_or_cancelled_and_its_waiters_are_told() {
    model(|| {
        let runs = counter();
        let task = task(&runs);
        let waiter = Arc::new(Waiter::new());
        let theirs = Arc::clone(&task);
        let worker = spawn(move || {
            if theirs.claim(Claim::ToRun) {
                theirs.run_claimed(&Anyone);
            }
        });
        let theirs = Arc::clone(&task);
        let canceller = spawn(move || {
            if theirs.claim(Claim::ToCancel) {
                theirs.fail_claimed(TaskError::cancelled());
            }
        });

        task.add_waiter(&waiter, 7);
        assert_eq!(waiter.next(Deadline::NEVER), Some(7));

        let cancelled = task.take_result().unwrap().is_err();
        assert_eq!(runs.load(Ordering::SeqCst), usize::from(!cancelled));
        worker.join().unwrap();
        canceller.join().unwrap();
    });
}
