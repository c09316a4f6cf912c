//! Workers: how they start, their loop, how they run tasks, and what a worker knows of itself.
//!
//! The methods of [`Pool`] that run on a worker, or start one, stand here and not in `pool`, so
//! that the two files do not import each other.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::cancel::CurrentToken;
use crate::error::{SpawnError, TaskError};
use crate::pool::Pool;
use crate::pool::config::SpawnHandler;
use crate::pool::meter::{CancelItems, WorkerMeter};
use crate::pool::priority::Queued;
use crate::pool::queue::{PutBack, Refused, Submitter};
use crate::pool::queue_delay::SampledArrival;
use crate::pool::timer::{OnTime, TimerEntry};
use crate::sync::blocking::{blocking, set_hook};
use crate::sync::parker::Parker;
use crate::sync::{Deadline, Mutex};
use crate::task::hooks;
use crate::task::name::tell_names_in;
use crate::task::observer::{Afterwards, Claim, Ended, Observer};
use crate::task::{Claimed, TaskHandle};
use crate::thread::Builder;
use crate::thread::exit::{self, AtExit};
use crate::thread::registry::current;
use crate::thread::start::ThreadStart;
use crate::unwind::caught;

/// The number of tasks a worker may be in the middle of, each waiting for the next, before it lets
/// another worker run the next one. Each takes a piece of the worker's stack.
const INLINE_DEPTH_MAX: usize = 16;

/// The part of its stack that a worker may have used when it runs one more task inline: one in so
/// many. The rest is for that task, which may need as much as any.
const INLINE_STACK_SHARE: usize = 2;

/// The size of a worker's stack if the builder set none, as std has it.
const STACK_SIZE_DEFAULT: usize = 2 << 20;

/// The number of initializers that may fail in a row; with the last of them the pool ends.
const INITIALIZER_FAILURES_MAX: u32 = 3;

/// How far a worker has come that the spawn handler is to start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HandOver {
    /// The handler has not returned.
    UnderWay,
    /// It has returned, and may have kept what it was given.
    Done,
    /// What it was given was dropped and not run.
    Dropped,
}

thread_local! {
    /// The pool this thread works for. Set once, before the first task.
    static POOL: RefCell<Option<(Arc<Pool>, Arc<WorkerMeter>)>> = const { RefCell::new(None) };
    /// The address of that pool, or 0. Every submitter looks, and this one has no drop to check.
    static POOL_ADDRESS: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread counts as blocked because the task that it runs awaits one of its pool.
    static AWAITS: Cell<bool> = const { Cell::new(false) };
    /// The address of something on this thread's stack when it began to work.
    static STACK_BASE: Cell<usize> = const { Cell::new(0) };
    /// The number of tasks this thread runs inline, each inside the one before.
    static INLINE_DEPTH: Cell<usize> = const { Cell::new(0) };
}

impl Pool {
    /// Starts `count` workers, which the queue has counted already. When a start fails and no other
    /// worker is left to run what is queued, the queued tasks end with that error.
    pub(crate) fn start_workers(self: &Arc<Self>, count: usize) {
        // A child that was forked without a guard has a queue of a pool that is not its own.
        let count = if count > 0 && !self.home.is_here() { 0 } else { count };
        for _ in 0..count {
            if let Err(error) = self.spawn_worker() {
                self.count_out(error.io_error());
            }
        }
    }

