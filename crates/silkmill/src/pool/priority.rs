//! Tasks that are queued, in the order in which they are taken.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::pool::queue_delay::SampledArrival;
use crate::sync::Mutex;
use crate::task::observer::Claim;
use crate::task::{Claimed, QueuedTask};

/// The number of times a class of tasks is passed over in favor of a higher one before it is
/// served.
pub(crate) const PASSED_OVER_MAX: u8 = 8;

/// The class of a task, which decides what is taken first.
///
/// Within a class, first come is first served. Of two classes the higher is served, but a class
/// that has been passed over eight times in a row is served next: so of nine tasks taken, at least
/// one is of each class that waits.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use silkmill::{Priority, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let running = pool.submit(move || wait.recv().is_ok());
/// while !running.running() {}
/// let order = Arc::new(Mutex::new(Vec::new()));
/// for priority in [Priority::Low, Priority::Normal, Priority::High] {
///     let order = Arc::clone(&order);
///     drop(pool.task().priority(priority).submit(move || order.lock().unwrap().push(priority)));
/// }
/// go.send(())?;
/// pool.shutdown();
/// assert_eq!(*order.lock().unwrap(), [Priority::High, Priority::Normal, Priority::Low]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Taken after all others.
    Low,
    /// The class that [`submit`](crate::ThreadPoolExecutor::submit) gives.
    #[default]
    Normal,
    /// Taken before all others.
    High,
}

const CLASSES: usize = 3;

impl Priority {
    /// Returns the index of the class; the highest comes first.
    fn class(self) -> usize {
        match self {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        }
    }
}

/// A task in the queue.
pub(crate) struct Queued {
    pub(crate) place: Place,
    pub(crate) arrival: Option<SampledArrival>,
}

impl Queued {
    /// Takes the task out of *pending*. Returns `None` for a tombstone: another thread already has.
    pub(crate) fn claim(self, what_for: Claim) -> Option<Claimed<'static>> {
        match self.place {
            Place::Own(task) => task.claim(what_for),
            Place::Shared(slot) => slot.take()?.claim(what_for),
        }
    }

    fn is_pending(&self) -> bool {
        match &self.place {
            Place::Own(task) => task.is_pending(),
            Place::Shared(slot) => slot.task.lock().as_ref().is_some_and(QueuedTask::is_pending),
        }
    }
}

/// Where a queued task is kept.
pub(crate) enum Place {
    Own(QueuedTask),
    /// In a slot, out of which it is also taken when it must not wait for its turn any longer.
    Shared(Arc<Slot>),
}

impl From<QueuedTask> for Place {
    fn from(task: QueuedTask) -> Self {
        Place::Own(task)
    }
}

/// Keeps one queued task, for the first of two threads that take it: a worker, when its turn comes,
/// or the one that ends it before. An empty slot in the queue is a tombstone.
#[derive(Default)]
pub(crate) struct Slot {
    task: Mutex<Option<QueuedTask>>,
}

impl Slot {
    pub(crate) fn put(&self, task: QueuedTask) {
        let before = self.task.lock().replace(task);
        debug_assert!(before.is_none(), "a slot is filled once");
    }

    pub(crate) fn take(&self) -> Option<QueuedTask> {
        self.task.lock().take()
    }
}

/// Tasks in order of service, tombstones included.
#[derive(Default)]
pub(super) struct PriorityQueue {
    tasks: [VecDeque<Queued>; CLASSES],
    passed_over: [u8; CLASSES],
    pub(super) len: usize,
}

impl PriorityQueue {
    pub(super) fn push(&mut self, task: Queued, priority: Priority) {
        self.tasks[priority.class()].push_back(task);
        self.len += 1;
    }

    /// Puts a task back that was popped, to be the next.
    pub(super) fn put_back(&mut self, task: Queued) {
        self.tasks[Priority::High.class()].push_front(task);
        self.len += 1;
    }

    pub(super) fn has_normal(&self) -> bool {
        !self.tasks[Priority::Normal.class()].is_empty()
    }

    /// Puts tasks of normal priority behind all others of theirs.
    pub(super) fn append(&mut self, arrived: &mut VecDeque<Queued>) {
        self.len += arrived.len();
        let class = &mut self.tasks[Priority::Normal.class()];
        if class.is_empty() {
            std::mem::swap(class, arrived);
        } else {
            class.append(arrived);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        let class = self.next_class()?;
        self.len -= 1;
        self.tasks[class].pop_front()
    }

    /// Returns the class to serve: the highest that is not empty, unless a lower one has been
    /// passed over too often.
    fn next_class(&mut self) -> Option<usize> {
        let highest = self.tasks.iter().position(|class| !class.is_empty())?;
        if self.tasks[highest].len() == self.len {
            self.passed_over = [0; CLASSES];
            return Some(highest);
        }
        let mut chosen = highest;
        for class in highest + 1..CLASSES {
            if !self.tasks[class].is_empty() {
                self.passed_over[class] += 1;
                if self.passed_over[class] > PASSED_OVER_MAX {
                    chosen = class;
                }
            }
        }
        self.passed_over[chosen] = 0;
        Some(chosen)
    }

    pub(super) fn retain_pending(&mut self) {
        for class in &mut self.tasks {
            class.retain(Queued::is_pending);
        }
        self.len = self.tasks.iter().map(VecDeque::len).sum();
    }
}
