//! `--retry-errors`: rows that are errors are asked for again, and replaced.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use silkmill_testkit::{Reply, Server};

use crate::HANG_AFTER;
use crate::output::rows::{lasting, rows};
use crate::output::{FILES, Setting, site};
use crate::sandbox::stderr;

/// A server on which the pages below `/sick` are broken until `heals` is set.
fn sick(heals: &Arc<AtomicBool>) -> Setting {
    let healed = Arc::clone(heals);
    let server = Server::start(move |request| match request.path() {
        path if path.starts_with("/sick") && !healed.load(Ordering::SeqCst) => Reply::raw("junk"),
        _ => site(request),
    });
    Setting { server: server.unwrap(), ..Setting::new() }
}

#[test]
fn errors_are_asked_for_again_and_replaced_in_every_format() {
    for file in FILES {
        let heals = Arc::new(AtomicBool::new(false));
        let setting = sick(&heals);
        setting.list(&["/sick/0", "/page", "junk", "/sick/1", "/one"]);
        let path = setting.path(file);
        assert_eq!(setting.run(file, &[]).status.code(), Some(1), "{file}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = lasting(&path);
        let asked = setting.server.requests();
        heals.store(true, Ordering::SeqCst);

        let resumed = setting.run(file, &["--resume"]);
        assert_eq!((resumed.status.code(), setting.server.requests()), (Some(1), asked), "{file}");
        assert_eq!(lasting(&path), before);
        let retried = setting.run(file, &["--resume", "--retry-errors"]);

        // The line that is no URL is an error again.
        assert_eq!((retried.status.code(), setting.server.requests()), (Some(1), asked + 2));
        let after = lasting(&path);
        assert_eq!((after.len(), rows(&path).len()), (5, 5), "{file}: {}", stderr(&retried));
        for index in [1, 2, 4] {
            assert_eq!(after[&index], before[&index], "{file}");
        }
        for index in [0, 3] {
            assert!(before[&index].contains_key("error_kind"), "{file}");
            assert!(!after[&index].contains_key("error_kind"), "{file}");
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640, "{file}");
        let names = fs::read_dir(&setting.folder).unwrap().count();
        assert_eq!(names, 2, "{file}");
    }
}

#[test]
fn a_link_stays_one_and_its_file_is_replaced() {
    let heals = Arc::new(AtomicBool::new(false));
    let setting = sick(&heals);
    setting.list(&["/sick", "/page"]);
    fs::create_dir(setting.path("there")).unwrap();
    fs::write(setting.path("there/rows.jsonl"), "").unwrap();
    symlink("there/rows.jsonl", setting.path("rows.jsonl")).unwrap();
    assert_eq!(setting.run("rows.jsonl", &["--resume"]).status.code(), Some(1));
    heals.store(true, Ordering::SeqCst);

    let retried = setting.run("rows.jsonl", &["--resume", "--retry-errors"]);

    assert_eq!(retried.status.code(), Some(0), "{}", stderr(&retried));
    assert!(fs::symlink_metadata(setting.path("rows.jsonl")).unwrap().is_symlink());
    assert_eq!(rows(&setting.path("there/rows.jsonl")).len(), 2);
}

#[test]
fn a_list_that_has_changed_where_an_error_was_is_refused() {
    for file in FILES {
        let setting = sick(&Arc::default());
        setting.list(&["/page", "/sick"]);
        assert_eq!(setting.run(file, &[]).status.code(), Some(1));

        for list in [&["/page", "/other"][..], &["/page"]] {
            setting.list(list);
            let retried = setting.run(file, &["--resume", "--retry-errors"]);
            assert_eq!(retried.status.code(), Some(2), "{file}");
            assert!(stderr(&retried).contains("has changed"), "{file}: {}", stderr(&retried));
        }
    }
}

#[test]
fn a_retry_that_is_killed_is_gone_on_with_and_loses_no_row() {
    for file in FILES {
        let heals = Arc::new(AtomicBool::new(false));
        let setting = sick(&heals);
        setting.list(&["/sick/0", "/page", "/silence", "/one"]);
        let path = setting.path(file);
        assert_eq!(setting.run(file, &["--timeout", "0.5"]).status.code(), Some(1), "{file}");
        heals.store(true, Ordering::SeqCst);

        let words = ["--resume", "--retry-errors"];
        let asked = setting.server.requests();
        let mut child = setting.scrape(file, &words).spawn().unwrap();
        let since = Instant::now();
        while setting.server.requests() < asked + 2 {
            assert!(since.elapsed() < HANG_AFTER, "{file}");
            thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = setting.run(file, &[&words[..], &["--timeout", "0.5"]].concat());

        assert_eq!(last.status.code(), Some(1), "{file}: {}", stderr(&last));
        let rows = lasting(&path);
        assert_eq!(rows.len(), 4, "{file}");
        let failed = rows.values().filter(|row| row.contains_key("error_kind")).count();
        assert_eq!(failed, 1, "{file}");
    }
}