    fn spawn_worker(self: &Arc<Self>) -> Result<(), SpawnError> {
        if self.config.at_exit != AtExit::Abandon {
            self.known_at_exit.get_or_init(|| {
                let pool: Weak<Pool> = Arc::downgrade(self);
                exit::shut_down_at_exit(pool);
            });
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.config.thread_name_prefix);
        let (pool, own_name) = (Arc::clone(self), name.clone());
        let body = move || {
            let (native_id, measure_cpu) = (current().native_id(), pool.config.measure_cpu);
            let now = pool.clock.now();
            let meter = Arc::new(WorkerMeter::new(own_name, native_id, now, measure_cpu));
            pool.meters.lock().living.push(Arc::clone(&meter));
            // The last thing in it counts the worker out, after which a shutdown returns.
            work(&pool, &meter);
            pool.retire(&meter);
        };
        if let Some(handler) = &self.config.spawn_handler {
            return self.hand_over(handler, name, body);
        }
        // The end of the process waits for pools as such, not for their threads: an idle one would
        // never end.
        let mut builder = Builder::new().name(name).daemon(true);
        if let Some(bytes) = self.config.stack_size {
            builder = builder.stack_size(bytes);
        }
        self.keep(builder.start(body)?.handle);
        Ok(())
    }

    /// Has the spawn handler start a thread that runs `body`.
    fn hand_over(
        self: &Arc<Self>,
        handler: &SpawnHandler,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), SpawnError> {
        let failure = || io::Error::other("the spawn handler did not run what it was given");
        let state = Arc::new(Mutex::new(HandOver::UnderWay));
        let on_drop = {
            let (state, pool) = (Arc::clone(&state), Arc::clone(self));
            move || {
                let before = std::mem::replace(&mut *state.lock(), HandOver::Dropped);
                if before == HandOver::Done {
                    pool.count_out(&failure());
                }
            }
        };
        let start = ThreadStart::new(name.clone(), self.config.stack_size, body, on_drop);
        let handed = catch_unwind(AssertUnwindSafe(|| handler(start)));
        let before = std::mem::replace(&mut *state.lock(), HandOver::Done);
        match (handed, before) {
            // A handler that has kept what it was given may still run it, whatever it returned.
            (_, HandOver::UnderWay | HandOver::Done) => Ok(()),
            (Ok(Err(error)), HandOver::Dropped) => Err(SpawnError::new(Some(name), error)),
            (_, HandOver::Dropped) => Err(SpawnError::new(Some(name), failure())),
        }
    }

    /// Counts out a worker that could not be started. If no other is left to run what is queued, it
    /// ends with that error.
    fn count_out(&self, error: &io::Error) {
        self.queue.not_started();
        while let Some(task) = self.queue.take_stranded() {
            self.fail(task, TaskError::no_thread(error));
        }
    }

    /// Has `what` told at `at`. Where no thread can be started for that, it is not.
    pub(crate) fn at_time(&self, at: Instant, what: Arc<dyn OnTime>) -> TimerEntry {
        let (entry, start) = self.timer.add(at, what);
        if start {
            let timer = Arc::clone(&self.timer);
            let idle_timeout = self.config.idle_timeout;
            let name = format!("{}-timer", self.config.thread_name_prefix);
            let run = move || timer.run(idle_timeout);
            match Builder::new().name(name).daemon(true).start(run) {
                Ok(started) => self.keep(started.handle),
                Err(_) => self.timer.not_started(),
            }
        }
        entry
    }

