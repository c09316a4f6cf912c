//! A run over a list of URLs, or a crawl, as Python holds it. It starts when its first row is asked
//! for.
//!
//! One thread at a time consumes it: pulls URLs from the iterable, and takes rows. What only that
//! thread needs is taken out of the run while it works, so that no lock is held over a call into
//! Python, and a second consumer finds nothing and is refused. A row, a table and a batch for
//! Arrow are taken by the same steps, so this is one file.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::{
    PyException, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{InternalError, edge};
use crate::process::generation;
use crate::scrape::arrow::{Batches, Kept, capsule};
use crate::scrape::columns::{Columns, size};
use crate::scrape::crawl;
use crate::scrape::driver::{self, Drive, Sitemaps};
use crate::scrape::hand_over::{Ended, Failed, Found, HandOver, INPUTS_MAX};
use crate::scrape::options::{Job, Kind, Work, job_of};
use crate::scrape::row::Row;
use crate::scrape::source::{Source, Urls};
use crate::scrape::table::{Data, Table};
use crate::sleep::{Sleeper, is_main_thread, lock, sleep_detached};

/// How long an interrupted run is waited for.
const INTERRUPT_WAIT: Duration = Duration::from_millis(200);
/// How long a run that is closed is waited for.
const CLOSE_WAIT: Duration = Duration::from_millis(500);
/// How often the caller's function hears how far the run is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// A batch for Arrow is handed on when its first row is this old.
const BATCH_WAIT: Duration = Duration::from_millis(250);
/// The time for which a reader of Arrow on another thread than the main one waits for a row, before
/// it is given a batch without any.
const EMPTY_BATCH_WAIT: Duration = Duration::from_millis(100);
const BATCH_ROWS_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The reader of a run that is not an Arrow stream.
const DIRECT: u64 = 1;

/// A run of `fetch`, `scrape` or `crawl`.
#[pyclass(frozen, subclass, weakref, module = "silkmill._silkmill", name = "RunBase")]
pub(crate) struct ListRun {
    inner: Arc<Inner>,
}

struct Inner {
    /// The fork to which the run belongs.
    generation: u32,
    columns: Columns,
    /// What is kept of the input, without its rows.
    kept: Option<Kept>,
    hand_over: Arc<HandOver>,
    /// `None` while a thread consumes. Taken and put back by attached threads, and held for that
    /// alone.
    consumer: Mutex<Option<Box<Consumer>>>,
    /// Who has taken the first row: 0 nobody, `DIRECT`, or the number of an Arrow stream.
    reader: AtomicU64,
}

/// What the thread needs that consumes the run.
struct Consumer {
    /// Taken when the run starts.
    job: Option<Job>,
    source: Source,
    ready: VecDeque<silkmill_scrape::Row>,
    progress: Option<Py<PyAny>>,
    told: Instant,
    is_closed: bool,
    /// Whether how the run failed, or what its iterable raised, has been raised.
    has_raised: bool,
}

/// Rows, errors, inputs in flight, and, after the end, seconds and whether it was cut short.
type Figures = (u64, u64, usize, Option<(f64, bool)>);

/// The next row, or why there is none.
enum Next {
    Row(Box<silkmill_scrape::Row>),
    /// None is ready, and the caller does not want to wait.
    Pending,
    End,
}

/// How long a consumer waits for a row.
#[derive(Clone, Copy)]
enum Wait {
    /// Until there is one.
    Row,
    Until(Instant),
    No,
}

