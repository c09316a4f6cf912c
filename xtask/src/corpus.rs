//! `cargo xtask corpus`: makes a tree of text files shaped like a source tree, for machines that
//! have none. It is the same tree every time.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::misuse::misuse;
use crate::subcommand::Subcommand;

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "corpus",
    summary: "make a tree of text files to replace in",
    help: || HELP.to_owned(),
    run,
};

const HELP: &str = "\
usage: cargo xtask corpus DIR             make the tree in DIR, which must not exist

Makes 20,000 text files in 800 folders, shaped like a source tree and the same on every machine.
`kmalloc` stands in one file of 6, and `kmalloc_caches` in 6 files. `cargo xtask bench replace`
makes such a tree by itself.

time: a few seconds
needs: 300 MB of disk
";

/// The word that the benchmark replaces. It stands in one file of `NEEDLE_EVERY`.
pub(crate) const NEEDLE: &str = "kmalloc";

/// The word that the benchmark replaces in a handful of files. It stands in one file of
/// `RARE_NEEDLE_EVERY`.
pub(crate) const RARE_NEEDLE: &str = "kmalloc_caches";

const FILES: u64 = 20_000;
const FILES_PER_FOLDER: u64 = 25;
const NEEDLE_EVERY: u64 = 6;
const RARE_NEEDLE_EVERY: u64 = 3_600;

/// The number of lines of a file is drawn evenly from this range.
const LINES: std::ops::Range<u64> = 20..900;

fn run(words: &[&str]) -> anyhow::Result<()> {
    match words {
        [folder] => make(folder.as_ref()),
        _ => Err(misuse("corpus takes the name of one folder")),
    }
}

/// Makes the tree in `folder`, which must not exist.
pub(crate) fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| format!("failed to make {folder:?}"))?;
    let mut random = Random(0x5eed);
    for number in 0..FILES {
        let inside = folder.join(format!("part{:03}", number / FILES_PER_FOLDER));
        if number.is_multiple_of(FILES_PER_FOLDER) {
            fs::create_dir(&inside)?;
        }
        let path = inside.join(format!("file{number:05}.c"));
        let file = fs::File::create(&path).with_context(|| format!("failed to make {path:?}"))?;
        write_file(&mut std::io::BufWriter::new(file), number, &mut random)?;
    }
    println!("{FILES} files in {}", folder.display());
    Ok(())
}

fn write_file(out: &mut impl Write, number: u64, random: &mut Random) -> std::io::Result<()> {
    const WORDS: [&str; 12] = [
        "int",
        "return",
        "struct",
        "buffer",
        "if (ret)",
        "goto out;",
        "static",
        "unsigned long",
        "spin_lock(&lock);",
        "/* see above */",
        "err = -EINVAL;",
        "kfree(ptr);",
    ];
    let lines = LINES.start + random.below(LINES.end - LINES.start);
    for line in 0..lines {
        for _ in 0..random.below(6) {
            write!(out, "{} ", WORDS[random.below(12) as usize])?;
        }
        if number.is_multiple_of(NEEDLE_EVERY) && line % 100 == 7 {
            write!(out, "ptr = {NEEDLE}(size, GFP_KERNEL);")?;
        }
        if number.is_multiple_of(RARE_NEEDLE_EVERY) && line == 12 {
            write!(out, "cache = {RARE_NEEDLE}[index];")?;
        }
        writeln!(out)?;
    }
    out.flush()
}

/// Marsaglia's xorshift64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
