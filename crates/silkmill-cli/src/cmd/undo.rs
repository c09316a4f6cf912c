//! `silkmill undo`: puts the files of a run back, or lists the runs that can be undone.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use silkmill::CancelToken;
use silkmill_replace::{
    ErrorKind, Notice, PRUNED_IN_MAX, StoredRun, UndoOptions, Undone, prune, runs, undo,
};

use crate::args::UndoArgs;
use crate::cmd::print;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal, outlive_file_size_limit};
use crate::messages::{count, in_one_line, reason, to_stderr, without_source};
use crate::state::state_directory;

pub(crate) fn run(args: UndoArgs) -> anyhow::Result<Exit> {
    let here = std::env::current_dir()
        .map_err(|error| anyhow!("failed to find the current directory: {}", reason(&error)))?;
    let options =
        UndoOptions::builder(here).force(args.force).dry_run(args.dry_run).sync(!args.no_sync);
    let options = match state_directory() {
        Some(path) => options.state_directory(path).build(),
        None => options.build(),
    };
    let report = &mut |notice: &Notice| to_stderr(format_args!("silkmill: {notice}"));
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::Ignored)?;
    outlive_file_size_limit()?;
    if args.list {
        let runs = runs(&options, report).map_err(|error| without_source(&error))?;
        print(list(&runs, SystemTime::now()).as_bytes())?;
        return Ok(Exit::Success);
    }
    match undo(&options, args.run.as_deref(), &cancel, report) {
        Ok(undone) => {
            if !args.quiet {
                show(&undone)?;
            }
            if !args.dry_run {
                prune(&undone.store, PRUNED_IN_MAX);
            }
            Ok(Exit::Success)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            to_stderr(format_args!("silkmill: {error}"));
            Ok(Exit::Interrupted)
        }
        Err(error) => Err(without_source(&error)),
    }
}

fn show(undone: &Undone) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    let here = std::env::current_dir().unwrap_or_default();
    for file in &undone.files {
        writeln!(lines, "{}", in_one_line(file.strip_prefix(&here).unwrap_or(file)))?;
    }
    print(&lines)?;
    io::stdout().flush()?;
    let (files, run) = (count(undone.files.len() as u64, "file"), &undone.run);
    match &undone.id {
        None => to_stderr(format_args!("would put back {files} of {} ({})", run.id, run.what)),
        Some(_) => to_stderr(format_args!(
            "put back {files} of {} ({}); again with: silkmill undo",
            run.id, run.what
        )),
    }
    Ok(())
}

/// Returns a line for each run, the latest run last, as in a shell's history.
fn list(runs: &[StoredRun], now: SystemTime) -> String {
    let mut lines = String::new();
    for run in runs {
        let roots: Vec<String> = run.roots.iter().map(|root| in_one_line(root)).collect();
        lines += &format!(
            "{}  {:>9}  {:>13}  {:>9}  {}  in {}\n",
            run.id,
            ago(now.duration_since(run.begun).unwrap_or_default()),
            count(run.files, "file"),
            bytes(run.bytes_held),
            in_one_line(Path::new(&run.what)),
            roots.join(", ")
        );
    }
    if runs.is_empty() {
        to_stderr("no run to undo");
    }
    lines
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
