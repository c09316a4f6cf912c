//! Models of the queue with its wake protocol, and of a task, checked by loom in every interleaving
//! (`cargo xtask test` runs them).
//!
//! There is one model for each change of state that two threads can race for. A worker is modelled
//! by what `worker::work` does with the queue, without its thread-locals and clocks. Each model
//! says which mistake it would catch. They are one long list, and so one file, in the order of the
//! rules in `sleep`, `queue` and `task`.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread::{JoinHandle, spawn};

use crate::error::TaskError;
use crate::pool::priority::{Place, Priority, Queued, Slot};
use crate::pool::queue::{LinePlace, PutBack, Queue, Refused, Submitter, WaitPolicy};
use crate::sync::Deadline;
use crate::sync::parker::Parker;
use crate::task::observer::{Afterwards, Claim, Ended, NoObserver, Observer};
use crate::task::waiter::Waiter;
use crate::task::{NewTask, QueuedTask, TaskHandle};

type Counted = Arc<AtomicUsize>;

fn counter() -> Counted {
    Arc::new(AtomicUsize::new(0))
}

fn task(runs: &Counted) -> (QueuedTask, TaskHandle<()>) {
    let runs = Arc::clone(runs);
    let job = move || {
        runs.fetch_add(1, Ordering::SeqCst);
    };
    NewTask::new(job).into_owners()
}

/// Does what a worker that was started does: see `worker::work`.
fn work(queue: &Arc<Queue>) {
    work_until(queue, || Deadline::NEVER);
}

fn work_until(queue: &Arc<Queue>, idle_deadline: impl Fn() -> Deadline) {
    queue.started();
    let parker = Arc::new(Parker::new());
    while let Some(task) = queue.pop(&parker, &idle_deadline) {
        let mut next = Some(task);
        while let Some(task) = next {
            next = run(queue, task);
        }
    }
}

fn run(queue: &Arc<Queue>, queued: Queued) -> Option<Queued> {
    let Some(claimed) = queued.claim(Claim::ToRun) else {
        queue.remove_tombstone();
        return queue.finish(Afterwards::Nothing);
    };
    let worker = Worker { queue, next: Cell::new(None) };
    claimed.run(&worker);
    worker.next.take()
}

struct Worker<'a> {
    queue: &'a Arc<Queue>,
    next: Cell<Option<Queued>>,
}

impl Observer for Worker<'_> {
    fn ended(&self, _how: Ended, _error: Option<&TaskError>) {}

    fn free(&self, afterwards: Afterwards) {
        self.next.set(self.queue.finish(afterwards));
    }

    fn busy(&self) {
        let start = match self.next.take() {
            None => self.queue.busy_again(),
            Some(next) => match self.queue.put_back(next) {
                PutBack::Queued { start } => start,
                PutBack::Cancelling(_) => unreachable!("no model cancels what is queued"),
            },
        };
        drop(start_workers(self.queue, start));
    }

    fn unread(&self, _error: &TaskError) {}
}

#[derive(Default)]
struct Meeting {
    here: Mutex<usize>,
    came: Condvar,
}

/// Makes a task that ends when `guests` of its kind have come.
fn meet(met: &Arc<Meeting>, guests: usize) -> (QueuedTask, TaskHandle<()>) {
    let met = Arc::clone(met);
    let job = move || {
        let mut here = met.here.lock().unwrap();
        *here += 1;
        met.came.notify_all();
        while *here < guests {
            here = met.came.wait(here).unwrap();
        }
    };
    NewTask::new(job).into_owners()
}

fn push(queue: &Queue, task: QueuedTask, wait_policy: WaitPolicy<'_>) -> Result<usize, Refused> {
    push_in(queue, Place::Own(task), wait_policy, Submitter::Outside)
}

fn push_in(
    queue: &Queue,
    place: Place,
    wait_policy: WaitPolicy<'_>,
    submitter: Submitter,
) -> Result<usize, Refused> {
    queue.push(Priority::Normal, wait_policy, submitter, None, || 0, || place)
}

