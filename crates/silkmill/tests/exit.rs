//! How processes end: each case runs this very program again as a child, with a `main` that ends in
//! some way.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::env;
use std::process::{Command, ExitCode, Output, exit};
use std::sync::mpsc::channel;
use std::time::Duration;

use silkmill::{AtExit, Builder, CancelToken, Thread, ThreadPoolExecutor};

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
    for case in ["drain-own", "drain-others", "drain-threads"] {
        assert_eq!(run(case).stdout, b"stage 2\n", "{case}");
        println!("test the_end_runs_what_running_tasks_submit: {case} ... ok");
    }
    for (case, output) in [
        ("at-exit-run", "asked: no\njoined\n"),
        ("at-exit-cancel", "asked: yes\n"),
        ("at-exit-abandon", ""),
    ] {
        assert_eq!(run(case).stdout, output.as_bytes(), "{case}");
        println!("test each_pool_ends_as_it_was_told: {case} ... ok");
    }
    for (case, code, output) in [
        ("exit-asks", 7, "asked: yes\n"),
        ("exit-gives-up", 7, ""),
        ("exit-in-a-task", 7, "asked: yes\n"),
        ("exit-with-a-thread", 7, ""),
        ("exit-of-a-callback", 7, ""),
        ("exit-twice", 8, ""),
        ("exit-after-main", 9, ""),
        ("exit-after-main-asks", 9, "asked: yes\n"),
    ] {
        let ended = run(case);
        assert_eq!(ended.status.code(), Some(code), "{case}: {ended:?}");
        assert_eq!(ended.stdout, output.as_bytes(), "{case}");
        println!("test exit_cancels_asks_and_waits_for_so_long: {case} ... ok");
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
        "drain-own" | "drain-others" | "drain-threads" => {
            drain(case);
            ExitCode::SUCCESS
        }
        "at-exit-run" | "at-exit-cancel" | "at-exit-abandon" => {
            let at_exit = match case {
                "at-exit-run" => AtExit::RunQueue,
                "at-exit-cancel" => AtExit::CancelQueue,
                _ => AtExit::Abandon,
            };
            let pool = ThreadPoolExecutor::builder().max_workers(1).at_exit(at_exit);
            let pool = pool.build().unwrap();
            let nap = if case == "at-exit-cancel" { AN_HOUR } else { Duration::from_millis(100) };
            ask_one(&pool, nap);
            drop(pool.submit(speak_late));
            std::mem::forget(pool);
            ExitCode::SUCCESS
        }
        _ if case.starts_with("exit-") => exit_soon(case),
        other => panic!("no such case: {other}"),
    }
}

const AN_HOUR: Duration = Duration::from_secs(3600);

/// Keeps one worker of `pool` asleep, until it is asked to stop; returns once it is.
fn ask_one(pool: &ThreadPoolExecutor, nap: Duration) {
    let (started, has_started) = channel();
    drop(pool.submit(move || {
        started.send(()).unwrap();
        let asked = !CancelToken::current().sleep(nap);
        println!("asked: {}", if asked { "yes" } else { "no" });
    }));
    has_started.recv().unwrap();
}

/// Keeps one worker of `pool` asleep whatever it is asked; returns once it is.
fn keep_one(pool: &ThreadPoolExecutor) {
    let (started, has_started) = channel();
    drop(pool.submit(move || {
        started.send(()).unwrap();
        std::thread::sleep(AN_HOUR);
    }));
    has_started.recv().unwrap();
}

/// Leaves a task running that submits another when `main` is over.
fn drain(case: &str) {
    let own: &'static ThreadPoolExecutor =
        Box::leak(Box::new(ThreadPoolExecutor::builder().max_workers(1).build().unwrap()));
    let other: &'static ThreadPoolExecutor =
        Box::leak(Box::new(ThreadPoolExecutor::builder().max_workers(1).build().unwrap()));
    // The end of the process learns of pools in the order in which they began to work.
    for pool in [own, other] {
        pool.submit(|| ()).result().unwrap();
    }
    let late = || std::thread::sleep(Duration::from_millis(200));
    let speak = || println!("stage 2");
    match case {
        "drain-own" => drop(own.submit(move || {
            late();
            drop(own.submit(speak));
        })),
        // To and fro, so that each pool is at rest while the other works.
        "drain-others" => drop(other.submit(move || {
            late();
            drop(own.submit(move || {
                late();
                drop(other.submit(speak));
            }));
        })),
        _ => drop(own.submit(move || {
            late();
            drop(Thread::spawn(move || {
                late();
                drop(own.submit(speak));
            }));
        })),
    }
}

/// Leaves an hour of work behind and ends the process in one of many ways.
fn exit_soon(case: &str) -> ExitCode {
    let workers = if matches!(case, "exit-in-a-task" | "exit-of-a-callback") { 2 } else { 1 };
    let pool: &'static ThreadPoolExecutor =
        Box::leak(Box::new(ThreadPoolExecutor::builder().max_workers(workers).build().unwrap()));
    let soon = Duration::from_millis(50);
    let queue_an_hour = || (0..3600).for_each(|_| drop(pool.submit(speak_late)));
    match case {
        "exit-asks" => {
            ask_one(pool, AN_HOUR);
            queue_an_hour();
            silkmill::exit(7, AN_HOUR)
        }
        "exit-gives-up" => {
            keep_one(pool);
            queue_an_hour();
            silkmill::exit(7, soon)
        }
        "exit-in-a-task" => {
            ask_one(pool, AN_HOUR);
            let exits = pool.submit(|| -> () { silkmill::exit(7, AN_HOUR) });
            queue_an_hour();
            let _ = exits.result();
            unreachable!("the process has ended")
        }
        "exit-with-a-thread" => {
            drop(Thread::spawn(|| std::thread::sleep(AN_HOUR)));
            silkmill::exit(7, soon)
        }
        "exit-of-a-callback" => {
            keep_one(pool);
            keep_one(pool);
            let queued = pool.submit(speak_late);
            queued.add_done_callback(|_| std::thread::sleep(AN_HOUR));
            silkmill::exit(7, soon)
        }
        "exit-twice" => {
            keep_one(pool);
            queue_an_hour();
            std::thread::spawn(|| silkmill::exit(7, AN_HOUR));
            // The first call has begun once it has cancelled what is queued.
            while pool.try_submit(|| ()).is_ok() {
                std::thread::yield_now();
            }
            silkmill::exit(8, AN_HOUR)
        }
        "exit-after-main" | "exit-after-main-asks" => {
            let asks = case == "exit-after-main-asks";
            let within = if asks { AN_HOUR } else { soon };
            let occupy = || if asks { ask_one(pool, AN_HOUR) } else { keep_one(pool) };
            occupy();
            // Started by std, so that the process does not wait for it. A pool that refuses tasks
            // is one that the end of the process has closed.
            std::thread::spawn(move || {
                while pool.try_submit(speak_late).is_ok() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                silkmill::exit(9, within)
            });
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
