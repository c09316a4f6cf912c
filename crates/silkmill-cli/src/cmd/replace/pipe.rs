//! `silkmill replace OLD NEW -`: edits standard input to standard output.

use std::error::Error as _;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use anyhow::Context;
use silkmill_replace::{Error, Notice, Options, pipe_with_notices};

use crate::exit::Exit;
use crate::messages::{to_stderr, without_source};

pub(crate) fn run(options: &Options) -> anyhow::Result<Exit> {
    // The standard library's buffer would hold back what follows the last line end.
    let stdout = io::stdout().as_fd().try_clone_to_owned().context("failed to open stdout")?;
    let mut notify = |notice: &Notice| to_stderr(format_args!("silkmill: {notice}"));
    let piped =
        pipe_with_notices(options, &mut io::stdin().lock(), &mut File::from(stdout), &mut notify);
    match piped {
        Ok(0) => Ok(Exit::Partial),
        Ok(_) => Ok(Exit::Success),
        // A reader that has closed standard output is not an error.
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Success),
        Err(error) => Err(without_source(&error)),
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}
