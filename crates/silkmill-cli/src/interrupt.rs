//! ^C, SIGTERM and SIGHUP: the first asks the run to end. SIGXFSZ must not end it.

use std::process;
use std::sync::Arc;

use anyhow::{Context, Result};
use signal_hook::consts::SIGXFSZ;
use silkmill::CancelToken;

use crate::exit::Exit;

/// What the second signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondSignal {
    /// It ends the process at once. What the run has written is whole at every moment.
    EndsProcess,
    /// Nothing: the run ends by itself very soon, and must not be cut off in the middle.
    Ignored,
}

/// Sets `cancel` at the first signal. To be called once.
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

/// Makes a file that outgrows the limit of `ulimit -f` an error like any other; left alone, its signal
/// ends the process and leaves what was staged.
pub(crate) fn outlive_file_size_limit() -> Result<()> {
    // Nobody reads the flag: that the signal is caught is enough.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).context("failed to listen for SIGXFSZ")?;
    Ok(())
}
