//! The output files of `fetch` and `scrape`: their formats, and resuming them however the run
//! before ended.

mod retry_errors;
mod rows;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use silkmill_testkit::{Reply, Request, Server};
use tempfile::TempDir;

use crate::output::rows::{indices, lasting, rows};
use crate::sandbox::stderr;
use crate::{HANG_AFTER, interrupt, silkmill, wait};

/// The output files, one of each format that says which line a row is of.
const FILES: [&str; 6] =
    ["rows.jsonl", "rows.csv", "rows.db", "rows.json", "rows.jsonl.gz", "rows.jsonl.zst"];

const FIELDS: [&str; 6] =
    ["--xpath", "n=count(//p)", "--xpath", "has=boolean(//p)", "--css", "p=p"];

fn site(request: &Request) -> Reply {
    match request.path() {
        "/page" => Reply::html("<title>A, \"page\"</title><p>one\n1<p>two"),
        "/one" => Reply::html("<title></title><p>007"),
        "/silence" => Reply::silence(),
        path => Reply::html(format!("<title>T{path}</title><p>{path}{}", "x".repeat(300)))
            .after(Duration::from_millis(2)),
    }
}

/// A server, a folder for files, and a list in it.
struct Setting {
    server: Server,
    folder: TempDir,
}

impl Setting {
    fn new() -> Setting {
        Setting { server: Server::start(site).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a list of these pages.
    fn list(&self, pages: &[&str]) {
        let lines: String = pages.iter().map(|page| self.line(page) + "\n").collect();
        fs::write(self.path("list"), lines).unwrap();
    }

    fn line(&self, page: &str) -> String {
        if page.starts_with('/') { self.server.url(page) } else { page.to_owned() }
    }

    fn scrape(&self, file: &str, words: &[&str]) -> Command {
        let mut command = silkmill();
        command.args(["scrape", "-j", "4", "--retries", "0", "-i", "list", "-o", file]);
        command.args(FIELDS).args(words).current_dir(&self.folder);
        command
    }

    fn run(&self, file: &str, words: &[&str]) -> Output {
        self.scrape(file, words).output().unwrap()
    }
}

#[test]
fn every_format_has_the_same_rows() {
    let setting = Setting::new();
    setting.list(&["/page", "/one", "nowhere", "/none"]);

    for file in FILES {
        let output = setting.run(file, &["--ordered", "-q"]);
        assert_eq!((output.status.code(), stderr(&output)), (Some(1), String::new()), "{file}");
    }

    let [jsonl, others @ ..] = FILES.map(|file| lasting(&setting.path(file)));
    for (file, other) in FILES[1..].iter().zip(others) {
        assert_eq!(jsonl, other, "{file}");
    }
    let first = &jsonl[&0];
    assert_eq!((first["n"].as_str(), first["has"].as_str()), ("2", "true"));
    assert_eq!(
        (first["p"].as_str(), first["title"].as_str()),
        (r#"["one\n1","two"]"#, "A, \"page\"")
    );
    assert_eq!((jsonl[&1]["p"].as_str(), jsonl[&2]["error_kind"].as_str()), ("007", "url"));
    let text = fs::read_to_string(setting.path("rows.jsonl")).unwrap();
    let fields: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(fields["fields"], json!({"n": [2], "has": [true], "p": ["one\n1", "two"]}));
}

#[test]
fn csv_on_stdout_starts_with_its_columns() {
    let setting = Setting::new();
    let url = setting.server.url("/page");

    let output = silkmill().args(["fetch", "--format", "csv", &url]).output().unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("index,url,final_url,status,charset,"), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with(&format!("0,{url},{url},200,")), "{text}");
}

#[test]
fn rows_are_there_for_others_while_the_run_goes_on() {
    let setting = Setting::new();
    setting.list(&["/page", "/silence"]);
    for file in FILES {
        let mut child = setting.scrape(file, &[]).spawn().unwrap();
        let since = Instant::now();
        while !setting.path(file).exists() || rows(&setting.path(file)).is_empty() {
            assert!(since.elapsed() < HANG_AFTER, "{file}");
            thread::sleep(Duration::from_millis(20));
        }

        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_resumed_run_asks_only_for_what_has_no_row() {
    let setting = Setting::new();
    setting.list(&["/a", "/b", "/a", "junk", "/c"]);
    for file in FILES {
        assert_eq!(setting.run(file, &["--resume"]).status.code(), Some(1), "{file}");
        let (before, asked) = (lasting(&setting.path(file)), setting.server.requests());
        assert_eq!(before.len(), 5);

        let again = setting.run(file, &["--resume"]);

        assert_eq!(setting.server.requests(), asked, "{file}");
        // The earlier rows count for the exit code, and one of them is an error.
        assert_eq!(again.status.code(), Some(1));
        let said = stderr(&again);
        assert!(
            said.contains("0 rows, 0 errors")
                && said.contains("5 rows were there before, 1 of them an error;")
                && said.ends_with("; --resume --retry-errors requests the errors again\n"),
            "{said}"
        );
        assert_eq!(lasting(&setting.path(file)), before);
    }
}

#[test]
fn an_interrupted_run_in_order_leaves_the_beginning_of_its_list_and_is_gone_on_with() {
    const PAGES: usize = 12;
    const SILENT: &str = "/5";
    for file in FILES {
        // One page is not answered before the interrupt, and all that come after it are.
        let heals = Arc::new(AtomicBool::new(false));
        let healed = Arc::clone(&heals);
        let server = Server::start(move |request| match request.path() {
            SILENT if !healed.load(Ordering::SeqCst) => Reply::silence(),
            _ => site(request),
        });
        let setting = Setting { server: server.unwrap(), ..Setting::new() };
        let pages: Vec<String> = (0..PAGES).map(|page| format!("/{page}")).collect();
        setting.list(&pages.iter().map(String::as_str).collect::<Vec<_>>());
        let words = ["--ordered", "--resume", "-v"];
        let mut child = setting.scrape(file, &words).stderr(Stdio::null()).spawn().unwrap();
        let since = Instant::now();
        let is_underway = || {
            setting.path(file).exists()
                && rows(&setting.path(file)).len() == 5
                && setting.server.requests() == PAGES as u64
        };
        while !is_underway() {
            assert!(since.elapsed() < HANG_AFTER, "{file}");
            thread::sleep(Duration::from_millis(20));
        }

        interrupt(&child);

        assert_eq!(wait(&mut child).code(), Some(130), "{file}");
        assert!(indices(&setting.path(file)).into_iter().eq(0..5), "{file}");
        heals.store(true, Ordering::SeqCst);
        let again = setting.run(file, &words);
        assert_eq!(again.status.code(), Some(0), "{file}: {}", stderr(&again));
        assert!(indices(&setting.path(file)).into_iter().eq(0..PAGES as u64), "{file}");
    }
}

#[test]
fn a_torn_row_is_repaired_and_asked_for_again() {
    let setting = Setting::new();
    setting.list(&["/a", "/b", "/page"]);
    for file in ["rows.jsonl", "rows.csv", "rows.json"] {
        assert_eq!(setting.run(file, &["--ordered"]).status.code(), Some(0));
        let whole = lasting(&setting.path(file));
        let bytes = fs::read(setting.path(file)).unwrap();
        let asked = setting.server.requests();
        fs::write(setting.path(file), &bytes[..bytes.len() - 20]).unwrap();

        assert_eq!(setting.run(file, &["--resume"]).status.code(), Some(0));

        assert_eq!(setting.server.requests(), asked + 1);
        assert_eq!(lasting(&setting.path(file)), whole);
    }
}

#[test]
fn a_list_that_has_changed_is_refused_with_its_line() {
    let setting = Setting::new();
    for file in FILES {
        setting.list(&["# pages", "/a", "/b", "/c"]);
        assert_eq!(setting.run(file, &[]).status.code(), Some(0));
        let before = lasting(&setting.path(file));

        setting.list(&["# pages", "/a", "/x", "/c", "/d"]);
        let changed = setting.run(file, &["--resume"]);
        let url = setting.server.url("/x");
        let says = format!(
            "the row of index 1 is not of {url:?}, in line 3 of \"list\"; the list has changed"
        );
        assert_eq!(changed.status.code(), Some(2), "{file}");
        assert!(stderr(&changed).contains(&says), "{}", stderr(&changed));

        setting.list(&["# pages", "/a"]);
        let shorter = setting.run(file, &["--resume"]);
        assert_eq!(shorter.status.code(), Some(2));
        assert!(
            stderr(&shorter)
                .contains("the list ends after 1 addresses, and 2 rows are of later ones")
        );
        assert_eq!(lasting(&setting.path(file)), before);
    }
}

#[test]
fn an_output_of_another_kind_is_refused_and_left_alone() {
    let setting = Setting::new();
    setting.list(&["/a"]);
    for file in FILES {
        assert_eq!(setting.run(file, &[]).status.code(), Some(0));
    }
    let refused = |file: &str, words: &[&str], says: &str| {
        let before = fs::read(setting.path(file)).unwrap();
        let asked = setting.server.requests();
        let output = setting.run(file, &[&["--resume"], words].concat());
        assert_eq!((output.status.code(), setting.server.requests()), (Some(2), asked), "{file}");
        let said = stderr(&output);
        assert!(said.starts_with(&format!("silkmill: failed to resume \"{file}\": ")), "{said}");
        assert!(said.contains(says), "{said}");
        assert_eq!(fs::read(setting.path(file)).unwrap(), before);
    };
    for file in FILES {
        let says = if file == "rows.db" { "columns of this run" } else { "" };
        refused(file, &["--css", "more=a"], says);
        for format in ["jsonl", "csv", "sqlite"] {
            let is_packed = file.ends_with("gz") || file.ends_with("zst");
            let is_its_own = file.replace("db", "sqlite").split('.').any(|part| part == format);
            // A database cannot be packed, which is another error.
            let is_unpackable = is_packed && format == "sqlite";
            if !(is_its_own || is_unpackable) {
                refused(file, &["--format", format], "");
            }
        }
        refused(file, &["--format", "text"], "rows as text do not say");
    }
    fs::write(setting.path("rows.jsonl"), "precious").unwrap();
    refused("rows.jsonl", &[], "line 1 is no row of this run");
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let setting = Setting::new();
    setting.list(&["/silence"]);
    for file in FILES {
        let asked = setting.server.requests();
        let mut first = setting.scrape(file, &[]).spawn().unwrap();
        let since = Instant::now();
        while setting.server.requests() == asked {
            assert!(since.elapsed() < HANG_AFTER);
            thread::sleep(Duration::from_millis(10));
        }

        for word in ["--resume", "--force"] {
            let second = setting.run(file, &[word]);
            assert_eq!(second.status.code(), Some(2));
            assert!(
                stderr(&second).ends_with(": another run is writing to it\n"),
                "{}",
                stderr(&second)
            );
        }
        first.kill().unwrap();
        first.wait().unwrap();
    }
}

#[test]
fn a_database_is_overwritten_whole_or_refused() {
    let setting = Setting::new();
    setting.list(&["/a", "/b"]);
    assert_eq!(setting.run("rows.db", &[]).status.code(), Some(0));
    assert_eq!(setting.run("rows.db", &[]).status.code(), Some(2));
    setting.list(&["/c"]);

    assert_eq!(setting.run("rows.db", &["--force", "--css", "more=p"]).status.code(), Some(0));

    let rows = rows(&setting.path("rows.db"));
    assert_eq!(
        (rows.len(), rows[0]["more"].as_str()),
        (1, format!("/c{}", "x".repeat(300)).as_str())
    );
    setting.list(&["/a"]);
    fs::copy(setting.path("list"), setting.path("list.db")).unwrap();
    let same = silkmill()
        .args(["fetch", "--force", "-i", "list.db", "-o", "list.db"])
        .current_dir(&setting.folder)
        .output()
        .unwrap();
    assert_eq!(same.status.code(), Some(2));
    assert!(stderr(&same).ends_with(": it is the input\n"), "{}", stderr(&same));
    assert_eq!(fs::read(setting.path("list.db")).unwrap(), fs::read(setting.path("list")).unwrap());
}

#[test]
fn a_full_disk_exits_2_and_what_was_written_can_be_read_and_gone_on_with() {
    let setting = Setting::new();
    let pages: Vec<String> = (0..1500).map(|page| format!("/{page}")).collect();
    setting.list(&pages.iter().map(String::as_str).collect::<Vec<_>>());
    for file in FILES {
        // No file may grow past this many blocks of 512 or 1,024 bytes.
        assert_eq!(setting.run(file, &["--ordered"]).status.code(), Some(0));
        let blocks = fs::metadata(setting.path(file)).unwrap().len() * 3 / 4 / 1024;
        fs::remove_file(setting.path(file)).unwrap();
        let limited = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let command = setting.scrape(file, &["--ordered"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited]).arg(command.get_program()).args(command.get_args());

        let full = shell.current_dir(&setting.folder).output().unwrap();

        assert_eq!(full.status.code(), Some(2), "{file}");
        let says = format!("silkmill: failed to write \"{file}\": ");
        assert!(stderr(&full).starts_with(&says), "{file}: {}", stderr(&full));
        let written = lasting(&setting.path(file)).len() as u64;
        assert!((1..1500).contains(&written), "{file}: {written}");
        let said = stderr(&full);
        let last = format!("silkmill: ended after {written} row");
        assert!(said.lines().last().unwrap().starts_with(&last), "{file}: {written}: {said}");
        assert!(said.ends_with("; --resume goes on\n"), "{said}");
        let asked = setting.server.requests();
        assert_eq!(setting.run(file, &["--resume"]).status.code(), Some(0));
        assert_eq!(
            (setting.server.requests() - asked, lasting(&setting.path(file)).len()),
            (1500 - written, 1500)
        );
    }
}

#[test]
fn bodies_are_kept_under_the_index_of_their_rows() {
    let setting = Setting::new();
    let urls = ["/page", "/page", "/../../etc/x", "junk", "/one"].map(|page| setting.line(page));
    let fetch = |words: &[&str]| {
        let mut command = silkmill();
        command.args(["fetch", "--save", "bodies", "--retries", "0"]).args(words).args(&urls);
        command.current_dir(&setting.folder).output().unwrap()
    };

    assert_eq!(fetch(&["-o", "rows.csv"]).status.code(), Some(1));

    let bodies = setting.path("bodies");
    let mut names: Vec<String> = fs::read_dir(&bodies)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    // A line without a response has no body.
    assert_eq!(names, ["00000000", "00000001", "00000002", "00000004"]);
    let page = b"<title>A, \"page\"</title><p>one\n1<p>two";
    assert_eq!(fs::read(bodies.join("00000001")).unwrap(), page);

    let again = fetch(&[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("failed to save to \"bodies\": it is not empty"));
    assert_eq!(fetch(&["-o", "rows.csv", "--resume"]).status.code(), Some(1));
    let mut into_a_file = silkmill();
    into_a_file.args(["fetch", "--save", "rows.csv"]).args(&urls).current_dir(&setting.folder);
    let refused = into_a_file.output().unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    assert_eq!(stderr(&refused), "silkmill: failed to make the folder \"rows.csv\": file exists\n");
}

/// Pseudo-random numbers that are the same on every machine (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn after_any_number_of_kills_every_line_has_one_row_as_in_an_undisturbed_run() {
    const KILLS: u32 = 50;
    let setting = Setting::new();
    let pages: Vec<String> = (0..900)
        .map(|page| match page % 9 {
            8 => format!("junk {page}"),
            // Equal lines have a row each.
            page if page < 3 => "/page".to_owned(),
            _ => format!("/{page}"),
        })
        .collect();
    setting.list(&pages.iter().map(String::as_str).collect::<Vec<_>>());
    let mut dice = Dice(0x51_1c);
    for file in FILES {
        let path = setting.path(file);
        assert_eq!(setting.run(file, &[]).status.code(), Some(1));
        let undisturbed = lasting(&path);
        assert_eq!(undisturbed.len(), pages.len());
        fs::remove_file(&path).unwrap();
        let mut kills = 0;
        while kills < KILLS {
            let words = ["--resume", "--ordered"];
            let mut run = setting.scrape(file, &words[..1 + dice.roll(2) as usize]);
            let mut child = run.stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_micros(dice.roll(80_000)));
            match child.try_wait().unwrap() {
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    kills += 1;
                }
                // The run ended before it was killed, and a new one begins.
                Some(status) => {
                    assert_eq!((status.code(), lasting(&path)), (Some(1), undisturbed.clone()));
                    fs::remove_file(&path).unwrap();
                }
            }
        }

        let mut last = setting.scrape(file, &["--resume"]).spawn().unwrap();
        assert_eq!(wait(&mut last).code(), Some(1), "{file}");
        assert_eq!(lasting(&path), undisturbed, "{file}");
        fs::remove_file(&path).unwrap();
    }
}
