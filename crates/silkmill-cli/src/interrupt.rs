//! The signals. ^C, SIGTERM and SIGHUP cancel the run; SIGXFSZ must not end it.

use std::process;
use std::sync::Arc;

use anyhow::{Context, Result};
use signal_hook::consts::SIGXFSZ;
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
    ctrlc::set_handler(move || {
        if cancel.is_cancelled() && second == SecondSignal::EndsProcess {
            process::exit(Exit::Interrupted.code());
        }
        cancel.cancel();
    })
    .context("failed to listen for signals")
}

/// Turns a write beyond the limit of `ulimit -f` into an error like any other. Otherwise the signal
/// would end the process and leave staged files behind.
pub(crate) fn outlive_file_size_limit() -> Result<()> {
    // The flag is never read: it is enough that the signal is caught.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).context("failed to listen for SIGXFSZ")?;
    Ok(())
}
