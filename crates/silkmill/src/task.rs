//! One closure and the cell its result ends up in: one allocation, and the only `unsafe` of the executor.
//!
//! A task goes one way: *pending* (it holds its closure) → *claimed*, to be run or to be cancelled → *done* (the result is
//! published). Whoever claims it owns it: a worker, a waiter that runs it on the spot, or a canceller. Exactly one of them
//! wins, because the step is one compare-and-swap of the cell's state.
//!
//! Callbacks run before the result is published, so whoever has seen the result knows that they have all run.
//!
//! # Who may touch what
//!
//! A cell has two owners, each of which exists once: [`QueuedTask`], which lies in a queue and then belongs to a worker, and
//! [`TaskHandle`], which belongs to a future. The state says when each is gone, and the one that goes last frees the cell.
//!
//! The payload belongs to nobody while the task is pending; to whoever claimed it from the claim to the publication; and to
//! the handle afterwards, for which the one releases and the other acquires. If the handle goes before the
//! publication, the payload stays with the one who claimed.
//!
//! What few tasks need (callbacks, wakers, sleeping waiters) lies in [`Extras`], which the handle makes when it is needed and
//! announces in the state. Publishing happens under the lock of the extras, or fails because somebody has just announced
//! some, and is tried again.
//!
//! It is one long file so that everything `unsafe` can be read in one go.

#![expect(unsafe_code, reason = "a task's type is erased while it is queued")]

pub(crate) mod job;
pub(crate) mod waiter;

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::error::TaskError;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::{Condvar, Deadline, Mutex, UnsafeCell};
use crate::task::job::Job;
use crate::task::waiter::Waiter;
use crate::unwind::{caught, forget_location};

type Callback<T> = Box<dyn FnOnce(Result<&T, &TaskError>) + Send>;

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    ToRun,
    ToCancel,
}

/// Whoever runs a task, and wants to know how far it is.
pub(crate) trait Host {
    /// The task has ended, so much is known.
    fn ended(&self, how: Ended);

    /// Nothing of the user's is left to do, and the result is published next. `briefly` says that nothing else follows
    /// either: no one to wake, nothing to drop.
    fn free(&self, briefly: bool);

    /// Something of the user's is left to do after all.
    fn busy(&self);

    /// The task panicked, and there is nobody to read that.
    fn unread(&self, error: &TaskError);
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Returned,
    Panicked,
    /// It was its turn, but it was cancelled or overdue.
    NotStarted,
}

/// A host that does not care.
pub(crate) struct Anyone;

impl Host for Anyone {
    fn ended(&self, _how: Ended) {}

    fn free(&self, _briefly: bool) {}

    fn busy(&self) {}

    fn unread(&self, _error: &TaskError) {}
}

/// Somebody has the right to the payload.
const CLAIMED: usize = 1;
/// The result is published.
const DONE: usize = 1 << 1;
/// It was claimed to be cancelled, or ended as cancelled.
const CANCELLED: usize = 1 << 2;
/// The result is an error.
const FAILED: usize = 1 << 3;
/// There are extras, so publishing takes their lock.
const EXTRAS: usize = 1 << 4;
/// The [`TaskHandle`] was dropped.
const HANDLE_GONE: usize = 1 << 5;
/// The [`QueuedTask`] was dropped, or what it became has published the result.
const QUEUED_GONE: usize = 1 << 6;

/// What every cell begins with, whatever its types.
struct Header {
    vtable: &'static VTable,
    /// The flags above. The publication releases the result, and whoever sees `DONE` acquires it. A claim orders nothing:
    /// the closure was there before the owners were.
    state: AtomicUsize,
    /// An `Arc<Extras<T>>`, or null. Set once, by the handle; read by whoever saw `EXTRAS`.
    extras: AtomicPtr<()>,
}

