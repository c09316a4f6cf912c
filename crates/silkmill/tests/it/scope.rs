//! Tasks that borrow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use silkmill::{CancelToken, TaskErrorKind, ThreadPoolExecutor};

use crate::{occupy, pool};

#[test]
fn tasks_borrow_and_have_all_ended_when_the_scope_has() {
    let pool = pool(3);
    let text = "borrowed".to_owned();
    let mut lengths = vec![0; 100];
    pool.scope(|scope| {
        for length in &mut lengths {
            drop(scope.submit(|| *length = text.len()));
        }
    });
    assert_eq!(lengths, [8; 100]);
}

#[test]
fn results_may_borrow_too() {
    let pool = pool(2);
    let words = ["one", "three"].map(str::to_owned);
    let firsts: Vec<&str> = pool
        .scope(|scope| {
            let futures: Vec<_> = words.iter().map(|word| scope.submit(|| &word[..1])).collect();
            futures
                .into_iter()
                .map(|future| future.result().unwrap().to_owned())
                .collect::<Vec<_>>()
        })
        .iter()
        .map(|first| words.iter().find(|word| word.starts_with(first.as_str())).unwrap().as_str())
        .collect();
    assert_eq!(firsts, ["one", "three"]);
}

#[test]
fn a_panic_in_a_task_is_its_result_and_one_in_the_scope_comes_after_the_tasks() {
    let pool = ThreadPoolExecutor::builder().on_unread_error(|_| {}).build().unwrap();
    let ended = AtomicUsize::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            let failing = scope.submit(|| panic!("in the task"));
            assert_eq!(failing.result().unwrap_err().message(), "in the task");
            drop(scope.submit(|| {
                std::thread::sleep(Duration::from_millis(20));
                ended.fetch_add(1, Ordering::SeqCst);
            }));
            panic!("in the scope");
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[test]
fn a_task_may_submit_to_its_scope_and_scopes_nest_with_one_worker() {
    let pool = pool(1);
    let sum = AtomicUsize::new(0);
    pool.scope(|outer| {
        let inner = outer.clone();
        let (sum, pool) = (&sum, &pool);
        drop(outer.submit(move || {
            drop(inner.submit(|| sum.fetch_add(1, Ordering::SeqCst)));
            pool.scope(|scope| drop(scope.submit(|| sum.fetch_add(10, Ordering::SeqCst))));
        }));
    });
    assert_eq!(sum.load(Ordering::SeqCst), 11);
}

#[test]
fn map_borrows_its_items_and_its_function() {
    let pool = pool(2);
    let words = ["one", "three", "eleven"].map(str::to_owned);
    let suffix = "s".to_owned();
    let plural = |word: &String| format!("{word}{suffix}");
    pool.scope(|scope| {
        let all: Vec<String> = scope.map(&words, plural).map(Result::unwrap).collect();
        assert_eq!(all, ["ones", "threes", "elevens"]);
        let mut all: Vec<String> =
            scope.map_unordered(&words, plural).map(Result::unwrap).collect();
        all.sort_by_key(String::len);
        assert_eq!(all, ["ones", "threes", "elevens"]);
        // Dropped early: what is left is cancelled or ends before the scope does.
        assert!(scope.map(&words, plural).next().is_some());
    });
}

#[test]
fn a_cancelled_task_lets_go_of_what_it_borrows_before_the_scope_ends() {
    struct NotesItsDrop<'a>(&'a Mutex<Vec<&'static str>>);
    impl Drop for NotesItsDrop<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("dropped");
        }
    }
    let pool = pool(1);
    let notes = Mutex::new(Vec::new());
    let (gate, running) = occupy(&pool);
    pool.scope(|scope| {
        let guard = NotesItsDrop(&notes);
        let future = scope.submit(move || drop(guard));
        assert!(future.cancel());
        std::mem::forget(future);
    });
    notes.lock().unwrap().push("scope ended");
    gate.open();
    running.result().unwrap();
    assert_eq!(*notes.lock().unwrap(), ["dropped", "scope ended"]);
}

#[test]
fn a_scope_on_a_pool_that_was_shut_down_refuses_its_tasks() {
    let pool = pool(1);
    pool.shutdown();
    let kind = pool.scope(|scope| scope.submit(|| ()).result().unwrap_err().kind());
    assert_eq!(kind, TaskErrorKind::Shutdown);
}

#[test]
fn scopes_nest_deeper_than_there_may_be_substitutes() {
    fn nest(pool: &ThreadPoolExecutor, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let mut below = 0;
        pool.scope(|scope| drop(scope.submit(|| below = nest(pool, depth - 1))));
        below + 1
    }
    let pool = pool(1);
    let deep = std::sync::Arc::new(pool);
    let theirs = std::sync::Arc::clone(&deep);
    assert_eq!(deep.submit(move || nest(&theirs, 150)).result().unwrap(), 150);
}

#[test]
fn a_tree_of_scopes_ends_with_one_worker() {
    fn tree(pool: &ThreadPoolExecutor, depth: usize, leaves: &AtomicUsize) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::SeqCst);
            return;
        }
        pool.scope(|scope| {
            for _ in 0..2 {
                drop(scope.submit(move || tree(pool, depth - 1, leaves)));
            }
        });
    }
    let pool = pool(1);
    let leaves = AtomicUsize::new(0);
    tree(&pool, 8, &leaves);
    assert_eq!(leaves.load(Ordering::SeqCst), 256);
}

#[test]
fn the_limit_and_the_token_of_a_queued_task_that_borrows_end_it_before_its_turn() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_capacity(3).build().unwrap();
    let (gate, running) = occupy(&pool);
    let borrowed = AtomicUsize::new(0);
    let stop = CancelToken::new();
    pool.scope(|scope| {
        let count = || borrowed.fetch_add(1, Ordering::SeqCst);
        let overdue = scope.task().timeout(Duration::from_millis(2)).submit(count);
        let stopped = scope.task().token(&stop).submit(count);
        assert_eq!(overdue.result().unwrap_err().kind(), TaskErrorKind::TimedOut);
        stop.cancel();
        assert!(stopped.result().unwrap_err().is_cancelled());
        assert_eq!(pool.stats().queued, 0, "their room is free");
        // Nor does the scope wait for one that has ended and was never read.
        drop(scope.task().timeout(Duration::from_millis(2)).token(&stop).submit(count));
    });
    assert_eq!(borrowed.load(Ordering::SeqCst), 0);
    gate.open();
    running.result().unwrap();
}