/// Pushes `task` and starts the workers that the queue requires, as `Pool::push` does.
fn submit(queue: &Arc<Queue>, task: QueuedTask) -> Vec<JoinHandle<()>> {
    let start = push(queue, task, WaitPolicy::Until(Deadline::NEVER)).unwrap_or(0);
    start_workers(queue, start)
}

fn start_workers(queue: &Arc<Queue>, count: usize) -> Vec<JoinHandle<()>> {
    (0..count)
        .map(|_| {
            let queue = Arc::clone(queue);
            spawn(move || work(&queue))
        })
        .collect()
}

fn end(queue: &Queue, workers: Vec<JoinHandle<()>>) {
    queue.close();
    queue.wait_for_workers(Deadline::NEVER);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

fn model(f: impl Fn() + Send + Sync + 'static) {
    check(3, f);
}

/// Checks models that would take minutes with one preemption more.
fn big_model(f: impl Fn() + Send + Sync + 'static) {
    check(2, f);
}

fn check(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Catches a push that trusts a worker which has already decided to sleep or to leave.
#[test]
fn two_pushes_and_a_worker_strand_no_task() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let ((first, first_done), (second, second_done)) = (task(&runs), task(&runs));
        let worker = submit(&queue, first);
        assert!(submit(&queue, second).is_empty(), "one worker is allowed");

        first_done.wait_until(Deadline::NEVER);
        second_done.wait_until(Deadline::NEVER);

        end(&queue, worker);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a wakeup that is not passed on: two workers sleep, and two tasks need them both.
#[test]
fn two_sleeping_workers_are_both_woken() {
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let met = Arc::new(Meeting::default());
        let mut workers = Vec::new();
        for guests in [2, 4] {
            let (tasks, done): (Vec<_>, Vec<_>) =
                [meet(&met, guests), meet(&met, guests)].into_iter().unzip();
            workers.extend(tasks.into_iter().flat_map(|task| submit(&queue, task)));
            done.iter().for_each(|task| assert!(task.wait_until(Deadline::NEVER)));
        }

        end(&queue, workers);
    });
}

/// Catches a worker that exits because it slept too long, although one of two tasks counts on it.
#[test]
fn two_tasks_get_two_workers_although_one_times_out() {
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let met = Arc::new(Meeting::default());
        let ((first, first_done), (second, second_done)) = (meet(&met, 2), meet(&met, 2));
        assert_eq!(push(&queue, first, WaitPolicy::Unbounded), Ok(1));
        assert_eq!(push(&queue, second, WaitPolicy::Unbounded), Ok(1));
        let theirs = Arc::clone(&queue);
        let leaver = spawn(move || work_until(&theirs, Deadline::passed));
        let mut workers = start_workers(&queue, 1);
        first_done.wait_until(Deadline::NEVER);
        second_done.wait_until(Deadline::NEVER);

        let ((third, third_done), (fourth, fourth_done)) = (meet(&met, 4), meet(&met, 4));
        workers.extend(submit(&queue, third));
        workers.extend(submit(&queue, fourth));

        third_done.wait_until(Deadline::NEVER);
        fourth_done.wait_until(Deadline::NEVER);
        leaver.join().unwrap();
        end(&queue, workers);
    });
}

/// Catches a worker that is trusted to look for work, and runs a waker of the user's instead.
#[test]
fn a_worker_that_runs_a_waker_is_not_counted_on() {
    struct WaitsFor(Mutex<Option<TaskHandle<()>>>);
    impl Wake for WaitsFor {
        fn wake(self: Arc<Self>) {
            let second = self.0.lock().unwrap().take();
            second.into_iter().for_each(|second| assert!(second.wait_until(Deadline::NEVER)));
        }
    }
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let runs = counter();
        let ((first, mut first_done), (second, second_done)) = (task(&runs), task(&runs));
        let waker = Waker::from(Arc::new(WaitsFor(Mutex::new(Some(second_done)))));
        assert!(first_done.poll(&mut Context::from_waker(&waker)).is_pending());
        let mut workers = submit(&queue, first);

        workers.extend(submit(&queue, second));

        first_done.wait_until(Deadline::NEVER);
        queue.close();
        queue.wait_for_workers(Deadline::NEVER);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a worker that is counted as free only after its result was seen: the second push would
/// start another.
#[test]
fn a_reader_of_a_result_meets_a_free_worker() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let runs = counter();
        let ((first, first_done), (second, second_done)) = (task(&runs), task(&runs));
        let worker = submit(&queue, first);
        first_done.wait_until(Deadline::NEVER);

        assert!(submit(&queue, second).is_empty(), "the worker is free");

        second_done.wait_until(Deadline::NEVER);
        end(&queue, worker);
    });
}

