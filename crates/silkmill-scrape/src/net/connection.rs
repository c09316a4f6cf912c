//! One connection to a server, and the deadline that every read and write of it keeps.
//! How it came about is `dial`'s; what is said over it is `client`'s.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::net::http::{HEAD_BYTES_MAX, Head, Malformed};

/// What has come and was not read yet. A head must fit.
const BUFFER_BYTES: usize = 2 * HEAD_BYTES_MAX;
/// A deadline may be missed by this much, which saves the system call that would set it for every
/// request anew.
const DEADLINE_SLACK: Duration = Duration::from_millis(20);

/// A socket that does not wait past a deadline, whatever comes in drips.
pub(crate) struct Socket {
    tcp: Arc<TcpStream>,
    deadline: Instant,
    /// What the system was told to wait at the most.
    read_set: Duration,
    write_set: Duration,
}

impl Socket {
    pub(crate) fn new(tcp: Arc<TcpStream>, deadline: Instant) -> Socket {
        Socket { tcp, deadline, read_set: Duration::MAX, write_set: Duration::MAX }
    }

    pub(crate) fn tcp(&self) -> &Arc<TcpStream> {
        &self.tcp
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Does `work` until it ends, fails, or the time is up.
    fn in_time<T>(
        &mut self,
        set: fn(&mut Socket, Duration) -> io::Result<()>,
        mut work: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let left = self.left()?;
            set(self, left)?;
            match work(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What was set was less than what is left; or it was just enough.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    fn set_read(&mut self, left: Duration) -> io::Result<()> {
        if self.read_set > left + DEADLINE_SLACK || self.read_set < left / 2 {
            self.tcp.set_read_timeout(Some(left))?;
            self.read_set = left;
        }
        Ok(())
    }

    fn set_write(&mut self, left: Duration) -> io::Result<()> {
        if self.write_set > left + DEADLINE_SLACK || self.write_set < left / 2 {
            self.tcp.set_write_timeout(Some(left))?;
            self.write_set = left;
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.in_time(Socket::set_read, |mut tcp| tcp.read(into))
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.in_time(Socket::set_write, |mut tcp| tcp.write(from))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection, in the clear or not.
pub(crate) struct Connection {
    stream: Stream,
    /// Whether the other end is in a private network; `None` when a proxy keeps it from us.
    pub(crate) is_private: Option<bool>,
    /// When it was last put aside.
    pub(crate) idle_since: Option<Instant>,
    /// Set when it leads to a proxy that is asked for pages itself: the header line that names us to it, or
    /// nothing.
    pub(crate) forwarded: Option<Box<str>>,
}

/// Bytes both ways: over a socket, or over TLS over either.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Stream {
    /// Agrees on TLS.
    pub(crate) fn secured(mut self, mut session: ClientConnection) -> io::Result<Stream> {
        while session.is_handshaking() {
            session.complete_io(&mut self)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, self))))
    }

    pub(crate) fn tcp(&self) -> &Arc<TcpStream> {
        match self {
            Stream::Plain(socket) => &socket.tcp,
            Stream::Tls(stream) => stream.sock.tcp(),
        }
    }

    fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.sock.socket_mut(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(into),
            Stream::Tls(stream) => stream.read(into).map_err(|error| match error.kind() {
                // The words of `rustls` are for who writes programs.
                io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), NO_GOODBYE),
                _ => error,
            }),
        }
    }
}

/// Anybody on the way can close a connection, so what came may not be all.
const NO_GOODBYE: &str = "the connection was closed without the end of TLS";

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(from),
            Stream::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Connection {
    pub(crate) fn new(stream: Stream, is_private: Option<bool>) -> Connection {
        Connection { stream, is_private, idle_since: None, forwarded: None }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.stream.socket_mut().deadline = deadline;
    }

    pub(crate) fn tcp(&self) -> &Arc<TcpStream> {
        self.stream.tcp()
    }

    /// Whether the server has left it open, and said nothing meanwhile.
    pub(crate) fn is_quiet(&self) -> bool {
        let tcp = self.tcp();
        let quiet = tcp.set_nonblocking(true).is_ok()
            && tcp.peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        quiet && tcp.set_nonblocking(false).is_ok()
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }
}

impl Write for Connection {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("tcp", self.tcp()).finish_non_exhaustive()
    }
}

/// What has come over a connection and was not read yet. It belongs to who reads, and is used for
/// one connection after the other: an idle one needs none.
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox { bytes: vec![0; BUFFER_BYTES].into(), start: 0, end: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Reads more, behind what is there; tells how much.
    fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        if self.is_empty() {
            self.clear();
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let length = from.read(&mut self.bytes[self.end..])?;
        self.end += length;
        Ok(length)
    }

    /// Reads the head of a response. `came` is told when its first byte has come.
    pub(crate) fn read_head<R: Read>(
        &mut self,
        from: &mut R,
        asked_for_body: bool,
        mut came: impl FnMut(&mut R),
    ) -> io::Result<Head> {
        let mut looked = 0;
        loop {
            if self.fill(from)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    match self.is_empty() {
                        true => "the connection was closed instead of an answer",
                        false => "the connection was closed in the head of the response",
                    },
                ));
            }
            if looked == 0 {
                came(from);
            }
            // Taking the head apart anew for every byte of one that comes in drips would take long.
            let unread = self.unread();
            let may_be_whole = ends_head(&unread[looked..]) || unread.len() >= HEAD_BYTES_MAX;
            looked = unread.len().saturating_sub(3).max(1);
            if !may_be_whole && is_http(unread) {
                continue;
            }
            if let Some((head, length)) = Head::parse(unread, asked_for_body)? {
                self.start += length;
                return Ok(head);
            }
            if !is_http(unread) {
                return Err(Malformed("the response is not HTTP".to_owned()).into());
            }
        }
    }
}

