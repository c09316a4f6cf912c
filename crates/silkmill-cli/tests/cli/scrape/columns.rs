//! Lists with columns, and the shards of a list.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use rusqlite::Connection;
use serde_json::{Value, json};
use silkmill_testkit::Server;
use tempfile::TempDir;

use crate::sandbox::{stderr, stdout};
use crate::scrape::server;
use crate::silkmill;

fn fetch(folder: &TempDir, words: &[&str]) -> Output {
    let mut fetch = silkmill();
    fetch.args(["fetch", "--ordered", "-i"]).args(words).current_dir(folder).output().unwrap()
}

fn folder(name: &str, list: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), list).unwrap();
    folder
}

fn records(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the names and the rows of a CSV file.
fn csv(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let names = cells(reader.headers().unwrap());
    (names, reader.records().map(|record| cells(&record.unwrap())).collect())
}

#[test]
fn the_other_columns_of_a_csv_list_come_with_its_rows() {
    let server = server();
    let (page, missing) = (server.url("/page"), server.url("/missing"));
    let list =
        format!("id,link,note\r\n007,{page},\"a, \"\"b\"\"\"\r\n8,{missing},\r\n9,nowhere,x\r\n");
    let folder = folder("list.csv", &list);
    let words = ["list.csv", "--input-format", "csv", "--url-column", "link"];

    let output = fetch(&folder, &[&words[..], &["--format", "jsonl"]].concat());
    let rows = records(&output);
    assert_eq!((output.status.code(), rows.len()), (Some(1), 3));
    assert_eq!((&rows[0]["url"], &rows[0]["status"]), (&json!(page), &json!(200)));
    assert_eq!(rows[0]["input"], json!({"id": "007", "note": "a, \"b\""}));
    assert_eq!(rows[1]["input"], json!({"id": "8", "note": ""}));
    assert_eq!(rows[2]["input"], json!({"id": "9", "note": "x"}));
    assert_eq!(rows[2]["error"]["kind"], "url");

    let (names, rows) = csv(&stdout(&fetch(&folder, &[&words[..], &["--format", "csv"]].concat())));
    assert_eq!(names[names.len() - 3..], ["error_message", "input_id", "input_note"]);
    assert_eq!(rows[0][names.len() - 2..], ["007", "a, \"b\""]);

    assert_eq!(fetch(&folder, &[&words[..], &["-o", "rows.db"]].concat()).status.code(), Some(1));
    let database = Connection::open(folder.path().join("rows.db")).unwrap();
    let ids: String = database
        .query_row("SELECT group_concat(input_id || input_note, ';') FROM rows", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(ids, "007a, \"b\";8;9x");

    let text = stdout(&fetch(&folder, &words));
    assert!(
        text.starts_with(&format!("200\t{page}\n404\t{missing}\nERR\tnowhere\turl: ")),
        "{text}"
    );
}

#[test]
fn the_other_keys_of_a_json_list_come_with_its_rows_as_they_are_written() {
    let server = server();
    let page = server.url("/page");
    let list = format!(
        "{{\"id\":1,\"url\":\"{page}\",\"price\":1.50,\"tags\":[\"a\"],\"big\":12345678901234567890123}}\n\
         {{\"url\":\"{page}?2\",\"id\":-2,\"more\":true}}\n\nno object\n"
    );
    let folder = folder("list.jsonl", &list);
    let words = ["list.jsonl", "--input-format", "jsonl"];

    let output = fetch(&folder, &[&words[..], &["--format", "jsonl"]].concat());
    let text = stdout(&output);
    let first = r#""input":{"id":1,"price":1.50,"tags":["a"],"big":12345678901234567890123}}"#;
    assert!(text.lines().next().unwrap().ends_with(first), "{text}");
    let rows = records(&output);
    assert_eq!(rows[1]["input"], json!({"id": -2, "more": true}));
    assert_eq!((&rows[2]["url"], &rows[2]["input"]), (&json!("no object"), &json!({})));

    let output = fetch(&folder, &[&words[..], &["--format", "csv"]].concat());
    let (names, rows) = csv(&stdout(&output));
    assert_eq!(names[names.len() - 4..], ["input_id", "input_price", "input_tags", "input_big"]);
    let from = names.len() - 4;
    assert_eq!(rows[0][from..], ["1", "1.5", "[\"a\"]", "12345678901234567890123"]);
    assert_eq!(rows[1][from..], ["-2", "", "", ""]);
    let said = stderr(&output);
    let left_out = "silkmill: 1 line of the input had keys that its first line does not have";
    assert!(said.contains(left_out), "{said}");

    assert_eq!(fetch(&folder, &[&words[..], &["-o", "rows.db"]].concat()).status.code(), Some(1));
    let database = Connection::open(folder.path().join("rows.db")).unwrap();
    let types: String = database
        .query_row(
            "SELECT typeof(input_id) || typeof(input_price) || typeof(input_big) FROM rows",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(types, "integerrealtext");

    // Rows of ours are such a list.
    fs::write(folder.path().join("rows.jsonl"), &text).unwrap();
    let again = fetch(&folder, &["rows.jsonl", "--input-format", "jsonl", "--format", "jsonl"]);
    assert_eq!(records(&again)[0]["input"]["input"]["id"], 1);
}

#[test]
fn a_list_without_its_columns_exits_2_and_says_what_it_has() {
    let folder = folder("list.csv", "id,link\n1,http://127.0.0.1:1/\n");
    for (words, says) in [
        (
            &["list.csv", "--input-format", "csv"][..],
            "it has no column \"url\"; its columns are \"id\", \"link\"",
        ),
        (&["list.csv", "--url-column", "link"], "only --input-format csv and jsonl have columns"),
        (&["list.csv", "--input-format", "xml"], "invalid value 'xml'"),
    ] {
        let output = fetch(&folder, words);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn a_run_with_columns_is_resumed_with_the_same_ones() {
    let server = server();
    let page = server.url("/page");
    let list = format!("id,url\n1,{page}\n2,nowhere\n");
    for file in ["rows.jsonl", "rows.csv", "rows.db"] {
        let folder = folder("list.csv", &list);
        let words = ["list.csv", "--input-format", "csv", "-o", file];
        assert_eq!(fetch(&folder, &words).status.code(), Some(1), "{file}");
        let asked = server.requests();

        let again = fetch(&folder, &[&words[..], &["--resume", "--retry-errors"]].concat());
        assert_eq!((again.status.code(), server.requests()), (Some(1), asked), "{file}");

        fs::write(folder.path().join("list.csv"), format!("name,url\n1,{page}\n2,nowhere\n"))
            .unwrap();
        let other = fetch(&folder, &[&words[..], &["--resume"]].concat());
        let refused = file != "rows.jsonl";
        assert_eq!(other.status.code() == Some(2), refused, "{file}: {}", stderr(&other));
        fs::write(folder.path().join("list.csv"), format!("{page}\nnowhere\n")).unwrap();
        let plain = fetch(&folder, &["list.csv", "-o", file, "--resume"]);
        assert_eq!(plain.status.code(), Some(2), "{file}: {}", stderr(&plain));
    }
}

/// Runs one shard of a list, and returns the indices of its rows and their hosts.
fn shard(folder: &TempDir, words: &[&str]) -> (BTreeSet<u64>, BTreeSet<String>) {
    let output = fetch(folder, &[&["list", "--retries", "0", "--format", "jsonl"], words].concat());
    let rows = records(&output);
    let host = |url: &str| url.split('/').nth(2).unwrap_or_default().to_owned();
    let indices = rows.iter().map(|row| row["index"].as_u64().unwrap()).collect();
    (indices, rows.iter().map(|row| host(row["url"].as_str().unwrap())).collect())
}

#[test]
fn shards_divide_a_list_by_host_and_keep_its_indices() {
    let servers: Vec<Server> = (0..6).map(|_| server()).collect();
    let mut list: Vec<String> =
        (0..60).map(|page| servers[page % 6].url(&format!("/many/{page}"))).collect();
    list.push("nowhere".to_owned());
    let folder = folder("list", &list.join("\n"));

    let all = shard(&folder, &["--shard", "0/1"]);
    let shards: Vec<_> =
        ["0/3", "1/3", "2/3"].map(|text| shard(&folder, &["--shard", text])).into();

    assert!(all.0.iter().copied().eq(0..61));
    for (place, one) in shards.iter().enumerate() {
        for other in &shards[place + 1..] {
            assert!(one.0.is_disjoint(&other.0) && one.1.is_disjoint(&other.1));
        }
    }
    let together: BTreeSet<u64> = shards.iter().flat_map(|shard| shard.0.iter().copied()).collect();
    assert_eq!(together, all.0);
}

#[test]
fn a_shard_is_resumed_as_itself_and_refuses_another() {
    let server = server();
    let list: String = (0..8).map(|page| server.url(&format!("/many/{page}\n"))).collect();
    let folder = folder("list", &list);
    // All lines are of one host: one of the shards has them all, and the other none.
    let run = |shard: &str, words: &[&str]| {
        fetch(&folder, &[&["list", "-o", "rows.csv", "--shard", shard], words].concat())
    };
    assert_eq!(run("0/2", &[]).status.code(), Some(0));
    let of_first = server.requests();
    let (own, other) = if of_first == 8 { ("0/2", "1/2") } else { ("1/2", "0/2") };
    if own == "1/2" {
        assert_eq!(run(own, &["--force"]).status.code(), Some(0));
    }

    let asked = server.requests();
    assert_eq!((run(own, &["--resume"]).status.code(), server.requests()), (Some(0), asked));
    let refused = run(other, &["--resume"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("the row of index 0 is of another shard"),
        "{}",
        stderr(&refused)
    );
    for text in ["2/2", "0/0", "x", "-1/2"] {
        assert_eq!(run(text, &["--force"]).status.code(), Some(2), "{text}");
    }
}