/// Catches a task that a shutdown leaves behind, and a wait for workers that misses the last exit.
#[test]
fn a_push_that_races_a_close_is_refused_or_run() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let (queued, done) = task(&runs);
        let theirs = Arc::clone(&queue);
        let submitter = spawn(move || {
            let pushed = push(&theirs, queued, WaitPolicy::Until(Deadline::NEVER));
            if pushed == Ok(1) {
                work(&theirs);
            }
            (pushed.is_ok(), done.is_done() && !done.is_cancelled())
        });

        queue.close();
        queue.wait_for_workers(Deadline::NEVER);

        let (taken, ran) = submitter.join().unwrap();
        assert_eq!(taken, ran);
        assert_eq!(runs.load(Ordering::SeqCst), usize::from(taken));
    });
}

/// Catches a submitter that sleeps on although there is room, or although the queue was closed.
#[test]
fn a_submitter_that_waits_for_room_gets_it() {
    model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let [first, second, third] = [(); 3].map(|()| task(&runs).0);
        let worker = submit(&queue, first);
        for task in [second, third] {
            assert!(submit(&queue, task).is_empty());
        }

        end(&queue, worker);

        assert_eq!(runs.load(Ordering::SeqCst), 3);
    });
}

/// Catches a second waiting submitter that no thread wakes, and one that a shutdown leaves waiting.
#[test]
fn waiting_submitters_are_served_or_refused() {
    big_model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let worker = submit(&queue, task(&runs).0);
        let submitters = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            let (queued, _done) = task(&runs);
            spawn(move || push(&queue, queued, WaitPolicy::Until(Deadline::NEVER)).is_ok())
        });

        let taken = submitters.map(|submitter| usize::from(submitter.join().unwrap()));

        end(&queue, worker);
        assert_eq!(taken, [1, 1]);
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    });
}

/// Wakes a thread in the place of an async runtime's task.
#[derive(Default)]
struct Polls {
    woken: Mutex<bool>,
    came: Condvar,
}

impl Polls {
    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.came.wait(woken).unwrap();
        }
    }
}

impl Wake for Polls {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.came.notify_one();
    }
}

/// Pushes `task` as `SubmitAsync` does, each time it is polled.
fn poll_until_pushed(queue: &Arc<Queue>, mut task: QueuedTask) -> Result<usize, Refused> {
    let (polls, place) = (Arc::new(Polls::default()), LinePlace::new());
    loop {
        place.parker().set_waker(Waker::from(Arc::clone(&polls)));
        let kept = Cell::new(Some(task));
        let make = || Place::Own(kept.take().unwrap());
        let (policy, outside) = (WaitPolicy::InLine(&place), Submitter::Outside);
        match queue.push(Priority::Normal, policy, outside, None, || 0, make) {
            Err(Refused::InLine) => task = kept.take().unwrap(),
            pushed => return pushed,
        }
        polls.wait();
    }
}

/// Catches an async submitter that is not woken for its room, or that a shutdown leaves waiting.
#[test]
fn an_async_submitter_is_woken_for_its_room() {
    big_model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let [first, second] = [(); 2].map(|()| task(&runs).0);
        let worker = submit(&queue, first);
        assert!(submit(&queue, second).is_empty());

        assert_eq!(poll_until_pushed(&queue, task(&runs).0), Ok(0));

        end(&queue, worker);
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    });
    model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        assert_eq!(push(&queue, task(&runs).0, WaitPolicy::Unbounded), Ok(1));
        let theirs = Arc::clone(&queue);
        let (queued, _done) = task(&runs);
        let submitter = spawn(move || poll_until_pushed(&theirs, queued));

        queue.close();

        assert_eq!(submitter.join().unwrap(), Err(Refused::Shutdown));
    });
}