/// Whether an empty line stands in `bytes`, which ends a head.
fn ends_head(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| {
        let after = &bytes[at + 1..];
        after.starts_with(b"\n") || after.starts_with(b"\r\n")
    })
}

/// Whether `bytes` are the start of a response, as far as they go. Line ends before it are let pass.
fn is_http(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let length = bytes.len().min(b"HTTP/1.".len());
    bytes[..length] == b"HTTP/1."[..length]
}

/// What comes over a connection, read through an inbox.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) inbox: &'a mut Inbox,
    pub(crate) connection: &'a mut Connection,
}

impl BufRead for Incoming<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.inbox.is_empty() {
            self.inbox.fill(self.connection)?;
        }
        Ok(self.inbox.unread())
    }

    fn consume(&mut self, amount: usize) {
        self.inbox.start += amount;
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("unread", &self.unread().len()).finish()
    }
}

/// Ends what one worker waits for, from another thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brake(Arc<Mutex<Braked>>);

/// Written by the worker with every connection it uses, and once by who ends the run.
#[derive(Debug, Default)]
struct Braked {
    pulled: bool,
    tcp: Option<Arc<TcpStream>>,
}

impl Brake {
    /// The worker is about to wait for this connection. An error when it should not begin.
    pub(crate) fn watch(&self, tcp: &Arc<TcpStream>) -> io::Result<()> {
        let mut braked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if braked.pulled {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        braked.tcp = Some(Arc::clone(tcp));
        Ok(())
    }

    /// The worker does not wait any more.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tcp = None;
    }

    pub(crate) fn is_pulled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pulled
    }

    /// Wakes the worker, and lets it wait for no connection again.
    pub(crate) fn pull(&self) {
        let mut braked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        braked.pulled = true;
        if let Some(tcp) = braked.tcp.take() {
            // It may have been closed meanwhile.
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn pair(deadline: Duration) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::new(Arc::new(ours), Instant::now() + deadline);
        (Connection::new(Stream::Plain(socket), Some(true)), listener.accept().unwrap().0)
    }

    #[test]
    fn a_deadline_holds_against_drips() {
        let (mut connection, mut other) = pair(Duration::from_millis(200));
        let dripping = thread::spawn(move || {
            // Until our side closes.
            while other.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });

        let error = (0..).find_map(|_| connection.read(&mut [0; 8]).err()).unwrap();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(connection);
        dripping.join().unwrap();
    }

    #[test]
    fn a_later_deadline_outlasts_what_was_set_for_an_earlier_one() {
        let (mut connection, mut other) = pair(Duration::from_millis(50));
        assert_eq!(connection.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::TimedOut);

        connection.set_deadline(Instant::now() + Duration::from_secs(60));
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            other.write_all(b"late").unwrap();
        });

        assert_eq!(connection.read(&mut [0; 8]).unwrap(), 4);
        late.join().unwrap();
    }

    #[test]
    fn a_connection_is_quiet_until_it_says_something_or_closes() {
        let (connection, mut other) = pair(Duration::from_secs(9));
        assert!(connection.is_quiet());
        other.write_all(b"x").unwrap();
        while connection.is_quiet() {}

        let (connection, other) = pair(Duration::from_secs(9));
        drop(other);
        while connection.is_quiet() {}
    }

    #[test]
    fn a_brake_wakes_who_waits_and_stops_who_would() {
        let (mut connection, _other) = pair(Duration::from_secs(60));
        let brake = Brake::default();
        brake.watch(connection.tcp()).unwrap();
        let puller = brake.clone();
        let pulling = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            puller.pull();
        });

        assert_eq!(connection.read(&mut [0; 8]).unwrap(), 0);
        pulling.join().unwrap();
        assert!(brake.watch(connection.tcp()).is_err());
    }

    fn read_head(mut from: impl Read) -> io::Result<(Head, Vec<u8>)> {
        let mut inbox = Inbox::new();
        let head = inbox.read_head(&mut from, true, |_| {})?;
        Ok((head, inbox.unread().to_vec()))
    }

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(1);
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn a_head_is_the_same_in_drips() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

        let (whole, rest) = read_head(&text[..]).unwrap();
        let (dripped, nothing) = read_head(Drip(text)).unwrap();

        assert_eq!((whole, rest.as_slice(), nothing.as_slice()), (dripped, &b"body"[..], &b""[..]));
    }

    #[test]
    fn what_is_not_http_is_refused_at_its_first_bytes() {
        for garbage in [&b"SSH-2.0-x\r\n"[..], b"<html>", b"HTTP/2.0 200", b"\x16\x03\x01"] {
            let error = read_head(garbage.chain(io::repeat(b'x'))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{garbage:?}");
        }
    }

    #[test]
    fn a_head_that_never_ends_is_given_up() {
        let start = &b"HTTP/1.1 200 OK\r\nX: "[..];
        let error = read_head(start.chain(io::repeat(b'x'))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
