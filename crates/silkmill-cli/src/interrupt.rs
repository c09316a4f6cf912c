//! ^C, SIGTERM and SIGHUP: the first asks the run to end, the second ends the process.

use std::process;

use anyhow::{Context, Result};
use silkmill::CancelToken;

use crate::exit::Exit;

/// Sets `cancel` at the first signal. To be called once.
pub(crate) fn cancels(cancel: &CancelToken) -> Result<()> {
    let cancel = cancel.clone();
    ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            process::exit(Exit::Interrupted.code());
        }
        cancel.cancel();
    })
    .context("failed to listen for signals")
}
