//! Fetching and reading pages from a loopback nginx, beside curl and beside Python.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::{Case, Contender, ROUNDS, is_installed, silkmill, time};
use crate::root;

/// Pages on the server.
const PAGES: usize = 200;

/// How often each of them is fetched in a round.
const REPEATS: usize = 20;

/// About what a page weighs, in bytes.
const PAGE_BYTES: usize = 26_000;

/// Fetched at once, by us and by curl.
const WORKERS: &str = "64";

/// The program many people write: requests, lxml, and a pool of 32 threads.
const PYTHON: &str = "
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import requests
from lxml import html
local = threading.local()
def title(url):
    if not hasattr(local, 'session'): local.session = requests.Session()
    page = local.session.get(url, timeout=30)
    return url, html.fromstring(page.content).findtext('.//title').strip()
with ThreadPoolExecutor(32) as pool, open(sys.argv[2], 'w') as out:
    for url, text in pool.map(title, open(sys.argv[1]).read().split()):
        print(url, text, sep='\\t', file=out)
";

/// How long the server may take to answer its first request.
const START_MAX: Duration = Duration::from_secs(10);

pub(super) fn run() -> anyhow::Result<Vec<Case>> {
    if !is_installed("nginx", "apt install nginx-light") {
        return Ok(Vec::new());
    }
    let silkmill = silkmill()?;
    let folder = root().join("target/bench-scrape");
    let nginx = Nginx::start(&folder)?;
    let urls = folder.join("urls.txt");
    fs::write(&urls, nginx.urls())?;
    Ok(vec![fetch(&nginx, &silkmill, &urls)?, titles(&nginx, &silkmill, &urls)?])
}

fn fetch(nginx: &Nginx, silkmill: &Path, urls: &Path) -> anyhow::Result<Case> {
    let ours = || {
        let mut command = Command::new(silkmill);
        command.args(["fetch", "-j", WORKERS, "--per-host", "0", "-i"]).arg(urls);
        command
    };
    let config = urls.with_file_name("curl.txt");
    let lines: String = fs::read_to_string(urls)?
        .lines()
        .map(|url| format!("url = \"{url}\"\noutput = /dev/null\n"))
        .collect();
    fs::write(&config, lines)?;
    let theirs = || {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--parallel", "--parallel-max", WORKERS, "--config"])
            .arg(&config);
        command
    };
    let mut sides: Vec<Side> = vec![(Contender::new("silkmill fetch -j 64"), Box::new(ours))];
    if is_installed("curl", "apt install curl") {
        sides.push((Contender::new("curl --parallel-max 64"), Box::new(theirs)));
    }
    rounds(nginx, format!("fetch {} pages of 26 KB", PAGES * REPEATS), sides)
}

fn titles(nginx: &Nginx, silkmill: &Path, urls: &Path) -> anyhow::Result<Case> {
    let rows = urls.with_file_name("titles.txt");
    let rows_python = urls.with_file_name("titles-python.txt");
    let ours = || {
        let mut command = Command::new(silkmill);
        command.args(["scrape", "--force", "--ordered", "-o"]).arg(&rows);
        command.args(["--format", "text", "-j", WORKERS, "--per-host", "0", "-i"]).arg(urls);
        command
    };
    let theirs = || {
        let mut command = Command::new("python3");
        command.args(["-c", PYTHON]).arg(urls).arg(&rows_python);
        command
    };
    let mut sides: Vec<Side> = vec![(Contender::new("silkmill scrape -j 64"), Box::new(ours))];
    let python = Command::new("python3").args(["-c", "import requests, lxml"]).output();
    let python = python.is_ok_and(|output| output.status.success());
    if python {
        let name = "Python: requests + lxml, 32 threads";
        sides.push((Contender::new(name), Box::new(theirs)));
    } else {
        println!("not measured beside Python: python3 -m pip install requests lxml");
    }
    let case = rounds(nginx, format!("titles of {} pages of 26 KB", PAGES * REPEATS), sides)?;
    if python {
        ensure!(fs::read(&rows)? == fs::read(&rows_python)?, "the two found different titles");
    }
    Ok(case)
}

