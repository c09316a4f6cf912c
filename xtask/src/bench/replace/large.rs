//! Measures time and peak memory for a word in one file that is larger than many a machine's
//! memory.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::{Bench, NEW};
use crate::bench::measure::cost;
use crate::bench::{Case, Contender, is_installed, shell};
use crate::corpus::NEEDLE;
use crate::program::check;

/// The size of the file, in bytes.
const SIZE: u64 = 4 << 30;

/// How many lines there are for each that has the word.
const LINES_A_WORD: u64 = 100;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Case>> {
    if !is_installed("time", "apt install time") {
        return Ok(Vec::new());
    }
    let file = bench.folder.join("large");
    make(&file)?;
    let script = |script: &'static str| {
        move |old: &str, new: &str, file: &Path| {
            let words = script.replace("OLD", old).replace("NEW", new);
            let mut command = shell(&words);
            command.arg(file);
            command
        }
    };
    type Replace<'a> = Box<dyn Fn(&str, &str, &Path) -> Command + 'a>;
    let mut sides: Vec<(&str, Replace<'_>)> = vec![(
        "silkmill replace (flushed)",
        Box::new(|old, new, file| bench.silkmill(&["-q", old, new, &file.to_string_lossy()])),
    )];
    if is_installed("sd", "cargo install sd") {
        sides.push(("sd -F", Box::new(script("exec sd -F OLD NEW \"$0\""))));
    }
    sides.push(("sed -i", Box::new(script("exec sed -i s/OLD/NEW/g \"$0\""))));
    let mut times: Vec<_> = sides.iter().map(|(name, _)| Contender::new(*name)).collect();
    let mut memory: Vec<_> = sides.iter().map(|(name, _)| Contender::new(*name)).collect();
    for (old, new) in [(NEEDLE, NEW), (NEW, NEEDLE), (NEEDLE, NEW)] {
        for (place, (name, replace)) in sides.iter().enumerate() {
            // Each side begins with the file as the one before did.
            if place > 0 {
                check(&mut bench.silkmill(&[
                    "-q",
                    "--no-undo",
                    new,
                    old,
                    &file.to_string_lossy(),
                ]))?;
            }
            check(&mut Command::new("sync"))?;
            let cost = cost(&replace(old, new, &file), &[0], &bench.folder)?;
            ensure!(fs::metadata(&file)?.len() >= SIZE, "{name} did not keep the file whole");
            times[place].samples.push(cost.seconds);
            memory[place].samples.push(cost.memory_mb);
            // Our side keeps the original, and the disk may have no room for two.
            let _ = fs::remove_dir_all(bench.state());
        }
    }
    fs::remove_file(&file)?;
    let what = format!("{NEEDLE} to {NEW} and back in one file of {} GiB", SIZE >> 30);
    Ok(vec![
        Case { what: what.clone(), unit: "s", contenders: times },
        Case { what: format!("peak memory ({what})"), unit: "MB", contenders: memory },
    ])
}

/// Makes the file, of lines as source code has them.
fn make(path: &Path) -> anyhow::Result<()> {
    let mut block = Vec::new();
    for line in 0..LINES_A_WORD {
        let depth = "\t".repeat(line as usize % 5);
        if line == 7 {
            writeln!(block, "{depth}ptr = {NEEDLE}(size, GFP_KERNEL);")?;
        } else {
            writeln!(block, "{depth}err = check_state(buffer, {line}, &lock); /* see above */")?;
        }
    }
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut len = 0;
    while len < SIZE {
        file.write_all(&block)?;
        len += block.len() as u64;
    }
    Ok(file.into_inner()?.sync_all()?)
}
