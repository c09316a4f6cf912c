//! A state for each worker: a buffer, a connection, whatever is costly to make and cannot be
//! shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use silkmill::ThreadPoolExecutor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(3).build()?;
    let connections = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&connections);
    let connect = move || counting.fetch_add(1, Ordering::Relaxed);

    let answers: Result<Vec<String>, _> = pool
        .map_with(connect, 0..100, |connection, n| format!("{n} through connection {connection}"))
        .collect();

    println!("{}", answers?.last().map_or("nothing", String::as_str));
    println!("at most 3 connections for 100 items: {}", connections.load(Ordering::Relaxed) <= 3);
    Ok(())
}