type Side<'a> = (Contender, Box<dyn Fn() -> Command + 'a>);

/// Times every side in turn and holds each to the number of requests that the server has seen.
fn rounds(nginx: &Nginx, what: String, mut sides: Vec<Side<'_>>) -> anyhow::Result<Case> {
    for round in 0..=ROUNDS {
        for (contender, command) in &mut sides {
            let seen_before = nginx.requests()?;
            let elapsed = time(&mut command())?;
            // The question itself is a request too.
            let seen = nginx.requests()? - seen_before - 1;
            let all = (PAGES * REPEATS) as u64;
            ensure!(seen == all, "{}: the server saw {seen} of {all} requests", contender.name);
            if round > 0 {
                contender.samples.push(elapsed.as_secs_f64() * 1e6 / all as f64);
            }
        }
    }
    let contenders = sides.into_iter().map(|(contender, _)| contender).collect();
    Ok(Case { what, unit: "µs a page", contenders })
}

/// A server of our own on the loopback interface, with one worker; ended when it is dropped.
struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    fn start(folder: &Path) -> anyhow::Result<Nginx> {
        let pages = folder.join("pages");
        fs::create_dir_all(&pages)?;
        fs::create_dir_all(folder.join("tmp"))?;
        for number in 0..PAGES {
            fs::write(pages.join(format!("{number}.html")), page(number))?;
        }
        // Free a moment ago; nobody else on this machine is expected to take it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config: PathBuf = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, port))?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.join("error.log"))
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start nginx")?;
        let nginx = Nginx { child, port };
        nginx.wait_until_it_answers()?;
        Ok(nginx)
    }

    fn wait_until_it_answers(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if started.elapsed() > START_MAX {
                bail!("nginx does not answer on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn urls(&self) -> String {
        let mut list = String::new();
        for number in (0..PAGES).cycle().take(PAGES * REPEATS) {
            let _ = writeln!(list, "http://127.0.0.1:{}/{number}.html", self.port);
        }
        list
    }

    /// How many requests the server has answered, this one included.
    fn requests(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        // The third number of the line below "server accepts handled requests".
        let numbers = text.split("requests").nth(1).context("nginx tells no status")?;
        Ok(numbers.split_whitespace().nth(2).context("nginx tells no requests")?.parse()?)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It is in the foreground, so this ends it and its worker.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let tmp = folder.join("tmp");
    let tmp = tmp.display();
    format!(
        "daemon off; worker_processes 1; pid {tmp}/nginx.pid; user root;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
           access_log off; default_type text/html; charset utf-8; sendfile on; tcp_nopush on;\n\
           keepalive_requests 1000000; types {{ text/html html; }}\n\
           client_body_temp_path {tmp}; proxy_temp_path {tmp}; fastcgi_temp_path {tmp};\n\
           uwsgi_temp_path {tmp}; scgi_temp_path {tmp};\n\
           server {{ listen 127.0.0.1:{port} backlog=4096; root {pages};\n\
             location = /status {{ stub_status; }} }}\n\
         }}\n",
        pages = folder.join("pages").display()
    )
}

fn page(number: usize) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n\
         <title>\n  Page {number} of the loom &amp; its mill\n</title></head><body>\n"
    );
    let mut row = 0;
    while page.len() < PAGE_BYTES {
        row += 1;
        let _ = writeln!(
            page,
            "<article class=\"product\"><h3><a href=\"/item/{row}\" title=\"Item {row}\">Item {row}</a></h3>\
             <p class=\"price\">£{}.{:02}</p><p class='stock'><i class=icon></i> In stock</p></article>",
            row * 7 % 90,
            row * 13 % 100
        );
    }
    page + "</body></html>\n"
}
