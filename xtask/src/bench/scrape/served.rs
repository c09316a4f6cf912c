//! Runs the server of the tests as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, ensure};

use crate::program::{cargo, check, root};

/// A running server. It ends when this is dropped.
pub(super) struct Served {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(super) urls: Vec<String>,
}

impl Served {
    pub(super) fn start(words: &[&str]) -> anyhow::Result<Served> {
        check(cargo().args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "silkmill-testkit",
            "--example",
            "serve",
        ]))?;
        let mut child = Command::new(root().join("target/release/examples/serve"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the server")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the server has a stdout")?;
        let mut urls = Vec::new();
        for line in BufReader::new(stdout).lines() {
            match line? {
                line if line.is_empty() => break,
                line => urls.push(line),
            }
        }
        ensure!(!urls.is_empty(), "the server tells no address");
        Ok(Served { child, stdin, urls })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The server ends at the end of its input.
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.child.wait();
    }
}
