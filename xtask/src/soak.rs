//! `cargo xtask soak`: the storm of `crates/silkmill/tests/stress.rs`, optimised and for longer.

use crate::{cargo, check, misuse};

/// For so many seconds unless told otherwise.
pub(crate) const SECONDS_DEFAULT: &str = "60";

/// Runs it for so many seconds. `SILKMILL_SEED` names the round to begin with.
pub(crate) fn run(seconds: &str) -> anyhow::Result<()> {
    let whole: Result<u64, _> = seconds.parse();
    if whole.is_err() {
        return Err(misuse(format!("failed to read {seconds:?} as a number of seconds")));
    }
    let mut storm = cargo();
    storm.args(["test", "--package", "silkmill", "--test", "stress", "--release"]);
    storm.args(["--", "--nocapture"]);
    check(storm.env("SILKMILL_SOAK_SECONDS", seconds))
}
