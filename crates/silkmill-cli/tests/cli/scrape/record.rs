//! The rows are what `docs/rows.md` and `docs/row.schema.json` say, which are a contract.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use silkmill_testkit::{Reply, Server};

use crate::sandbox::stdout;
use crate::silkmill;

/// Reads a page of the documentation.
fn doc(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    fs::read_to_string(docs.join(name)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&doc("row.schema.json")).unwrap()
}

/// Checks a value by the part of JSON Schema that the schema uses. A word that it does not know is
/// a panic.
fn check(value: &Value, schema: &Value, place: &str) -> Result<(), String> {
    for (word, wanted) in schema.as_object().unwrap() {
        let holds = match word.as_str() {
            "$schema" | "title" => true,
            "type" => match wanted {
                Value::Array(types) => types.iter().any(|wanted| is_of(value, wanted)),
                wanted => is_of(value, wanted),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|value| value <= wanted.as_f64().unwrap()),
            "required" => value.as_object().is_none_or(|object| {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(key) {
                        check(value, schema, &format!("{place}.{key}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = &schema["properties"];
                for (key, value) in value.as_object().into_iter().flatten() {
                    match wanted {
                        _ if known.get(key).is_some() => {}
                        Value::Bool(false) => return Err(format!("{place} has {key:?}")),
                        schema => check(value, schema, &format!("{place}.{key}"))?,
                    }
                }
                true
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    check(value, wanted, &format!("an item of {place}"))?;
                }
                true
            }
            word => panic!("the test does not know {word:?}"),
        };
        if !holds {
            return Err(format!("{place}: {value} breaks {word:?}: {wanted}"));
        }
    }
    Ok(())
}

fn is_of(value: &Value, wanted: &Value) -> bool {
    match wanted.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        wanted => panic!("{wanted} is no type"),
    }
}

/// Runs a command on good, failing and junk lines, and returns its rows.
fn rows(command: &str, words: &[&str]) -> Vec<Value> {
    let server = Server::start(|request| match request.path() {
        "/moved" => Reply::redirect("/page"),
        "/short" => Reply::short("<title>x", 10),
        "/raw" => Reply::raw("junk"),
        "/missing" => Reply::status(404),
        "/text" => Reply::html("x").header("Content-Type", "text/plain; charset=latin1"),
        _ => Reply::html("<title>T</title><p>one<p>two"),
    })
    .unwrap();
    let pages = ["/page", "/moved", "/short", "/raw", "/missing", "/text"];
    let mut urls: Vec<String> = pages.iter().map(|page| server.url(page)).collect();
    urls.extend(["http://127.0.0.1:1/".to_owned(), "nowhere".to_owned()]);
    let output = silkmill()
        .args([command, "--retries", "0", "--ordered", "--format", "jsonl"])
        .args(words)
        .args(&urls)
        .output()
        .unwrap();
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_row_is_what_the_schema_says() {
    let schema = schema();
    let fields = ["--css", "p=p", "--xpath", "n=count(//p)", "--xpath", "any=boolean(//p)"];
    for rows in [rows("fetch", &[]), rows("scrape", &[]), rows("scrape", &fields)] {
        assert_eq!(rows.len(), 8);
        for row in &rows {
            check(row, &schema, "row").unwrap();
            // Every property is one that can be missing or wrong.
            for key in row.as_object().unwrap().keys() {
                let mut broken = row.clone();
                broken[key] = json!({ "wrong": [null] });
                assert!(key == "input" || check(&broken, &schema, "row").is_err(), "{key}");
            }
            let mut broken = row.clone();
            broken["more"] = json!(1);
            assert!(check(&broken, &schema, "row").is_err());
        }
    }
}

#[test]
fn the_page_names_every_key_kind_phase_and_column() {
    let page = doc("rows.md");
    let names =
        |name: &str| page.contains(&format!("| `{name}` |")) || page.contains(&format!("`{name}`"));
    let schema = schema();
    for (key, part) in schema["properties"].as_object().unwrap() {
        assert!(page.contains(&format!("| `{key}` |")), "{key}");
        for inner in part["properties"].as_object().into_iter().flat_map(|inner| inner.keys()) {
            assert!(page.contains(&format!("| `{key}.{inner}` |")), "{key}.{inner}");
        }
    }
    let error = &schema["properties"]["error"]["properties"];
    for word in ["kind", "phase"].iter().flat_map(|word| error[word]["enum"].as_array().unwrap()) {
        assert!(page.contains(&format!("| `{}` |", word.as_str().unwrap())), "{word}");
    }
    let output = silkmill().args(["scrape", "--format", "csv", "nowhere"]).output().unwrap();
    for column in stdout(&output).lines().next().unwrap().split(',') {
        assert!(names(column), "{column}");
    }
}

#[test]
fn the_page_is_printed_by_the_program() {
    let help = |words: &[&str]| silkmill().arg("help").args(words).output().unwrap();

    assert_eq!(stdout(&help(&["rows"])), doc("rows.md"));
    assert!(stdout(&help(&["fetch"])).contains("--max-host-errors"));
    assert!(stdout(&help(&[])).contains("silkmill COMMAND --help"));
    assert_eq!(help(&["nothing"]).status.code(), Some(2));
}
