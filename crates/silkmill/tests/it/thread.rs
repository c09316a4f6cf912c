//! Threads that return values.

use std::time::Duration;

use silkmill::{Builder, TaskErrorKind, Thread, active_count, current, threads};

use crate::gate;

#[test]
fn a_thread_returns_its_value() {
    let thread = Thread::spawn(|| vec![1, 2, 3]);

    assert_eq!(thread.join().unwrap(), [1, 2, 3]);
}

#[test]
fn a_panic_is_a_value_with_message_payload_and_thread_name() {
    let thread =
        Builder::new().name("doomed").spawn(|| panic!("no luck, {}", current().name())).unwrap();

    let error = thread.join().unwrap_err();

    assert_eq!(error.kind(), TaskErrorKind::Panicked);
    assert_eq!(error.message(), "no luck, doomed");
    assert_eq!(error.thread_name(), Some("doomed"));
    assert_eq!(error.into_payload().unwrap().downcast_ref::<String>().unwrap(), "no luck, doomed");
}

#[test]
fn a_payload_that_is_no_string_arrives_whole() {
    let thread = Thread::spawn(|| std::panic::panic_any(42_u8));

    let error = thread.join().unwrap_err();

    assert_eq!(error.message(), "");
    assert_eq!(*error.into_payload().unwrap().downcast::<u8>().unwrap(), 42);
}

#[test]
fn join_timeout_gives_the_thread_back_until_it_is_done() {
    let (gate, opened) = gate();
    let thread = Thread::spawn(move || opened.recv().is_ok());

    let thread = thread.join_timeout(Duration::ZERO).unwrap_err();
    let thread = thread.join_timeout(Duration::from_millis(1)).unwrap_err();
    assert!(!thread.is_finished());
    gate.open();

    assert!(thread.join_timeout(Duration::MAX).unwrap().unwrap());
}

#[test]
fn a_thread_that_joins_itself_gets_an_error() {
    let (give, take) = std::sync::mpsc::channel::<Thread<TaskErrorKind>>();
    let (report, reported) = std::sync::mpsc::channel();
    let thread = Thread::spawn(move || {
        let own = take.recv().unwrap();
        report.send(own.join().unwrap_err().kind()).unwrap();
        TaskErrorKind::Cancelled
    });

    give.send(thread).unwrap();

    assert_eq!(reported.recv().unwrap(), TaskErrorKind::JoinedItself);
}

#[test]
fn a_living_thread_is_in_the_registry_and_a_joined_one_is_not() {
    let (gate, opened) = gate();
    let thread =
        Builder::new().name("listed").daemon(true).spawn(move || opened.recv().is_ok()).unwrap();
    let ident = thread.info().ident();

    let listed = threads().into_iter().find(|info| info.ident() == ident).unwrap();
    assert_eq!(listed.name(), "listed");
    assert!(listed.is_daemon());
    assert!(active_count() >= 1);

    gate.open();
    thread.join().unwrap();
    assert!(threads().iter().all(|info| info.ident() != ident));
}

#[test]
fn a_thread_knows_who_it_is() {
    let thread = Builder::new().name("reader").spawn(current).unwrap();
    let outside = thread.info().clone();
    let ident = outside.ident();

    let inside = thread.join().unwrap();

    assert_eq!(inside, outside);
    assert_eq!(inside.native_id(), outside.native_id());

    assert_eq!(inside.name(), "reader");
    assert_eq!(inside.ident(), ident);
    assert!(!inside.is_daemon());
    if cfg!(target_os = "linux") {
        assert_ne!(inside.native_id().unwrap(), std::process::id());
    }
    assert_ne!(current().ident(), ident);
}

#[test]
fn threads_without_a_name_get_one_each() {
    let names: Vec<String> =
        (0..2).map(|_| Thread::spawn(|| current().name().to_owned()).join().unwrap()).collect();

    assert!(names.iter().all(|name| name.starts_with("thread-")));
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_name_with_a_nul_is_refused() {
    let error = Builder::new().name("a\0b").spawn(|| ()).unwrap_err();

    assert_eq!(error.io_error().kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("a\\0b"), "{error}");
}

#[test]
fn a_stack_the_system_cannot_give_is_an_error_that_names_the_thread() {
    let error = Builder::new().name("huge").stack_size(usize::MAX / 2).spawn(|| ()).unwrap_err();

    assert!(error.to_string().starts_with("failed to start thread \"huge\": "), "{error}");
}

#[test]
fn join_waits_for_the_thread_locals_too() {
    struct Flush(std::sync::mpsc::Sender<()>);
    impl Drop for Flush {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(20));
            self.0.send(()).unwrap();
        }
    }
    thread_local! {
        static FLUSH: std::cell::RefCell<Option<Flush>> = const { std::cell::RefCell::new(None) };
    }
    let (flushed, was_flushed) = std::sync::mpsc::channel();

    Thread::spawn(move || FLUSH.set(Some(Flush(flushed)))).join().unwrap();

    was_flushed.try_recv().unwrap();
}
