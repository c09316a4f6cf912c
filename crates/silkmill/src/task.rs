//! One closure and the cell its result ends up in: one allocation, and the only `unsafe` of the
//! executor.
//!
//! A task goes one way: *pending* (it holds its closure) → *claimed*, to be run or to be cancelled
//! → *done* (the result is published). The thread that claims it owns it: a worker, a waiter that
//! runs it inline, or a canceller. Exactly one of them wins, because the step is one
//! compare-and-swap of the cell's state.
//!
//! Callbacks run before the result is published, so a thread that has seen the result knows that
//! they have all run.
//!
//! # Who may touch what
//!
//! A cell has two owners, each of which exists once: [`QueuedTask`], which lies in a queue and then
//! belongs to a worker, and [`TaskHandle`], which belongs to a future. The state says when each is
//! gone, and the owner that goes last frees the cell.
//!
//! The payload belongs to no thread while the task is pending; to the claimer from the claim to the
//! publication; and to the handle afterwards, for which the claimer releases and the handle
//! acquires. If the handle goes before the publication, the payload stays with the claimer.
//!
//! What few tasks need (callbacks, wakers, sleeping waiters) lies in [`Listeners`], which the
//! handle makes when it is needed and announces in the state. Publishing happens under the lock of
//! the listeners, or fails because the handle has just announced some, and is tried again.
//!
//! It is one file, though a long one, so that everything `unsafe` can be read in one go.
//! Listeners, latches and observers have no `unsafe`, and files of their own in `task/`.

#![expect(unsafe_code, reason = "a task's type is erased while it is queued")]

// The permission for `unsafe` is this file's alone: the files below it may not use it.
#[deny(unsafe_code)]
pub(crate) mod hooks;
#[deny(unsafe_code)]
pub(crate) mod job;
#[deny(unsafe_code)]
mod listeners;
#[deny(unsafe_code)]
pub(crate) mod name;
#[deny(unsafe_code)]
pub(crate) mod observer;
#[deny(unsafe_code)]
pub(crate) mod scope_latch;
#[deny(unsafe_code)]
pub(crate) mod waiter;

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{NotStarted, TaskError};
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::{Deadline, UnsafeCell};
use crate::task::job::Job;
use crate::task::listeners::{Callback, Listeners, Notifications};
use crate::task::observer::{Afterwards, Claim, Ended, NoObserver, Observer};
use crate::task::scope_latch::Latch;
use crate::task::waiter::Waiter;
use crate::unwind::{caught, forget_location};

/// A thread has the right to the payload.
const CLAIMED: usize = 1;
/// The result is published.
const DONE: usize = 1 << 1;
/// The task was claimed to be cancelled, or ended as cancelled.
const CANCELLED: usize = 1 << 2;
/// The result is an error.
const FAILED: usize = 1 << 3;
/// There are listeners, so publishing takes their lock.
const LISTENERS: usize = 1 << 4;
/// The [`TaskHandle`] was dropped.
const HANDLE_GONE: usize = 1 << 5;
/// The [`QueuedTask`] was dropped, or the claim made from it has published the result.
const QUEUED_GONE: usize = 1 << 6;

/// The beginning of every cell, whatever its types.
struct Header {
    vtable: &'static VTable,
    /// The flags above. The publication releases the result, and a thread that sees `DONE` acquires
    /// it. A claim orders nothing: the closure was there before the owners were.
    state: AtomicUsize,
    /// An `Arc<Listeners<T>>`, or null. Set once, by the handle; read by threads that saw
    /// `LISTENERS`.
    listeners: AtomicPtr<()>,
}

