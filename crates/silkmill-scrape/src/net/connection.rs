//! One connection to a server, and the deadline that every read and write of it keeps. The
//! [dialer](crate::net::dialer) makes it; bytes that have come over it and were not read yet are in
//! a [read buffer](crate::net::read_buffer).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// How much a deadline may be missed by, which saves the system call that would set it for every
/// request.
const DEADLINE_SLACK: Duration = Duration::from_millis(20);

/// A socket that does not wait past a deadline, even when bytes come one by one.
pub(crate) struct Socket {
    tcp: Arc<TcpStream>,
    deadline: Instant,
    /// The timeout for reads that the system was last given.
    read_set: Duration,
    write_set: Duration,
}

impl Socket {
    pub(crate) fn new(tcp: Arc<TcpStream>, deadline: Instant) -> Socket {
        Socket { tcp, deadline, read_set: Duration::MAX, write_set: Duration::MAX }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Repeats `work` until it ends, fails, or the time is up.
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
                // The timeout was shorter than the time that is left, or the time is up.
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

/// A connection, with or without TLS.
pub(crate) struct Connection {
    stream: Stream,
    /// Whether the other end is in a private network; `None` when a proxy hides it.
    pub(crate) is_private: Option<bool>,
    /// When the connection was last put into the idle pool.
    pub(crate) idle_since: Option<Instant>,
    /// Set when the connection leads to a proxy from which pages themselves are requested: the
    /// header line that identifies the user to it, or nothing.
    pub(crate) forwarded: Option<Box<str>>,
}

/// Bytes both ways: over a socket, or over TLS over either.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Stream {
    /// Completes the TLS handshake.
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
                // The message of `rustls` is for programmers.
                io::ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), CLOSED_WITHOUT_TLS_END)
                }
                _ => error,
            }),
        }
    }
}

/// Any machine on the way can close a connection, so the bytes that came may not be all.
const CLOSED_WITHOUT_TLS_END: &str = "the connection was closed without the end of TLS";

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

    /// Tells whether the server has left the connection open, and sent nothing in the meantime.
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
            // Ends when this side closes.
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
}
