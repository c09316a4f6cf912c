//! Every input gives exactly one row, and a run ends when it is cancelled.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use silkmill::CancelToken;
use silkmill_scrape::{FailureKind, Input, Options, Progress, Row, Sink, UrlList, run, run_into};
use silkmill_testkit::{Reply, Server};

use crate::{FAR_TOO_LONG, once, rows};

/// Pseudo-random numbers that are the same on every machine (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Makes a list of good and bad lines. Returns it with the number of lines that must give a row.
fn junk(dice: &mut Dice, base: &str) -> (Vec<u8>, u64) {
    let mut list = Vec::new();
    let mut expected = 0;
    for line in 0..dice.roll(60) {
        let (bytes, counts): (Vec<u8>, bool) = match dice.roll(10) {
            0 => (Vec::new(), false),
            1 => (b"# a comment".to_vec(), false),
            2 => (b"  \t ".to_vec(), false),
            3 => (b"\xff\xfe\x00junk".to_vec(), true),
            4 => {
                ((0..dice.roll(40)).map(|_| 33 + dice.roll(2) as u8).chain([b'!']).collect(), true)
            }
            5 => (vec![b'a'; 10_000 + dice.roll(20_000)], true),
            6 => (b"http://127.0.0.1:1/\0".to_vec(), true),
            7 => (b"mailto:someone@example.com".to_vec(), true),
            _ => (format!("{base}/{line}").into_bytes(), true),
        };
        list.extend_from_slice(&bytes);
        list.extend_from_slice(if dice.roll(2) == 0 { b"\n" } else { b"\r\n" });
        expected += u64::from(counts);
    }
    (list, expected)
}

#[test]
fn every_line_of_any_list_gives_one_row() {
    let server = Server::start(|_| Reply::html("x")).unwrap();
    let mut dice = Dice(0x5eed);
    for ordered in [false, true].repeat(10) {
        let (list, expected) = junk(&mut dice, &server.url(""));
        let mut indices = Vec::new();
        let inputs = UrlList::new(&list[..]).map(Result::unwrap);
        let options = once().workers(4).ordered(ordered);

        let summary = run(inputs, &options.build().unwrap(), &CancelToken::new(), &mut |row| {
            indices.push(row.index);
            ControlFlow::Continue(())
        });

        assert_eq!(summary.unwrap().rows, expected);
        if !ordered {
            indices.sort_unstable();
        }
        assert!(indices.iter().copied().eq(0..expected), "{indices:?}");
    }
}

#[test]
fn rows_in_order_come_in_order() {
    // The first responses come last.
    let server = Server::start(|request| {
        let page: u64 = request.path()[1..].parse().unwrap();
        Reply::html("x").after(Duration::from_millis(40 - page))
    })
    .unwrap();
    let urls: Vec<String> = (0..40).map(|page| server.url(&format!("/{page}"))).collect();
    let mut indices = Vec::new();

    run(
        urls.iter().map(Input::url),
        &once().ordered(true).build().unwrap(),
        &CancelToken::new(),
        &mut |row| {
            indices.push(row.index);
            ControlFlow::Continue(())
        },
    )
    .unwrap();

    assert!(indices.into_iter().eq(0..40));
}

#[test]
fn an_input_that_has_its_row_takes_its_place_and_gives_none() {
    let server = Server::start(|_| Reply::html("x")).unwrap();
    for ordered in [false, true] {
        let inputs = (0..400).map(|index| match index % 4 {
            1 => Input::url(server.url(&format!("/{index}"))),
            _ => Input::answered(),
        });
        let mut indices = Vec::new();

        let options = once().workers(2).ordered(ordered);
        let summary = run(inputs, &options.build().unwrap(), &CancelToken::new(), &mut |row| {
            assert!(row.url.ends_with(&format!("/{}", row.index)));
            indices.push(row.index);
            ControlFlow::Continue(())
        });

        assert_eq!(summary.unwrap().rows, 100);
        if !ordered {
            indices.sort_unstable();
        }
        assert!(indices.into_iter().eq((1..400).step_by(4)));
    }
}

#[test]
fn a_sink_is_told_of_pauses_while_no_rows_come() {
    struct Patient(u64, usize);
    impl Sink for Patient {
        fn row(&mut self, _: Row) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }
        fn pause(&mut self, progress: &Progress) -> ControlFlow<()> {
            assert_eq!(progress.rows, self.0);
            self.1 += progress.in_flight;
            if self.1 >= 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let server = Server::start(|_| Reply::silence()).unwrap();
    let mut sink = Patient(0, 0);

    let options = Options::builder().timeout(3 * FAR_TOO_LONG);
    let inputs = [Input::url(server.url("/"))];
    let summary =
        run_into(inputs, &options.build().unwrap(), &CancelToken::new(), &mut sink).unwrap();

    assert_eq!((sink.1, summary.rows, summary.interrupted), (5, 0, true));
}

#[test]
fn the_window_of_an_ordered_run_is_bounded() {
    let server = Server::start(|request| match request.path() {
        "/0" => Reply::html("slow").after(Duration::from_millis(300)),
        _ => Reply::html("fast"),
    })
    .unwrap();
    let urls: Vec<String> = (0..200).map(|page| server.url(&format!("/{page}"))).collect();
    let options = once().workers(2).ordered(true);
    let mut asked_before_the_first = None;

    run(urls.iter().map(Input::url), &options.build().unwrap(), &CancelToken::new(), &mut |_| {
        asked_before_the_first.get_or_insert(server.requests());
        ControlFlow::Continue(())
    })
    .unwrap();

    assert!(asked_before_the_first.unwrap() <= 2 * 16, "{asked_before_the_first:?}");
}

#[test]
fn rows_are_handed_on_while_the_source_waits() {
    let server = Server::start(|_| Reply::html("x")).unwrap();
    let url = server.url("/");
    let (sender, receiver) = mpsc::channel();
    sender.send(Input::url(url)).unwrap();
    // The source ends only when the first row has come.
    let source = std::iter::from_fn(move || match receiver.try_recv() {
        Ok(input) => Some(input),
        Err(mpsc::TryRecvError::Empty) => {
            thread::sleep(Duration::from_millis(1));
            Some(Input::waiting())
        }
        Err(mpsc::TryRecvError::Disconnected) => None,
    });
    let mut sender = Some(sender);

    let summary = run(source, &once().build().unwrap(), &CancelToken::new(), &mut |_| {
        sender = None;
        ControlFlow::Continue(())
    });

    assert_eq!(summary.unwrap().rows, 1);
}

#[test]
fn a_list_that_cannot_be_read_says_so_in_its_place() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let mut list = UrlList::new(io::BufReader::new(io::Read::chain(&b"http://a/\n"[..], Broken)));

    assert!(list.next().unwrap().is_ok());
    assert!(list.next().unwrap().is_err());
}

