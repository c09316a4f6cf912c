//! The name of the task that a thread runs, for its errors and for threads that ask.

use std::cell::RefCell;
use std::sync::Arc;

use crate::sync::Mutex;
use crate::unwind::note_task;

/// Where a thread tells the name of its task. Written by that thread, read by those that ask what
/// runs.
pub(crate) type RunningName = Arc<Mutex<Option<Arc<str>>>>;

thread_local! {
    /// The place of this thread, if it is a worker.
    static PLACE: RefCell<Option<RunningName>> = const { RefCell::new(None) };
}

/// Sets where the calling worker tells its task's name.
pub(crate) fn tell_names_in(place: Option<RunningName>) {
    PLACE.set(place);
}

/// Tells the name of the task that the calling thread runs, until it is dropped.
pub(super) struct Named {
    name: Arc<str>,
    outer: Option<Arc<str>>,
}

impl Named {
    pub(super) fn begin(name: Arc<str>) -> Self {
        let outer = replace(Some(Arc::clone(&name)));
        Named { name, outer }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        replace(self.outer.take());
        if std::thread::panicking() {
            note_task(Arc::clone(&self.name));
        }
    }
}

fn replace(name: Option<Arc<str>>) -> Option<Arc<str>> {
    let place = PLACE.try_with(|place| place.borrow().clone()).ok().flatten()?;
    let mut told = place.lock();
    std::mem::replace(&mut *told, name)
}
