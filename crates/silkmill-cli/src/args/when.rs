//! The choice of `auto`, `always` or `never` for progress and colours.

use clap::ValueEnum;

/// When to show progress or colours. `auto` means on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    #[default]
    Auto,
    Always,
    Never,
}