#[pymethods]
impl ListRun {
    #[new]
    #[pyo3(signature = (call, urls, options, *, url=None, keep=false, progress=None))]
    fn new(
        call: &str,
        urls: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
        url: Option<&str>,
        keep: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        edge(|| {
            let kind = Kind::of(call);
            let (job, urls) = match kind {
                // It finds its URLs itself.
                Kind::Crawl => (crawl::job_of(urls, options)?, Urls::Ended),
                _ => (job_of(urls.py(), kind, options)?, urls_of(kind, urls, url, keep)?),
            };
            let columns = Columns { kind, fields: job.fields.clone().into() };
            let kept = match &urls {
                Urls::Batches(batches) => batches.shape(),
                _ => None,
            };
            if let (Some(_), Work::List { sitemaps: Some(_), .. }) = (&kept, &job.work) {
                return Err(PyValueError::new_err(format!(
                    "{call}() option \"keep\" cannot be used with \"sitemap\": its pages are in no \
                     table"
                )));
            }
            let shard = job.shard;
            let consumer = Consumer {
                job: Some(job),
                source: Source::new(urls, shard),
                ready: VecDeque::new(),
                progress,
                told: Instant::now(),
                is_closed: false,
                has_raised: false,
            };
            let inner = Inner {
                generation: generation(),
                columns,
                kept,
                hand_over: HandOver::new(),
                consumer: Mutex::new(Some(Box::new(consumer))),
                reader: AtomicU64::new(0),
            };
            Ok(Self { inner: Arc::new(inner) })
        })
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Row>> {
        edge(|| match self.inner.next(py, Wait::Row)? {
            Next::Row(row) => Ok(Some((*row).into())),
            Next::Pending | Next::End => Ok(None),
        })
    }

    /// Returns the next row if one is ready, None after the last, and False if there is none yet.
    fn _next_now(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        edge(|| match self.inner.next(py, Wait::No)? {
            Next::Row(row) => Ok(Py::new(py, Row::from(*row))?.into_any()),
            Next::Pending => Ok(false.into_pyobject(py)?.to_owned().into_any().unbind()),
            Next::End => Ok(py.None()),
        })
    }

    /// Returns the descriptor on which a byte comes when there is something to do.
    fn _descriptor(&self) -> PyResult<i32> {
        self.inner.check_home()?;
        Ok(self.inner.hand_over.descriptor()?)
    }

    /// Lets the descriptor become readable. Returns whether there is something to do already.
    fn _arm(&self) -> PyResult<bool> {
        self.inner.check_home()?;
        Ok(self.inner.hand_over.arm())
    }

    /// Returns all rows that are left, as a table.
    fn _collect(&self, py: Python<'_>) -> PyResult<Table> {
        edge(|| self.inner.collect(py))
    }

    /// Cancels the run, and waits for its end for half a second at most. Returns whether it came.
    fn _close(&self, py: Python<'_>) -> PyResult<bool> {
        self.inner.check_home()?;
        if let Some(consumer) = &mut *lock(&self.inner.consumer) {
            consumer.is_closed = true;
            if consumer.job.is_some() {
                return Ok(true);
            }
        }
        Ok(self.inner.cancel(py, CLOSE_WAIT))
    }

    /// Whether all rows were taken.
    fn _is_over(&self) -> bool {
        let consumer = lock(&self.inner.consumer);
        consumer.as_ref().is_some_and(|consumer| consumer.is_over())
    }

    /// Rows and errors of a crawl in all its runs, whether it is complete, and how many links were
    /// not followed, by reason; None before its end.
    fn _totals<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.inner.check_home()?;
        let ended = self.inner.hand_over.ended().and_then(Result::ok);
        ended.and_then(|ending| ending.crawl).map(|totals| totals.figures(py)).transpose()
    }

    /// The broken links that a crawl has found: URL, why, pages, and how many those are; None
    /// before its end.
    fn _broken_links<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.inner.check_home()?;
        let ended = self.inner.hand_over.ended().and_then(Result::ok);
        ended.and_then(|ending| ending.crawl).map(|totals| totals.broken_links(py)).transpose()
    }

    /// Rows, errors, inputs in flight, and, after the end, seconds and whether it was cut short.
    fn _figures(&self) -> PyResult<Figures> {
        self.inner.check_home()?;
        let progress = self.inner.hand_over.progress();
        let ended = self.inner.hand_over.ended().and_then(Result::ok);
        let ended = ended.map(|ending| ending.summary);
        let (rows, errors) = match &ended {
            Some(summary) => (summary.rows, summary.errors),
            None => (progress.rows, progress.errors),
        };
        let ended = ended.map(|summary| (summary.elapsed.as_secs_f64(), summary.interrupted));
        Ok((rows, errors, progress.in_flight, ended))
    }

    /// Gives the rows as a stream of Arrow's C interface. The run starts when the first batch is
    /// asked for.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A producer may ignore what is requested, by the interface.
        let _ = requested_schema;
        edge(|| {
            self.inner.check_home()?;
            let schema = self.inner.columns.schema(self.inner.kept.as_ref());
            let stream = Stream {
                inner: Arc::clone(&self.inner),
                schema: Arc::clone(&schema),
                number: STREAMS.fetch_add(1, Ordering::Relaxed),
                has_ended: false,
            };
            capsule(py, stream, schema)
        })
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a run cannot be pickled: collect() its rows, which can"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(consumer) = self.inner.consumer.try_lock() else { return Ok(()) };
        let Some(consumer) = &*consumer else { return Ok(()) };
        consumer.source.traverse(&visit)?;
        visit.call(&consumer.progress)
    }

    fn __clear__(&self) {
        let taken = lock(&self.inner.consumer).take();
        drop(taken);
    }
}