/// Catches room that is kept for an async submitter which has gone, and not given to the next.
#[test]
fn an_async_submitter_that_leaves_the_line_gives_its_room_to_the_next() {
    big_model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        assert_eq!(push(&queue, task(&runs).0, WaitPolicy::Unbounded), Ok(1));
        let place = LinePlace::new();
        let (gone, _gone_done) = task(&runs);
        let pushed = push(&queue, gone, WaitPolicy::InLine(&place));
        assert_eq!(pushed, Err(Refused::InLine));
        let theirs = Arc::clone(&queue);
        let (queued, _done) = task(&runs);
        let next = spawn(move || push(&theirs, queued, WaitPolicy::Until(Deadline::NEVER)).is_ok());
        let worker = start_workers(&queue, 1);

        queue.leave_line(&place);

        assert!(next.join().unwrap());
        end(&queue, worker);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a submitter that waits on although the queue was closed, with no thread left to make
/// room.
#[test]
fn closing_refuses_waiting_submitters() {
    model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        assert_eq!(push(&queue, task(&runs).0, WaitPolicy::Unbounded), Ok(1));
        let theirs = Arc::clone(&queue);
        let second = task(&runs).0;
        let submitter = spawn(move || push(&theirs, second, WaitPolicy::Until(Deadline::NEVER)));

        queue.close();

        assert_eq!(submitter.join().unwrap(), Err(Refused::Shutdown));
    });
}

/// Catches a push that counts on a worker whose initializer takes long, while another sleeps.
#[test]
fn a_worker_that_is_only_starting_is_not_waited_for() {
    check(1, || {
        let queue = Arc::new(Queue::new(None, 2));
        let runs = counter();
        let [first, second, third] = [(); 3].map(|()| task(&runs));
        let mut workers = submit(&queue, first.0);
        let third_done = Arc::new(third.1);
        let start = push(&queue, second.0, WaitPolicy::Unbounded).unwrap();
        workers.extend((0..start).map(|_| {
            let (queue, third_done) = (Arc::clone(&queue), Arc::clone(&third_done));
            spawn(move || {
                third_done.wait_until(Deadline::NEVER);
                work(&queue);
            })
        }));
        first.1.wait_until(Deadline::NEVER);
        second.1.wait_until(Deadline::NEVER);

        workers.extend(submit(&queue, third.0));

        third_done.wait_until(Deadline::NEVER);
        end(&queue, workers);
    });
}

/// Catches room that is lost when a queued task is cancelled just as a worker passes it.
#[test]
fn a_cancellation_gives_room_and_races_a_worker_for_the_task() {
    big_model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let (first, first_done) = task(&runs);
        let worker = submit(&queue, first);
        let theirs = Arc::clone(&queue);
        let canceller = spawn(move || {
            let claimed = first_done.claim(Claim::ToCancel);
            let won = claimed.is_some();
            if let Some(claimed) = claimed {
                theirs.add_tombstone();
                claimed.fail(TaskError::cancelled(), &NoObserver);
            }
            (won, first_done.is_cancelled())
        });

        let (second, second_done) = task(&runs);
        assert!(submit(&queue, second).is_empty());
        second_done.wait_until(Deadline::NEVER);

        let (won, cancelled) = canceller.join().unwrap();
        end(&queue, worker);
        assert_eq!(cancelled, won);
        assert_eq!(runs.load(Ordering::SeqCst), if won { 1 } else { 2 });
        assert_eq!((queue.snapshot().queued, queue.tombstones()), (0, 0));
    });
}

