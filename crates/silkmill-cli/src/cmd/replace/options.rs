//! Turns the arguments of `silkmill replace` into the options of a run.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use silkmill_replace::{Case, HardLinks, Mode, Options, OptionsBuilder, Pairs, Renames};

use crate::args::{Binary, HardLinkPolicy, ReplaceArgs};
use crate::messages::{reason, without_source};
use crate::state::state_directory;

/// Returns whether `-` is the only path. Options that show, count or refuse a change before it is
/// written are errors with it.
pub(super) fn is_pipe(args: &ReplaceArgs) -> anyhow::Result<bool> {
    let words = args.pairs.is_some().then_some([&args.old, &args.new]);
    let words = words.into_iter().flatten().flatten().map(OsString::as_os_str);
    let paths: Vec<&OsStr> = words.chain(args.paths.iter().map(|path| path.as_os_str())).collect();
    if !paths.contains(&OsStr::new("-")) {
        return Ok(false);
    }
    if paths.len() > 1 || args.files_from.is_some() {
        bail!("\"-\" is stdin, which goes to stdout: it stands alone; the file is \"./-\"");
    }
    let unfit = [
        ("-n", args.dry_run),
        ("-I", args.interactive),
        ("-l", args.files_with_matches),
        ("-c", args.count),
        ("--json", args.json),
        ("--expect", args.expect.is_some()),
        ("--rename", args.rename),
        ("--rename-only", args.rename_only),
    ];
    match unfit.iter().find(|(_, given)| *given) {
        Some((option, _)) => bail!("{option} is for files, and \"-\" goes from stdin to stdout"),
        None => Ok(true),
    }
}

/// Refuses words that are likely to mean something else, and says what to write.
pub(super) fn refuse_misunderstood(args: &ReplaceArgs) -> anyhow::Result<()> {
    if let Some(glob) = &args.exclude {
        bail!("there is no --exclude: write -g '!{glob}'");
    }
    if args.null && args.files_from.is_none() && !args.lists_files() {
        bail!("-0 is for --files-from, -l and -c, and there is none of them");
    }
    let names_paths = !args.paths.is_empty() || args.files_from.is_some();
    if let Some(new) = args.new.as_ref().filter(|_| args.pairs.is_none() && !names_paths)
        // A word that is also the name of a directory is more likely to be meant as text.
        && new.as_bytes().iter().any(|byte| b"./".contains(byte))
        && Path::new(new).is_file()
    {
        bail!(
            "NEW is {new:?}, which is a path, and no PATH is given: write OLD NEW {}, \
             or name \".\" to replace by this text in the tree",
            Path::new(new).display()
        );
    }
    Ok(())
}

/// Returns what a literal OLD may have meant that has matched nothing.
pub(super) fn hint_of_escapes(args: &ReplaceArgs) -> Option<&'static str> {
    let is_literal = !args.regex && !args.fancy && args.pairs.is_none();
    let old = args.old.as_ref().filter(|_| is_literal)?;
    let names = |part: &[u8]| old.as_bytes().windows(part.len()).any(|found| found == part);
    let looks: [&[u8]; 4] = [b"(?=", b"(?!", b"(?<=", b"(?<!"];
    if looks.into_iter().any(names) || names(b"\\K") {
        Some("OLD is literal without -e: look-around and \\K are those of a regex with --fancy")
    } else if names(b"\\n") {
        Some("\\n in OLD is two characters without -e: a line end is written -e -U '\\n'")
    } else if names(b"\\t") {
        Some("\\t in OLD is two characters without -e: a tab is written -e '\\t'")
    } else {
        None
    }
}

/// Refuses to walk the current directory when a pipe or a file is standard input: whoever wrote
/// `echo x | silkmill replace a b` meant that input, and not the tree.
pub(super) fn refuse_unread_stdin(args: &ReplaceArgs) -> anyhow::Result<()> {
    let paths = if args.pairs.is_some() { [&args.old, &args.new] } else { [&None, &None] };
    let names_paths = !args.paths.is_empty() || paths.into_iter().any(Option::is_some);
    if names_paths || args.files_from.is_some() {
        return Ok(());
    }
    let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let kind = stdin.and_then(|stdin| stdin.metadata()).map(|metadata| metadata.file_type());
    let what = match kind {
        Ok(kind) if kind.is_fifo() || kind.is_socket() => "a pipe",
        Ok(kind) if kind.is_file() => "a file",
        // A terminal, `/dev/null`, or none.
        _ => return Ok(()),
    };
    bail!("no PATH is given, and stdin is {what}: name \".\" for the tree or \"-\" for stdin")
}

