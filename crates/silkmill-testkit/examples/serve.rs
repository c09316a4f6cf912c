//! Serves on loopback until standard input ends, for benchmarks: `serve wait MS`, or `serve hostile
//! N`. Prints a URL for each server, and an empty line.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use silkmill_testkit::{Reply, Request, Server};

/// Every way to misbehave.
const BEHAVIOURS: [fn() -> Reply; 10] = [
    Reply::silence,
    Reply::drip_head,
    || Reply::drip_body("x".repeat(1000)),
    || Reply::endless_body("<p>again"),
    Reply::endless_headers,
    || Reply::short("half", 100),
    || Reply::bad_chunk("<p>one"),
    || Reply::reset(""),
    || Reply::raw("no HTTP at all"),
    || Reply::redirect("/"),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let servers = match words.as_slice() {
        ["wait", millis] => millis.parse().map(waiting),
        ["hostile", count] => count.parse().map(hostile),
        _ => {
            eprintln!("serve wait MS, or serve hostile N");
            return ExitCode::from(2);
        }
    };
    let servers = servers.expect("the argument is a number").expect("loopback has room");
    let mut urls: String = servers.iter().map(|server| server.url("/\n")).collect();
    urls.push('\n');
    let mut stdout = io::stdout();
    stdout
        .write_all(urls.as_bytes())
        .and_then(|()| stdout.flush())
        .expect("the bench reads the URLs");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}

/// Starts one server that waits before it answers.
fn waiting(millis: u64) -> io::Result<Vec<Server>> {
    let answer = move |_: &Request| Reply::html("x").after(Duration::from_millis(millis));
    Ok(vec![Server::start(answer)?])
}

/// Starts `count` servers, each of which misbehaves in its own way.
fn hostile(count: u64) -> io::Result<Vec<Server>> {
    (0..count)
        .map(|number| {
            let behaviour = BEHAVIOURS[(number % BEHAVIOURS.len() as u64) as usize];
            Server::start(move |_| behaviour())
        })
        .collect()
}
