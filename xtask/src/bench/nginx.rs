//! A loopback nginx that counts its requests.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long the server may take to answer its first request.
const START_MAX: Duration = Duration::from_secs(10);

/// A server of our own on the loopback interface, with one worker on one processor. It ends when
/// this is dropped.
pub(super) struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    /// Serves the files of `folder/pages`.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Nginx> {
        fs::create_dir_all(folder.join("tmp"))?;
        // This port was free a moment ago; no other program is expected to take it meanwhile.
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

    pub(super) fn url(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}/{page}", self.port)
    }

    /// Returns how many requests the server has answered, this one included.
    pub(super) fn requests(&self) -> anyhow::Result<u64> {
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
        // The server runs in the foreground, so this ends it and its worker.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let tmp = folder.join("tmp");
    let tmp = tmp.display();
    format!(
        "daemon off; worker_processes 1; worker_cpu_affinity 01; pid {tmp}/nginx.pid; user root;\n\
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
