//! Asks one address at a time, follows its redirects, tries again. One client a worker.
//! Threads and order are `run`'s; what stands in the page is the extractor's.

use std::io::{self, Read};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use silkmill::CancelToken;
use ureq::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION,
    PROXY_AUTHORIZATION, RETRY_AFTER,
};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};
use url::Url;

use crate::board::{Done, Ended, Item, Manner};
use crate::charset;
use crate::connection::Shared;
use crate::encoding::Encoding;
use crate::fault::Fault;
use crate::host::Turn;
use crate::options::Options;
use crate::outcome::{Failure, FailureKind, Phase, Row, Timing};
use crate::retry::{self, Dice};
use crate::run;
use crate::source::{Input, URL_BYTES_MAX};
use crate::trace::Trace;

/// The head of a response, at the most: twice what other clients take. A connection's buffer must
/// hold it, so that it is most of the memory that a worker needs.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// What comes is read in pieces of this size. A head must fit.
const INPUT_BUFFER_BYTES: usize = HEAD_BYTES_MAX + 1024;
/// The longest line of a request must fit: one with an address, or a header of the user's. The
/// buffers of a connection are zeroed when it is made, so larger ones cost time, too.
const OUTPUT_BUFFER_BYTES: usize = URL_BYTES_MAX + 8 * 1024;
/// Connections one client keeps for later; it uses one at a time.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// The body of a redirect is read to this length, so that the connection can be used again.
const REDIRECT_BODY_BYTES_MAX: u64 = 16 * 1024;
/// A body is read in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;
/// Memory that a client keeps for the next body.
const BODY_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// What the clients of one run share, and the handle to stop them all.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    options: Arc<Options>,
    cancel: CancelToken,
    shared: Shared,
    /// Clients that no worker uses just now. Workers take and return them.
    spare: Arc<Mutex<Vec<Client>>>,
    /// Written by every worker when it starts, emptied by the run when it ends early.
    agents: Arc<Mutex<Vec<Agent>>>,
    /// How many clients there have been.
    made: Arc<AtomicU32>,
}

impl Clients {
    pub(crate) fn new(options: &Options, cancel: &CancelToken) -> Clients {
        Clients {
            options: Arc::new(options.clone()),
            cancel: cancel.clone(),
            shared: Shared::default(),
            spare: Arc::default(),
            agents: Arc::default(),
            made: Arc::default(),
        }
    }

    /// One attempt at an item, whatever happens. Gives no row when the run is over and there is nothing
    /// true to say.
    pub(crate) fn work(&self, turn: Turn<Box<Job>>) -> Done<Job> {
        let Turn { host, item: mut job } = turn;
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = spare.unwrap_or_else(|| self.client());
        let (manner, ended) = match guarded(|| client.read(&mut job)) {
            Ok(Attempt { manner, again: Some(wait), .. }) if !self.cancel.is_cancelled() => {
                self.keep(client);
                (manner, Ended::Again(job, wait))
            }
            Ok(Attempt { manner, row, .. }) => {
                self.keep(client);
                // An error may only say that we broke the request off.
                let broken_off = self.cancel.is_cancelled() && row.error.is_some();
                (manner, Ended::Row((!broken_off).then_some(row)))
            }
            // The client may be half changed, and is not used again.
            Err(why) => {
                (Manner::Unknown, Ended::Row(Some(run::failed(job.index, &job.input, why))))
            }
        };
        Done { host, manner, ended }
    }

    fn keep(&self, client: Client) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }

    /// A new client. `stop` reaches it, too.
    fn client(&self) -> Client {
        let trace = Trace::new();
        let agent = Agent::with_parts(
            self.config(),
            self.shared.connector(&trace),
            self.shared.resolver(&trace),
        );
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).push(agent.clone());
        let options = Arc::clone(&self.options);
        let seed = 0x5eed + u64::from(self.made.fetch_add(1, Ordering::Relaxed));
        Client { options, agent, trace, body: Vec::new(), dice: Dice::new(seed) }
    }

    /// Ends every request there is, at once where bytes are awaited. A connection that is being
    /// made, or a lookup, ends with its own timeout.
    pub(crate) fn stop(&self) {
        for agent in self.agents.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            agent.shutdown();
        }
    }

    fn config(&self) -> ureq::config::Config {
        let options = &self.options;
        Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            // We follow redirects ourselves: the chain belongs in the row.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(options.timeout))
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_connect(Some(options.connect_timeout))
            .max_response_header_size(HEAD_BYTES_MAX)
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(1)
            .user_agent(options.user_agent.as_str())
            .build()
    }
}

