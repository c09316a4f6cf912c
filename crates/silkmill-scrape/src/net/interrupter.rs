//! Ends what one worker waits for, from another thread.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use crate::sync::Mutex;

/// Ends what one worker waits for, from another thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupter(Arc<Mutex<Interruption>>);

/// Written by the worker with every connection it uses, and once by the thread that ends the run.
#[derive(Debug, Default)]
struct Interruption {
    interrupted: bool,
    tcp: Option<Arc<TcpStream>>,
}

impl Interrupter {
    /// Notes that the worker is about to wait for this connection. Fails when it should not begin.
    pub(crate) fn watch(&self, tcp: &Arc<TcpStream>) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.interrupted {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.tcp = Some(Arc::clone(tcp));
        Ok(())
    }

    /// Notes that the worker has stopped waiting.
    pub(crate) fn release(&self) {
        self.0.lock().tcp = None;
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.lock().interrupted
    }

    /// Wakes the worker, and keeps it from waiting for any connection again.
    pub(crate) fn interrupt(&self) {
        let mut state = self.0.lock();
        state.interrupted = true;
        if let Some(tcp) = state.tcp.take() {
            // The connection may have been closed in the meantime.
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_brake_wakes_who_waits_and_stops_who_would() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let interrupter = Interrupter::default();
        interrupter.watch(&tcp).unwrap();
        let puller = interrupter.clone();
        let pulling = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            puller.interrupt();
        });

        assert_eq!((&*tcp).read(&mut [0; 8]).unwrap(), 0);
        pulling.join().unwrap();
        assert!(interrupter.watch(&tcp).is_err());
    }
}
