//! `silkmill undo` and `silkmill redo`: put the files of a run back, and forth again; list the
//! runs; forget them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use silkmill::CancelToken;
use silkmill_replace::{
    ErrorKind, Notice, PRUNED_IN_MAX, STORED_BYTES_MAX, StoredRun, UndoOptions, Undone, forget,
    prune, redo as redo_run, runs, undo as undo_run,
};

use crate::args::{RedoArgs, RevertArgs, UndoArgs};
use crate::cmd::print;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal, outlive_file_size_limit};
use crate::messages::{count, in_one_line, reason, to_stderr, without_source};
use crate::state::state_directory;

/// How many bytes of names are printed at once.
const PRINTED_LEN: usize = 64 << 10;

/// The word that stands for all runs.
const ALL: &str = "all";

pub(crate) fn run(args: UndoArgs) -> anyhow::Result<Exit> {
    if args.list {
        let runs =
            runs(&options(&args.revert)?, &mut tell).map_err(|error| without_source(&error))?;
        print(list(&runs, SystemTime::now()).as_bytes())?;
        to_stderr(if runs.is_empty() { "no run to undo".to_owned() } else { sizes(&runs) });
        return Ok(Exit::Success);
    }
    if let Some(which) = &args.forget {
        return forget_runs(which, &args.revert);
    }
    revert(Way::Back, &args.revert)
}

pub(crate) fn redo(args: &RedoArgs) -> anyhow::Result<Exit> {
    revert(Way::Forth, &args.revert)
}

/// Which way the files of a run go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Back,
    Forth,
}

fn options(args: &RevertArgs) -> anyhow::Result<UndoOptions> {
    let here = std::env::current_dir()
        .map_err(|error| anyhow!("failed to find the current directory: {}", reason(&error)))?;
    let options =
        UndoOptions::builder(here).force(args.force).dry_run(args.dry_run).sync(!args.no_sync);
    Ok(match state_directory() {
        Some(path) => options.state_directory(path).build(),
        None => options.build(),
    })
}

fn tell(notice: &Notice) {
    to_stderr(format_args!("silkmill: {notice}"));
}

fn revert(way: Way, args: &RevertArgs) -> anyhow::Result<Exit> {
    let options = options(args)?;
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::Ignored)?;
    outlive_file_size_limit()?;
    let revert = if way == Way::Back { undo_run } else { redo_run };
    match revert(&options, args.run.as_deref(), &cancel, &mut tell) {
        Ok(undone) => {
            let shown = if args.quiet { Ok(()) } else { show(way, args.run.is_some(), &undone) };
            if !args.dry_run {
                prune(&undone.store, PRUNED_IN_MAX);
            }
            shown.map(|()| Exit::Success)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            to_stderr(format_args!("silkmill: {error}"));
            Ok(Exit::Interrupted)
        }
        Err(error) => Err(without_source(&error)),
    }
}

fn forget_runs(which: &str, args: &RevertArgs) -> anyhow::Result<Exit> {
    let id = Some(which).filter(|which| *which != ALL);
    let forgotten =
        forget(&options(args)?, id, &mut tell).map_err(|error| without_source(&error))?;
    if !args.quiet {
        for run in &forgotten {
            to_stderr(format_args!(
                "{} {} ({}) in {}, {}",
                if args.dry_run { "would forget" } else { "forgot" },
                run.id,
                run.what,
                places(run),
                bytes(run.bytes_held)
            ));
        }
        if forgotten.is_empty() {
            to_stderr("no run to forget");
        }
    }
    Ok(Exit::Success)
}

/// Names the files, then the run and its directory.
fn show(way: Way, is_named: bool, undone: &Undone) -> anyhow::Result<()> {
    let here = std::env::current_dir().unwrap_or_default();
    let (mut lines, mut printed) = (String::new(), Ok(()));
    let listed = undone.for_each_path(&mut |file| {
        lines += &in_one_line(file.strip_prefix(&here).unwrap_or(&file));
        lines.push('\n');
        if lines.len() >= PRINTED_LEN {
            if printed.is_ok() {
                printed = print(lines.as_bytes());
            }
            lines.clear();
        }
    });
    listed.map_err(|error| without_source(&error))?;
    let printed = printed.and_then(|()| print(lines.as_bytes()));
    let (files, run) = (count(undone.files, "file"), &undone.run);
    let (done, other) = match way {
        Way::Back => ("put back", "redo"),
        Way::Forth => ("changed again", "undo"),
    };
    let of = format!("{files} of {} ({}) in {}", run.id, run.what, places(run));
    let name = if is_named { format!(" {}", run.id) } else { String::new() };
    match (&undone.id, way) {
        (None, Way::Back) => to_stderr(format_args!("would put back {of}")),
        (None, Way::Forth) => to_stderr(format_args!("would change again {of}")),
        (Some(_), _) => to_stderr(format_args!("{done} {of}; revert with: silkmill {other}{name}")),
    }
    printed
}

/// Names the directories that a run worked in.
fn places(run: &StoredRun) -> String {
    let roots: Vec<String> = run.roots.iter().map(|root| in_one_line(root)).collect();
    roots.join(", ")
}

/// Returns a line for each run, the latest run last, as in a shell's history.
fn list(runs: &[StoredRun], now: SystemTime) -> String {
    let mut lines = String::new();
    for run in runs {
        lines += &format!(
            "{}  {:>9}  {:>13}  {:>9}  {}  in {}{}\n",
            run.id,
            ago(now.duration_since(run.begun).unwrap_or_default()),
            count(run.files, "file"),
            bytes(run.bytes_held),
            in_one_line(Path::new(&run.what)),
            places(run),
            if run.is_undone { "  (undone)" } else { "" }
        );
    }
    lines
}

/// Returns a line for each store, which says how much it holds and how much it may.
fn sizes(runs: &[StoredRun]) -> String {
    let mut stores: BTreeMap<&PathBuf, (u64, u64)> = BTreeMap::new();
    for run in runs {
        let held = stores.entry(&run.store).or_default();
        *held = (held.0 + 1, held.1.saturating_add(run.bytes_held));
    }
    let line = |(store, (runs, held)): (&PathBuf, (u64, u64))| {
        format!(
            "{}, {} of at most {}, in {}",
            count(runs, "run"),
            bytes(held),
            bytes(STORED_BYTES_MAX),
            in_one_line(store)
        )
    };
    stores.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// Writes a size in the unit that leaves at most three digits before the decimal point.
fn bytes(bytes: u64) -> String {
    let (mut size, mut units) = (bytes as f64, ["KiB", "MiB", "GiB", "TiB"].iter());
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = "B";
    while size >= 1000.0
        && let Some(next) = units.next()
    {
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        let claims = [(5, "5 s ago"), (119, "1 min ago"), (7200, "2 h ago"), (260_000, "3 d ago")];
        for (seconds, want) in claims {
            assert_eq!(ago(Duration::from_secs(seconds)), want);
        }
        for (size, want) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB")]
        {
            assert_eq!(bytes(size), want);
        }
    }
}