/// Catches a pool whose only worker waits for a task that no other thread may run.
#[test]
fn a_worker_that_waits_for_its_own_pool_is_replaced() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let (inner, inner_done) = task(&runs);
        let theirs = Arc::clone(&queue);
        let (outer, outer_done) = NewTask::new(move || {
            let queue = theirs;
            assert!(submit(&queue, inner).is_empty(), "the only worker is busy");
            let start = queue.block();
            drop(start_workers(&queue, start));
            inner_done.wait_until(Deadline::NEVER);
            queue.unblock();
        })
        .into_owners();
        let worker = submit(&queue, outer);

        outer_done.wait_until(Deadline::NEVER);

        queue.close();
        queue.wait_for_workers(Deadline::NEVER);
        worker.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    });
}

/// Catches a worker that exits because it was idle while a push counts on it.
#[test]
fn a_push_that_races_an_idle_worker_which_leaves_strands_no_task() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let ((first, first_done), (second, second_done)) = (task(&runs), task(&runs));
        assert_eq!(push(&queue, first, WaitPolicy::Unbounded), Ok(1));
        let theirs = Arc::clone(&queue);
        // This worker sleeps for no time at all, so it exits as soon as it finds nothing.
        let leaver = spawn(move || work_until(&theirs, Deadline::passed));
        first_done.wait_until(Deadline::NEVER);

        let workers = submit(&queue, second);
        second_done.wait_until(Deadline::NEVER);

        leaver.join().unwrap();
        end(&queue, workers);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a wakeup that is lost when the sleeper times out in the same moment.
#[test]
fn a_wakeup_that_races_a_timeout_is_answered() {
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let runs = counter();
        let (first, first_done) = task(&runs);
        let (second, second_done) = task(&runs);
        assert_eq!(push(&queue, first, WaitPolicy::Unbounded), Ok(1));
        let theirs = Arc::clone(&queue);
        let leaver = spawn(move || work_until(&theirs, Deadline::passed));
        let theirs = Arc::clone(&queue);
        let pusher = spawn(move || submit(&theirs, second));

        first_done.wait_until(Deadline::NEVER);
        second_done.wait_until(Deadline::NEVER);

        let workers = pusher.join().unwrap();
        leaver.join().unwrap();
        end(&queue, workers);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a start, refused by the system, after which no worker runs what is queued although one
/// could.
#[test]
fn a_start_that_fails_strands_no_task() {
    model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let ((first, first_done), (second, second_done)) = (task(&runs), task(&runs));
        let theirs = Arc::clone(&queue);
        let unlucky = spawn(move || {
            let start = push(&theirs, first, WaitPolicy::Unbounded).unwrap();
            if start == 1 {
                theirs.not_started();
                while let Some(task) = theirs.take_stranded() {
                    let claimed = task.claim(Claim::ToCancel).unwrap();
                    claimed.fail(TaskError::shutdown(), &NoObserver);
                }
            }
        });
        let workers = submit(&queue, second);

        first_done.wait_until(Deadline::NEVER);
        second_done.wait_until(Deadline::NEVER);

        unlucky.join().unwrap();
        end(&queue, workers);
    });
}

/// Catches a push that counts on a worker which exits because there are too many, while another
/// sleeps.
#[test]
fn a_push_that_races_a_shrinking_pool_strands_no_task() {
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let met = Arc::new(Meeting::default());
        let ((first, first_done), (second, second_done)) = (meet(&met, 2), meet(&met, 2));
        let mut workers = submit(&queue, first);
        workers.extend(submit(&queue, second));
        first_done.wait_until(Deadline::NEVER);
        second_done.wait_until(Deadline::NEVER);
        let (third, third_done) = meet(&met, 3);

        assert_eq!(queue.resize(1), 0, "fewer start no worker");
        workers.extend(submit(&queue, third));

        third_done.wait_until(Deadline::NEVER);
        end(&queue, workers);
    });
}