/// What can be done with a cell whose types are forgotten.
struct VTable {
    /// Runs the closure of a claimed task and publishes what became of it.
    run: unsafe fn(NonNull<Header>, &dyn Host, Side),
    /// Drops the closure of a claimed task and publishes an error.
    fail: unsafe fn(NonNull<Header>, TaskError, &dyn Host, Side),
    /// Moves the result into the `Option<Result<T, TaskError>>` that is pointed to.
    take: unsafe fn(NonNull<Header>, *mut ()),
    /// Points to the `Result<T, TaskError>`; null when it was taken.
    lend: unsafe fn(NonNull<Header>) -> *const (),
    free: unsafe fn(NonNull<Header>),
}

#[repr(C)]
struct Cell<F, T> {
    /// First, so that a pointer to the cell is one to its header.
    header: Header,
    payload: UnsafeCell<Payload<F, T>>,
}

enum Payload<F, T> {
    Job(F),
    Result(Result<T, TaskError>),
    Empty,
}

/// Which owner of the cell acts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Queued,
    Handle,
}

struct VTableOf<F, T>(PhantomData<(F, T)>);

impl<F: Job<T>, T> VTableOf<F, T> {
    const VTABLE: VTable = VTable {
        run: run::<F, T>,
        fail: fail::<F, T>,
        take: take::<F, T>,
        lend: lend::<F, T>,
        free: free::<F, T>,
    };
}

/// A task that nobody else knows yet.
pub(crate) struct NewTask<F, T> {
    cell: Box<Cell<F, T>>,
}

impl<F: Job<T>, T: Send> NewTask<F, T> {
    pub(crate) fn new(job: F) -> Self {
        NewTask::in_state(Payload::Job(job), 0)
    }

    fn in_state(payload: Payload<F, T>, state: usize) -> Self {
        let header = Header {
            vtable: &VTableOf::<F, T>::VTABLE,
            state: AtomicUsize::new(state),
            extras: AtomicPtr::new(ptr::null_mut()),
        };
        NewTask { cell: Box::new(Cell { header, payload: UnsafeCell::new(payload) }) }
    }

    /// Gives the closure back.
    pub(crate) fn into_job(self) -> F {
        // SAFETY: nobody else has ever known the cell.
        let payload =
            self.cell.payload.with_mut(|payload| unsafe { ptr::replace(payload, Payload::Empty) });
        match payload {
            Payload::Job(job) => job,
            _ => unreachable!("a task is made with its closure"),
        }
    }

    pub(crate) fn into_owners(self) -> (QueuedTask, TaskHandle<T>)
    where
        F: 'static,
        T: 'static,
    {
        self.into_erased()
    }

    /// The owners of a task that borrows. See [`scoped`] for why they may forget that.
    pub(crate) fn into_scoped<'scope>(
        self,
        latch: &Latch<'scope, '_>,
    ) -> (QueuedTask, TaskHandle<T>)
    where
        F: 'scope,
        T: 'scope,
    {
        let (queued, handle) = self.into_erased();
        *latch.left.lock() += 1;
        handle.extras().inner.lock().latch = Some(Arc::clone(&latch.left));
        (queued, handle)
    }

    fn into_erased(self) -> (QueuedTask, TaskHandle<T>) {
        let cell = NonNull::from(Box::leak(self.cell)).cast::<Header>();
        (QueuedTask { cell }, TaskHandle { cell, result: PhantomData })
    }
}

impl<T: Send> TaskHandle<T> {
    /// The handle of a task that ended before it began.
    pub(crate) fn failed(error: TaskError) -> Self {
        let cancelled = if error.is_cancelled() { CANCELLED } else { 0 };
        let state = CLAIMED | DONE | FAILED | QUEUED_GONE | cancelled;
        let task = NewTask::<fn() -> T, T>::in_state(Payload::Result(Err(error)), state);
        let (queued, handle) = task.into_erased();
        // Its share of the cell is given up in the state already.
        std::mem::forget(queued);
        handle
    }
}