    fn keep(&self, handle: JoinHandle<()>) {
        let mut handles = self.handles.lock();
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle);
    }

    fn retire(&self, meter: &Arc<WorkerMeter>) {
        let mut meters = self.meters.lock();
        let alive_ns = self.clock.now().saturating_sub(meter.since);
        meter.counts.alive_ns.store(alive_ns, Ordering::Relaxed);
        meters.living.retain(|other| !Arc::ptr_eq(other, meter));
        meters.departed.add(&meter.counts);
    }

    /// Runs the initializer on the calling worker. Returns false when it fails: then the worker
    /// exits, and another is started for what is queued. After [`INITIALIZER_FAILURES_MAX`] in a
    /// row the pool is of no use: everything that is queued, or submitted from now on, ends with
    /// that error.
    fn initialize(self: &Arc<Self>) -> bool {
        let Some(initializer) = &self.config.initializer else { return true };
        let message = match catch_unwind(AssertUnwindSafe(|| initializer())) {
            Ok(Ok(())) => {
                self.initializer_failures.store(0, Ordering::Relaxed);
                return true;
            }
            Ok(Err(message)) => message,
            Err(payload) => {
                let error = TaskError::panicked(payload);
                let message = error.message().to_owned();
                caught(|| drop(error));
                message
            }
        };
        let failures = self.initializer_failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures < INITIALIZER_FAILURES_MAX {
            self.start_workers(self.queue.not_initialized());
            return false;
        }
        self.broken.get_or_init(|| Arc::new(message));
        self.close();
        while let Some(task) = self.queue.take_to_cancel() {
            self.fail(task, self.refusal(Refused::Cancelling));
        }
        self.queue.not_started();
        false
    }

    /// Runs a task that the calling worker has taken out of the queue. Returns the next task, if
    /// the worker took one atomically with the end of this one.
    pub(crate) fn run_popped(
        self: &Arc<Self>,
        queued: Queued,
        meter: &WorkerMeter,
    ) -> Option<Queued> {
        let arrival = queued.arrival;
        let Some(claimed) = queued.claim(Claim::ToRun) else {
            self.queue.remove_tombstone();
            return self.queue.finish(Afterwards::Nothing);
        };
        let observer = WorkerObserver { pool: self, meter, next: Cell::new(None) };
        self.begin(arrival, meter);
        claimed.run(&observer);
        observer.next.take()
    }

    /// Runs a task that the calling worker waits for and has claimed in the queue.
    pub(crate) fn run_inline(self: &Arc<Self>, task: Claimed<'_>, meter: &WorkerMeter) {
        self.queue.add_tombstone();
        let observer = InlineObserver { pool: self, meter };
        meter.begin_inside();
        task.run(&observer);
    }

    /// Runs any task that is queued, inside of the one that the calling worker runs. Returns false
    /// when none is queued.
    pub(crate) fn run_one_queued(self: &Arc<Self>, meter: &WorkerMeter) -> bool {
        let Some(queued) = self.queue.take_any() else { return false };
        match queued.claim(Claim::ToRun) {
            None => self.queue.remove_tombstone(),
            Some(claimed) => {
                meter.begin_inside();
                claimed.run(&InlineObserver { pool: self, meter });
            }
        }
        true
    }

    fn begin(&self, arrival: Option<SampledArrival>, meter: &WorkerMeter) {
        meter.begin(&self.clock, arrival);
        if self.config.measure_cpu && self.wait_samples.is_due() {
            self.sample_waits(meter);
        }
    }
}

/// Works for `pool` until nothing is left to do and nothing more will come.
pub(crate) fn work(pool: &Arc<Pool>, meter: &Arc<WorkerMeter>) {
    POOL.set(Some((Arc::clone(pool), Arc::clone(meter))));
    POOL_ADDRESS.set(Arc::as_ptr(pool).addr());
    STACK_BASE.set(stack_address());
    tell_names_in(Some(Arc::clone(&meter.task_name)));
    hooks::set(pool.task_hooks.as_ref().and_then(|hooks| hooks.lock().clone()));
    let current = CurrentToken::set(pool.token().clone());
    // The initializer is the user's code, and may wait.
    let hook_before = set_hook(pool.config.wait_hook.clone());
    if pool.initialize() {
        pool.queue.started();
        let parker = Arc::new(Parker::new());
        let idle_deadline = || Deadline::after(pool.idle_timeout());
        // As a whole inside of the hook, so that a worker lets the lock go while it spins, too.
        let pop = || blocking(|| pool.queue.pop(&parker, idle_deadline));
        while let Some(task) = pop() {
            let mut next = Some(task);
            while let Some(task) = next {
                next = pool.run_popped(task, meter);
            }
        }
    }
    set_hook(hook_before);
    hooks::set(None);
    tell_names_in(None);
    drop(current);
    // The next thing this thread drops may be the pool's last handle; it must not wait for itself.
    POOL_ADDRESS.set(0);
    POOL.set(None);
}

/// Returns whether the calling thread works for `pool`.
pub(crate) fn is_of(pool: &Pool) -> bool {
    POOL_ADDRESS.get() == std::ptr::from_ref(pool).addr()
}

