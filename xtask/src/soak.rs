//! `cargo xtask soak`: runs the storm of `crates/silkmill/tests/stress.rs`, optimised and for
//! longer.

use crate::misuse::misuse;
use crate::program::{cargo, check};
use crate::subcommand::Subcommand;

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "soak",
    summary: "run a storm of random tasks over whole pools",
    help: || HELP.to_owned(),
    run,
};

const HELP: &str = "\
usage: cargo xtask soak [SECONDS]         for so many seconds, 60 unless told otherwise

Submits random tasks in random ways from several threads, cancels some, ends the pools at a random
moment, and checks after each round that everything adds up. It prints the seed of the first round,
and that of a round that hangs.

time: the seconds named, and a release build of the library before them
needs: nothing but Rust
environment:
  SILKMILL_SEED  the seed of the round to begin with. Threads do not do the same twice: a seed that
                 failed is worth many tries
";

const SECONDS_DEFAULT: &str = "60";

/// Runs the storm for the seconds that the one word names.
fn run(words: &[&str]) -> anyhow::Result<()> {
    let seconds = match words {
        [] => SECONDS_DEFAULT,
        [seconds] => seconds,
        _ => return Err(misuse("soak takes one number of seconds")),
    };
    let whole: Result<u64, _> = seconds.parse();
    if whole.is_err() {
        return Err(misuse(format!("failed to read {seconds:?} as a number of seconds")));
    }
    let mut storm = cargo();
    storm.args(["test", "--package", "silkmill", "--test", "stress", "--release"]);
    storm.args(["--", "--nocapture"]);
    check(storm.env("SILKMILL_SOAK_SECONDS", seconds))
}
