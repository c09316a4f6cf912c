//! The tree that words are replaced in, and a hash that shows whether it is as it was.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::corpus;

/// The variable that names a tree to use instead of the generated one.
const CORPUS: &str = "SILKMILL_BENCH_TREE";

pub(super) fn find() -> anyhow::Result<PathBuf> {
    if let Some(tree) = std::env::var_os(CORPUS) {
        return Ok(tree.into());
    }
    // It is not below this repository: git ignores what is built here, and so do some of the peers.
    let tree = std::env::temp_dir().join("silkmill-corpus");
    if !tree.exists() {
        println!(
            "making a tree in {tree:?}; set {CORPUS} to use another, which is changed and put back"
        );
        corpus::make(&tree)?;
    }
    Ok(tree)
}

/// Hashes every path and every byte, in a fixed order.
pub(super) fn hash(tree: &Path) -> anyhow::Result<u64> {
    let mut hasher = DefaultHasher::new();
    visit(tree, &mut |path| {
        hasher.write(path.as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(path).with_context(|| format!("failed to read {path:?}"))?);
        Ok(())
    })?;
    Ok(hasher.finish())
}

pub(super) fn count_files(tree: &Path) -> anyhow::Result<u64> {
    let mut files = 0;
    visit(tree, &mut |_| {
        files += 1;
        Ok(())
    })?;
    Ok(files)
}

fn visit(folder: &Path, file: &mut dyn FnMut(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {folder:?}"))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            visit(&entry.path(), file)?;
        } else if kind.is_file() {
            file(&entry.path())?;
        }
    }
    Ok(())
}