/// The owner of a task that waits to be run. Dropping it cancels the task, if nobody has claimed it.
pub(crate) struct QueuedTask {
    cell: NonNull<Header>,
}

// SAFETY: it is made of a closure and a result that are `Send` (`NewTask::new` asks for that), and it is the only owner of
// its kind. What is shared with the handle is atomic, behind a lock, or handed over by the state.
unsafe impl Send for QueuedTask {}

impl QueuedTask {
    fn header(&self) -> &Header {
        // SAFETY: this owner has not given up its share of the cell, so the cell is there.
        unsafe { self.cell.as_ref() }
    }

    /// Takes the task out of *pending*. `None` when somebody else already has.
    pub(crate) fn claim(self, what_for: Claim) -> Option<Claimed<'static>> {
        if !self.header().claim(what_for) {
            return None;
        }
        let cell = self.cell;
        std::mem::forget(self);
        Some(Claimed { cell, side: Side::Queued, owner: PhantomData })
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.header().state.load(Ordering::Relaxed) & CLAIMED == 0
    }
}

impl Drop for QueuedTask {
    fn drop(&mut self) {
        if self.header().claim(Claim::ToCancel) {
            Claimed { cell: self.cell, side: Side::Queued, owner: PhantomData }
                .fail(TaskError::cancelled(), &Anyone);
            return;
        }
        // SAFETY: this owner is going, and does not touch the cell after this.
        unsafe { give_up(self.cell, QUEUED_GONE) };
    }
}

impl Header {
    fn claim(&self, what_for: Claim) -> bool {
        let flags = CLAIMED | if what_for == Claim::ToCancel { CANCELLED } else { 0 };
        let mut state = self.state.load(Ordering::Relaxed);
        while state & CLAIMED == 0 {
            let claimed = state | flags;
            match self.state.compare_exchange(state, claimed, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }
}

/// The right to a task's closure, and the duty to end the task.
pub(crate) struct Claimed<'a> {
    cell: NonNull<Header>,
    side: Side,
    /// The handle it was claimed through, which must outlive it.
    owner: PhantomData<&'a ()>,
}

// SAFETY: as for `QueuedTask`; whoever has claimed a task is its only owner until the result is published.
unsafe impl Send for Claimed<'_> {}

impl Claimed<'_> {
    /// Runs the closure, then the callbacks, and publishes the result.
    pub(crate) fn run(self, host: &dyn Host) {
        // SAFETY: the task is claimed, by us, and was not ended; the cell lives until it is.
        unsafe { (self.cell.as_ref().vtable.run)(self.cell, host, self.side) };
    }

    /// Ends the task with `error` instead of running it.
    pub(crate) fn fail(self, error: TaskError, host: &dyn Host) {
        // SAFETY: as in `run`.
        unsafe { (self.cell.as_ref().vtable.fail)(self.cell, error, host, self.side) };
    }
}

/// # Safety
/// The cell is of these types and claimed by the caller, who does not touch it afterwards.
unsafe fn run<F: Job<T>, T>(cell: NonNull<Header>, host: &dyn Host, side: Side) {
    let cell = cell.cast::<Cell<F, T>>();
    // SAFETY: the caller has claimed the task, so the payload is its own; the cell lives until it is published.
    let payload = unsafe { &cell.as_ref().payload };
    // SAFETY: as above.
    let job = payload.with_mut(|payload| unsafe { ptr::replace(payload, Payload::Empty) });
    let Payload::Job(job) = job else { unreachable!("a task is run once") };
    forget_location();
    let result = catch_unwind(AssertUnwindSafe(|| job.run())).map_err(TaskError::panicked);
    // SAFETY: as above. What is overwritten is `Empty`.
    payload.with_mut(|payload| unsafe { *payload = Payload::Result(result) });
    // SAFETY: passed on to our caller.
    unsafe { complete(cell, host, side) };
}

