//! `silkmill replace`: turns arguments into a run, and its events into messages.

mod fit;
mod json;
mod options;
mod output;
mod pipe;
mod review;
mod stdout;
mod text;

use silkmill::CancelToken;
use silkmill_replace::{
    ErrorKind, Event, PRUNED_IN_MAX, Summary, patch_directory, prune, review as replace_reviewed,
    run as replace,
};

use crate::args::ReplaceArgs;
use crate::cmd::replace::options::{
    hint_of_escapes, is_pipe, options, refuse_misunderstood, refuse_unread_stdin,
};
use crate::cmd::replace::output::Output;
use crate::cmd::replace::review::Prompt;
use crate::exit::Exit;
use crate::interrupt::{self, SecondSignal, outlive_file_size_limit};

pub(crate) fn run(args: ReplaceArgs) -> anyhow::Result<Exit> {
    refuse_misunderstood(&args)?;
    if is_pipe(&args)? {
        return pipe::run(&options(args)?);
    }
    refuse_unread_stdin(&args)?;
    let (interactive, color) = (args.interactive, args.color);
    let mut output = Output::new(&args);
    let hint = hint_of_escapes(&args);
    let options = options(args)?;
    output.applies_in(patch_directory(&options));
    let cancel = CancelToken::new();
    interrupt::cancel_on_signal(&cancel, SecondSignal::Ignored)?;
    outlive_file_size_limit()?;

    let mut sink = |event: Event<'_>| {
        output.event(event);
        if output.is_abandoned() {
            cancel.cancel();
        }
    };
    let ended = if interactive {
        let mut prompt = Prompt::new(color, &cancel)?;
        replace_reviewed(&options, &cancel, &mut sink, &mut |change| prompt.ask(change))
    } else {
        replace(&options, &cancel, &mut sink)
    };
    output.clear_progress();
    let mut store = None;
    let exit = match ended {
        Ok(summary) => {
            match options.changes_nothing() {
                true => output.nothing_to_do(&summary),
                false => output.finish(&summary),
            }
            if let Some(hint) = hint.filter(|_| summary.replacements == 0) {
                output.hint(hint);
            }
            let exit = exit_of(&summary);
            store = summary.store;
            exit
        }
        Err(_) if output.is_abandoned() => Exit::Success,
        Err(error) => {
            output.failure(&error);
            match error.kind() {
                ErrorKind::Interrupted => Exit::Interrupted,
                _ => Exit::Error,
            }
        }
    };
    let closed = output.close();
    if let Some(store) = store {
        prune(&store, PRUNED_IN_MAX);
    }
    closed.map(|()| exit)
}

fn exit_of(summary: &Summary) -> Exit {
    match summary {
        Summary { files_failed: 1.., .. } => Exit::Error,
        Summary { replacements: 0, .. } => Exit::Partial,
        _ => Exit::Success,
    }
}
