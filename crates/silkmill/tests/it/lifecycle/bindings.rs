//! The face for bindings, used as an interpreter with a global lock would: every worker holds the
//! lock, except around waits.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use silkmill::{
    CancelToken, Event, ReturnWhen, Semaphore, TaskErrorKind, Thread, ThreadPoolExecutor,
    ThreadStart, as_completed, wait,
};

use crate::patiently;

/// A lock that belongs to a thread, as an interpreter's does.
#[derive(Default)]
struct Interpreter {
    is_held: Mutex<bool>,
    given_up: Condvar,
    /// The number of times it was let go around a wait.
    waits: AtomicUsize,
}

thread_local!(static HOLDS: Cell<bool> = const { Cell::new(false) });

impl Interpreter {
    fn attach(&self) {
        assert!(!HOLDS.replace(true), "no thread takes it twice");
        let mut is_held = self.is_held.lock().unwrap();
        while *is_held {
            is_held = self.given_up.wait(is_held).unwrap();
        }
        *is_held = true;
    }

    fn detach(&self) {
        assert!(HOLDS.replace(false), "only its holder lets it go");
        *self.is_held.lock().unwrap() = false;
        self.given_up.notify_one();
    }
}

/// Builds a pool whose workers are threads of the interpreter.
fn pool_of(interpreter: &Arc<Interpreter>, workers: usize) -> Arc<ThreadPoolExecutor> {
    let (starting, waiting) = (Arc::clone(interpreter), Arc::clone(interpreter));
    let builder = ThreadPoolExecutor::builder()
        .max_workers(workers)
        .spawn_handler(move |start| {
            let interpreter = Arc::clone(&starting);
            let thread = std::thread::Builder::new().name(start.name().to_owned());
            let run = move || {
                interpreter.attach();
                start.run();
                interpreter.detach();
            };
            thread.spawn(run).map(drop)
        })
        .wait_hook(move |wait| {
            waiting.waits.fetch_add(1, Ordering::Relaxed);
            waiting.detach();
            wait();
            waiting.attach();
        });
    Arc::new(builder.build().unwrap())
}

/// Runs `first` on one worker and, once that waits, `second` on another. If `first` kept the lock
/// while it waits for what `second` does, neither would end.
fn meet(first: impl FnOnce() + Send + 'static, second: impl FnOnce() + Send + 'static) {
    let interpreter = Arc::new(Interpreter::default());
    let pool = pool_of(&interpreter, 2);
    let (began, has_begun) = std::sync::mpsc::channel();
    let waits = pool.submit(move || {
        assert!(HOLDS.get(), "a task holds the lock");
        began.send(()).unwrap();
        first();
        assert!(HOLDS.get(), "and holds it again after a wait");
    });
    has_begun.recv().unwrap();
    let opens = pool.submit(move || {
        assert!(HOLDS.get(), "a task holds the lock");
        second();
    });
    opens.result().unwrap();
    waits.result().unwrap();
    pool.shutdown();
    assert!(interpreter.waits.load(Ordering::Relaxed) > 0);
    patiently("every worker has let go", || !*interpreter.is_held.lock().unwrap());
}

#[test]
fn a_wait_for_an_event_lets_the_lock_go() {
    let event = Arc::new(Event::new());
    let theirs = Arc::clone(&event);
    meet(move || theirs.wait(), move || event.set());
}

#[test]
fn a_wait_for_a_permit_lets_the_lock_go() {
    let semaphore = Arc::new(Semaphore::new(0));
    let theirs = Arc::clone(&semaphore);
    meet(move || drop(theirs.acquire()), move || semaphore.add_permits(1));
}

#[test]
fn a_tokens_sleep_lets_the_lock_go() {
    let token = CancelToken::new();
    let theirs = token.clone();
    meet(move || _ = theirs.sleep(Duration::MAX), move || token.cancel());
}

#[test]
fn a_join_lets_the_lock_go() {
    let event = Arc::new(Event::new());
    let theirs = Arc::clone(&event);
    let thread = Thread::spawn(move || theirs.wait());
    meet(move || thread.join().unwrap(), move || event.set());
}

/// Meets with a first task that waits, in some way, for a task of another pool.
fn meet_over_a_future(
    wait_for: impl FnOnce(&ThreadPoolExecutor, Box<dyn FnOnce() + Send>) + Send + 'static,
) {
    let event = Arc::new(Event::new());
    let theirs = Arc::clone(&event);
    let other = crate::pool(1);
    meet(move || wait_for(&other, Box::new(move || theirs.wait())), move || event.set());
}