/// # Safety
/// As for [`run`].
unsafe fn fail<F, T>(cell: NonNull<Header>, error: TaskError, host: &dyn Host, side: Side) {
    let cell = cell.cast::<Cell<F, T>>();
    // SAFETY: the caller has claimed the task, so the payload is its own; the cell lives until it is published.
    let payload = unsafe { &cell.as_ref().payload };
    let result = Payload::Result(Err(error));
    // SAFETY: as above.
    let job = payload.with_mut(|payload| unsafe { ptr::replace(payload, result) });
    // What the closure owns is the user's, and so is the code that drops it.
    caught(|| drop(job));
    // SAFETY: passed on to our caller.
    unsafe { complete(cell, host, side) };
}

/// Runs the callbacks, then lets everyone see the result.
///
/// # Safety
/// The task is claimed by the caller, who does not touch the cell afterwards, and the payload is a result.
unsafe fn complete<F, T>(cell: NonNull<Cell<F, T>>, host: &dyn Host, side: Side) {
    // SAFETY: the cell lives until the result is published: see where `header` and `payload` are last used.
    let Cell { header, payload } = unsafe { cell.as_ref() };
    // SAFETY: the payload is the claimer's until it is published, and nobody writes it while this is borrowed.
    let lent = || payload.with(|payload| unsafe { &*payload });
    let (mut flags, ended) = match lent() {
        Payload::Result(Err(error)) if error.is_panic() => (DONE | FAILED, Ended::Panicked),
        Payload::Result(Err(error)) if error.is_cancelled() => {
            (DONE | FAILED | CANCELLED, Ended::NotStarted)
        }
        Payload::Result(Err(_)) => (DONE | FAILED, Ended::NotStarted),
        _ => (DONE, Ended::Returned),
    };
    if side == Side::Queued {
        flags |= QUEUED_GONE;
    }
    host.ended(ended);
    let (news, handle_gone) = loop {
        let state = header.state.load(Ordering::Acquire);
        let extras = (state & EXTRAS != 0).then(|| {
            // SAFETY: whoever set the flag had set the pointer, to an `Arc` of this type that the cell owns.
            unsafe { extras_of::<T>(header) }
        });
        let told = match (&extras, lent()) {
            (Some(extras), Payload::Result(result)) => extras.run_callbacks(result),
            _ => false,
        };
        let handle_gone = state & HANDLE_GONE != 0;
        if handle_gone {
            if let Payload::Result(Err(error)) = lent()
                && error.is_panic()
                && !told
            {
                caught(|| host.unread(error));
            }
            // SAFETY: the handle is gone, so the payload stays ours, and what was lent has come back.
            let result =
                payload.with_mut(|payload| unsafe { ptr::replace(payload, Payload::Empty) });
            caught(|| drop(result));
        }
        host.free(extras.is_none());
        let publish = || {
            let new = state | flags;
            header.state.compare_exchange(state, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let published = match &extras {
            None => publish().then_some(None),
            Some(extras) => extras.publish(publish).map(Some),
        };
        match published {
            // From here on the handle may free the cell.
            Some(news) => break (news.map(|news| (extras, news)), handle_gone),
            None => host.busy(),
        }
    };
    if handle_gone && side == Side::Queued {
        // SAFETY: both owners are gone, and the payload is empty.
        unsafe { free::<F, T>(cell.cast()) };
    }
    if let Some((Some(extras), news)) = news {
        extras.tell(news, host);
    }
}

/// # Safety
/// The cell is of these types, the payload is the caller's, and `out` points to an `Option<Result<T, TaskError>>`.
unsafe fn take<F, T>(cell: NonNull<Header>, out: *mut ()) {
    // SAFETY: promised by the caller.
    let (cell, out) = unsafe {
        (cell.cast::<Cell<F, T>>().as_ref(), &mut *out.cast::<Option<Result<T, TaskError>>>())
    };
    // SAFETY: the payload is the caller's.
    let payload = cell.payload.with_mut(|payload| unsafe { ptr::replace(payload, Payload::Empty) });
    if let Payload::Result(result) = payload {
        *out = Some(result);
    }
}

/// # Safety
/// The cell is of these types, and the payload is the caller's for as long as the pointer is used.
unsafe fn lend<F, T>(cell: NonNull<Header>) -> *const () {
    // SAFETY: promised by the caller.
    let payload = unsafe { &cell.cast::<Cell<F, T>>().as_ref().payload };
    // SAFETY: the payload is the caller's.
    payload.with(|payload| match unsafe { &*payload } {
        Payload::Result(result) => ptr::from_ref(result).cast(),
        _ => ptr::null(),
    })
}

/// # Safety
/// The cell is of these types, and both its owners are gone.
unsafe fn free<F, T>(cell: NonNull<Header>) {
    // SAFETY: it was made by a `Box` of this type, and nobody else knows it any more.
    let cell = unsafe { Box::from_raw(cell.cast::<Cell<F, T>>().as_ptr()) };
    let extras = cell.header.extras.load(Ordering::Acquire).cast::<Extras<T>>();
    if !extras.is_null() {
        // SAFETY: the cell owns one count of the `Arc` this came from.
        drop(unsafe { Arc::from_raw(extras) });
    }
    // Whoever has the payload empties it before it goes, so nothing of the user's is dropped here.
    // SAFETY: nobody else knows the cell.
    cell.payload.with(|payload| debug_assert!(matches!(unsafe { &*payload }, Payload::Empty)));
    drop(cell);
}

/// Notes that an owner is gone. The last one frees the cell.
///
/// # Safety
/// The caller is that owner, and does not touch the cell afterwards. The payload holds nothing of the user's once both
/// are gone.
unsafe fn give_up(cell: NonNull<Header>, owner: usize) {
    // SAFETY: the caller's share keeps the cell until the flag is set.
    let header = unsafe { cell.as_ref() };
    let free = header.vtable.free;
    // Release what this owner did to the cell, acquire what the other did.
    let before = header.state.fetch_or(owner, Ordering::AcqRel);
    if (before | owner) & (HANDLE_GONE | QUEUED_GONE) == HANDLE_GONE | QUEUED_GONE {
        // SAFETY: both owners are gone.
        unsafe { free(cell) };
    }
}

/// # Safety
/// `EXTRAS` is set, and the cell is one whose result is a `T`.
unsafe fn extras_of<T>(header: &Header) -> Arc<Extras<T>> {
    let extras = header.extras.load(Ordering::Acquire).cast::<Extras<T>>().cast_const();
    // SAFETY: the pointer came from `Arc::into_raw`, and the cell keeps its own count.
    unsafe {
        Arc::increment_strong_count(extras);
        Arc::from_raw(extras)
    }
}

/// What a future holds: the right to the result. Dropping it means that nobody will read it.
pub(crate) struct TaskHandle<T> {
    cell: NonNull<Header>,
    result: PhantomData<T>,
}

// SAFETY: the result is `Send` (`NewTask::new` asks for that), and everything else is atomic or behind a lock.
unsafe impl<T: Send> Send for TaskHandle<T> {}
// SAFETY: a shared handle gives nobody a `&T`, save to callbacks, one at a time (`Extras::lent`), for which `Send` is enough.
unsafe impl<T: Send> Sync for TaskHandle<T> {}

/// What is behind the pointer does not move.
impl<T> Unpin for TaskHandle<T> {}

impl<T> TaskHandle<T> {
    fn header(&self) -> &Header {
        // SAFETY: this owner has not given up its share of the cell, so the cell is there.
        unsafe { self.cell.as_ref() }
    }

    fn state(&self) -> usize {
        self.header().state.load(Ordering::Acquire)
    }

    /// Takes the task out of *pending*. `None` when somebody else already has.
    pub(crate) fn claim(&self, what_for: Claim) -> Option<Claimed<'_>> {
        let claimed = self.header().claim(what_for);
        claimed.then_some(Claimed { cell: self.cell, side: Side::Handle, owner: PhantomData })
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.header().state.load(Ordering::Relaxed) & CLAIMED == 0
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state() & DONE != 0
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state() & (CLAIMED | CANCELLED | DONE) == CLAIMED
    }

    /// Whether it was cancelled, or is about to be.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state() & CANCELLED != 0
    }

    /// Whether the task is done and has no value.
    pub(crate) fn has_failed(&self) -> bool {
        self.state() & (DONE | FAILED) == DONE | FAILED
    }

    /// The extras, made and announced if need be.
    fn extras(&self) -> &Extras<T> {
        let header = self.header();
        let mut extras = header.extras.load(Ordering::Acquire).cast::<Extras<T>>();
        if extras.is_null() {
            let new = Arc::into_raw(Arc::new(Extras::new())).cast_mut();
            match header.extras.compare_exchange(
                ptr::null_mut(),
                new.cast(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => extras = new,
                Err(theirs) => {
                    // SAFETY: it came from `into_raw` just now, and nobody else has seen it.
                    drop(unsafe { Arc::from_raw(new) });
                    extras = theirs.cast();
                }
            }
        }
        if header.state.load(Ordering::Relaxed) & EXTRAS == 0 {
            // Whoever publishes next sees the flag, and so the pointer. If the result is published already, our
            // caller sees that from here on.
            header.state.fetch_or(EXTRAS, Ordering::AcqRel);
        }
        // SAFETY: the cell keeps the `Arc`, and the handle keeps the cell.
        unsafe { &*extras }
    }

    /// Blocks until the result is published. False when the deadline came first.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> bool {
        if self.is_done() {
            return true;
        }
        let extras = self.extras();
        let mut inner = extras.inner.lock();
        loop {
            if self.is_done() {
                return true;
            }
            if deadline.has_passed() {
                return false;
            }
            inner.waiting += 1;
            inner = extras.published.wait_until(inner, deadline);
            inner.waiting -= 1;
        }
    }

    /// Takes the result of a finished task; `None` when it is not finished, or was taken before.
    pub(crate) fn take_result(&mut self) -> Option<Result<T, TaskError>> {
        let mut result: Option<Result<T, TaskError>> = None;
        if self.is_done() {
            // SAFETY: the result is published and the handle borrowed mutably, so the payload is ours.
            unsafe { (self.header().vtable.take)(self.cell, ptr::from_mut(&mut result).cast()) };
        }
        result
    }

    /// The result, or a promise to wake `context` when there is one.
    ///
    /// # Panics
    /// When the result was taken before.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if !self.is_done() {
            // Cloned before the lock is taken: the clone is the runtime's code. So is the drop of the old one.
            let waker = context.waker().clone();
            let mut inner = self.extras().inner.lock();
            if !self.is_done() {
                let old = inner.waker.replace(waker);
                drop(inner);
                drop(old);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take_result().expect("no future is polled after it was ready"))
    }

    /// Calls `callback` with the result: now, when there is one, else just before it is published.
    ///
    /// # Panics
    /// When the result was taken before, by polling.
    pub(crate) fn add_callback(&self, callback: Callback<T>) {
        let extras = self.extras();
        let mut inner = extras.inner.lock();
        if !self.is_done() || inner.lent {
            inner.callbacks.push(callback);
            return;
        }
        inner.lent = true;
        inner.callbacks.push(callback);
        drop(inner);
        // SAFETY: the result is published; it is taken only through a mutable handle, so not while this one is
        // borrowed; and `lent` keeps every other reader out.
        let result = unsafe {
            (self.header().vtable.lend)(self.cell).cast::<Result<T, TaskError>>().as_ref()
        };
        if result.is_none() {
            let mut inner = extras.inner.lock();
            inner.lent = false;
            let callbacks = std::mem::take(&mut inner.callbacks);
            drop(inner);
            drop(callbacks);
        }
        extras
            .run_callbacks(result.expect("a future that was awaited to its end is not used again"));
    }

    /// Tells `waiter` about `index` when the result is published, or at once.
    pub(crate) fn add_waiter(&self, waiter: &Arc<Waiter>, index: usize) {
        if !self.is_done() {
            let mut inner = self.extras().inner.lock();
            if !self.is_done() {
                inner.waiters.push((Arc::clone(waiter), index));
                return;
            }
        }
        waiter.tell(index);
    }

    pub(crate) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        if self.state() & EXTRAS != 0 {
            self.extras().inner.lock().waiters.retain(|(other, _)| !Arc::ptr_eq(other, waiter));
        }
    }

    /// Drops the handle. Returns a panic that nobody has been told of, nor will be.
    pub(crate) fn dispose(self) -> Option<TaskError> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the handle is not dropped, nor used again.
        match unsafe { this.disown() } {
            Some((Err(error), Told(false))) if error.is_panic() => Some(error),
            // Dropped here, so that a panic of its drop is the caller's.
            _ => None,
        }
    }

    /// Says that nobody will read the result. It is returned when it is there already; if not, whoever ends the task drops
    /// it.
    ///
    /// # Safety
    /// The handle is not used afterwards.
    unsafe fn disown(&mut self) -> Option<(Result<T, TaskError>, Told)> {
        if self.state() & EXTRAS != 0 {
            // The runtime's code, which is not to be run by a worker.
            let waker = self.extras().inner.lock().waker.take();
            drop(waker);
        }
        let mut state = self.state();
        while state & DONE == 0 {
            let gone = state | HANDLE_GONE;
            // From here on the payload is that of whoever ends the task, and so is the cell: a task whose queued owner is
            // gone was claimed through this handle, and is done.
            match self.header().state.compare_exchange(
                state,
                gone,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return None,
                Err(now) => state = now,
            }
        }
        let result = self.take_result();
        // Only now: the callbacks that were told had run when the result was published.
        let told = Told(self.state() & EXTRAS != 0 && self.extras().inner.lock().told);
        // SAFETY: this owner is going, as the caller promises, and the payload is empty.
        unsafe { give_up(self.cell, HANDLE_GONE) };
        result.map(|result| (result, told))
    }
}

