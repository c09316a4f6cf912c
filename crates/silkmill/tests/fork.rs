//! Processes that fork without `exec`: each case runs this very program again, with one thread that
//! forks.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(unsafe_code, reason = "std does not fork")]

use std::env;
use std::process::{Command, ExitCode, exit};
use std::time::Duration;

use silkmill::{Future, TaskErrorKind, Thread, ThreadPoolExecutor, TrySubmitError, fork_guard};

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
        let act = || act_as_child(pool, running.take(), living.take());
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
