//! Gives the tests the signals that a shell's terminal gives them.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals that tests send to what they start, by number: HUP, INT, QUIT and TERM.
const SENT: [u32; 4] = [1, 2, 3, 15];

/// Set for the program that was started again.
const RESET: &str = "XTASK_SIGNALS_ARE_RESET";

/// Starts this program again with default signals, if any that the tests send is ignored. Whatever
/// is started in the background of a script, or by `nohup`, ignores some, and so do its children: a
/// program that keeps that as it is, as ours does, cannot be interrupted by a test.
///
/// Where it cannot be started again, this goes on: all other tests can be run.
pub(crate) fn reset() {
    if std::env::var_os(RESET).is_some() || !is_one_ignored() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = Command::new("env");
    again.arg("--default-signal=HUP,INT,QUIT,TERM").arg(program);
    let error = again.args(std::env::args_os().skip(1)).env(RESET, "1").exec();
    eprintln!("xtask: signals stay ignored, and tests of interrupts will fail: {error}");
}

fn is_one_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    SENT.iter().any(|signal| ignored >> (signal - 1) & 1 == 1)
}
