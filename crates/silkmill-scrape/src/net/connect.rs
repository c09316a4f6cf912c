//! Opens a TCP connection within a time, unless another thread interrupts it. The standard
//! library's way to connect cannot be interrupted, and a host that does not respond would hold a
//! thread for the whole time.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::net::interrupter::Interrupter;

/// On Linux an interrupter wakes the thread that connects. An interruption just before the wait,
/// and any on other systems, is noticed after this time.
const POLL_SLICE_MAX: Duration = Duration::from_millis(250);

/// Connects to `address` within `time`. `interrupter` ends the wait.
pub(crate) fn connect(
    address: SocketAddr,
    time: Duration,
    interrupter: &Interrupter,
) -> io::Result<Arc<TcpStream>> {
    let ends = Instant::now() + time;
    let tcp = Arc::new(socket(address)?);
    interrupter.watch(&tcp)?;
    let connected = match rustix::net::connect(&*tcp, &address) {
        Ok(()) => Ok(()),
        Err(Errno::INPROGRESS | Errno::INTR) => wait(&tcp, ends, interrupter),
        Err(error) => Err(error.into()),
    };
    connected.and_then(|()| tcp.set_nonblocking(false)).inspect_err(|_| interrupter.release())?;
    Ok(tcp)
}

/// Makes a socket that does not block.
#[cfg(not(target_vendor = "apple"))]
fn socket(address: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::SocketFlags;

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family(address), SocketType::STREAM, flags, None)?.into())
}

/// Makes a socket that does not block. It takes three steps on these systems.
#[cfg(target_vendor = "apple")]
fn socket(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(family(address), SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket.into())
}

fn family(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// Waits until the other side has accepted or refused, the time is up, or the interrupter is
/// triggered.
fn wait(tcp: &TcpStream, ends: Instant, interrupter: &Interrupter) -> io::Result<()> {
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let slice =
            Timespec::try_from(left.min(POLL_SLICE_MAX)).expect("a quarter of a second fits");
        let events = match poll(&mut [PollFd::new(tcp, PollFlags::OUT)], Some(&slice)) {
            Err(Errno::INTR) => 0,
            events => events?,
        };
        if interrupter.is_interrupted() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if events > 0 {
            return tcp.take_error()?.map_or(Ok(()), Err);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_connection_is_made_and_blocks_as_others_do() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();

        let ours = connect(listener.local_addr().unwrap(), LONG, &Interrupter::default()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            theirs.write_all(b"late").unwrap();
        });

        let mut text = String::new();
        (&*ours).read_to_string(&mut text).unwrap();
        assert_eq!(text, "late");
        late.join().unwrap();
    }

    #[test]
    fn a_port_that_nobody_listens_on_refuses() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

        let error = connect(address, LONG, &Interrupter::default()).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// Returns a listener whose queue is full, so that the next connect waits, its address, and the
    /// connections in the queue.
    fn full() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut taken = Vec::new();
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            taken.push(one);
            assert!(taken.len() < 100, "the listener takes everybody");
        }
        (listener, address, taken)
    }

    #[test]
    fn a_connect_that_hangs_ends_in_time() {
        let (_listener, address, _taken) = full();

        let error =
            connect(address, Duration::from_millis(100), &Interrupter::default()).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_connect_that_hangs_can_be_called_off() {
        let (_listener, address, _taken) = full();
        let interrupter = Interrupter::default();
        let puller = interrupter.clone();
        let pulling = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            puller.interrupt();
        });
        let started = Instant::now();

        let error = connect(address, LONG, &interrupter).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert!(started.elapsed() < LONG / 2);
        pulling.join().unwrap();
        assert!(connect(address, LONG, &interrupter).is_err());
    }
}