/// The operations on a cell whose types are forgotten.
struct VTable {
    /// Runs the closure of a claimed task and publishes its result.
    run: unsafe fn(NonNull<Header>, &dyn Observer, Side),
    /// Drops the closure of a claimed task and publishes an error.
    fail: unsafe fn(NonNull<Header>, TaskError, &dyn Observer, Side),
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

/// A task that only the caller knows yet.
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
            listeners: AtomicPtr::new(ptr::null_mut()),
        };
        NewTask { cell: Box::new(Cell { header, payload: UnsafeCell::new(payload) }) }
    }

    /// Returns the closure.
    pub(crate) fn into_job(self) -> F {
        // SAFETY: no other thread has ever known the cell.
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

    /// Returns the owners of a task that borrows. [`scoped`](scope_latch::scoped) says why they may
    /// forget that.
    pub(crate) fn into_scoped<'scope>(
        self,
        latch: &Latch<'scope, '_>,
    ) -> (QueuedTask, TaskHandle<T>)
    where
        F: 'scope,
        T: 'scope,
    {
        let (queued, handle) = self.into_erased();
        handle.listeners().set_scope(latch.count_up());
        (queued, handle)
    }

    fn into_erased(self) -> (QueuedTask, TaskHandle<T>) {
        let cell = NonNull::from(Box::leak(self.cell)).cast::<Header>();
        (QueuedTask { cell }, TaskHandle { cell, result: PhantomData })
    }
}

impl<T: Send> TaskHandle<T> {
    /// Makes the handle of a task that ended before it began.
    pub(crate) fn failed(error: TaskError) -> Self {
        let cancelled = if error.is_cancelled() { CANCELLED } else { 0 };
        let state = CLAIMED | DONE | FAILED | QUEUED_GONE | cancelled;
        let task = NewTask::<fn() -> T, T>::in_state(Payload::Result(Err(error)), state);
        let (queued, handle) = task.into_erased();
        // The state says already that its share of the cell is given up.
        std::mem::forget(queued);
        handle
    }
}

/// The owner of a task that waits to be run. Dropping it cancels the task, if no thread has claimed
/// it.
pub(crate) struct QueuedTask {
    cell: NonNull<Header>,
}

// SAFETY: it is made of a closure and a result that are `Send` (`NewTask::new` asks for that), and
// it is the only owner of its kind. What is shared with the handle is atomic, behind a lock, or
// handed over by the state.
unsafe impl Send for QueuedTask {}

impl QueuedTask {
    fn header(&self) -> &Header {
        // SAFETY: this owner has not given up its share of the cell, so the cell is there.
        unsafe { self.cell.as_ref() }
    }

    /// Takes the task out of *pending*. Returns `None` when another thread already has.
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
                .fail(TaskError::cancelled(), &NoObserver);
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

// SAFETY: as for `QueuedTask`; the claimer of a task is its only owner until the result is
// published.
unsafe impl Send for Claimed<'_> {}

impl Claimed<'_> {
    /// Runs the closure, then the callbacks, and publishes the result.
    pub(crate) fn run(self, observer: &dyn Observer) {
        // SAFETY: this claim is the only one, and has not ended the task; the cell lives until it
        // is.
        unsafe { (self.cell.as_ref().vtable.run)(self.cell, observer, self.side) };
    }

    /// Ends the task with `error` instead of running it.
    pub(crate) fn fail(self, error: TaskError, observer: &dyn Observer) {
        // SAFETY: as in `run`.
        unsafe { (self.cell.as_ref().vtable.fail)(self.cell, error, observer, self.side) };
    }
}