/// The numbers of Arrow streams, each of which reads a run alone.
static STREAMS: AtomicU64 = AtomicU64::new(DIRECT + 1);

impl Inner {
    /// Refuses a run of the process that has forked this one: its threads are not here.
    fn check_home(&self) -> PyResult<()> {
        if self.generation == generation() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this run belongs to the process that has forked this one: start a new one",
        ))
    }

    /// Works with the consumer's part of the run, unless another thread does.
    fn consume<T>(&self, work: impl FnOnce(&mut Consumer) -> PyResult<T>) -> PyResult<T> {
        self.check_home()?;
        let taken = lock(&self.consumer).take();
        let Some(consumer) = taken else {
            return Err(PyRuntimeError::new_err(
                "another consumer is taking rows of this run: a run has one at a time",
            ));
        };
        let mut back = PutBack { place: &self.consumer, consumer: Some(consumer) };
        work(back.consumer.as_mut().expect("it was put there"))
    }

    /// Lets one reader alone have the rows.
    fn claim(&self, reader: u64) -> PyResult<()> {
        let claimed = self.reader.compare_exchange(0, reader, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_ok() || claimed == Err(reader) {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "rows of this run have been taken already; collect() keeps them, and can be read again \
             and again",
        ))
    }

    fn next(&self, py: Python<'_>, wait: Wait) -> PyResult<Next> {
        self.consume(|consumer| {
            self.claim(DIRECT)?;
            match consumer.ready.pop_front() {
                Some(row) => Ok(Next::Row(Box::new(row))),
                None => self.next_of(py, consumer, wait),
            }
        })
    }

    /// Pulls inputs and takes rows until there is one.
    fn next_of(&self, py: Python<'_>, consumer: &mut Consumer, wait: Wait) -> PyResult<Next> {
        if consumer.is_closed {
            return Ok(Next::End);
        }
        self.start(py, consumer)?;
        loop {
            consumer.tell(py, &self.hand_over)?;
            if let Some(row) = consumer.ready.pop_front() {
                return Ok(Next::Row(Box::new(row)));
            }
            match self.hand_over.take(&mut consumer.ready) {
                Found::Rows => {
                    let room = self.hand_over.room();
                    if room > INPUTS_MAX / 2 && !consumer.source.is_slow {
                        self.feed(py, consumer, room)?;
                    }
                }
                Found::Ended(ended) => return self.end(py, consumer, *ended),
                Found::Hungry => self.feed(py, consumer, INPUTS_MAX)?,
                Found::Nothing => match wait {
                    Wait::No => return Ok(Next::Pending),
                    Wait::Until(until) if Instant::now() >= until => return Ok(Next::Pending),
                    // An iterator that takes its time is asked ahead while there is nothing to do.
                    _ if !consumer.source.has_ended() && self.hand_over.room() > 0 => {
                        self.feed(py, consumer, 1)?;
                    }
                    Wait::Row => self.sleep(py, consumer, None)?,
                    Wait::Until(until) => self.sleep(py, consumer, Some(until))?,
                },
            }
        }
    }

    fn start(&self, py: Python<'_>, consumer: &mut Consumer) -> PyResult<()> {
        let Some(job) = consumer.job.take() else { return Ok(()) };
        if consumer.source.has_ended() {
            self.hand_over.give(None);
        }
        let started = match job.work {
            Work::List { options, cookies, sitemaps } => {
                let sitemaps = sitemaps.map(|list| Sitemaps { list, shard: job.shard });
                Ok(Drive::List { options, cookies, sitemaps })
            }
            Work::Crawl(plan) => py
                .detach(|| plan.start())
                .map(|crawl| Drive::Crawl(Box::new(crawl)))
                .map_err(|error| PyOSError::new_err(format!("{error:#}"))),
        };
        let started = started.and_then(|drive| {
            self.hand_over.is_live();
            driver::start(&self.hand_over, drive).map_err(|error| {
                PyRuntimeError::new_err(format!("failed to start a thread for the run: {error}"))
            })
        });
        started.inspect_err(|error| {
            consumer.is_closed = true;
            self.hand_over.end(Err(Failed::Run(error.to_string())));
        })
    }

    /// Pulls inputs, and gives them to the engine. What the iterable raises is raised when the rows
    /// of all others have been taken; but an interrupt in the middle of it ends the run.
    fn feed(&self, py: Python<'_>, consumer: &mut Consumer, many: usize) -> PyResult<()> {
        if !consumer.source.has_ended() {
            consumer.source.pull(py, many, |input| self.hand_over.give(input));
        }
        match consumer.source.raised.take_if(|it| !it.is_instance_of::<PyException>(py)) {
            Some(interrupt) => {
                self.cancel(py, INTERRUPT_WAIT);
                Err(interrupt)
            }
            None => Ok(()),
        }
    }

    /// Sleeps until there is something to do. What a signal's handler raises ends the run.
    fn sleep(
        &self,
        py: Python<'_>,
        consumer: &mut Consumer,
        until: Option<Instant>,
    ) -> PyResult<()> {
        let sleeper = Sleeper::new();
        let next_told = consumer.progress.is_some().then(|| Instant::now() + PROGRESS_INTERVAL);
        let until = match (until, next_told) {
            (Some(until), Some(told)) => Some(until.min(told)),
            (until, told) => until.or(told),
        };
        if self.hand_over.watch(&sleeper) {
            return Ok(());
        }
        let slept = sleep_detached(py, &sleeper, until);
        self.hand_over.leave();
        if slept.is_err() {
            self.cancel(py, INTERRUPT_WAIT);
        }
        slept.map(drop)
    }

    /// Cancels the run and waits for its end, for so long at most. Returns whether it came.
    fn cancel(&self, py: Python<'_>, wait: Duration) -> bool {
        self.hand_over.cancel.cancel();
        let hand_over = &self.hand_over;
        py.detach(|| hand_over.wait_for_end(Instant::now() + wait))
    }

    fn end(&self, py: Python<'_>, consumer: &mut Consumer, ended: Ended) -> PyResult<Next> {
        if std::mem::replace(&mut consumer.has_raised, true) {
            return Ok(Next::End);
        }
        consumer.told = Instant::now() - PROGRESS_INTERVAL;
        consumer.tell(py, &self.hand_over)?;
        match ended {
            Err(Failed::Run(why)) => return Err(PyRuntimeError::new_err(why)),
            Err(Failed::File(why)) => return Err(PyOSError::new_err(why)),
            Err(Failed::Defect(why)) => return Err(InternalError::new_err(why)),
            Ok(_) => {}
        }
        match consumer.source.raised.take() {
            Some(raised) => Err(raised),
            None => Ok(Next::End),
        }
    }

    /// Takes all rows. Those that were taken before an exception are the next to be taken.
    fn collect(&self, py: Python<'_>) -> PyResult<Table> {
        self.consume(|consumer| {
            self.claim(DIRECT)?;
            let mut rows = Vec::new();
            let result = loop {
                match self.next_of(py, consumer, Wait::Row) {
                    Ok(Next::Row(row)) => {
                        rows.push(*row);
                        rows.extend(consumer.ready.drain(..));
                    }
                    Ok(Next::Pending | Next::End) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            if let Err(error) = result {
                rows.extend(consumer.ready.drain(..));
                consumer.ready = rows.into();
                return Err(error);
            }
            let kept = consumer.source.kept();
            Ok(py.detach(|| Table { data: Arc::new(self.data(rows, kept)) }))
        })
    }

    fn data(&self, rows: Vec<silkmill_scrape::Row>, kept: Option<Kept>) -> Data {
        let rows = rows.into_iter().map(Row::from).collect();
        Data { columns: self.columns.clone(), rows, kept }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a child the run's lock may be held by a thread that is not here.
        if self.generation == generation() {
            self.hand_over.cancel.cancel();
        }
    }
}

impl Consumer {
    fn is_over(&self) -> bool {
        self.is_closed || (self.has_raised && self.ready.is_empty())
    }

    /// Tells the caller's function how far the run is, if it is time.
    fn tell(&mut self, py: Python<'_>, hand_over: &HandOver) -> PyResult<()> {
        let Some(progress) = &self.progress else { return Ok(()) };
        if self.told.elapsed() < PROGRESS_INTERVAL {
            return Ok(());
        }
        self.told = Instant::now();
        let now = hand_over.progress();
        let is_over = hand_over.ended().is_some();
        progress.call1(py, (now.rows, now.errors, now.in_flight, is_over)).map(drop)
    }
}

/// Puts the consumer's part of the run back, also after a panic.
struct PutBack<'a> {
    place: &'a Mutex<Option<Box<Consumer>>>,
    consumer: Option<Box<Consumer>>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        *lock(self.place) = self.consumer.take();
    }
}

