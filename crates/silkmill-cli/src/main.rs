//! The `silkmill` binary. The command itself is in the library beside it.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(silkmill_cli::main_from(env::args_os()))
}
