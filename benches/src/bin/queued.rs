//! Measures what a queued task costs: `queued queued CONTENDER`. It is a program of its own,
//! because its allocator counts, which takes time.

use std::alloc::System;
use std::sync::mpsc;
use std::time::Instant;

use silkmill_benches::pools::{
    Blocking, Cancel, Crossbeam, Pool, Rayon, RustyPool, Silkmill, Threadpool, Tokio,
};
use silkmill_benches::watchdog;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TASKS: usize = 1_000_000;

fn main() {
    watchdog::start();
    match std::env::args().nth(2).as_deref() {
        Some("silkmill") => and_cancel::<Silkmill>(),
        Some("tokio") => and_cancel::<Tokio>(),
        Some("rayon-core") => and_run::<Rayon>(),
        Some("threadpool") => and_run::<Threadpool>(),
        Some("rusty_pool") => and_run::<RustyPool>(),
        Some("blocking") => and_run::<Blocking>(),
        Some("crossbeam-channel") => and_run::<Crossbeam>(),
        _ => {
            eprintln!("usage: queued queued CONTENDER");
            std::process::exit(2);
        }
    }
}

/// Queues the tasks, then cancels them.
fn and_cancel<P: Cancel>() {
    let pool = P::new(1);
    let (gate, _held) = hold(&pool);
    let handles = queue(&pool);
    let started = Instant::now();
    pool.cancel(handles, gate);
    println!("queued-cancel\t{}", started.elapsed().as_secs_f64() * 1e3);
}

/// Queues the tasks, then runs them: such a pool has no way to cancel them all and end.
fn and_run<P: Pool>() {
    let pool = P::new(1);
    let (gate, held) = hold(&pool);
    let handles = queue(&pool);
    drop(gate);
    pool.read(held);
    let sum: usize = handles.into_iter().map(|handle| pool.read(handle)).sum();
    assert_eq!(sum, TASKS * (TASKS + 1) / 2);
}

/// Gives the one worker a task that lasts until the sender is dropped.
fn hold<P: Pool>(pool: &P) -> (mpsc::Sender<()>, P::Handle<()>) {
    pool.read(pool.submit(|| ()));
    let (gate, wait) = mpsc::channel();
    (gate, pool.hold(wait))
}

/// Queues the tasks and prints the memory and the allocations that took. The tasks capture a
/// number: a box around a closure without captures is no allocation. The vector of handles is
/// counted, too.
fn queue<P: Pool>(pool: &P) -> Vec<P::Handle<usize>> {
    let region = Region::new(ALLOCATOR);
    let mut handles = Vec::with_capacity(TASKS);
    handles.extend((0..TASKS).map(|n| pool.submit(move || n + 1)));
    let change = region.change();
    let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    println!("queued-bytes\t{}", bytes / TASKS as f64);
    println!("queued-allocations\t{}", change.allocations as f64 / TASKS as f64);
    handles
}