/// Returns what the calling thread is to `pool`. While the end of the process drains the pools, a
/// thread that the process waits for is as good as a worker of the pool's own.
pub(crate) fn submitter(pool: &Arc<Pool>) -> Submitter {
    let is_waited_for = || with_pool(|own, _| own.config.at_exit != AtExit::Abandon);
    let drains = pool.drains_at_exit.load(Ordering::Relaxed);
    match is_of(pool) || (drains && exit::may_submit_at_exit(is_waited_for)) {
        true => Submitter::Worker,
        false => Submitter::Outside,
    }
}

/// Counts the items that a batch had left when the calling worker ran it.
pub(crate) fn count_batch(items: u64, panicked: u64) {
    with_pool(|_, meter| meter.count_batch(items, panicked));
}

/// Runs `work`, which is the calling worker's task, and lets a shutdown cancel `items` meanwhile.
pub(crate) fn while_cancellable<R>(items: Arc<dyn CancelItems>, work: impl FnOnce() -> R) -> R {
    match with_pool(|_, meter| Arc::clone(meter)) {
        Some(meter) => meter.while_cancellable(items, work),
        None => work(),
    }
}

fn with_pool<R>(f: impl FnOnce(&Arc<Pool>, &Arc<WorkerMeter>) -> R) -> Option<R> {
    POOL.try_with(|pool| pool.borrow().as_ref().map(|(pool, meter)| f(pool, meter))).ok().flatten()
}

/// Runs `task` inline and returns true, if the calling thread works for `pool`, no worker has
/// started the task, and the stack is not too deep. Call this before blocking on the task.
pub(crate) fn try_run_inline<T: Send>(pool: &Arc<Pool>, task: &TaskHandle<T>) -> bool {
    if !task.is_pending() || !pool.home.is_here_if_guarded() {
        return false;
    }
    let own = with_pool(|own, meter| Arc::ptr_eq(own, pool).then(|| Arc::clone(meter))).flatten();
    let Some(meter) = own else { return false };
    if !has_room_inline(pool) {
        return false;
    }
    let Some(claimed) = task.claim(Claim::ToRun) else { return false };
    // The task has a token of its own or the pool's, not that of the task that waits for it.
    let current = CurrentToken::set(pool.token().clone());
    one_deeper(|| pool.run_inline(claimed, &meter));
    drop(current);
    true
}

/// Returns whether the calling worker has room on its stack for one more task inline. If not, the
/// task is another worker's: when all are blocked, one more may always be started.
fn has_room_inline(pool: &Pool) -> bool {
    let used = STACK_BASE.get().abs_diff(stack_address());
    let size = pool.config.stack_size.unwrap_or(STACK_SIZE_DEFAULT);
    INLINE_DEPTH.get() < INLINE_DEPTH_MAX && used <= size / INLINE_STACK_SHARE
}

/// Returns an address on the calling thread's stack, near its end.
#[inline(never)]
fn stack_address() -> usize {
    let local = 0_u8;
    (&raw const local).addr()
}

/// Runs `f`, which runs a task inline.
fn one_deeper<R>(f: impl FnOnce() -> R) -> R {
    INLINE_DEPTH.set(INLINE_DEPTH.get() + 1);
    let result = f();
    INLINE_DEPTH.set(INLINE_DEPTH.get() - 1);
    result
}

/// Runs `wait`, which blocks until a task of one of `pools` is done. If the calling thread works
/// for one of them, that pool may start another worker meanwhile: otherwise all its workers could
/// end up waiting for tasks that no worker is left to run.
pub(crate) fn while_blocked_on<'a, R>(
    pools: impl IntoIterator<Item = &'a Arc<Pool>>,
    wait: impl FnOnce() -> R,
) -> R {
    let Some(own) = with_pool(|own, _| Arc::clone(own)) else { return wait() };
    if !pools.into_iter().any(|pool| Arc::ptr_eq(pool, &own)) {
        return wait();
    }
    blocked(&own, wait)
}