#[test]
fn waits_for_results_let_the_lock_go() {
    meet_over_a_future(|pool, task| pool.submit(task).result().unwrap());
    meet_over_a_future(|pool, task| {
        pool.submit(task).result_timeout(Duration::MAX).unwrap().unwrap();
    });
    meet_over_a_future(|pool, task| {
        wait(&[pool.submit(task)], ReturnWhen::All, None);
    });
    meet_over_a_future(|pool, task| {
        as_completed([pool.submit(task)]).for_each(|future| future.result().unwrap());
    });
    meet_over_a_future(|pool, task| pool.scope(|scope| drop(scope.submit(task))));
    meet_over_a_future(|pool, task| {
        drop(pool.submit(task));
        pool.shutdown();
    });
}

#[test]
fn a_wait_for_room_lets_the_lock_go() {
    let event = Arc::new(Event::new());
    let theirs = Arc::clone(&event);
    let full = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let running = full.submit(move || theirs.wait());
    patiently("it runs", || running.running());
    drop(full.submit(|| ()));
    meet(move || full.submit(|| ()).result().unwrap(), move || event.set());
    drop(running);
}

#[test]
fn many_tasks_that_wait_for_each_other_run_under_one_lock() {
    let interpreter = Arc::new(Interpreter::default());
    let pool = pool_of(&interpreter, 4);
    thread_local!(static COUNT: RefCell<u32> = const { RefCell::new(0) });
    let futures: Vec<_> = (0..200_u32)
        .map(|n| {
            let theirs = Arc::clone(&pool);
            pool.submit(move || {
                COUNT.with_borrow_mut(|count| *count += 1);
                let inner = theirs.submit(move || {
                    assert!(HOLDS.get());
                    n
                });
                let sum: u32 = theirs.map(0..3, |n| n).map(Result::unwrap).sum();
                assert!(HOLDS.get());
                inner.result().unwrap() + sum
            })
        })
        .collect();

    let sum: u32 = futures.into_iter().map(|future| future.result().unwrap()).sum();

    assert_eq!(sum, (0..200).sum::<u32>() + 200 * 3);
    pool.shutdown();
    assert_eq!(pool.stats().workers, 0);
}

#[test]
fn a_spawn_handler_that_fails_is_a_thread_that_could_not_be_started() {
    type Handler = fn(ThreadStart) -> io::Result<()>;
    fn drop_start(start: ThreadStart) -> io::Result<()> {
        drop(start);
        Ok(())
    }
    let handlers: [(Handler, &str); 3] = [
        (|_| Err(io::Error::other("the interpreter ends")), "the interpreter ends"),
        (drop_start, "did not run"),
        (|_| panic!("on purpose"), "did not run"),
    ];
    for (handler, why) in handlers {
        let pool = ThreadPoolExecutor::builder().spawn_handler(handler).build().unwrap();

        let error = pool.submit(|| ()).result().unwrap_err();

        assert_eq!(error.kind(), TaskErrorKind::NoThread);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(why), "{source}");
        pool.shutdown();
    }
}

#[test]
fn a_spawn_handler_may_run_the_worker_later_or_drop_it_later() {
    let kept: Arc<Mutex<Vec<ThreadStart>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let pool = ThreadPoolExecutor::builder()
        .max_workers(1)
        .thread_name_prefix("later")
        .stack_size(1 << 20)
        .spawn_handler(move |start| {
            keep.lock().unwrap().push(start);
            Ok(())
        })
        .build()
        .unwrap();

    let dropped = pool.submit(|| ());
    let start = kept.lock().unwrap().pop().unwrap();
    assert_eq!((start.name(), start.stack_size()), ("later-0", Some(1 << 20)));
    drop(start);
    assert_eq!(dropped.result().unwrap_err().kind(), TaskErrorKind::NoThread);

    let run = pool.submit(|| silkmill::current().name().to_owned());
    let start = kept.lock().unwrap().pop().unwrap();
    let name = std::thread::scope(|threads| {
        let worker = threads.spawn(|| {
            start.run();
            silkmill::current().name().to_owned()
        });
        let name = run.result().unwrap();
        pool.shutdown();
        assert_eq!(worker.join().unwrap(), "", "the thread is its own again");
        name
    });
    assert_eq!(name, "later-1");
}

#[test]
fn a_wait_hook_that_does_not_wait_or_panics_changes_nothing() {
    let hooks: [fn(&mut dyn FnMut()); 4] = [
        |_| {},
        |_| std::panic::resume_unwind(Box::new("before")),
        |wait| {
            wait();
            std::panic::resume_unwind(Box::new("after"))
        },
        |wait| {
            wait();
            wait();
        },
    ];
    for hook in hooks {
        let pool =
            Arc::new(ThreadPoolExecutor::builder().max_workers(2).wait_hook(hook).build().unwrap());
        let inner = Arc::clone(&pool);

        let sum = pool.submit(move || -> u32 {
            (0..50).map(|n| inner.submit(move || n).result().unwrap()).sum()
        });

        assert_eq!(sum.result().unwrap(), 49 * 50 / 2);
        pool.shutdown();
    }
}