/// Whether a callback was given the result.
struct Told(bool);

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        // SAFETY: nothing is used after its drop.
        drop(unsafe { self.disown() });
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state() {
            state if state & (DONE | CANCELLED) == DONE | CANCELLED => "cancelled",
            state if state & DONE != 0 => "done",
            state if state & CLAIMED != 0 => "running",
            _ => "pending",
        })
    }
}

/// What few tasks need.
struct Extras<T> {
    inner: Mutex<ExtrasInner<T>>,
    /// Notified when the result is published.
    published: Condvar,
}

struct ExtrasInner<T> {
    callbacks: Vec<Callback<T>>,
    waiters: Vec<(Arc<Waiter>, usize)>,
    waker: Option<Waker>,
    /// Threads that wait for `published`. Nobody is notified when nobody waits, for that is a system call.
    waiting: usize,
    /// Whether a callback that came late reads the result. Who lends it runs what comes meanwhile.
    lent: bool,
    /// Whether a callback was given the result.
    told: bool,
    /// Of the scope that waits for the task.
    latch: Option<Arc<Left>>,
}

/// What is to be done once a result is published.
struct News {
    waiters: Vec<(Arc<Waiter>, usize)>,
    waker: Option<Waker>,
    somebody_waits: bool,
    latch: Option<Arc<Left>>,
}