/// Blocks with `wait` until tasks of `pool` `are_done`. A worker of that pool may be replaced
/// meanwhile, as in [`while_blocked_on`]. Once no substitute may be started any more, the worker
/// first runs whatever is queued, for it may be waiting for that.
pub(crate) fn wait_in(pool: &Arc<Pool>, are_done: impl Fn() -> bool, wait: impl FnOnce()) {
    let own = with_pool(|own, meter| Arc::ptr_eq(own, pool).then(|| Arc::clone(meter))).flatten();
    let Some(meter) = own else { return wait() };
    while pool.queue.substitutes_are_spent() && has_room_inline(pool) && !are_done() {
        let current = CurrentToken::set(pool.token().clone());
        let helped = one_deeper(|| pool.run_one_queued(&meter));
        drop(current);
        if !helped {
            break;
        }
    }
    blocked(pool, wait);
}

/// Notes that a task which the calling thread runs has polled one of `pool`, and that there is no
/// result. The task may block until there is one, so if the thread works for that pool, another
/// worker may be started in its place, as in [`while_blocked_on`]: until the task polls a result,
/// drops the future, waits in another way, or ends. Returns whether that is so.
pub(crate) fn begin_awaiting(pool: &Arc<Pool>) -> bool {
    let is_own = is_of(pool);
    if is_own && !AWAITS.replace(true) {
        pool.start_workers(pool.queue.block());
    }
    is_own
}

/// Notes that the task which the calling thread runs no longer awaits one of its pool.
pub(crate) fn end_awaiting() {
    if AWAITS.try_with(|awaits| awaits.replace(false)).unwrap_or(false) {
        with_pool(|own, _| own.queue.unblock());
    }
}

fn blocked<R>(own: &Arc<Pool>, wait: impl FnOnce() -> R) -> R {
    end_awaiting();
    own.start_workers(own.queue.block());
    let meter = with_pool(|_, meter| Arc::clone(meter));
    let waited = match meter {
        Some(meter) => meter.while_nested(&own.clock, wait),
        None => wait(),
    };
    own.queue.unblock();
    waited
}

/// Observes a task that the worker took out of the queue.
struct WorkerObserver<'a> {
    pool: &'a Arc<Pool>,
    meter: &'a WorkerMeter,
    /// The task after this one, if the worker took it atomically with the end of this one.
    next: Cell<Option<Queued>>,
}

impl Observer for WorkerObserver<'_> {
    fn ended(&self, how: Ended, error: Option<&TaskError>) {
        end_awaiting();
        self.meter.end(how);
        self.pool.tell_of_end(error);
    }

    fn free(&self, afterwards: Afterwards) {
        let next = self.pool.queue.finish(afterwards);
        if next.is_none() {
            self.meter.rest(&self.pool.clock);
        }
        self.next.set(next);
    }

    fn busy(&self) {
        let start = match self.next.take() {
            None => self.pool.queue.busy_again(),
            Some(next) => match self.pool.queue.put_back(next) {
                PutBack::Queued { start } => start,
                PutBack::Cancelling(next) => {
                    self.pool.fail(next, self.pool.broken_or(TaskError::cancelled));
                    0
                }
            },
        };
        self.pool.start_workers(start);
        self.meter.resume(&self.pool.clock);
    }

    fn unread(&self, error: &TaskError) {
        self.pool.report_unread(error);
    }
}

/// Observes a task that the worker runs inline. The worker goes on with another task afterwards, so
/// it is never free.
struct InlineObserver<'a> {
    pool: &'a Pool,
    meter: &'a WorkerMeter,
}

impl Observer for InlineObserver<'_> {
    fn ended(&self, how: Ended, error: Option<&TaskError>) {
        self.meter.end(how);
        self.pool.tell_of_end(error);
    }

    fn free(&self, _afterwards: Afterwards) {}

    fn busy(&self) {}

    fn unread(&self, error: &TaskError) {
        self.pool.report_unread(error);
    }
}
