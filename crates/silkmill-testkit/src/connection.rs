//! A connection of the server, in the clear or over TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A session of TLS over a socket.
pub(crate) trait Duplex: Read + Write {
    /// Says that nothing more will come.
    fn send_close_notify(&mut self);

    /// Closes the socket, now or when it is dropped, with a reset.
    fn reset(&mut self);

    /// Writes past TLS.
    fn write_past_tls(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Begins to speak TLS over a connection.
pub(crate) type Wrap = dyn Fn(TcpStream) -> io::Result<Box<dyn Duplex>> + Send + Sync;

/// A connection, in the clear or not.
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
