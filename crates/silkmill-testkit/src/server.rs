//! Listens on loopback, serves each connection on a thread of its own, and stops when dropped.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::connection::{Connection, Wrap};
#[cfg(feature = "tls")]
use crate::identity::Identity;
use crate::lock::Mutex;
use crate::reply::{After, Reply, TlsEnding};
use crate::request::Request;
use crate::stop::Stop;

/// Connections that wait to be accepted. The standard library's backlog is 128, and a client that
/// finds it full tries again after a second.
const BACKLOG: i32 = 4096;
/// A request whose reply is a reset is peeked at and left unread; its head must fit in here.
const PEEK_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a request's body that are read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that are no TLS record.
const GARBAGE: &[u8] = b"this is no record\r\n";
/// The pause between two peeks at a head that has not wholly arrived.
const PEEK_PAUSE: Duration = Duration::from_millis(1);

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// A scripted HTTP/1.1 server on `127.0.0.1`, on a port the system picks.
///
/// Every connection has a thread, and stays open from answer to answer. Dropping the server closes
/// every connection, wakes every thread that waits, and joins them all.
///
/// ```
/// use std::time::Duration;
/// use silkmill_testkit::{Reply, Server};
///
/// let server = Server::start(|_| Reply::html("hello").after(Duration::from_millis(5)))?;
/// assert_eq!(server.requests(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

/// The state that the threads of a server share.
struct Shared {
    script: Box<Script>,
    /// Set when the server speaks TLS.
    tls: Option<Box<Wrap>>,
    stop: Stop,
    /// A counter; nothing is ordered by it.
    connections: AtomicU64,
    /// Requests by path. Written by the connections' threads, read by the test.
    requests: Mutex<HashMap<String, u64>>,
    /// The open connections. Written by the listening thread, which shuts them down at the end to
    /// wake the threads that read or write.
    open: Mutex<Vec<TcpStream>>,
}

impl Server {
    /// Starts to listen. `script` decides every answer; it is called on the connections' threads.
    ///
    /// # Errors
    ///
    /// When there is no socket or no thread left.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> io::Result<Server> {
        Server::start_with(None, script)
    }

    /// Starts a server like [`Server::start`], but over TLS, with the certificate of `identity`.
    /// The server sends `close_notify` before it closes a connection, unless the answer is a reset
    /// or [`Reply::without_close_notify`].
    ///
    /// # Errors
    ///
    /// When there is no socket or no thread left.
    #[cfg(feature = "tls")]
    pub fn start_tls(
        identity: &Identity,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let identity = identity.clone();
        Server::start_with(Some(Box::new(move |stream| identity.accept_boxed(stream))), script)
    }

    fn start_with(
        tls: Option<Box<Wrap>>,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Listening a second time only sets the length of the backlog.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Box::new(script),
            tls,
            stop: Stop::default(),
            connections: AtomicU64::new(0),
            requests: Mutex::default(),
            open: Mutex::default(),
        });
        let thread_shared = Arc::clone(&shared);
        let listening = thread::Builder::new()
            .name("testkit-listen".to_owned())
            .spawn(move || listen(&listener, &thread_shared))?;
        Ok(Server { address, shared, listening: Some(listening) })
    }

    /// Returns `http://127.0.0.1:PORT`, or `https:`, followed by `path`.
    pub fn url(&self, path: &str) -> String {
        self.url_of("127.0.0.1", path)
    }

    /// Returns the URL with another name of the host, which the client must resolve to `127.0.0.1`.
    pub fn url_of(&self, host: &str, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.port())
    }

    /// Returns the port that the server listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns how many requests have arrived, to any path.
    pub fn requests(&self) -> u64 {
        self.shared.requests.lock().values().sum()
    }

    /// Returns how many requests have arrived for `path`, with any query.
    pub fn requests_to(&self, path: &str) -> u64 {
        let requests = self.shared.requests.lock();
        requests.get(path).copied().unwrap_or(0)
    }

    /// Returns how many connections have been made.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.stop();
        // The listening thread waits in `accept`; a connection of our own wakes it.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            // The thread only panics when a connection's thread cannot be joined, and the test has
            // seen that.
            let _ = listening.join();
        }
    }
}

/// Accepts until the server stops, then waits for the threads of all connections.
fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.stop.is_stopped() {
            break;
        }
        shared.connections.fetch_add(1, Ordering::Relaxed);
        threads.retain(|thread| !thread.is_finished());
        let _ = stream.set_nodelay(true);
        let Ok(copy) = stream.try_clone() else { break };
        shared.keep(copy);
        let shared = Arc::clone(shared);
        let serving = thread::Builder::new()
            .name("testkit-serve".to_owned())
            .spawn(move || serve(stream, &shared));
        match serving {
            Ok(thread) => threads.push(thread),
            Err(_) => break,
        }
    }
    shared.close_all();
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers on one connection until either side closes it.
fn serve(stream: TcpStream, shared: &Shared) {
    let peer = stream.peer_addr();
    let mut connection = match &shared.tls {
        None => Connection::Plain(stream),
        Some(wrap) => match wrap(stream) {
            Ok(stream) => Connection::Tls(stream),
            Err(_) => return,
        },
    };
    while !shared.stop.is_stopped() {
        match answer(&mut connection, shared) {
            Ok(After::KeepAlive) => {}
            Ok(After::Close) | Err(_) => break,
        }
    }
    // The copy must be dropped as well, or the socket stays open.
    if let Ok(peer) = peer {
        shared.forget(peer);
    }
}