/// The rows of a batch, and what is kept of the input.
type Batch = (Vec<Row>, Option<Kept>);

/// The rows of a run as batches, for one reader, on whatever thread it asks.
struct Stream {
    inner: Arc<Inner>,
    schema: SchemaRef,
    number: u64,
    has_ended: bool,
}

impl Iterator for Stream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let batch = Python::try_attach(|py| self.batch(py));
        let batch = batch.unwrap_or_else(|| Err("the interpreter has ended".to_owned()));
        match batch {
            Ok(None) => {
                self.has_ended = true;
                None
            }
            Ok(Some((rows, kept))) => {
                Some(self.inner.columns.batch(&self.schema, &rows, kept.as_ref()))
            }
            Err(why) => {
                self.has_ended = true;
                Some(Err(ArrowError::IoError(why.clone(), std::io::Error::other(why))))
            }
        }
    }
}

impl Stream {
    /// Takes rows for one batch: those that are ready, and at least one. `None` after the last.
    fn batch(&mut self, py: Python<'_>) -> Result<Option<Batch>, String> {
        let taken = edge(|| {
            self.inner.claim(self.number)?;
            self.inner.consume(|consumer| {
                let rows = self.rows(py, consumer)?;
                Ok(rows.map(|rows| (rows, consumer.source.kept())))
            })
        });
        taken.map_err(|error| {
            let why = error.value(py).to_string();
            if error.is_instance_of::<PyKeyboardInterrupt>(py) {
                // The reader knows nothing of Python's exceptions. This raises it once it returns.
                let thread = py.import(intern!(py, "_thread"));
                let _ = thread.and_then(|it| it.call_method0(intern!(py, "interrupt_main")));
                return "interrupted".to_owned();
            }
            why
        })
    }

