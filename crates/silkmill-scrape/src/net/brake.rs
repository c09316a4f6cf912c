//! Ends what one worker waits for, from another thread.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use crate::sync::Mutex;

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
        let mut braked = self.0.lock();
        if braked.pulled {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        braked.tcp = Some(Arc::clone(tcp));
        Ok(())
    }

    /// The worker does not wait any more.
    pub(crate) fn release(&self) {
        self.0.lock().tcp = None;
    }

    pub(crate) fn is_pulled(&self) -> bool {
        self.0.lock().pulled
    }

    /// Wakes the worker, and lets it wait for no connection again.
    pub(crate) fn pull(&self) {
        let mut braked = self.0.lock();
        braked.pulled = true;
        if let Some(tcp) = braked.tcp.take() {
            // It may have been closed meanwhile.
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
        let brake = Brake::default();
        brake.watch(&tcp).unwrap();
        let puller = brake.clone();
        let pulling = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            puller.pull();
        });

        assert_eq!((&*tcp).read(&mut [0; 8]).unwrap(), 0);
        pulling.join().unwrap();
        assert!(brake.watch(&tcp).is_err());
    }
}
