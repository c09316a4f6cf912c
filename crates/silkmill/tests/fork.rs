//! Processes that fork without `exec`: each case runs this very program again, with one thread that
//! forks.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(unsafe_code, reason = "std does not fork")]

use std::env;
use std::iter::{Empty, empty};
use std::ops::Range;
use std::process::{Command, ExitCode, exit};
use std::time::Duration;

use silkmill::{
    AsCompleted, AtExit, Future, Map, MapUnordered, ReturnWhen, TaskErrorKind, TaskSet, Thread,
    ThreadPoolExecutor, TrySubmitError, as_completed, fork_guard, join_all, wait,
};

/// Set for the process that forks, to the name of its case.
const CASE: &str = "SILKMILL_FORK_TEST_CASE";

const CASES: [&str; 3] = ["guarded", "unguarded", "in-a-worker"];

fn main() -> ExitCode {
    if let Ok(case) = env::var(CASE) {
        fork_in(&case);
        return ExitCode::SUCCESS;
    }
    for case in CASES {
        let program = env::current_exe().expect("the test knows its own program");
        let output = Command::new(program).env(CASE, case).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{case}: {output:?}");
        // A line from a thread of the child, which it waits for, then one from its parent.
        assert_eq!(told, "child\nqueued\nparent\n", "{case}: {output:?}");
        println!("test a_child_and_its_parent_go_on: {case} ... ok");
    }
    ExitCode::SUCCESS
}

fn fork_in(case: &str) {
    let pool: &'static ThreadPoolExecutor =
        Box::leak(Box::new(ThreadPoolExecutor::builder().max_workers(2).build().unwrap()));
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let running = pool.submit(move || wait.recv().is_ok());
    while !running.running() {
        std::thread::yield_now();
    }
    let living = Thread::spawn(|| std::thread::sleep(Duration::from_millis(100)));
    if case == "in-a-worker" {
        // The child is a worker's thread, and no thread of it waits for the parent's.
        let child = pool.submit(move || fork(true, || act_as_child(pool, None, None)));
        assert_eq!(child.result().unwrap(), 0);
    } else {
        let (mut running, mut living) = (Some(running), Some(living));
        let stuck = ThreadPoolExecutor::builder().max_workers(1).at_exit(AtExit::Abandon).build();
        let stuck = Box::leak(Box::new(stuck.unwrap()));
        let begun = Begun::new(stuck);
        let act = || {
            begun.end_as_child();
            act_as_child(pool, running.take(), living.take());
        };
        assert_eq!(fork(case == "guarded", act), 0, "the child's exit code");
        // The parent's own were moved in the child's memory alone.
        go.send(()).unwrap();
        assert!(pool.submit(|| true).result().unwrap());
        println!("parent");
        return;
    }
    go.send(()).unwrap();
    assert!(running.result().unwrap());
    living.join().unwrap();
    println!("parent");
}

/// Forks, and returns the exit code of the child, which does `act` and exits.
fn fork(guarded: bool, act: impl FnOnce()) -> i32 {
    let guard = guarded.then(fork_guard);
    // SAFETY: the child touches nothing that another thread of its parent may have been changing,
    // but for what this crate says it may.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "the system forks");
    drop(guard);
    if child == 0 {
        act();
        exit(0);
    }
    let mut status = 0;
    // SAFETY: it writes to that number.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }
}

/// What a parent has begun with a pool whose only worker never ends its task.
struct Begun {
    futures: Vec<Future<u32>>,
    completed: AsCompleted<u32>,
    set: TaskSet<'static, u32, u32>,
    map: Map<'static, Range<u32>, u32, u32>,
    fed: Map<'static, Range<u32>, u32, u32>,
    unordered: MapUnordered<'static, Range<u32>, u32, u32>,
    unordered_fed: MapUnordered<'static, Empty<u32>, u32, u32>,
}