/// Builds the options of a run.
pub(super) fn options(mut args: ReplaceArgs) -> anyhow::Result<Options> {
    let builder = texts(&mut args)?;
    let builder = how_to_match(builder, &args);
    let builder = how_to_run(builder, &args);
    files(builder, args)?.build().map_err(|error| without_source(&error))
}

/// Starts with the texts to replace. With `--pairs`, OLD and NEW are the first two paths.
fn texts(args: &mut ReplaceArgs) -> anyhow::Result<OptionsBuilder> {
    let words = [args.old.take(), args.new.take()];
    match &args.pairs {
        Some(file) => {
            let pairs = Pairs::read(file).map_err(|error| without_source(&error))?;
            args.paths.splice(..0, words.into_iter().flatten().map(PathBuf::from));
            Ok(Options::with_pairs(pairs))
        }
        None => {
            let [old, new] = words.map(|word| word.map_or_else(Vec::new, OsString::into_vec));
            Ok(Options::builder(old, new))
        }
    }
}

fn how_to_match(builder: OptionsBuilder, args: &ReplaceArgs) -> OptionsBuilder {
    let case = match (args.ignore_case, args.smart_case) {
        (true, _) => Case::Insensitive,
        (_, true) => Case::Smart,
        _ => Case::Sensitive,
    };
    let mut builder = builder
        .regex(args.regex)
        .fancy(args.fancy)
        .case(case)
        .word(args.word)
        .preserve_case(args.preserve_case)
        .multiline(args.multiline);
    if let Some(count) = args.max_count {
        builder = builder.file_replacements_max(count.get());
    }
    builder
}

fn how_to_run(builder: OptionsBuilder, args: &ReplaceArgs) -> OptionsBuilder {
    let is_dry = args.dry_run || args.lists_files();
    let mode = match (is_dry, args.json || args.quiet || args.lists_files()) {
        (false, _) => Mode::Write,
        (true, false) => Mode::Diff,
        (true, true) => Mode::Count,
    };
    let hard_links = match args.hard_links {
        HardLinkPolicy::Keep => HardLinks::Keep,
        HardLinkPolicy::Split => HardLinks::Split,
        HardLinkPolicy::Refuse => HardLinks::Refuse,
    };
    let renames = match (args.rename, args.rename_only) {
        (true, _) => Renames::Also,
        (_, true) => Renames::Only,
        _ => Renames::No,
    };
    let mut builder = builder
        .mode(mode)
        .renames(renames)
        .strict(args.strict)
        .measure_cpu(args.stats)
        .sync(!args.no_sync)
        .undo(!args.no_undo)
        .hard_links(hard_links);
    if let Some(directory) = state_directory() {
        builder = builder.state_directory(directory);
    }
    if let Some(expected) = args.expect {
        builder = builder.expect(expected);
    }
    if let Some(lines) = args.context {
        builder = builder.context_lines(lines);
    }
    if let Some(workers) = args.workers {
        builder = builder.workers(workers.get());
    }
    builder
}

/// Adds the files, and how they are read.
fn files(builder: OptionsBuilder, args: ReplaceArgs) -> anyhow::Result<OptionsBuilder> {
    let mut builder = builder.hidden(args.hidden).ignored(args.no_ignore).follow(args.follow);
    builder = builder.binary(args.binary == Binary::Edit);
    builder = args.paths.into_iter().fold(builder, |builder, path| builder.path(path));
    builder = args.glob.into_iter().fold(builder, |builder, glob| builder.glob(glob));
    builder = args.types.into_iter().fold(builder, |builder, name| builder.file_type(name));
    if let Some(list) = &args.files_from {
        builder = builder.paths(listed(list, args.null)?);
    }
    if let Some(label) = args.encoding {
        builder = builder.encoding(label);
    }
    if let Some(bytes) = args.max_file_size {
        builder = builder.file_size_max(bytes);
    }
    Ok(builder)
}

/// Reads the paths in a list.
fn listed(list: &Path, null: bool) -> anyhow::Result<Vec<PathBuf>> {
    let bytes = if list == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(list)
    };
    let bytes = bytes.map_err(|error| anyhow!("failed to read {list:?}: {}", reason(&error)))?;
    let end = if null { 0 } else { b'\n' };
    let names = bytes.split(|&byte| byte == end).filter(|name| !name.is_empty());
    Ok(names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect())
}