impl<T> Extras<T> {
    fn new() -> Self {
        let inner = ExtrasInner {
            callbacks: Vec::new(),
            waiters: Vec::new(),
            waker: None,
            waiting: 0,
            lent: false,
            told: false,
            latch: None,
        };
        Extras { inner: Mutex::new(inner), published: Condvar::new() }
    }

    /// Runs callbacks until none is left, in the order in which they came. Says whether any was ever told.
    fn run_callbacks(&self, result: &Result<T, TaskError>) -> bool {
        loop {
            let mut inner = self.inner.lock();
            if inner.callbacks.is_empty() {
                inner.lent = false;
                return inner.told;
            }
            inner.told = true;
            let callbacks = std::mem::take(&mut inner.callbacks);
            drop(inner);
            for callback in callbacks {
                caught(|| callback(result.as_ref()));
            }
        }
    }

    /// Publishes with `publish`, unless a callback has come that must run before. `None` when it did not happen.
    fn publish(&self, publish: impl FnOnce() -> bool) -> Option<News> {
        let mut inner = self.inner.lock();
        if !inner.callbacks.is_empty() || !publish() {
            return None;
        }
        Some(News {
            waiters: std::mem::take(&mut inner.waiters),
            waker: inner.waker.take(),
            somebody_waits: inner.waiting > 0,
            latch: inner.latch.take(),
        })
    }

