//! A counting semaphore, which std does not have: at most so many threads at a time.
//!
//! It is fair by handing over. The thread that gives a permit back gives it to the first waiter,
//! under the lock, and wakes exactly that one when the lock is released. So whenever the lock is
//! free the first waiter cannot be served, a newcomer that finds waiters joins them, and one whose
//! time is up either still waits, and leaves, or has been served already.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::parker::Parker;
use crate::sync::{Deadline, Mutex, MutexGuard, const_unless_loom};

/// Lets at most so many threads or tasks do something at once: requests to one host, files open,
/// megabytes in memory.
///
/// [`acquire`](Semaphore::acquire) takes a permit, waiting for one if necessary, and dropping the
/// [`Permit`] gives it back. First come, first served: no waiter is overtaken, not even by callers
/// that do not wait.
///
/// A task of a pool that waits for a permit keeps its worker meanwhile. Where that is a waste, take
/// the permit before the task is submitted, and move it in:
/// [`acquire_owned`](Semaphore::acquire_owned).
///
/// ```
/// use std::sync::Arc;
/// use silkmill::{Semaphore, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(8).build()?;
/// let requests = Arc::new(Semaphore::new(2));
/// let fetched = pool.map(0..10, {
///     let requests = Arc::clone(&requests);
///     move |page| {
///         let _permit = requests.acquire();
///         page * 2 // Two workers at most are here at once.
///     }
/// });
/// assert_eq!(fetched.map(Result::unwrap).sum::<i32>(), 90);
/// assert_eq!(requests.available(), 2);
/// # Ok::<(), silkmill::BuildError>(())
/// ```
pub struct Semaphore {
    /// Written by threads that take, give back or wait. What was done before a permit was given
    /// back is seen by the thread that takes it next, because both hold this lock.
    inner: Mutex<Inner>,
}

struct Inner {
    available: usize,
    /// The waiters, first come first served. The thread that serves a waiter takes it out.
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    wanted: usize,
    parker: Arc<Parker>,
}

impl Inner {
    /// Takes permits if there are enough and no thread waits. Returns whether it did.
    fn take(&mut self, wanted: usize) -> bool {
        let can_take = wanted == 0 || (self.waiters.is_empty() && self.available >= wanted);
        if can_take {
            self.available -= wanted;
        }
        can_take
    }
}

/// The result of asking for permits with time to wait.
pub(crate) enum Taking {
    Taken,
    /// The caller waits now. The thread that serves it calls `unpark`.
    Waiting(Arc<Parker>),
}

impl Semaphore {
    const_unless_loom! {
        /// Makes a semaphore with so many permits. It may have none at first: see
        /// [`add_permits`](Semaphore::add_permits). It may be a static:
        ///
        /// ```
        /// static OPEN_FILES: silkmill::Semaphore = silkmill::Semaphore::new(100);
        /// let _permit = OPEN_FILES.acquire();
        /// ```
        pub fn new(permits: usize) -> Self {
            let inner = Inner { available: permits, waiters: VecDeque::new() };
            Semaphore { inner: Mutex::new(inner) }
        }
    }