/// Runs the closure of a claimed task, and completes it.
///
/// # Safety
/// The cell is of these types and claimed by the caller, who does not touch it afterwards.
unsafe fn run<F: Job<T>, T>(cell: NonNull<Header>, observer: &dyn Observer, side: Side) {
    let cell = cell.cast::<Cell<F, T>>();
    // SAFETY: the caller has claimed the task, so the payload is its own; the cell lives until it
    // is published.
    let payload = unsafe { &cell.as_ref().payload };
    // SAFETY: as above.
    let job = payload.with_mut(|payload| unsafe { ptr::replace(payload, Payload::Empty) });
    let Payload::Job(job) = job else { unreachable!("a task is run once") };
    forget_location();
    let (ended, result) = match catch_unwind(AssertUnwindSafe(|| job.run())) {
        Ok(Ok(value)) => (Ended::Returned, Ok(value)),
        Ok(Err(why)) => (Ended::NotStarted, Err(TaskError::not_started(why))),
        Err(payload) if payload.is::<NotStarted>() => {
            (Ended::NotStarted, Err(TaskError::panicked(payload)))
        }
        Err(payload) => (Ended::Panicked, Err(TaskError::panicked(payload))),
    };
    // SAFETY: as above. What is overwritten is `Empty`.
    payload.with_mut(|payload| unsafe { *payload = Payload::Result(result) });
    // SAFETY: the caller promises the same to this function.
    unsafe { complete(cell, ended, observer, side) };
}

/// Drops the closure of a claimed task, and completes it with `error`.
///
/// # Safety
/// As for [`run`].
unsafe fn fail<F, T>(cell: NonNull<Header>, error: TaskError, observer: &dyn Observer, side: Side) {
    let cell = cell.cast::<Cell<F, T>>();
    // SAFETY: the caller has claimed the task, so the payload is its own; the cell lives until it
    // is published.
    let payload = unsafe { &cell.as_ref().payload };
    let result = Payload::Result(Err(error));
    // SAFETY: as above.
    let job = payload.with_mut(|payload| unsafe { ptr::replace(payload, result) });
    // What the closure owns is the user's, and so is the code that drops it.
    caught(|| drop(job));
    // SAFETY: the caller promises the same to this function.
    unsafe { complete(cell, Ended::NotStarted, observer, side) };
}

/// Runs the callbacks, publishes the result, and notifies the listeners.
///
/// # Safety
/// The task is claimed by the caller, who does not touch the cell afterwards, and the payload is a
/// result.
unsafe fn complete<F, T>(
    cell: NonNull<Cell<F, T>>,
    ended: Ended,
    observer: &dyn Observer,
    side: Side,
) {
    // SAFETY: the cell lives until the result is published, which is further down, and the payload
    // is the claimer's.
    let result = unsafe { lent_result(&cell.as_ref().payload) };
    let error = result.and_then(|result| result.as_ref().err());
    let mut flags = flags_of(error);
    if side == Side::Queued {
        flags |= QUEUED_GONE;
    }
    observer.ended(ended, error);
    let published = loop {
        // SAFETY: the caller promises the same to this function, and nothing is published before
        // this returns `Some`.
        match unsafe { try_publish(cell, flags, observer) } {
            // From here on the handle may free the cell.
            Some(published) => break published,
            None => observer.busy(),
        }
    };
    if published.handle_gone && side == Side::Queued {
        // SAFETY: both owners are gone, and the payload is empty.
        unsafe { free::<F, T>(cell.cast()) };
    }
    if let Some((listeners, notifications)) = published.notifications {
        listeners.notify(notifications, observer);
    }
}

/// Returns the flags that a result is published with.
fn flags_of(error: Option<&TaskError>) -> usize {
    match error {
        Some(error) if error.is_cancelled() => DONE | FAILED | CANCELLED,
        Some(_) => DONE | FAILED,
        None => DONE,
    }
}

/// What is left to do after a publication.
struct Published<T> {
    /// Whether the handle was gone, so that the cell has no other owner any more.
    handle_gone: bool,
    /// The notifications to send, if there are listeners, which outlive the cell.
    notifications: Option<(Arc<Listeners<T>>, Notifications)>,
}

