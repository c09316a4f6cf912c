//! What a thread and a process cost on this machine: to start, to keep, and to share data with.
//!
//! Run it with `cargo run --release -p silkmill --example processes_and_threads`. It starts itself
//! as the process that it measures. Memory is what Linux tells; elsewhere that row is left out.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use silkmill::{Thread, ThreadPoolExecutor};

const STARTS: u32 = 100;
const KEPT: usize = 32;
const SHARED_BYTES: usize = 16 << 20;
const ROUNDS: u32 = 10;

/// The process that is measured: reads its input to the end, and answers with the sum.
fn child() -> Result<(), Box<dyn Error>> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    println!("{}", sum(&input));
    Ok(())
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

fn start_child() -> std::io::Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program).arg("child").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// Gives a process its input and reads its answer.
fn ask(mut child: Child, input: &[u8]) -> Result<u64, Box<dyn Error>> {
    let mut stdin = child.stdin.take().ok_or("the child has no input")?;
    stdin.write_all(input)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Returns the median of the times that `run` takes.
fn median(
    times: u32,
    mut run: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut measured = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        run()?;
        measured.push(started.elapsed());
    }
    measured.sort();
    Ok(measured[measured.len() / 2])
}

/// Returns the memory that a process has for itself, and its share of what it has with others, in
/// KiB: `Pss`, which Linux tells.
fn memory_kib(process: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Returns the KiB of a thread that sleeps, and of a process that waits for input.
fn memory_of_each() -> Result<Option<(f64, f64)>, Box<dyn Error>> {
    let Some(before) = memory_kib("self") else { return Ok(None) };
    let barrier = Arc::new(Barrier::new(KEPT + 1));
    let sleepers: Vec<Thread<()>> = (0..KEPT)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            Thread::spawn(move || {
                barrier.wait();
                barrier.wait();
            })
        })
        .collect();
    barrier.wait();
    let threads = memory_kib("self").unwrap_or(before) - before;
    barrier.wait();
    sleepers.into_iter().try_for_each(Thread::join)?;

    let children: Vec<Child> = (0..KEPT).map(|_| start_child()).collect::<Result<_, _>>()?;
    // A process has its memory once it waits for its input.
    std::thread::sleep(Duration::from_millis(200));
    let of_one = |child: &Child| memory_kib(&child.id().to_string());
    let processes: f64 = children.iter().filter_map(of_one).sum();
    for child in children {
        ask(child, b"")?;
    }
    Ok(Some((threads.max(0.0) / KEPT as f64, processes / KEPT as f64)))
}

fn row(what: &str, thread: f64, process: f64, unit: &str) {
    let times = process / thread.max(f64::MIN_POSITIVE);
    println!("| {what} | {thread:.1} {unit} | {process:.1} {unit} | {times:.0} × |");
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).is_some_and(|argument| argument == "child") {
        return child();
    }
    println!("| | a thread | a process | process to thread |");
    println!("|---|---:|---:|---:|");

    let thread = median(STARTS, || Ok(Thread::spawn(|| ()).join()?))?;
    let process = median(STARTS, || ask(start_child()?, b"").map(drop))?;
    row("start it, wait for its end", micros(thread), micros(process), "µs");

    if let Some((thread, process)) = memory_of_each()? {
        row(&format!("memory of one that waits (of {KEPT})"), thread, process, "KiB");
    }

    // A thread reads the same memory; a process gets a copy, through a pipe.
    let data = Arc::new(vec![1u8; SHARED_BYTES]);
    let thread = median(ROUNDS, || {
        let data = Arc::clone(&data);
        let total = Thread::spawn(move || sum(&data)).join()?;
        if total == SHARED_BYTES as u64 { Ok(()) } else { Err("a thread lost data".into()) }
    })?;
    let process = median(ROUNDS, || {
        let total = ask(start_child()?, &data)?;
        if total == SHARED_BYTES as u64 { Ok(()) } else { Err("a process lost data".into()) }
    })?;
    let what = format!("add up {} MiB that another has", SHARED_BYTES >> 20);
    row(&what, micros(thread), micros(process), "µs");

    // Neither has to be started for every task: a pool keeps its threads.
    let pool = ThreadPoolExecutor::builder().max_workers(1).build()?;
    let task = median(STARTS, || Ok(pool.submit(|| ()).result()?))?;
    println!("\nA task of a pool, whose thread is there already: {:.1} µs.", micros(task));
    println!("A crash of a thread's code (an abort, a stack overflow) ends the whole process; a");
    println!("process that crashes ends alone. A panic is neither: `join` returns it.");
    Ok(())
}