/// One input on its way to its row.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) index: u64,
    pub(crate) input: Input,
    url: Url,
    attempts: u32,
    /// When the first attempt began.
    started: Option<Instant>,
}

impl Job {
    pub(crate) fn new(index: u64, input: Input, url: Url) -> Job {
        Job { index, input, url, attempts: 0, started: None }
    }
}

impl Item for Job {
    fn place(&self) -> u64 {
        self.index
    }

    fn host(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    fn bytes(&self) -> usize {
        self.input.shown().len() + self.url.as_str().len()
    }
}

/// What an attempt came to.
struct Attempt {
    row: Row,
    manner: Manner,
    /// Whether there is to be another attempt, and when.
    again: Option<Duration>,
}

/// Asks one address at a time.
#[derive(Debug)]
struct Client {
    options: Arc<Options>,
    agent: Agent,
    trace: Trace,
    body: Vec<u8>,
    dice: Dice,
}

/// What one attempt came to.
#[derive(Debug)]
struct Visit {
    /// The address asked last.
    url: Url,
    redirects: Vec<String>,
    status: Option<u16>,
    timing: Timing,
    /// What the server asks for with a status that passes.
    retry_after: Option<Duration>,
    result: Result<Page, Fault>,
}

impl Visit {
    /// What it teaches about the host that was asked first: where redirects led does not count.
    fn manner(&self) -> Manner {
        match self.status {
            Some(_) if !self.redirects.is_empty() => Manner::Well,
            Some(status) if retry::is_refusal(status) => Manner::Refuses(self.retry_after),
            Some(_) => Manner::Well,
            None => Manner::Unknown,
        }
    }
}

/// What is known of a body that was read. Its bytes are in the client.
#[derive(Debug, Default)]
struct Page {
    content_type: Option<String>,
    bytes: u64,
    truncated: bool,
}

impl Client {
    /// One attempt.
    fn read(&mut self, job: &mut Job) -> Attempt {
        let started = *job.started.get_or_insert_with(Instant::now);
        job.attempts += 1;
        let visit = self.attempt(&job.url);
        let manner = visit.manner();
        let passing = match &visit.result {
            Ok(_) => visit.status.is_some_and(retry::is_passing),
            Err(fault) => fault.may_pass,
        };
        let again = (passing && job.attempts <= self.options.retries).then(|| {
            visit.retry_after.unwrap_or_else(|| retry::pause(job.attempts, self.dice.roll()))
        });
        let mut row = Row {
            index: job.index,
            url: job.input.shown().to_owned(),
            final_url: Some(visit.url.into()),
            status: visit.status,
            redirects: visit.redirects,
            timing: visit.timing,
            attempts: job.attempts,
            worker: thread::current().name().unwrap_or_default().to_owned(),
            ..Row::default()
        };
        match visit.result {
            Ok(page) if again.is_none() => self.fill(&mut row, page),
            Ok(_) => {}
            Err(fault) => row.error = Some(fault.failure),
        }
        row.elapsed = started.elapsed();
        Attempt { row, manner, again }
    }

    /// Reads what the page says into the row.
    fn fill(&mut self, row: &mut Row, page: Page) {
        row.bytes = page.bytes;
        row.truncated = page.truncated;
        match &self.options.extractor {
            Some(extractor) => {
                let extracted = extractor.extract(&self.body, page.content_type.as_deref());
                row.title = extracted.title;
                row.fields = extracted.fields;
                row.charset = extracted.charset.map(str::to_owned);
                row.truncated |= extracted.truncated;
                row.error = too_costly(&extracted.unfinished);
            }
            None => {
                let named = page.content_type.as_deref().and_then(charset::named);
                row.charset = named.map(str::to_owned);
            }
        }
        if let Some(folder) = &self.options.save
            && self.options.method != Method::HEAD
        {
            row.error = folder.keep(row.index, &self.body).err();
        }
        self.body.clear();
        self.body.shrink_to(BODY_KEPT_BYTES_MAX);
    }