impl Begun {
    fn new(pool: &'static ThreadPoolExecutor) -> Self {
        drop(pool.submit(std::thread::park));
        let futures = || (0..3).map(|n| pool.submit(move || n)).collect::<Vec<_>>();
        let mut set = pool.task_set();
        (0..3).for_each(|key| set.submit(key, move || key));
        let mut map = pool.map(0..3, |n| n);
        assert!(map.next_timeout(Duration::ZERO).is_err());
        let mut fed = pool.map(0..3, |n| n).prefetch();
        assert!(fed.next_timeout(Duration::from_millis(20)).is_err());
        let mut unordered = pool.map_unordered(0..3, |n| n);
        assert!(unordered.next_timeout(Duration::ZERO).is_err());
        // Read by no thread before the fork.
        let unordered_fed = pool.map_unordered(empty(), |n| n).prefetch();
        let completed = as_completed(futures());
        Begun { futures: futures(), completed, set, map, fed, unordered, unordered_fed }
    }

    /// Reads all of it, none of which may hang.
    fn end_as_child(self) {
        let forked = TaskErrorKind::Forked;
        for when in [ReturnWhen::FirstCompleted, ReturnWhen::FirstError, ReturnWhen::All] {
            assert_eq!(wait(&self.futures, when, None).done.len(), 3, "{when:?}");
        }
        assert!(self.futures.iter().all(|future| future.done() && !future.running()));
        let mut completed = as_completed(self.futures);
        let first = completed.next().unwrap();
        assert_eq!(first.result().unwrap_err().kind(), forked);
        assert_eq!(join_all(completed).unwrap_err().kind(), forked);
        let kinds = |ended: Vec<TaskErrorKind>| assert_eq!(ended, [forked; 3]);
        kinds(self.completed.map(|future| future.result().unwrap_err().kind()).collect());
        kinds(self.set.map(|(_, result)| result.unwrap_err().kind()).collect());
        kinds(self.map.map(|result| result.unwrap_err().kind()).collect());
        kinds(self.unordered.map(|result| result.unwrap_err().kind()).collect());
        let fed: Vec<_> = self.fed.map(|result| result.unwrap_err().kind()).collect();
        assert!(!fed.is_empty() && fed.iter().all(|kind| *kind == forked), "{fed:?}");
        drop(self.unordered_fed);
    }
}

fn act_as_child(
    parents: &ThreadPoolExecutor,
    running: Option<Future<bool>>,
    living: Option<Thread<()>>,
) {
    // What belongs to the parent says so.
    let late = parents.submit(|| panic!("it must not run here"));
    assert_eq!(late.result().unwrap_err().kind(), TaskErrorKind::Forked);
    if let Some(running) = running {
        assert_eq!(running.result().unwrap_err().kind(), TaskErrorKind::Forked);
        // A worker's child, and a guarded one, are refused at once.
    }
    if let Some(living) = living {
        assert_eq!(living.join().unwrap_err().kind(), TaskErrorKind::Forked);
        assert!(silkmill::threads().is_empty() && silkmill::active_count() == 0);
    } else {
        assert!(matches!(parents.try_submit(|| ()), Err(TrySubmitError::Forked(_))));
    }
    parents.shutdown();
    parents.shutdown_now();
    assert!(parents.shutdown_timeout(Duration::ZERO).is_complete());

    // What is made here works, and is waited for.
    let own = ThreadPoolExecutor::builder().max_workers(2).build().unwrap();
    let sum: i32 = own.map(0..100, |n| n).map(Result::unwrap).sum();
    assert_eq!(sum, 4950);
    assert_eq!(Thread::spawn(|| 25).join().unwrap(), 25);
    let after = |millis, word: &'static str| {
        std::thread::sleep(Duration::from_millis(millis));
        println!("{word}");
    };
    drop(own.submit(move || after(200, "queued")));
    std::mem::forget(own);
    drop(Thread::spawn(move || after(50, "child")));
}
