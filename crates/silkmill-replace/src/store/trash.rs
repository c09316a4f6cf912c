//! Removes the files of old runs while a run waits for the disk, which leaves a processor idle.

use std::path::Path;

use silkmill::{CancelToken, Thread};

use crate::store;

/// Ends soon after it is dropped, wherever it is then.
#[derive(Debug)]
pub(crate) struct Sweep {
    enough: CancelToken,
}

impl Sweep {
    /// Begins, if there is anything to remove.
    pub(crate) fn begin(store: &Path) -> Sweep {
        let enough = CancelToken::new();
        if store::trashed(store) > 0 {
            let (store, enough) = (store.to_path_buf(), enough.clone());
            let sweep = move || {
                store::empty_trash(&store, &|| enough.is_cancelled());
            };
            // Without a thread, what lies there lies for longer.
            let _ = Thread::builder().name("sweep").daemon(true).spawn(sweep);
        }
        Sweep { enough }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        // Nobody waits for it: to remove one large file may take long.
        self.enough.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, Instant};

    #[test]
    fn what_was_thrown_away_is_removed_while_a_run_is_busy() {
        let store = tempfile::tempdir().unwrap();
        let folder = store.path().join("20260101-000000-abcd");
        fs::create_dir_all(folder.join("0")).unwrap();
        fs::write(folder.join("0/1"), "old").unwrap();
        store::throw_away(&folder).unwrap();

        let sweep = Sweep::begin(store.path());

        let until = Instant::now() + Duration::from_secs(60);
        while store::trashed(store.path()) > 0 {
            assert!(Instant::now() < until, "nobody removes it");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(sweep);
    }
}