    /// One go at an address, redirects and body included.
    fn attempt(&mut self, url: &Url) -> Visit {
        let deadline = Instant::now() + self.options.timeout;
        let mut visit = Visit {
            url: url.clone(),
            redirects: Vec::new(),
            status: None,
            timing: Timing::default(),
            retry_after: None,
            result: Ok(Page::default()),
        };
        visit.result = loop {
            match self.ask(url, &visit, deadline) {
                Ok(mut response) => {
                    visit.status = Some(response.status().as_u16());
                    visit.retry_after = retry_after(&response);
                    match self.redirect(&response, &visit) {
                        Ok(None) => break self.read_body(&mut response),
                        Ok(Some(next)) => {
                            drain(&mut response);
                            visit.redirects.push(next.as_str().to_owned());
                            visit.url = next;
                        }
                        Err(fault) => break Err(fault),
                    }
                }
                Err(fault) => break Err(fault),
            }
        };
        visit.timing = self.trace.timing();
        visit
    }

    /// Sends one request and reads the head of its response.
    fn ask(&self, given: &Url, visit: &Visit, deadline: Instant) -> Result<Response<Body>, Fault> {
        let redirected = !visit.redirects.is_empty();
        let led_by_public = redirected && self.trace.went_public();
        loop {
            self.trace.begin(led_by_public);
            let mut request = self.request(given, &visit.url)?;
            if redirected {
                // Zero would be taken for no time having been set.
                let left = deadline.saturating_duration_since(Instant::now());
                let left = left.max(Duration::from_millis(1));
                request = self.agent.configure_request(request).timeout_global(Some(left)).build();
            }
            match self.agent.run(request) {
                // The server closed an idle connection just as we used it, which is nobody's
                // fault. A client keeps one connection to a host, so the next one is new.
                Err(ureq::Error::Io(error))
                    if closed(&error) && self.trace.is_unanswered_reuse() => {}
                sent => return sent.map_err(|error| self.fault(error)),
            }
        }
    }

    fn request(&self, given: &Url, url: &Url) -> Result<Request<()>, Fault> {
        let mut request =
            Request::builder().method(self.options.method.clone()).uri(without_fragment(url));
        let same_origin = given.origin() == url.origin();
        for (name, value) in &self.options.headers {
            let only_there = [AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION].contains(name);
            if same_origin || !only_there {
                request = request.header(name, value);
            }
        }
        // The two ideas of what an address is differ in odd corners; then it cannot be asked.
        let refuse = |error: ureq::http::Error| {
            Fault::lasting(FailureKind::Url, Phase::Request, error.to_string())
        };
        request.body(()).map_err(refuse)
    }

    /// Where the response sends us on, if it does and we go.
    fn redirect(&self, response: &Response<Body>, visit: &Visit) -> Result<Option<Url>, Fault> {
        let refuse =
            |why: String| Err(Fault::lasting(FailureKind::Redirects, Phase::Response, why));
        let redirects_max = self.options.redirects_max;
        let leads_on = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = response.headers().get(LOCATION).filter(|_| leads_on && redirects_max > 0);
        let Some(location) = location else { return Ok(None) };
        if visit.redirects.len() >= redirects_max as usize {
            return refuse(format!("more than {redirects_max} redirects"));
        }
        let location = String::from_utf8_lossy(location.as_bytes());
        match visit.url.join(&location) {
            Ok(next) if next.as_str().len() > URL_BYTES_MAX => {
                refuse("redirected to an address that is too long".to_owned())
            }
            Ok(next) if matches!(next.scheme(), "http" | "https") => Ok(Some(next)),
            Ok(next) => refuse(format!("redirected to {:?}, which is not http", next.as_str())),
            Err(error) => refuse(format!("redirected to {location:?}: {error}")),
        }
    }

