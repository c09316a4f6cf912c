//! How processes end: each case runs this very program again as a child, with a `main` that ends in
//! some way.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::env;
use std::process::{Command, ExitCode, Output, exit};
use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::{Builder, Thread, ThreadPoolExecutor};

/// Set for the child, to the name of its case.
const CHILD: &str = "SILKMILL_EXIT_TEST_CHILD";

fn main() -> ExitCode {
    if let Ok(case) = env::var(CHILD) {
        return child(&case);
    }
    for case in ["returns", "returns-an-error", "exits", "exits-in-a-foreign-thread"] {
        let output = run(case);
        assert_eq!(output.stdout, b"joined\n", "{case}: {output:?}");
        println!("test a_thread_is_joined_when_main_{case} ... ok");
    }
    assert_eq!(run("returns").status.code(), Some(0));
    assert_eq!(run("returns-an-error").status.code(), Some(3));
    assert_eq!(run("exits").status.code(), Some(4));
    println!("test the_exit_code_is_kept ... ok");
    assert_eq!(run("daemon").stdout, b"");
    println!("test a_daemon_ends_with_the_process ... ok");
    for case in ["pool-returns", "pool-exits"] {
        assert_eq!(run(case).stdout, b"joined\njoined\n", "{case}");
        println!("test what_a_pool_runs_and_has_queued_is_done_when_{case} ... ok");
    }
    assert_eq!(run("pool-is-daemon").stdout, b"");
    println!("test a_daemon_pool_ends_with_the_process ... ok");
    assert_eq!(run("daemon-pool").stdout, b"");
    println!("test a_pool_that_gave_up_waiting_does_not_hold_the_process ... ok");
    assert_eq!(run("thread-local").stdout, b"flushed\n");
    println!("test the_process_waits_for_thread_locals_too ... ok");
    for case in ["exits-in-a-thread", "exits-in-a-task"] {
        assert_eq!(run(case).status.code(), Some(4), "{case}");
        println!("test a_thread_that_{case}_and_is_waited_for_ends_the_process ... ok");
    }
    ExitCode::SUCCESS
}

fn run(case: &str) -> Output {
    let program = env::current_exe().expect("the test knows its own program");
    Command::new(program).env(CHILD, case).output().expect("the test can start itself")
}

fn child(case: &str) -> ExitCode {
    match case {
        "returns" => {
            drop(Thread::spawn(speak_late));
            ExitCode::SUCCESS
        }
        "returns-an-error" => {
            drop(Thread::spawn(speak_late));
            ExitCode::from(3)
        }
        "exits" => {
            drop(Thread::spawn(speak_late));
            exit(4)
        }
        "exits-in-a-foreign-thread" => {
            drop(Thread::spawn(speak_late));
            let exits = std::thread::spawn(|| exit(4));
            let _: Result<(), _> = exits.join();
            unreachable!("the process has ended")
        }
        "exits-in-a-thread" => {
            // Both this thread and the one between wait for the thread that ends the process.
            let waits = Thread::spawn(|| Thread::spawn(|| -> () { exit(4) }).join());
            let _ = waits.join();
            unreachable!("the process has ended")
        }
        "exits-in-a-task" => {
            let pool = ThreadPoolExecutor::builder().max_workers(1).build().unwrap();
            let waits = Thread::spawn(move || pool.submit(|| -> () { exit(4) }).result());
            let _ = waits.join();
            unreachable!("the process has ended")
        }
        "thread-local" => {
            drop(Thread::spawn(|| FLUSH.with(|_| ())));
            ExitCode::SUCCESS
        }
        "daemon" => {
            drop(Builder::new().daemon(true).spawn(speak_late));
            ExitCode::SUCCESS
        }
        "pool-returns" => {
            leave_a_pool_working(false);
            ExitCode::SUCCESS
        }
        "pool-exits" => {
            leave_a_pool_working(false);
            exit(4)
        }
        "pool-is-daemon" => {
            leave_a_pool_working(true);
            ExitCode::SUCCESS
        }
        "daemon-pool" => {
            let pool = ThreadPoolExecutor::builder().max_workers(1).build().unwrap();
            let (started, has_started) = channel();
            drop(pool.submit(move || {
                started.send(()).unwrap();
                speak_late();
            }));
            has_started.recv().unwrap();
            assert!(!pool.shutdown_timeout(Duration::ZERO).is_complete());
            ExitCode::SUCCESS
        }
        other => panic!("no such case: {other}"),
    }
}

/// Leaves one task running and one queued, in a pool that is never dropped.
fn leave_a_pool_working(daemon: bool) {
    let pool = ThreadPoolExecutor::builder().max_workers(1).daemon(daemon).build().unwrap();
    drop([pool.submit(speak_late), pool.submit(speak_late)]);
    std::mem::forget(pool);
}

/// Prints so late that `main` is over, if nothing holds it.
fn speak_late() {
    std::thread::sleep(Duration::from_millis(200));
    println!("joined");
}

thread_local! {
    static FLUSH: Flush = const { Flush };
}

struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(200));
        println!("flushed");
    }
}