/// Runs the callbacks there are, drops the result if the handle is gone, and publishes, unless
/// something has changed meanwhile: a callback has come, the handle has gone, or listeners were
/// announced. Returns `None` when it has.
///
/// It takes a pointer and not a reference, for the cell may be freed by the handle before it
/// returns.
///
/// # Safety
/// As for [`complete`], except that the caller tries again when this returns `None`. A cell that
/// was published is not touched any more, unless the handle is gone.
unsafe fn try_publish<F, T>(
    cell: NonNull<Cell<F, T>>,
    flags: usize,
    observer: &dyn Observer,
) -> Option<Published<T>> {
    // SAFETY: the cell lives until the result is published: see where `header` and `payload` are
    // last used.
    let Cell { header, payload } = unsafe { cell.as_ref() };
    let state = header.state.load(Ordering::Acquire);
    let listeners = (state & LISTENERS != 0).then(|| {
        // SAFETY: the handle set the pointer before the flag, to an `Arc` of this type that the
        // cell owns.
        unsafe { listeners_of::<T>(header) }
    });
    // SAFETY: the payload is the claimer's until it is published, and no thread writes it while
    // this is borrowed.
    let delivered = match (&listeners, unsafe { lent_result(payload) }) {
        (Some(listeners), Some(result)) => listeners.run_callbacks(result),
        _ => false,
    };
    let handle_gone = state & HANDLE_GONE != 0;
    if handle_gone {
        // SAFETY: the handle is gone, so the payload stays the claimer's, and no callback uses it
        // any more.
        unsafe { discard_result(payload, delivered, observer) };
    }
    observer.free(if listeners.is_none() { Afterwards::Nothing } else { Afterwards::Notify });
    let publish = || {
        let new = state | flags;
        header.state.compare_exchange(state, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let notifications = match listeners {
        None => publish().then_some(None)?,
        Some(listeners) => {
            listeners.publish(publish).map(|notifications| Some((listeners, notifications)))?
        }
    };
    Some(Published { handle_gone, notifications })
}

/// Drops a result that no thread will read, and reports it if it is an error that its owner does
/// not know of: one that was not `delivered` to a callback, and no cancellation.
///
/// # Safety
/// The payload is the caller's, and stays so.
unsafe fn discard_result<F, T>(
    payload: &UnsafeCell<Payload<F, T>>,
    delivered: bool,
    observer: &dyn Observer,
) {
    // SAFETY: promised by the caller; the reference is not used any more when the payload is
    // replaced.
    if let Some(Err(error)) = unsafe { lent_result(payload) }
        && error.is_worth_reporting()
        && !delivered
    {
        caught(|| observer.unread(error));
    }
    // SAFETY: promised by the caller.
    let result = payload.with_mut(|payload| unsafe { ptr::replace(payload, Payload::Empty) });
    caught(|| drop(result));
}

/// Returns the result that a payload is; `None` when it was dropped or taken.
///
/// # Safety
/// The payload is the caller's, and no thread writes it while it is lent.
unsafe fn lent_result<F, T>(payload: &UnsafeCell<Payload<F, T>>) -> Option<&Result<T, TaskError>> {
    // SAFETY: promised by the caller.
    match payload.with(|payload| unsafe { &*payload }) {
        Payload::Result(result) => Some(result),
        _ => None,
    }
}

/// Moves the result out of the cell.
///
/// # Safety
/// The cell is of these types, the payload is the caller's, and `out` points to an
/// `Option<Result<T, TaskError>>`.
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

/// Returns a pointer to the result; null when it was taken.
///
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

/// Frees the cell, and its share of the listeners.
///
/// # Safety
/// The cell is of these types, and both its owners are gone.
unsafe fn free<F, T>(cell: NonNull<Header>) {
    // SAFETY: it was made by a `Box` of this type, and no other thread knows it any more.
    let cell = unsafe { Box::from_raw(cell.cast::<Cell<F, T>>().as_ptr()) };
    let listeners = cell.header.listeners.load(Ordering::Acquire).cast::<Listeners<T>>();
    if !listeners.is_null() {
        // SAFETY: the cell owns one count of the `Arc` this came from.
        drop(unsafe { Arc::from_raw(listeners) });
    }
    // The owner of the payload empties it before it goes, so nothing of the user's is dropped here.
    // SAFETY: no other thread knows the cell.
    cell.payload.with(|payload| debug_assert!(matches!(unsafe { &*payload }, Payload::Empty)));
    drop(cell);
}

/// Notes that an owner is gone. The last one frees the cell.
///
/// # Safety
/// The caller is that owner, and does not touch the cell afterwards. The payload holds nothing of
/// the user's once both are gone.
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

/// Returns the listeners that the handle has announced.
///
/// # Safety
/// `LISTENERS` is set, and the cell is one whose result is a `T`.
unsafe fn listeners_of<T>(header: &Header) -> Arc<Listeners<T>> {
    let listeners = header.listeners.load(Ordering::Acquire).cast::<Listeners<T>>().cast_const();
    // SAFETY: the pointer came from `Arc::into_raw`, and the cell keeps its own count.
    unsafe {
        Arc::increment_strong_count(listeners);
        Arc::from_raw(listeners)
    }
}

/// The right to the result, which a future holds. Dropping it means that no thread will read the
/// result.
pub(crate) struct TaskHandle<T> {
    cell: NonNull<Header>,
    result: PhantomData<T>,
}

// SAFETY: the result is `Send` (`NewTask::new` asks for that), and everything else is atomic or
// behind a lock.
unsafe impl<T: Send> Send for TaskHandle<T> {}
// SAFETY: a shared handle gives no thread a `&T`, except to callbacks, one at a time
// (`Inner::lent`), for which `Send` is enough.
unsafe impl<T: Send> Sync for TaskHandle<T> {}

/// The cell behind the pointer does not move.
impl<T> Unpin for TaskHandle<T> {}

impl<T> TaskHandle<T> {
    fn header(&self) -> &Header {
        // SAFETY: this owner has not given up its share of the cell, so the cell is there.
        unsafe { self.cell.as_ref() }
    }

    fn state(&self) -> usize {
        self.header().state.load(Ordering::Acquire)
    }

    /// Takes the task out of *pending*. Returns `None` when another thread already has.
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

    /// Returns whether the task was cancelled, or is about to be.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state() & CANCELLED != 0
    }

    /// Returns whether the task is done and has no value.
    pub(crate) fn has_failed(&self) -> bool {
        self.state() & (DONE | FAILED) == DONE | FAILED
    }

    /// Returns the listeners, made and announced if they were not.
    fn listeners(&self) -> &Listeners<T> {
        let header = self.header();
        let mut listeners = header.listeners.load(Ordering::Acquire).cast::<Listeners<T>>();
        if listeners.is_null() {
            let new = Arc::into_raw(Arc::new(Listeners::new())).cast_mut();
            match header.listeners.compare_exchange(
                ptr::null_mut(),
                new.cast(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => listeners = new,
                Err(theirs) => {
                    // SAFETY: it came from `into_raw` just now, and no other thread has seen it.
                    drop(unsafe { Arc::from_raw(new) });
                    listeners = theirs.cast();
                }
            }
        }
        if header.state.load(Ordering::Relaxed) & LISTENERS == 0 {
            // A publication from now on sees the flag, and so the pointer. If the result is
            // published already, the caller of this function sees that from here on.
            header.state.fetch_or(LISTENERS, Ordering::AcqRel);
        }
        // SAFETY: the cell keeps the `Arc`, and the handle keeps the cell.
        unsafe { &*listeners }
    }

    /// Blocks until the result is published. Returns false when the deadline came first.
    pub(crate) fn wait_until(&self, deadline: Deadline) -> bool {
        self.is_done() || self.listeners().wait_until(|| self.is_done(), deadline)
    }

    /// Takes the result of a finished task. Returns `None` when it is not finished, or was taken
    /// before.
    pub(crate) fn take_result(&mut self) -> Option<Result<T, TaskError>> {
        let mut result: Option<Result<T, TaskError>> = None;
        if self.is_done() {
            // SAFETY: the result is published and the handle borrowed mutably, so the payload is
            // the handle's.
            unsafe { (self.header().vtable.take)(self.cell, ptr::from_mut(&mut result).cast()) };
        }
        result
    }

    /// Returns the result, or makes sure that `context` is woken when there is one. A result that
    /// was taken before is an error that says so.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if !self.is_done() {
            // Cloned before the lock is taken, because the clone is the runtime's code.
            let waker = context.waker().clone();
            if self.listeners().set_waker(waker, || self.is_done()) {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take_result().unwrap_or_else(|| Err(TaskError::taken())))
    }

    /// Calls `callback` with the result: now, when there is one, otherwise just before it is
    /// published. If the result was taken before, by polling, it gets an error that says so.
    pub(crate) fn add_callback(&self, callback: Callback<T>) {
        let listeners = self.listeners();
        if !listeners.add_callback(callback, || self.is_done()) {
            return;
        }
        // SAFETY: the result is published; it is taken only through a mutable handle, so not while
        // this one is borrowed; and `lent` keeps every other reader out.
        let result = unsafe {
            (self.header().vtable.lend)(self.cell).cast::<Result<T, TaskError>>().as_ref()
        };
        match result {
            Some(result) => listeners.run_callbacks(result),
            None => listeners.run_callbacks(&Err(TaskError::taken())),
        };
    }

    /// Notifies `waiter` of `index` when the result is published, or at once.
    pub(crate) fn add_waiter(&self, waiter: &Arc<Waiter>, index: usize) {
        if !self.is_done() && self.listeners().add_waiter(waiter, index, || self.is_done()) {
            return;
        }
        waiter.notify(index);
    }

    pub(crate) fn remove_waiter(&self, waiter: &Arc<Waiter>) {
        if self.state() & LISTENERS != 0 {
            self.listeners().remove_waiter(waiter);
        }
    }

    /// Drops the handle. Returns the result if it is there, and was not taken before.
    pub(crate) fn into_result(self) -> Option<Result<T, TaskError>> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the handle is not dropped, nor used again.
        unsafe { this.disown() }.map(|(result, _)| result)
    }

    /// Drops the handle. Returns an error that no callback was given and no thread will read,
    /// unless the task was cancelled.
    pub(crate) fn dispose(self) -> Option<TaskError> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the handle is not dropped, nor used again.
        match unsafe { this.disown() } {
            Some((Err(error), Delivered(false))) if error.is_worth_reporting() => Some(error),
            // Dropped here, so that a panic of its drop is the caller's.
            _ => None,
        }
    }

    /// Gives the result up. It is returned when it is there already; if not, the thread that ends
    /// the task drops it.
    ///
    /// # Safety
    /// The handle is not used afterwards.
    unsafe fn disown(&mut self) -> Option<(Result<T, TaskError>, Delivered)> {
        if self.state() & LISTENERS != 0 {
            // Its drop is the runtime's code, which no worker should run.
            let waker = self.listeners().take_waker();
            drop(waker);
        }
        let mut state = self.state();
        while state & DONE == 0 {
            let gone = state | HANDLE_GONE;
            // From here on the payload belongs to the thread that ends the task, and so does the
            // cell: a task whose queued owner is gone was claimed through this handle, and is done.
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
        // Read only now: the callbacks that got the result had run when it was published.
        let delivered = Delivered(self.state() & LISTENERS != 0 && self.listeners().delivered());
        if state & QUEUED_GONE != 0 {
            // SAFETY: the other owner is gone, and what it did to the cell was acquired with that
            // flag; this one is going, as the caller promises.
            unsafe { (self.header().vtable.free)(self.cell) };
        } else {
            // SAFETY: this owner is going, as the caller promises, and the payload is empty.
            unsafe { give_up(self.cell, HANDLE_GONE) };
        }
        result.map(|result| (result, delivered))
    }
}

/// Whether a callback was given the result.
struct Delivered(bool);

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