/// Makes a task that pushes `inner` to its own queue while it runs.
fn task_that_pushes(
    queue: &Arc<Queue>,
    inner: QueuedTask,
    pushed: &Arc<Mutex<Option<Result<usize, Refused>>>>,
) -> (QueuedTask, TaskHandle<()>) {
    let (queue, pushed) = (Arc::clone(queue), Arc::clone(pushed));
    let job = move || {
        let policy = WaitPolicy::Unbounded;
        let result = push_in(&queue, Place::Own(inner), policy, Submitter::Worker);
        drop(start_workers(&queue, result.unwrap_or(0)));
        *pushed.lock().unwrap() = Some(result);
    };
    NewTask::new(job).into_owners()
}

/// Catches a task that a running task submits while the queue is closed, and that is refused, or
/// taken and never run because the last worker has left.
#[test]
fn what_a_running_task_submits_while_the_queue_closes_is_run() {
    for workers_max in [1, 2] {
        big_model(move || {
            let queue = Arc::new(Queue::new(None, workers_max));
            let runs = counter();
            let pushed = Arc::new(Mutex::new(None));
            let (inner, inner_done) = task(&runs);
            let (outer, _outer_done) = task_that_pushes(&queue, inner, &pushed);
            let workers = submit(&queue, outer);

            end(&queue, workers);

            assert!(inner_done.is_done());
            assert_eq!(runs.load(Ordering::SeqCst), 1);
        });
    }
}

/// Catches a task that a running task submits while what is queued is being cancelled, and that is
/// queued when no worker takes it any more.
#[test]
fn what_a_running_task_submits_during_a_cancellation_is_cancelled_or_refused() {
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 1));
        let runs = counter();
        let pushed = Arc::new(Mutex::new(None));
        let (inner, inner_done) = task(&runs);
        let (outer, outer_done) = task_that_pushes(&queue, inner, &pushed);
        let workers = submit(&queue, outer);

        queue.close();
        while let Some(task) = queue.take_to_cancel() {
            let Some(claimed) = task.claim(Claim::ToCancel) else { continue };
            claimed.fail(TaskError::cancelled(), &NoObserver);
        }
        end(&queue, workers);

        assert!(outer_done.is_done());
        let pushed = *pushed.lock().unwrap();
        // The closure of a task that was cancelled, or refused, is gone, and so is its task.
        assert!(inner_done.is_done(), "{pushed:?}");
        assert!(matches!(pushed, None | Some(Ok(_) | Err(Refused::Cancelling))), "{pushed:?}");
    });
}

/// Catches a task that is both run and withdrawn by its limit, or neither; a tombstone that is
/// counted twice or never; and a submitter that the room of a withdrawn task does not wake.
#[test]
fn a_task_that_is_withdrawn_races_the_worker_that_takes_it() {
    big_model(|| {
        let queue = Arc::new(Queue::new(Some(1), 1));
        let runs = counter();
        let slot = Arc::new(Slot::default());
        let ((limited, limited_done), (next, next_done)) = (task(&runs), task(&runs));
        slot.put(limited);
        let place = Place::Shared(Arc::clone(&slot));
        let start = push_in(&queue, place, WaitPolicy::Unbounded, Submitter::Outside).unwrap();
        let mut workers = start_workers(&queue, start);
        let theirs = Arc::clone(&queue);
        let canceller = spawn(move || {
            let Some(claimed) = slot.take().and_then(|task| task.claim(Claim::ToCancel)) else {
                return false;
            };
            theirs.add_tombstone();
            claimed.fail(TaskError::cancelled(), &NoObserver);
            true
        });

        workers.extend(submit(&queue, next));

        next_done.wait_until(Deadline::NEVER);
        limited_done.wait_until(Deadline::NEVER);
        let withdrawn = canceller.join().unwrap();
        end(&queue, workers);
        assert_eq!(runs.load(Ordering::SeqCst), if withdrawn { 1 } else { 2 });
        assert_eq!(queue.tombstones(), 0);
    });
}

