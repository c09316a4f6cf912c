//! The connection to PostgreSQL: a thread that has it, and work that is sent there, as often as it
//! takes.
//!
//! The client of a database waits without a deadline when the database stops answering, and so may
//! its end. Therefore it is on a thread of its own. Who sends work waits for the answer in slices,
//! notices a cancel, and leaves a thread that does not answer behind.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Config, Row, Statement};
use silkmill::CancelToken;

use crate::crawl::frontier::fleet::address::Address;
use crate::crawl::frontier::fleet::tls::{self, Refused};
use crate::error::{Error, ErrorKind};

/// How long a database that was there may be away.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long a first connection is tried, and work that is to end a crawl which was cancelled.
const PATIENCE_SHORT: Duration = Duration::from_secs(5);
/// The pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long one piece of work may take before its connection is left behind. The database itself
/// gives up a statement before that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// How often who waits looks for a cancel.
const SLICE: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection whose other side is gone is noticed after this time.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// What every connection is set to. An open transaction holds back the database's upkeep, so none
/// is left open; the clocks that matter are those of the statements.
const SETTINGS: &str = "SET application_name = 'silkmill'; SET statement_timeout = '60s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'warning'; \
     SET standard_conforming_strings = on; SET TimeZone = 'UTC'";

/// A database, connected to when there is work.
pub(super) struct Database {
    address: Arc<Address>,
    cancel: CancelToken,
    connection: Option<Connection>,
    was_there: bool,
}

/// A thread that has a connection.
struct Connection {
    work: Sender<Work>,
}

type Work = Box<dyn FnOnce(&mut Session) + Send>;

/// Where a piece of work is done: a connection, and the statements that it knows.
pub(super) struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

/// What a statement can fail with.
pub(super) type Failure = postgres::Error;

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("address", &self.address.shown()).finish_non_exhaustive()
    }
}

impl Database {
    pub(super) fn new(address: Address, cancel: &CancelToken) -> Database {
        Database {
            address: Arc::new(address),
            cancel: cancel.clone(),
            connection: None,
            was_there: false,
        }
    }

    /// Does `work` in the database, again and again while the database is away or asks for it.
    /// Whether work that had no answer was done is for `work` to find out.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        what: &'static str,
        work: impl Fn(&mut Session) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let work = Arc::new(work);
        let started = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            let why = match self.attempt(&work) {
                Ok(answer) => {
                    self.was_there = true;
                    return Ok(answer);
                }
                Err(why) => why,
            };
            if why.ends_connection {
                self.connection = None;
            }
            let is_short = !self.was_there || self.cancel.is_cancelled();
            let patience = if is_short { PATIENCE_SHORT } else { PATIENCE };
            if !why.may_pass || started.elapsed() >= patience {
                return Err(self.failed(what, why.text));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    pub(super) fn failed(&self, what: &'static str, why: String) -> Error {
        ErrorKind::Fleet(self.address.shown().to_owned(), what, why).into()
    }

    fn attempt<T: Send + 'static>(
        &mut self,
        work: &Arc<impl Fn(&mut Session) -> Result<T, Failure> + Send + Sync + 'static>,
    ) -> Result<T, Reason> {
        let connection = match &self.connection {
            Some(connection) => connection,
            None => {
                let (connection, is_open) = Connection::start(Arc::clone(&self.address));
                self.wait(&is_open, CONNECT_TIMEOUT * 2)??;
                self.connection.insert(connection)
            }
        };
        let (answer, answered) = channel();
        let work = Arc::clone(work);
        let task: Work = Box::new(move |session| drop(answer.send(work(session))));
        connection.work.send(task).map_err(|_| Reason::lost("the connection was closed"))?;
        self.wait(&answered, ANSWER_TIMEOUT)?.map_err(|error| Reason::of(&error))
    }

