//! A connection of the server, in plain text or over TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A TLS session over a socket.
pub(crate) trait Duplex: Read + Write {
    /// Sends `close_notify`: nothing more will come.
    fn send_close_notify(&mut self);

    /// Makes the socket close with a reset when it is dropped.
    fn reset(&mut self);

    /// Writes to the socket beneath TLS.
    fn write_past_tls(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Starts a TLS session over a connection.
pub(crate) type Wrap = dyn Fn(TcpStream) -> io::Result<Box<dyn Duplex>> + Send + Sync;

/// A connection, in plain text or over TLS.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<dyn Duplex>),
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.write(bytes),
            Connection::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Connection::Plain(stream) => stream.flush(),
            Connection::Tls(stream) => stream.flush(),
        }
    }
}