/// Catches a worker that sleeps although more are allowed to work now, or stays although there are
/// too many.
#[test]
fn a_resize_races_a_push() {
    big_model(|| {
        let queue = Arc::new(Queue::new(None, 2));
        let runs = counter();
        let ((first, first_done), (second, second_done)) = (task(&runs), task(&runs));
        let mut workers = submit(&queue, first);
        let theirs = Arc::clone(&queue);
        let resizer = spawn(move || assert_eq!(theirs.resize(1), 0, "fewer start no worker"));
        workers.extend(submit(&queue, second));

        first_done.wait_until(Deadline::NEVER);
        second_done.wait_until(Deadline::NEVER);

        resizer.join().unwrap();
        end(&queue, workers);
        assert_eq!(queue.snapshot().workers, 0);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    });
}

/// Catches a waiter that sleeps through the publication, and a result that is seen before its
/// callback has run.
#[test]
fn a_result_is_seen_by_its_waiter_and_after_its_callback() {
    model(|| {
        let called = counter();
        let (queued, mut handle) = NewTask::new(|| 25).into_owners();
        let worker = spawn(move || queued.claim(Claim::ToRun).unwrap().run(&NoObserver));
        let calling = Arc::clone(&called);
        handle.add_callback(Box::new(move |result| {
            assert_eq!(result.ok(), Some(&25));
            calling.fetch_add(1, Ordering::SeqCst);
        }));

        assert!(handle.wait_until(Deadline::NEVER));

        assert_eq!(called.load(Ordering::SeqCst), 1);
        assert_eq!(handle.take_result().unwrap().unwrap(), 25);
        worker.join().unwrap();
    });
}

/// Catches a result that is freed twice, never, or while the other side reads it.
#[test]
fn a_handle_that_is_dropped_races_the_publication() {
    model(|| {
        let drops = counter();
        let value = DropCounter(Arc::clone(&drops));
        let (queued, handle) = NewTask::new(move || value).into_owners();
        let worker = spawn(move || queued.claim(Claim::ToRun).unwrap().run(&NoObserver));

        drop(handle);

        worker.join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    });
}

/// Catches a callback that is lost, or called twice, when the handle goes at the same moment.
#[test]
fn a_callback_of_a_dropped_handle_is_called() {
    model(|| {
        let called = counter();
        let (queued, handle) = NewTask::new(|| 25).into_owners();
        let worker = spawn(move || queued.claim(Claim::ToRun).unwrap().run(&NoObserver));
        let calling = Arc::clone(&called);
        handle.add_callback(Box::new(move |_| {
            calling.fetch_add(1, Ordering::SeqCst);
        }));
        drop(handle);

        worker.join().unwrap();
        assert_eq!(called.load(Ordering::SeqCst), 1);
    });
}

struct DropCounter(Counted);

impl Drop for DropCounter {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Catches a tombstone that is freed while its canceller still uses it.
#[test]
fn a_tombstone_that_is_passed_races_its_canceller() {
    model(|| {
        let drops = counter();
        let value = DropCounter(Arc::clone(&drops));
        let (queued, handle) = NewTask::new(move || drop(value)).into_owners();
        let worker = spawn(move || {
            if let Some(claimed) = queued.claim(Claim::ToRun) {
                claimed.run(&NoObserver);
            }
        });

        if let Some(claimed) = handle.claim(Claim::ToCancel) {
            claimed.fail(TaskError::cancelled(), &NoObserver);
        }
        drop(handle);

        worker.join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    });
}

/// Catches a task that is both run and cancelled, or neither, and a waiter for many that is not
/// notified.
#[test]
fn a_task_is_run_or_cancelled_and_its_waiters_are_notified() {
    model(|| {
        let runs = counter();
        let (queued, mut handle) = task(&runs);
        let waiter = Arc::new(Waiter::new());
        let worker = spawn(move || {
            if let Some(claimed) = queued.claim(Claim::ToRun) {
                claimed.run(&NoObserver);
            }
        });
        handle.add_waiter(&waiter, 7);
        if let Some(claimed) = handle.claim(Claim::ToCancel) {
            claimed.fail(TaskError::cancelled(), &NoObserver);
        }

        assert_eq!(waiter.next(Deadline::NEVER), Some(7));

        let cancelled = handle.take_result().unwrap().is_err();
        assert_eq!(runs.load(Ordering::SeqCst), usize::from(!cancelled));
        worker.join().unwrap();
    });
}
