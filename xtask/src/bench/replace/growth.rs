//! Measures what a changed file costs, in time and memory, when there are ten times as many.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};

use super::{Bench, NEW};
use crate::bench::measure::cost;
use crate::bench::{Case, Contender, is_installed, shell};
use crate::corpus::NEEDLE;
use crate::program::check;

/// How many files there are, every one of which changes. The variable of this name has other
/// numbers, separated by commas.
const FILES: [usize; 2] = [30_000, 300_000];
const FILES_NAME: &str = "SILKMILL_BENCH_FILES";

/// How many files a directory has.
const FILES_A_DIRECTORY: usize = 1000;

/// A way to replace one word by another in the current directory.
type Replace<'a> = Box<dyn Fn(&str, &str) -> Command + 'a>;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    if !is_installed("time", "apt install time") {
        return Ok(Vec::new());
    }
    let counts = match std::env::var(FILES_NAME) {
        Ok(counts) => counts
            .split(',')
            .map(|count| count.parse().with_context(|| format!("{FILES_NAME} has {count:?}")))
            .collect::<anyhow::Result<Vec<usize>>>()?,
        Err(_) => FILES.to_vec(),
    };
    let mut cases = Vec::new();
    for count in counts {
        cases.extend(measure_with(bench, count)?);
    }
    Ok(cases)
}

fn measure_with(bench: &Bench, count: usize) -> anyhow::Result<Vec<Case>> {
    let tree = bench.folder.join("growth");
    let files = make(&tree, count)?;
    let script = |script: &'static str| -> Replace<'_> {
        Box::new(move |old, new| shell(&script.replace("OLD", old).replace("NEW", new)))
    };
    let mut sides: Vec<(&str, Replace<'_>)> = vec![(
        "silkmill replace (flushed)",
        Box::new(|old, new| bench.silkmill(&["--no-ignore", "-q", old, new, "."])),
    )];
    if is_installed("fastmod", "cargo install fastmod") {
        sides.push(("fastmod --accept-all -F", script("exec fastmod --accept-all -F OLD NEW .")));
    }
    if is_installed("rg", "cargo install ripgrep") && is_installed("sd", "cargo install sd") {
        let line = "rg -l0 --no-ignore -F OLD . | xargs -0 sd -F OLD NEW";
        sides.push(("rg -l0 | xargs -0 sd -F", script(line)));
    }
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let mut times: Vec<_> = sides.iter().map(|(name, _)| Contender::new(*name)).collect();
    let mut memory: Vec<_> = sides.iter().map(|(name, _)| Contender::new(*name)).collect();
    for (place, (_, replace)) in sides.iter().enumerate() {
        for (old, new) in [(NEEDLE, NEW), (NEW, NEEDLE)] {
            check(&mut Command::new("sync"))?;
            let mut command = replace(old, new);
            command.current_dir(&tree);
            let cost = cost(&command, &[0], &bench.folder)?;
            times[place].samples.push(each(cost.seconds));
            memory[place].samples.push(cost.memory_mb);
        }
    }
    let mut ours = Contender::new("silkmill undo (flushed)");
    check(&mut Command::new("sync"))?;
    let mut undo = Command::new(&bench.program);
    undo.args(["undo", "-q"]).current_dir(&tree).env("XDG_STATE_HOME", bench.state());
    let undone = cost(&undo, &[0], &bench.folder)?;
    ours.samples.push(each(undone.seconds));
    times.push(ours);
    let mut ours = Contender::new("silkmill undo (flushed)");
    ours.samples.push(undone.memory_mb);
    memory.push(ours);
    let mut bare = Contender::new("create, write, exchange and one flush, on one thread");
    check(&mut Command::new("sync"))?;
    bare.samples.push(each(exchange_all(&files, &bench.folder.join("bare"))?));
    times.push(bare);
    fs::remove_dir_all(&tree)?;
    fs::remove_dir_all(bench.folder.join("bare"))?;
    let _ = fs::remove_dir_all(bench.state());
    let what = format!("a file, of {count} files of 160 bytes that all change");
    Ok(vec![
        Case { what: what.clone(), unit: "µs", contenders: times },
        Case { what: format!("peak memory ({what})"), unit: "MB", contenders: memory },
    ])
}

/// Makes the files. Returns their paths.
fn make(tree: &Path, count: usize) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::with_capacity(count);
    for number in 0..count {
        let folder = tree.join(format!("{:04}", number / FILES_A_DIRECTORY));
        if number % FILES_A_DIRECTORY == 0 {
            fs::create_dir_all(&folder)?;
        }
        let path = folder.join(format!("{number:07}.c"));
        fs::write(&path, text(number))?;
        files.push(path);
    }
    Ok(files)
}

fn text(number: usize) -> Vec<u8> {
    let mut text = format!("ptr{number:07} = {NEEDLE}(size, GFP_KERNEL);\n").into_bytes();
    text.resize(159, b'/');
    text.push(b'\n');
    text
}

/// Does what a replacement in these files cannot do without. Returns how many seconds it took.
fn exchange_all(files: &[PathBuf], folder: &Path) -> anyhow::Result<f64> {
    fs::create_dir_all(folder)?;
    let started = Instant::now();
    let staged = |place: usize| folder.join(place.to_string());
    for place in 0..files.len() {
        File::create_new(staged(place))?.write_all(&text(place))?;
    }
    syncfs(File::open(folder)?)?;
    for (place, file) in files.iter().enumerate() {
        renameat_with(CWD, staged(place), CWD, file, RenameFlags::EXCHANGE)?;
    }
    syncfs(File::open(folder)?)?;
    Ok(started.elapsed().as_secs_f64())
}