    fn tell(&self, news: News, host: &dyn Host) {
        if news.somebody_waits {
            self.published.notify_all();
        }
        for (waiter, index) in news.waiters {
            waiter.tell(index);
        }
        if let Some(waker) = news.waker {
            host.busy();
            caught(|| waker.wake());
            host.free(true);
        }
        if let Some(left) = news.latch {
            left.count_down();
        }
    }
}

/// The tasks of a scope that have not ended.
pub(crate) struct Left {
    count: Mutex<usize>,
    none: Condvar,
}

impl Left {
    fn lock(&self) -> crate::sync::MutexGuard<'_, usize> {
        self.count.lock()
    }

    fn count_down(&self) {
        let mut count = self.count.lock();
        *count -= 1;
        let last = *count == 0;
        drop(count);
        if last {
            self.none.notify_all();
        }
    }

    /// Blocks until there are none.
    pub(crate) fn wait(&self) {
        let mut count = self.count.lock();
        while *count > 0 {
            count = self.none.wait(count);
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self.count.lock() == 0
    }
}

/// Lets tasks borrow for `'scope`: whoever has one is inside [`scoped`], which does not return before they have all ended.
pub(crate) struct Latch<'scope, 'env: 'scope> {
    left: Arc<Left>,
    /// Invariant, so that nobody can make the scope longer or shorter.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl Clone for Latch<'_, '_> {
    fn clone(&self) -> Self {
        Latch { left: Arc::clone(&self.left), scope: PhantomData, env: PhantomData }
    }
}

/// Runs `f` with a latch, waits until every task made with it has ended, at first with `wait`, and returns what `f` did.
///
/// This is what makes it sound that [`NewTask::into_scoped`] forgets what a task borrows. `f` must work for every `'scope`,
/// so what a task borrows was there before `f` began and is there after it. A closure and a result are dropped before
/// the latch counts the task out, save for a result that is read through the handle, which cannot leave `f` either.
///
/// # Panics
/// When `f` does, once all tasks have ended.
pub(crate) fn scoped<'env, R>(
    f: impl for<'scope> FnOnce(Latch<'scope, 'env>) -> R,
    wait: impl FnOnce(&Arc<Left>),
) -> R {
    let left = Arc::new(Left { count: Mutex::new(0), none: Condvar::new() });
    let latch = Latch { left: Arc::clone(&left), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(latch)));
    let waited = catch_unwind(AssertUnwindSafe(|| wait(&left)));
    left.wait();
    match (result, waited) {
        (Ok(result), Ok(())) => result,
        (Err(payload), _) | (_, Err(payload)) => resume_unwind(payload),
    }
}