    /// Takes a permit, and waits until there is one and all earlier waiters have got theirs.
    pub fn acquire(&self) -> Permit<'_> {
        self.acquire_many(1)
    }

    /// Takes `permits` at once, as a single [`Permit`]; none are taken before all can be. A waiter
    /// for many holds up those behind, even if there is enough for them. Zero permits are taken
    /// without waiting.
    ///
    /// Waits for ever when there never are so many.
    pub fn acquire_many(&self, permits: usize) -> Permit<'_> {
        let acquired = self.take(permits, Deadline::NEVER);
        debug_assert!(acquired, "a deadline that is never does not pass");
        Permit { semaphore: self, permits }
    }

    /// Takes a permit if there is one now and no thread waits for it.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.acquire_timeout(Duration::ZERO)
    }

    /// Takes a permit, waiting for at most `timeout`. `Duration::ZERO` only looks; `Duration::MAX`
    /// and everything else the clock cannot express mean for ever.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        let acquired = self.take(1, Deadline::after(timeout));
        // Made only if it was acquired, because dropping one gives it back.
        acquired.then(|| Permit { semaphore: self, permits: 1 })
    }

    /// Does what [`acquire`](Semaphore::acquire) does, for a permit that is moved to another thread
    /// or into a task.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use silkmill::{Semaphore, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(8).build()?;
    /// let open_files = Arc::new(Semaphore::new(2));
    /// for _ in 0..10 {
    ///     let permit = open_files.acquire_owned(); // Waits here, not on a worker.
    ///     drop(pool.submit(move || drop(permit)));
    /// }
    /// # Ok::<(), silkmill::BuildError>(())
    /// ```
    pub fn acquire_owned(self: &Arc<Self>) -> OwnedPermit {
        let permit = self.acquire();
        permit.into_owned(self)
    }

    /// Does what [`try_acquire`](Semaphore::try_acquire) does, for a permit that is moved to
    /// another thread or into a task.
    pub fn try_acquire_owned(self: &Arc<Self>) -> Option<OwnedPermit> {
        self.acquire_owned_timeout(Duration::ZERO)
    }

    /// Does what [`acquire_timeout`](Semaphore::acquire_timeout) does, for a permit that is moved
    /// to another thread or into a task.
    pub fn acquire_owned_timeout(self: &Arc<Self>, timeout: Duration) -> Option<OwnedPermit> {
        Some(self.acquire_timeout(timeout)?.into_owned(self))
    }

    /// Returns the number of permits that can be taken now.
    pub fn available(&self) -> usize {
        self.inner.lock().available
    }

    /// Adds permits, for the first waiters. There are never more than `usize::MAX`.
    pub fn add_permits(&self, permits: usize) {
        let mut inner = self.inner.lock();
        inner.available = inner.available.saturating_add(permits);
        serve_and_release(inner);
    }

    /// Takes `wanted` permits. Returns false when the deadline came first.
    fn take(&self, wanted: usize, deadline: Deadline) -> bool {
        if deadline.has_passed() {
            return self.inner.lock().take(wanted);
        }
        match self.take_or_wait(wanted) {
            Taking::Taken => true,
            Taking::Waiting(parker) => self.wait_for_permits(&parker, deadline),
        }
    }

    /// Takes at once if that is possible. If not, the caller waits from now on.
    pub(crate) fn take_or_wait(&self, wanted: usize) -> Taking {
        let mut inner = self.inner.lock();
        if inner.take(wanted) {
            return Taking::Taken;
        }
        let parker = Arc::new(Parker::new());
        inner.waiters.push_back(Waiter { wanted, parker: Arc::clone(&parker) });
        Taking::Waiting(parker)
    }

    /// Waits to be served. Returns false when the deadline came first.
    pub(crate) fn wait_for_permits(&self, parker: &Arc<Parker>, deadline: Deadline) -> bool {
        if parker.park_until(deadline) {
            return true;
        }
        let mut inner = self.inner.lock();
        let place = inner.waiters.iter().position(|waiter| Arc::ptr_eq(&waiter.parker, parker));
        let Some(place) = place else { return true };
        inner.waiters.remove(place);
        // The waiters behind may want less, and be served now.
        serve_and_release(inner);
        false
    }
}

/// Serves the waiters that can be served, releases the lock, and only then wakes them.
fn serve_and_release(mut inner: MutexGuard<'_, Inner>) {
    let mut served = Vec::new();
    while let Some(first) = inner.waiters.front()
        && first.wanted <= inner.available
    {
        inner.available -= first.wanted;
        served.extend(inner.waiters.pop_front());
    }
    drop(inner);
    for waiter in served {
        waiter.parker.unpark();
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        let (available, waiting) = (inner.available, inner.waiters.len());
        drop(inner);
        f.debug_struct("Semaphore")
            .field("available", &available)
            .field("waiting", &waiting)
            .finish()
    }
}

/// The right to be inside, taken from a [`Semaphore`]; dropping it gives it back.
///
/// ```
/// use silkmill::Semaphore;
///
/// let two = Semaphore::new(2);
/// let permit = two.acquire();
/// assert_eq!(two.available(), 1);
/// drop(permit);
/// assert_eq!(two.available(), 2);
/// ```
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl Permit<'_> {
    /// Keeps the permit from being given back: the semaphore has one less from now on, until
    /// [`add_permits`](Semaphore::add_permits).
    pub fn forget(mut self) {
        self.permits = 0;
    }

    fn into_owned(mut self, semaphore: &Arc<Semaphore>) -> OwnedPermit {
        OwnedPermit { semaphore: Arc::clone(semaphore), permits: mem::take(&mut self.permits) }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        give_back(self.semaphore, self.permits);
    }
}

/// The right to be inside, taken from a [`Semaphore`] by
/// [`acquire_owned`](Semaphore::acquire_owned); dropping it gives it back.
///
/// ```
/// use std::sync::Arc;
/// use silkmill::{Semaphore, Thread};
///
/// let one = Arc::new(Semaphore::new(1));
/// let permit = one.acquire_owned();
/// let thread = Thread::spawn(move || drop(permit));
/// thread.join()?;
/// assert_eq!(one.available(), 1);
/// # Ok::<(), silkmill::TaskError>(())
/// ```
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
}

impl OwnedPermit {
    /// Keeps the permit from being given back, like [`Permit::forget`].
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        give_back(&self.semaphore, self.permits);
    }
}

fn give_back(semaphore: &Semaphore, permits: usize) {
    if permits > 0 {
        semaphore.add_permits(permits);
    }
}