    fn wait<T>(&self, answer: &Receiver<T>, timeout: Duration) -> Result<T, Reason> {
        let deadline = Instant::now() + timeout;
        let mut cancelled: Option<Instant> = None;
        loop {
            match answer.recv_timeout(SLICE) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Reason::lost("the connection was closed"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.cancel.is_cancelled() {
                let since = *cancelled.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE_SHORT {
                    return Err(Reason::lost("it does not answer"));
                }
            }
            if Instant::now() >= deadline {
                return Err(Reason::lost("it does not answer"));
            }
        }
    }
}

impl Connection {
    /// Starts a thread that connects, says so, and then does what it is sent. The thread ends with
    /// its sender, or with the process.
    fn start(address: Arc<Address>) -> (Connection, Receiver<Result<(), Reason>>) {
        let (work, pieces) = channel::<Work>();
        let (open, is_open) = channel();
        let run = move || {
            let mut session = match Session::open(&address) {
                Ok(session) => session,
                Err(why) => return drop(open.send(Err(why))),
            };
            if open.send(Ok(())).is_ok() {
                pieces.iter().for_each(|work| work(&mut session));
            }
        };
        let thread = thread::Builder::new().name("silkmill-database".to_owned());
        // Without a thread the channel is closed, which is an answer, too.
        drop(thread.spawn(run));
        (Connection { work }, is_open)
    }
}

impl Session {
    fn open(address: &Address) -> Result<Session, Reason> {
        let mut config: Config = address.config();
        config.connect_timeout(CONNECT_TIMEOUT);
        config.tcp_user_timeout(DEAD_AFTER);
        config.keepalives_idle(DEAD_AFTER / 3);
        config.keepalives_interval(DEAD_AFTER / 6);
        config.keepalives_retries(3);
        let mut client = tls::connect(address, &config).map_err(|refused| match refused {
            Refused::Address(why) => Reason::permanent(why),
            Refused::Client(error) => Reason::of(&error),
        })?;
        client
            .batch_execute(&format!("{SETTINGS}; SET search_path = {}", address.schema()))
            .map_err(|error| Reason::of(&error))?;
        Ok(Session { client, statements: HashMap::new() })
    }

    fn prepare(&mut self, statement: &str) -> Result<Statement, Failure> {
        if let Some(prepared) = self.statements.get(statement) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(statement)?;
        self.statements.insert(statement.to_owned(), prepared.clone());
        Ok(prepared)
    }

    pub(super) fn query(
        &mut self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let prepared = self.prepare(statement)?;
        self.client.query(&prepared, values)
    }

    /// Asks for the one row that there must be.
    pub(super) fn query_one(
        &mut self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Failure> {
        let prepared = self.prepare(statement)?;
        self.client.query_one(&prepared, values)
    }

    pub(super) fn execute(
        &mut self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Failure> {
        let prepared = self.prepare(statement)?;
        self.client.execute(&prepared, values)
    }

    /// Runs statements that have no values, one after another.
    pub(super) fn batch(&mut self, statements: &str) -> Result<(), Failure> {
        self.client.batch_execute(statements)
    }

    /// Does `work` in one transaction: all of it or nothing. `None` undoes it.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Session) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        self.batch("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        match work(self) {
            Ok(Some(done)) => self.batch("COMMIT").map(|()| Some(done)),
            Ok(None) => self.batch("ROLLBACK").map(|()| None),
            Err(error) => {
                // A connection that is lost has rolled back by itself.
                let _ = self.batch("ROLLBACK");
                Err(error)
            }
        }
    }
}

/// Why a piece of work has no result.
#[derive(Debug)]
struct Reason {
    text: String,
    /// Whether it may be otherwise a little later.
    may_pass: bool,
    ends_connection: bool,
}

impl Reason {
    fn permanent(text: String) -> Reason {
        Reason { text, may_pass: false, ends_connection: true }
    }

    fn lost(text: &str) -> Reason {
        Reason { text: text.to_owned(), may_pass: true, ends_connection: true }
    }

    fn of(error: &Failure) -> Reason {
        let Some(database) = error.as_db_error() else {
            // The client failed, or the network. A wrong password is an error of the client's
            // where the server asks for one and there is none.
            let text = words_of(error);
            let is_of_network = error.is_closed() || is_io(error);
            return Reason { text, may_pass: is_of_network, ends_connection: true };
        };
        let code = database.code();
        let is_class = |class: &str| code.code().starts_with(class);
        // Two transactions got in each other's way, or a statement took too long: the same again.
        let is_conflict = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
        ]
        .contains(code);
        // The server is going down or coming up, or has no room for one more.
        let is_away = is_class("08") || is_class("57P") || is_class("53");
        let mut text = database.message().to_owned();
        if let Some(detail) = database.detail() {
            text += &format!(" ({detail})");
        }
        Reason { text, may_pass: is_conflict || is_away, ends_connection: !is_conflict }
    }
}

fn is_io(error: &Failure) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns what the client says, with its causes.
fn words_of(error: &Failure) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // An I/O error hides the error of TLS that it is made of.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let of_tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(of_tls) = of_tls {
            return format!("{text}: {}", tls::in_words(of_tls));
        }
        let words = error.to_string();
        let words = words.split(" (os error").next().unwrap_or_default();
        if !text.contains(words) {
            text += &format!(": {}", words.to_lowercase());
        }
        cause = error.source();
    }
    text
}