/// Starts a run over servers that never answer, and stops it once it is under way.
fn stopped_run(cancel: &CancelToken, after_a_row: ControlFlow<()>) -> (u64, bool) {
    let server = Server::start(|request| match request.path() {
        "/0" => Reply::html("x"),
        _ => Reply::silence(),
    })
    .unwrap();
    let urls: Vec<String> = (0..50).map(|page| server.url(&format!("/{page}"))).collect();
    let options = Options::builder().workers(8).timeout(3 * FAR_TOO_LONG);
    let started = Instant::now();

    let summary = run(urls.iter().map(Input::url), &options.build().unwrap(), cancel, &mut |row| {
        assert_eq!(row.error, None);
        after_a_row
    })
    .unwrap();

    assert!(started.elapsed() < FAR_TOO_LONG);
    (summary.rows, summary.interrupted)
}

#[test]
fn a_cancelled_run_ends_and_makes_no_rows_up() {
    let cancel = CancelToken::new();
    let canceller = cancel.clone();
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        canceller.cancel();
    });

    assert_eq!(stopped_run(&cancel, ControlFlow::Continue(())), (1, true));
    later.join().unwrap();
}

#[test]
fn a_cancelled_run_in_order_hands_on_the_beginning_of_its_list() {
    let server = Server::start(|request| match request.path() {
        "/3" | "/5" => Reply::silence(),
        _ => Reply::html("x"),
    })
    .unwrap();
    let urls: Vec<String> = (0..10).map(|page| server.url(&format!("/{page}"))).collect();
    let options = Options::builder().workers(4).timeout(3 * FAR_TOO_LONG).ordered(true);
    let cancel = CancelToken::new();
    let mut indices = Vec::new();
    let mut inputs = urls.iter().map(Input::url);
    // When all URLs have been requested, the rows of all but two are ready soon after.
    let source = std::iter::from_fn(|| {
        let next = inputs.next();
        if next.is_none() {
            let since = Instant::now();
            while server.requests() < 10 && since.elapsed() < FAR_TOO_LONG {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(200));
            cancel.cancel();
        }
        next
    });

    let summary = run(source, &options.build().unwrap(), &cancel, &mut |row| {
        indices.push(row.index);
        ControlFlow::Continue(())
    })
    .unwrap();

    assert_eq!(indices, [0, 1, 2]);
    assert_eq!((summary.rows, summary.errors, summary.interrupted), (3, 0, true));
    assert!((1..=5).contains(&summary.held_back), "{summary:?}");
}

#[test]
fn a_sink_that_has_enough_ends_the_run() {
    assert_eq!(stopped_run(&CancelToken::new(), ControlFlow::Break(())), (1, true));
}

#[test]
fn an_argument_that_is_no_address_is_a_row_of_its_own() {
    let (rows, summary) = rows(&once(), &["".to_owned(), "# x".to_owned(), "nowhere".to_owned()]);

    assert_eq!((summary.rows, summary.errors, summary.interrupted), (3, 3, false));
    for row in rows {
        assert_eq!((row.attempts, row.final_url.as_ref(), row.status), (0, None, None));
        assert_eq!(row.error.unwrap().kind, FailureKind::Url);
    }
}

#[test]
fn a_cancelled_run_does_not_wait_for_a_lookup_that_hangs() {
    // The lookup ends when the run has ended: if the run waited for it, neither would end.
    let (release, hanging) = mpsc::channel::<()>();
    let (hanging, asked) =
        (std::sync::Mutex::new(hanging), std::sync::Arc::new(std::sync::Barrier::new(2)));
    let begun = std::sync::Arc::clone(&asked);
    let options = once().connect_timeout(FAR_TOO_LONG).resolver(move |_| {
        begun.wait();
        let _ = hanging.lock().unwrap().recv_timeout(2 * FAR_TOO_LONG);
        Err(io::Error::other("too late"))
    });
    let cancel = CancelToken::new();
    let canceller = cancel.clone();
    let later = thread::spawn(move || {
        asked.wait();
        canceller.cancel();
    });
    let started = Instant::now();

    let summary =
        run([Input::url("http://hangs.test:1/")], &options.build().unwrap(), &cancel, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();

    assert!(started.elapsed() < FAR_TOO_LONG / 2);
    assert_eq!((summary.rows, summary.interrupted), (0, true));
    drop(release);
    later.join().unwrap();
}
