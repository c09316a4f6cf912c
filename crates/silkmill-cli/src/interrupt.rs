//! The signals. ^C, SIGTERM and SIGHUP cancel the run; SIGXFSZ must not end it.
//!
//! A signal that was ignored when the program started stays ignored: that is how `nohup` asks a
//! program to survive its terminal, and how a shell keeps ^C from its background jobs.

use std::ffi::c_int;
use std::process;
use std::sync::Arc;
use std::{fs, thread};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use silkmill::CancelToken;

use crate::exit::Exit;

/// The effect of the second signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondSignal {
    /// The second signal ends the process at once. What the run has written is whole at every
    /// moment.
    EndsProcess,
    /// The second signal is ignored: the run ends by itself very soon, and must not be cut off.
    Ignored,
}

/// Sets `cancel` at the first signal. The caller calls this once.
pub(crate) fn cancel_on_signal(cancel: &CancelToken, second: SecondSignal) -> Result<()> {
    let cancel = cancel.clone();
    let ignored = IgnoredSignals::now();
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored.holds(*signal));
    let mut signals = Signals::new(heard).context("failed to listen for signals")?;
    let listen = move || {
        for _ in signals.forever() {
            if cancel.is_cancelled() && second == SecondSignal::EndsProcess {
                process::exit(Exit::Interrupted.code().into());
            }
            cancel.cancel();
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)
        .context("failed to listen for signals")?;
    Ok(())
}

/// Turns a write beyond the limit of `ulimit -f` into an error like any other. Otherwise the signal
/// would end the process and leave staged files behind.
pub(crate) fn outlive_file_size_limit() -> Result<()> {
    if IgnoredSignals::now().holds(SIGXFSZ) {
        return Ok(());
    }
    // The flag is never read: it is enough that the signal is caught.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).context("failed to listen for SIGXFSZ")?;
    Ok(())
}

/// The signals that this process ignores: bit N - 1 is signal N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IgnoredSignals(u64);

impl IgnoredSignals {
    /// Reads the signals from the kernel's description of this process. Asking `sigaction` would
    /// need unsafe code. Where there is no such file, as on macOS, none is known to be ignored.
    fn now() -> IgnoredSignals {
        IgnoredSignals::of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn of(status: &str) -> IgnoredSignals {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        IgnoredSignals(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
    }

    fn holds(self, signal: c_int) -> bool {
        self.0 >> (signal - 1) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_mask_says_which_signals_are_ignored() {
        let ignored = IgnoredSignals::of("SigBlk:\t000f\nSigIgn:\t0000000000001003\nSigCgt:\t0\n");
        let held = [SIGHUP, SIGINT, SIGTERM].map(|signal| ignored.holds(signal));
        assert_eq!(held, [true, true, false]);
        assert_eq!(IgnoredSignals::of("Name:\tsilkmill\n"), IgnoredSignals(0));
    }
}