    /// Reads the body to its end or to the bound. It is kept for the extractor or the disk.
    fn read_body(&mut self, response: &mut Response<Body>) -> Result<Page, Fault> {
        self.trace.enter(Phase::Body);
        self.body.clear();
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type =
            content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let mut page = Page { content_type, ..Page::default() };
        let encoding = match self.options.method == Method::HEAD || is_empty(response) {
            true => Encoding::Identity,
            false => encoding_of(response)?,
        };
        let body = response.body_mut().as_reader();
        let mut reader = encoding.decode(body).map_err(|error| self.fault(error.into()))?;
        let mut piece = [0; PIECE_BYTES];
        while !page.truncated {
            let length = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => return Err(self.fault(ureq::Error::from(error))),
            };
            let room = self.options.body_bytes_max - page.bytes;
            let taken = length.min(usize::try_from(room).unwrap_or(usize::MAX));
            page.bytes += taken as u64;
            page.truncated = taken < length;
            if self.options.keeps_bodies() {
                self.body.extend_from_slice(&piece[..taken]);
            }
        }
        Ok(page)
    }

    fn fault(&self, error: ureq::Error) -> Fault {
        Fault::new(error, self.trace.phase(), &self.options)
    }
}

/// The failure of a page on which some fields cost too much.
fn too_costly(fields: &[String]) -> Option<Failure> {
    let name = fields.first()?;
    let message = match fields.len() {
        1 => format!("field {name:?} costs too much on this page"),
        count => format!("{count} fields cost too much on this page, the first of them {name:?}"),
    };
    Some(Failure::new(FailureKind::Body, Phase::Extract, message))
}

/// Does `work`; a panic is a message. What it worked on may be half changed then.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        format!("a mistake in silkmill: {}", text.unwrap_or("a panic without words"))
    })
}

/// Whether there is no body, whatever the head says of one.
fn is_empty(response: &Response<Body>) -> bool {
    matches!(response.status().as_u16(), 204 | 304) || response.body().content_length() == Some(0)
}

/// The encoding of a body that is still encoded.
fn encoding_of(response: &Response<Body>) -> Result<Encoding, Fault> {
    let header = response.headers().get(CONTENT_ENCODING);
    let name = header.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    Encoding::named(&name).ok_or_else(|| {
        let why = format!("the body is encoded as {name:?}, which cannot be decoded");
        Fault::lasting(FailureKind::Body, Phase::Body, why)
    })
}

/// The wait that a server asks for, with a status that passes.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let header = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    retry::is_passing(response.status().as_u16())
        .then(|| retry::retry_after(header, SystemTime::now()))?
}

/// Whether the other side closed the connection.
fn closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe)
}

/// Reads the short body of a redirect. A failure shows when the next request is made.
fn drain(response: &mut Response<Body>) {
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if length
        .and_then(|length| length.parse().ok())
        .is_some_and(|n: u64| n <= REDIRECT_BODY_BYTES_MAX)
    {
        let _ = io::copy(&mut response.body_mut().as_reader(), &mut io::sink());
    }
}

/// The address as it is sent: what comes after `#` is for the browser.
fn without_fragment(url: &Url) -> String {
    let end = url.fragment().map_or(url.as_str().len(), |part| url.as_str().len() - part.len() - 1);
    url.as_str()[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_is_not_sent() {
        for (given, sent) in [
            ("http://a/b?c#d", "http://a/b?c"),
            ("http://a/#", "http://a/"),
            ("http://a/b", "http://a/b"),
        ] {
            assert_eq!(without_fragment(&Url::parse(given).unwrap()), sent);
        }
    }

    #[test]
    fn a_panic_is_caught_and_quoted() {
        assert_eq!(guarded(|| 5), Ok(5));
        let why = guarded(|| -> u8 { panic!("no {}", "silk") }).unwrap_err();
        assert_eq!(why, "a mistake in silkmill: no silk");
    }
}
