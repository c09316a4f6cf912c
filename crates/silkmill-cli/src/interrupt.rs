//! ^C, SIGTERM and SIGHUP: the first asks the run to end.

use std::process;

use anyhow::{Context, Result};
use silkmill::CancelToken;

use crate::exit::Exit;

/// What the second signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second {
    /// It ends the process at once. What the run has written is whole at every moment.
    EndsTheProcess,
    /// Nothing: the run ends by itself very soon, and must not be cut off in the middle.
    IsIgnored,
}

/// Sets `cancel` at the first signal. To be called once.
pub(crate) fn cancels(cancel: &CancelToken, second: Second) -> Result<()> {
    let cancel = cancel.clone();
    ctrlc::set_handler(move || {
        if cancel.is_cancelled() && second == Second::EndsTheProcess {
            process::exit(Exit::Interrupted.code());
        }
        cancel.cancel();
    })
    .context("failed to listen for signals")
}
