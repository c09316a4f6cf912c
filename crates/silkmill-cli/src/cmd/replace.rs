//! `silkmill replace`: from arguments to a run, and from its events to messages.

mod json;
mod options;
mod output;
mod pipe;
mod review;
mod stdout;
mod text;

use silkmill::CancelToken;
use silkmill_replace::{
    ErrorKind, Event, PRUNED_IN_MAX, Summary, prune, review as replace_reviewed, run as replace,
};

use crate::args::{ReplaceArgs, When};
use crate::cmd::replace::options::{is_filter, options};
use crate::cmd::replace::output::{Format, Output};
use crate::cmd::replace::review::Asker;
use crate::cmd::replace::stdout::Stdout;
use crate::exit::Exit;
use crate::interrupt::{self, Second, outlive_file_size_limit};
use crate::progress::Meter;

pub(crate) fn run(args: ReplaceArgs) -> anyhow::Result<Exit> {
    let (format, meter) = (Format::new(&args), meter(&args));
    let (stats, dry_run, interactive, color) =
        (args.stats, args.dry_run, args.interactive, args.color);
    let is_filter = is_filter(&args)?;
    let options = options(args)?;
    if is_filter {
        return pipe::run(&options);
    }
    let cancel = CancelToken::new();
    interrupt::cancels(&cancel, Second::IsIgnored)?;
    outlive_file_size_limit()?;

    let mut output = Output { format, out: Stdout::new(), meter };
    let mut sink = |event: Event<'_>| {
        output.tell(event);
        // What nobody reads need not be worked out; but files are changed for their own sake.
        if dry_run && output.out.error.is_some() {
            cancel.cancel();
        }
    };
    let ended = if interactive {
        let mut asker = Asker::new(color, &cancel)?;
        replace_reviewed(&options, &cancel, &mut sink, &mut |change| asker.ask(change))
    } else {
        replace(&options, &cancel, &mut sink)
    };
    output.meter.clear();
    let mut store = None;
    let exit = match ended {
        Ok(summary) => {
            store.clone_from(&summary.store);
            output.finish(&summary, options.changes_nothing(), dry_run, stats);
            exit_of(&summary)
        }
        Err(_) if dry_run && output.out.error.is_some() => Exit::Success,
        Err(error) => {
            output.give_up(&error);
            match error.kind() {
                ErrorKind::Interrupted => Exit::Interrupted,
                _ => Exit::Error,
            }
        }
    };
    output.out.close()?;
    if let Some(store) = store {
        prune(&store, PRUNED_IN_MAX);
    }
    Ok(exit)
}

fn meter(args: &ReplaceArgs) -> Meter {
    let progress = if args.quiet || args.interactive { When::Never } else { args.progress };
    let mut meter = Meter::new(progress);
    meter.show(|| "looking for files".to_owned());
    meter
}

fn exit_of(summary: &Summary) -> Exit {
    match summary {
        Summary { files_failed: 1.., .. } => Exit::Error,
        Summary { replacements: 0, .. } => Exit::Partial,
        _ => Exit::Success,
    }
}