    /// Takes the rows of one batch.
    ///
    /// On the main thread it waits for the first row, and looks for signals meanwhile. A reader
    /// that has threads of its own, such as DuckDB, may hold a lock over this call for which its
    /// main thread waits, which then sees no signal: on such a thread the wait is short, and ends
    /// in a batch without rows.
    fn rows(&self, py: Python<'_>, consumer: &mut Consumer) -> PyResult<Option<Vec<Row>>> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut wait = match is_main_thread(py)? {
            true => Wait::Row,
            false => Wait::Until(Instant::now() + EMPTY_BATCH_WAIT),
        };
        while rows.len() < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX {
            match self.inner.next_of(py, consumer, wait)? {
                Next::Row(row) => {
                    let row = Row::from(*row);
                    bytes += size(&row);
                    rows.push(row);
                }
                Next::Pending => break,
                Next::End if rows.is_empty() => return Ok(None),
                Next::End => break,
            }
            if rows.len() == 1 {
                wait = Wait::Until(Instant::now() + BATCH_WAIT);
            }
        }
        Ok(Some(rows))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The rows that are left are for this reader alone, so they have no reader any more. In a
        // child the run's lock may be held by a thread that is not here.
        let inner = &self.inner;
        if inner.reader.load(Ordering::Relaxed) == self.number && inner.generation == generation() {
            inner.hand_over.cancel.cancel();
        }
    }
}

/// Returns where the URLs come from.
fn urls_of(
    kind: Kind,
    urls: &Bound<'_, PyAny>,
    column: Option<&str>,
    keep: bool,
) -> PyResult<Urls> {
    let py = urls.py();
    let call = kind.call();
    let iterable = |urls: &Bound<'_, PyAny>| {
        urls.try_iter().map(|iterator| Urls::Iterator(iterator.unbind())).map_err(|_| {
            let found = urls.get_type().name().map_or_else(|_| "this".into(), |it| it.to_string());
            PyTypeError::new_err(format!("{call}() takes an iterable of URLs, and not {found}"))
        })
    };
    if urls.hasattr(intern!(py, "__arrow_c_stream__"))?
        && let Some(batches) = Batches::of(urls, column, keep)?
    {
        return Ok(Urls::Batches(Box::new(batches)));
    }
    if column.is_some() || keep {
        return Err(PyTypeError::new_err(format!(
            "{call}() option {} is for a table, and this is none",
            if keep { "\"keep\"" } else { "\"url\"" }
        )));
    }
    if let Ok(url) = urls.cast::<PyString>() {
        return iterable(PyList::new(py, [url])?.as_any());
    }
    // Arrays of Arrow give scalars of their own when they are iterated over.
    match urls.getattr_opt(intern!(py, "to_pylist"))? {
        Some(to_list) => iterable(&to_list.call0()?),
        None => iterable(urls),
    }
}
