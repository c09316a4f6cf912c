//! The options of `replace`, by the names that the command has for them.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};
use silkmill_replace::{
    Case, HardLinks, Mode, Options, OptionsBuilder, Pairs, PairsFormat, Renames,
};

use crate::keywords::Keywords;

/// The most threads that read and write.
const WORKERS_MAX: u64 = 1024;

/// Returns the options of a run. Those that cannot be are a ValueError or a TypeError.
pub(super) fn options_of(
    py: Python<'_>,
    texts: (Option<Vec<u8>>, Option<Vec<u8>>),
    options: &Bound<'_, PyDict>,
    preview: bool,
    asks: bool,
) -> PyResult<Options> {
    let mut words = Keywords::new("replace", options)?;
    let builder = texts_of(texts, &mut words, asks)?;
    let builder = how_to_match(builder, &mut words)?;
    let builder = files(builder, &mut words)?;
    let builder = how_to_run(builder, &mut words, preview)?;
    words.finish()?;
    // It looks for the user's store.
    py.detach(|| builder.build()).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn texts_of(
    texts: (Option<Vec<u8>>, Option<Vec<u8>>),
    words: &mut Keywords<'_>,
    asks: bool,
) -> PyResult<OptionsBuilder> {
    let pairs = words.any("pairs")?;
    match (texts, pairs) {
        ((None, None), Some(pairs)) => pairs_of(&pairs).map(Options::with_pairs),
        ((Some(old), _), None) if asks => Ok(Options::asking(old)),
        ((Some(old), Some(new)), None) => Ok(Options::builder(old, new)),
        (_, None) => Err(words.wrong("new", "missing: replace(OLD, NEW, PATH...)")),
        (_, Some(_)) => Err(words.wrong("pairs", "in the place of OLD and NEW: give no NEW")),
    }
}

/// Reads pairs from a mapping, or from a file whose name ends in `.tsv`, `.csv` or `.json`.
fn pairs_of(pairs: &Bound<'_, PyAny>) -> PyResult<Pairs> {
    let read = if pairs.cast::<PyMapping>().is_ok() {
        let mapping = pairs.py().import("builtins")?.call_method1("dict", (pairs,))?;
        let json = pairs.py().import("json")?.call_method1("dumps", (mapping,))?;
        Pairs::parse(json.extract::<String>()?.as_bytes(), PairsFormat::Json)
    } else {
        let path = pairs.py().import("os")?.call_method1("fsdecode", (pairs,))?;
        Pairs::read(&path.extract::<PathBuf>()?)
    };
    read.map_err(|error| PyValueError::new_err(error.to_string()))
}

fn how_to_match(builder: OptionsBuilder, words: &mut Keywords<'_>) -> PyResult<OptionsBuilder> {
    let case = match (words.flag("ignore_case")?, words.flag("smart_case")?) {
        (true, true) => {
            return Err(words.wrong("ignore_case", "one way, and \"smart_case\" another"));
        }
        (true, _) => Case::Insensitive,
        (_, true) => Case::Smart,
        _ => Case::Sensitive,
    };
    let mut builder = builder
        .regex(words.flag("regex")?)
        .case(case)
        .word(words.flag("word")?)
        .preserve_case(words.flag("preserve_case")?)
        .multiline(words.flag("multiline")?);
    if let Some(count) = words.count("max_count", 1, u64::MAX)? {
        builder = builder.file_replacements_max(count);
    }
    Ok(builder)
}

fn files(builder: OptionsBuilder, words: &mut Keywords<'_>) -> PyResult<OptionsBuilder> {
    let binary = words.word("binary", &[("skip", false), ("edit", true)])?;
    let mut builder = builder
        .hidden(words.flag("hidden")?)
        .ignored(words.flag("no_ignore")?)
        .binary(binary.unwrap_or(false));
    if let Some(paths) = words.paths("paths")? {
        builder = builder.paths(paths);
    }
    builder = words.texts("glob")?.into_iter().fold(builder, OptionsBuilder::glob);
    builder = words.texts("type")?.into_iter().fold(builder, OptionsBuilder::file_type);
    if let Some(label) = words.text("encoding")? {
        builder = builder.encoding(label);
    }
    if let Some(bytes) = words.size("max_file_size")? {
        builder = builder.file_size_max(bytes);
    }
    Ok(builder)
}

fn how_to_run(
    builder: OptionsBuilder,
    words: &mut Keywords<'_>,
    preview: bool,
) -> PyResult<OptionsBuilder> {
    let renames = match (words.flag("rename")?, words.flag("rename_only")?) {
        (true, true) => return Err(words.wrong("rename", "one way, and \"rename_only\" another")),
        (true, _) => Renames::Also,
        (_, true) => Renames::Only,
        _ => Renames::No,
    };
    let links =
        [("keep", HardLinks::Keep), ("split", HardLinks::Split), ("refuse", HardLinks::Refuse)];
    let mut builder = builder
        .mode(if preview { Mode::Diff } else { Mode::Write })
        .renames(renames)
        .strict(words.flag("strict")?)
        .sync(!words.flag("no_sync")?)
        .undo(!words.flag("no_undo")?)
        .hard_links(words.word("hard_links", &links)?.unwrap_or_default());
    if let Some(directory) = silkmill_cli::state_directory() {
        builder = builder.state_directory(directory);
    }
    if let Some(expected) = words.count("expect", 0, u64::MAX)? {
        builder = builder.expect(expected);
    }
    if let Some(lines) = words.count("context", 0, 1_000_000)? {
        builder = builder.context_lines(lines as usize);
    }
    if let Some(workers) = words.count("workers", 1, WORKERS_MAX)? {
        builder = builder.workers(workers as usize);
    }
    Ok(builder)
}
