//! Runs a job of the engine on a thread of its own, while the thread of Python that wants it serves
//! it and looks for signals.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use silkmill::CancelToken;

use crate::error::internal;

/// The caller looks for signals at least this often while it waits.
const SLICE: Duration = Duration::from_millis(100);

enum Message<M, T> {
    Request(M),
    Ended(thread::Result<T>),
}

/// What a job says to the thread of Python that waits for it.
pub(crate) struct Caller<M, T>(Sender<Message<M, T>>);

impl<M, T> Caller<M, T> {
    pub(crate) fn tell(&self, request: M) {
        // The caller stays until the job has ended.
        let _ = self.0.send(Message::Request(request));
    }
}

/// How a job ended.
pub(crate) struct Ended<T> {
    pub(crate) result: T,
    /// What the caller raised meanwhile, for which the job was cancelled.
    pub(crate) raised: Option<PyErr>,
}

/// Runs `job` on a thread of the engine, which never attaches to the interpreter. What it tells is
/// passed to `serve` on this thread. When `serve` or a signal's handler raises, the job is
/// cancelled, and told so by what `serve` drops; its end is waited for.
pub(crate) fn run_job<M: Send + 'static, T: Send + 'static>(
    py: Python<'_>,
    name: &str,
    cancel: &CancelToken,
    job: impl FnOnce(&Caller<M, T>) -> T + Send + 'static,
    mut serve: impl FnMut(Python<'_>, M) -> PyResult<()>,
) -> PyResult<Ended<T>> {
    let (sender, mut messages) = mpsc::channel();
    let work = move || {
        let caller = Caller(sender);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&caller)));
        let _ = caller.0.send(Message::Ended(ended));
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        PyRuntimeError::new_err(format!("failed to start a thread for {name}: {error}"))
    })?;
    let mut raised = None;
    let mut looked = Instant::now();
    let ended = loop {
        let (receiver, message) = py.detach(move || receive(messages));
        messages = receiver;
        match message {
            Ok(Message::Request(request)) if raised.is_none() => {
                raised = serve(py, request).err();
            }
            Ok(Message::Request(request)) => drop(request),
            Ok(Message::Ended(ended)) => break ended,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err(format!("the thread of {name} has gone")));
            }
        }
        if raised.is_none() && looked.elapsed() >= SLICE {
            looked = Instant::now();
            raised = py.check_signals().err();
        }
        if raised.is_some() {
            cancel.cancel();
        }
    };
    // It has nothing left to do, and is gone when the caller goes on.
    py.detach(|| thread.join()).map_err(|payload| internal(payload.as_ref()))?;
    match ended {
        Ok(result) => Ok(Ended { result, raised }),
        Err(payload) => Err(internal(payload.as_ref())),
    }
}

type Received<M, T> = Result<Message<M, T>, RecvTimeoutError>;

fn receive<M, T>(from: Receiver<Message<M, T>>) -> (Receiver<Message<M, T>>, Received<M, T>) {
    let received = from.recv_timeout(SLICE);
    (from, received)
}