fn answer(connection: &mut Connection, shared: &Shared) -> io::Result<After> {
    let head = match connection {
        Connection::Plain(stream) => peek_head(stream, shared)?,
        Connection::Tls(stream) => read_head(stream)?,
    };
    let Some(head) = head else { return Ok(After::Close) };
    let mut request = Request::parse(&head);
    let length = request.body_length().min(BODY_BYTES_MAX);
    let mut is_unread = matches!(connection, Connection::Plain(_));
    if length > 0 {
        let mut body = vec![0; length];
        match connection {
            Connection::Plain(stream) => {
                stream.read_exact(&mut vec![0; head.len()])?;
                stream.read_exact(&mut body)?;
            }
            Connection::Tls(stream) => stream.read_exact(&mut body)?,
        }
        is_unread = false;
        request.set_body(body);
    }
    let reply = (shared.script)(&request);
    shared.count(&request);
    match connection {
        // The request stays unread: closing a socket with unread bytes sends a reset.
        Connection::Plain(stream) if is_unread && !reply.is_reset() => {
            stream.read_exact(&mut vec![0; head.len()])?;
        }
        _ => {}
    }
    let sent = reply.send(connection, request.method() == "HEAD", &shared.stop)?;
    connection.flush()?;
    let after = if request.wants_close() { After::Close } else { sent };
    if let (Connection::Tls(stream), After::Close) = (connection, after) {
        match reply.tls_ending() {
            TlsEnding::CloseNotify => stream.send_close_notify(),
            TlsEnding::Missing => {}
            TlsEnding::Reset => stream.reset(),
            TlsEnding::Garbage => stream.write_past_tls(GARBAGE)?,
        }
    }
    Ok(after)
}

/// Reads the head of the next request. Returns `None` when the client closed the connection
/// instead.
fn read_head(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < PEEK_BYTES_MAX {
        if from.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(head))
}

/// Peeks at the head of the next request, which stays in the socket. Returns `None` when the client
/// closed the connection instead of sending another request.
fn peek_head(stream: &TcpStream, shared: &Shared) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; PEEK_BYTES_MAX];
    loop {
        let length = stream.peek(&mut bytes)?;
        if let Some(end) = bytes[..length].windows(4).position(|four| four == b"\r\n\r\n") {
            bytes.truncate(end + 4);
            return Ok(Some(bytes));
        }
        if length == 0 || length == PEEK_BYTES_MAX || !shared.stop.wait(PEEK_PAUSE) {
            return Ok(None);
        }
    }
}

impl Shared {
    fn count(&self, request: &Request) {
        let mut requests = self.requests.lock();
        *requests.entry(request.path().to_owned()).or_default() += 1;
    }

    fn keep(&self, stream: TcpStream) {
        self.open.lock().push(stream);
    }

    fn forget(&self, peer: SocketAddr) {
        let mut open = self.open.lock();
        open.retain(|stream| stream.peer_addr().is_ok_and(|address| address != peer));
    }

    fn close_all(&self) {
        for stream in self.open.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn ask(server: &Server, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    #[test]
    fn a_page_is_served_and_counted() {
        let server = Server::start(|_| Reply::html("<p>hello")).unwrap();

        let answer = ask(&server, "/a?b");

        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        assert!(answer.ends_with(b"\r\n\r\n<p>hello"));
        assert_eq!((server.requests(), server.requests_to("/a"), server.connections()), (1, 1, 1));
    }

    #[test]
    fn one_connection_carries_many_requests() {
        let server = Server::start(|request| Reply::html(request.path())).unwrap();
        let mut stream = TcpStream::connect(server.address).unwrap();

        for path in ["/1", "/2"] {
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = vec![0; 512];
            let length = stream.read(&mut answer).unwrap();
            assert!(answer[..length].ends_with(path.as_bytes()));
        }

        assert_eq!((server.requests(), server.connections()), (2, 1));
    }

    #[test]
    fn a_reset_is_a_reset_and_not_an_end() {
        let server = Server::start(|_| Reply::reset("")).unwrap();
        let mut stream = TcpStream::connect(server.address).unwrap();

        write!(stream, "GET / HTTP/1.1\r\n\r\n").unwrap();

        let error = stream.read(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn dropping_the_server_wakes_a_silent_answer() {
        let server = Server::start(|_| Reply::silence()).unwrap();
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\n\r\n").unwrap();
        while server.requests() == 0 {
            thread::sleep(PEEK_PAUSE);
        }

        drop(server);

        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    }
}
