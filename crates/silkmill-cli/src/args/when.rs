//! `auto`, `always` or `never`: the choice that progress and colours offer.

use clap::ValueEnum;

/// When to do what a terminal makes pleasant: progress, colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    #[default]
    Auto,
    Always,
    Never,
}
