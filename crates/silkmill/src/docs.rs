//! Pages about what a program with threads must know of its process: how it ends, how a person
//! ends it, what an abort does to it, and what is left of it after a fork.
//!
//! There is nothing to import here.

/// The end of the process, and what it waits for.
///
/// A Rust program ends when `main` returns, with or without an error, or when it calls
/// [`std::process::exit`]. In both cases this crate waits first:
///
/// * for every [`Thread`](crate::Thread) that is no [daemon](crate::ThreadBuilder::daemon);
/// * for every pool that still lives (in a static, in a thread, in a forgotten value), as its
///   [`at_exit`](crate::ThreadPoolExecutorBuilder::at_exit) says. By default what is queued is run,
///   and what running tasks submit meanwhile.
///
/// A pool that `main` owns is dropped before that, and dropping the last handle waits in any case.
///
/// In short, for threads that are no daemons and for pools:
///
/// * *The program returns from `main`, or calls `process::exit`*: threads are joined. Pools with
///   [`RunQueue`](crate::AtExit::RunQueue) are run; those with
///   [`CancelQueue`](crate::AtExit::CancelQueue) have their queue cancelled, and their running
///   tasks are asked to stop and waited for; those with [`Abandon`](crate::AtExit::Abandon) are cut
///   off.
/// * *It calls [`silkmill::exit(code, within)`](crate::exit())*: every queue is cancelled, and
///   running tasks are asked to stop; they and threads are waited for within that time. Pools with
///   `Abandon` are cut off.
/// * *It aborts, is killed, or calls `_exit`*: everything is cut off.
///
/// So a program whose end must not depend on how much is queued calls [`exit`](crate::exit()):
///
/// ```no_run
/// use std::time::Duration;
/// use silkmill::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().build()?;
/// for n in 0..1_000_000 {
///     drop(pool.submit(move || println!("{n}")));
/// }
/// // Ends within two seconds, whatever is queued.
/// silkmill::exit(0, Duration::from_secs(2));
/// # #[expect(unreachable_code)]
/// # Ok::<(), silkmill::BuildError>(())
/// ```
///
/// A task that is to end early when the process does looks at its token:
///
/// ```
/// use std::time::Duration;
/// use silkmill::{AtExit, CancelToken, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::builder().at_exit(AtExit::CancelQueue).build()?;
/// let polite = pool.submit(|| {
///     let mut rounds = 0;
///     while CancelToken::current().sleep(Duration::from_millis(1)) {
///         rounds += 1;
///     }
///     rounds
/// });
/// # while !polite.running() {}
/// pool.shutdown_now(); // What the end of the process does with such a pool.
/// assert!(polite.result().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A thread that calls `process::exit` is not waited for itself, and neither is a worker whose task
/// does. Thread-locals of `main`'s thread are not dropped at the end, as always in Rust.
pub mod exits {}

/// Signals, and the handler for ^C to write.
///
/// This crate handles no signal: that is the program's to decide. Without a handler, SIGINT and
/// SIGTERM end the process at once, and cut off every thread and task.
///
/// A handler that calls [`std::process::exit`] is worse for a program with a pool: the end of the
/// process runs the whole queue, for as long as that takes, and a second ^C does nothing, because
/// the process is ending already. [`silkmill::exit`](crate::exit()) cancels what is queued, asks
/// running tasks to stop and waits for at most so long; a second call ends the process at once. It
/// waits, so it is not called *in* a signal handler, but on a thread that is told of the signal, as
/// the crate `signal-hook` does:
///
/// ```
/// use std::time::Duration;
/// use signal_hook::consts::{SIGINT, SIGTERM};
/// use signal_hook::iterator::Signals;
/// use silkmill::Thread;
///
/// fn exit_on_signals() -> Result<(), Box<dyn std::error::Error>> {
///     let mut signals = Signals::new([SIGINT, SIGTERM])?;
///     // A daemon, because it waits for signals as long as the process lives.
///     Thread::builder().name("signals").daemon(true).spawn(move || {
///         for signal in signals.forever() {
///             // On a thread each, so that this one is there for the second signal.
///             let code = 128 + signal;
///             std::thread::spawn(move || silkmill::exit(code, Duration::from_secs(2)));
///         }
///     })?;
///     Ok(())
/// }
///
/// exit_on_signals()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The example `exit_on_interrupt` is a whole program with it. A program that wants to end in
/// order, its results written, lets the thread cancel a [`CancelToken`](crate::CancelToken)
/// instead, which its tasks and its `main` look at.
///
/// A signal interrupts no wait of this crate: the waits go on. Which thread runs a handler is the
/// system's choice, and a worker may be chosen.
pub mod signals {}

/// Programs that abort when they panic.
///
/// With `panic = "abort"` in `Cargo.toml` the first panic of any thread ends the process, without
/// unwinding. Nothing can be caught then, so what this crate says of panics does not hold: there is
/// no [`TaskError`](crate::TaskError) of a panic, no worker that lives on, and no report to
/// [`on_unread_error`](crate::ThreadPoolExecutorBuilder::on_unread_error). The panic hook still
/// prints the message with the thread's name, which is that of the worker.
///
/// Nothing is waited for, and no destructor runs: queued tasks are lost. Everything else works. A
/// task that may fail says so by its value, which is good style anyway:
///
/// ```
/// use silkmill::{ThreadPoolExecutor, TryMapError};
///
/// let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
/// let parsed = pool.try_map(["1", "x"], |text| text.parse::<u32>());
/// assert!(matches!(parsed, Err(TryMapError::Item(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Tasks that are cancelled, overdue or refused are errors as ever. But a map whose states cannot
/// be made eight times in a row ([`map_try_with`](crate::ThreadPoolExecutor::map_try_with)) unwinds
/// inside of this crate to end its items, and so aborts such a program.
///
/// A panic while another is unwinding, and one in an `extern "C"` function, abort whatever the
/// profile says.
pub mod aborts {}

/// Processes that fork without `exec`.
///
/// A child has all of its parent's memory and one thread, the one that forked. So the workers of
/// its parent's pools are not there, what is queued in them is never run, and a lock that another
/// thread held at that moment stays locked. [`std::process::Command`] is not affected: it calls
/// `exec`.
///
/// Where a program forks in other ways (a preforking server, Python's `os.fork`), it holds a
/// [`ForkGuard`](crate::ForkGuard) meanwhile, which waits until no thread is about to change what
/// all threads and pools share:
///
/// ```
/// let guard = silkmill::fork_guard();
/// // Here the program forks.
/// drop(guard); // In both processes.
/// ```
///
/// In the child:
///
/// * New threads and pools work, and the child waits for them when it ends.
/// * Submitting to a pool of the parent is refused, with the error
///   [`Forked`](crate::TaskErrorKind::Forked).
/// * A result that was there before the fork can be read. One that was not is `Forked`, at once,
///   however it is read: [`result`](crate::Future::result), [`wait`](crate::wait()),
///   [`as_completed`](crate::as_completed), maps, task sets, `.await`.
/// * Joining a thread of the parent is `Forked`.
/// * Shutting down a pool of the parent, or dropping it, does nothing.
/// * [`threads`](crate::threads) shows those of the child.
///
/// In the parent nothing changes. Semaphores and events are memory like any other: the child has
/// copies, as they were, with permits that only threads of the parent would give back.
///
/// A child that was forked without a guard behaves in the same way as far as it gets: it may hang
/// on a lock that another thread held.
pub mod forks {}
