//! Finds stores beside files again from elsewhere.
//!
//! A run keeps its files beside those it changes when the user's store is on another mount. A run
//! that begins above that place, or an undo that begins anywhere, would not find that store. So the
//! user's store has a link to each. Without a user's store there are no links. Then such a store is
//! found from within, and by a run that has staged new text for files below it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::store::Store;
use crate::store::layout::{beside, is_own_name};

/// The directory of links in the user's store.
const LINKS: &str = "beside";

/// How many names are tried for a link whose checksum others share.
const NAMES_TRIED_MAX: u32 = 16;

/// Links a store beside files from the user's store. If that cannot be written, there is no link.
pub(crate) fn remember(home: Option<&Path>, store: &Store) {
    let is_beside = store.path().file_name().is_some_and(is_own_name);
    let Some(home) = home.filter(|_| is_beside) else { return };
    let links = home.join(LINKS);
    if DirBuilder::new().recursive(true).mode(0o700).create(&links).is_err() {
        return;
    }
    let sum = crc32fast::hash(store.path().as_os_str().as_bytes());
    for tried in 0..NAMES_TRIED_MAX {
        let link = links.join(format!("{:08x}", sum.wrapping_add(tried)));
        let made = symlink(store.path(), &link);
        if made.is_ok() || fs::read_link(&link).is_ok_and(|to| to == store.path()) {
            return;
        }
    }
}

/// Returns every linked store that can be used. Removes links to stores that were removed.
pub(crate) fn remembered(home: Option<&Path>) -> Vec<Store> {
    let links = home.and_then(|home| fs::read_dir(home.join(LINKS)).ok());
    let mut stores = Vec::new();
    for link in links.into_iter().flatten().flatten() {
        let Ok(to) = fs::read_link(link.path()) else { continue };
        match Store::existing(&to) {
            // A store on a read-only disk cannot be recovered or undone.
            Some(store) if accessat(CWD, &to, Access::WRITE_OK, AtFlags::EACCESS).is_ok() => {
                stores.push(store);
            }
            Some(_) => {}
            // A store on a disk that is not mounted now may return.
            None if !to.exists() && to.parent().is_some_and(Path::exists) => {
                let _ = fs::remove_file(link.path());
            }
            None => {}
        }
    }
    stores.sort_by(|a, b| a.path().cmp(b.path()));
    stores
}

/// Returns the stores, except `own`, whose runs may work on the same files as a run over `roots`.
pub(crate) fn around(home: Option<&Path>, roots: &[PathBuf], own: &Store) -> Vec<Store> {
    let above = roots.iter().flat_map(|root| root.ancestors()).map(beside);
    let users = home.map(Path::to_path_buf).into_iter();
    let mut stores: Vec<Store> =
        users.chain(above).filter_map(|path| Store::existing(&path)).collect();
    let is_below = |store: &Store| roots.iter().any(|root| store.path().starts_with(root));
    stores.extend(remembered(home).into_iter().filter(is_below));
    let mut seen = HashSet::from([own.path().to_path_buf()]);
    stores.retain(|store| seen.insert(store.path().to_path_buf()));
    stores
}

/// Returns the stores beside the files in these directories, or between those and the roots, that
/// are not in `known`.
pub(crate) fn unremembered(
    directories: impl Iterator<Item = Arc<Path>>,
    roots: &[PathBuf],
    known: &[Store],
) -> Vec<Store> {
    let (mut last, mut stores): (Option<Arc<Path>>, Vec<Store>) = (None, Vec::new());
    for directory in directories {
        // The directories come in the order of their files, so one above this one was mostly looked
        // at for the one before.
        let inside = directory.ancestors().take_while(|folder| {
            roots.iter().any(|root| folder.starts_with(root))
                && last.as_ref().is_none_or(|last| !last.starts_with(folder))
        });
        stores.extend(inside.filter_map(|folder| Store::existing(&beside(folder))));
        last = Some(directory);
    }
    let mut seen = HashSet::new();
    stores.retain(|store| {
        let is_known = known.iter().any(|other| other.path() == store.path());
        !is_known && seen.insert(store.path().to_path_buf())
    });
    stores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::BESIDE;

    fn paths(stores: &[Store]) -> Vec<&Path> {
        stores.iter().map(Store::path).collect()
    }

    #[test]
    fn a_store_beside_files_is_remembered_once_and_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("state/silkmill");
        let folder = root.path().join("disk/tree");
        let store = Store::make(folder.join(BESIDE)).unwrap();

        remember(Some(&home), &store);
        remember(Some(&home), &store);
        assert_eq!(paths(&remembered(Some(&home))), [store.path()]);
        assert_eq!(fs::read_dir(home.join(LINKS)).unwrap().count(), 1);

        // The disk is unmounted and mounted again. Then the store is removed.
        fs::rename(root.path().join("disk"), root.path().join("out")).unwrap();
        assert!(remembered(Some(&home)).is_empty());
        fs::rename(root.path().join("out"), root.path().join("disk")).unwrap();
        assert_eq!(paths(&remembered(Some(&home))), [store.path()]);
        fs::remove_dir_all(store.path()).unwrap();
        assert!(remembered(Some(&home)).is_empty());
        assert_eq!(fs::read_dir(home.join(LINKS)).unwrap().count(), 0);
    }

    #[test]
    fn stores_above_and_below_are_around_and_those_beside_the_way_are_not() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("state/silkmill");
        let make = |path: &str| Store::make(root.path().join(path).join(BESIDE)).unwrap();
        let (above, own, below, far) = (make("."), make("a/b"), make("a/b/c/d"), make("a/x"));
        for store in [&own, &below, &far] {
            remember(Some(&home), store);
        }
        let roots = [root.path().join("a/b")];

        let around = around(Some(&home), &roots, &own);

        assert_eq!(around.len(), 2, "{around:?}");
        assert!(around[0].path().ends_with("./.silkmill") || around[0].path() == above.path());
        assert_eq!(around[1].path(), below.path());
    }

    #[test]
    fn a_store_that_has_no_link_is_found_above_the_files_it_is_beside() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| Store::make(root.path().join(path).join(BESIDE)).unwrap();
        let (own, below, far) = (make("a"), make("a/b"), make("a/x"));
        let deep = root.path().join("a/b/c");
        let roots = [root.path().join("a")];

        let found = unremembered(
            [Arc::from(&*deep), Arc::from(&*deep)].into_iter(),
            &roots,
            std::slice::from_ref(&own),
        );

        assert_eq!(paths(&found), [below.path()]);
        assert!(!paths(&found).contains(&far.path()));
    }
}
