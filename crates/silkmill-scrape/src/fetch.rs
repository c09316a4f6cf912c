//! Asks one address at a time, follows its redirects. One client a worker.
//! Threads and order are `run`'s; what stands in the page is the extractor's.

mod content_encoding;
mod cookie;
pub(crate) mod job;
mod request;

use std::io::{self, BufRead, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use silkmill::CancelToken;
use url::Url;

use crate::fetch::content_encoding::Encoding;
use crate::fetch::job::{Hop, Job};
use crate::fetch::request::{Asked, Template};
use crate::input::URL_BYTES_MAX;
use crate::net::address::Rule;
use crate::net::connection::{Brake, Connection, Inbox, Incoming};
use crate::net::dialer::Dialer;
use crate::net::fault::{self, Fault};
use crate::net::http::{BodyReader, Framing, Head, Malformed};
use crate::net::idle_pool::Idle;
use crate::net::trace::Trace;
use crate::options::{Method, Options};
use crate::page::charset;
use crate::retry::{self, Dice};
use crate::robots::cache::{RobotsCache, Verdict};
use crate::row::{Failure, FailureKind, Phase, Row};

/// The body of a redirect, or the end of one that was not wanted, is read to this length, so that
/// the connection can be used again.
const DRAINED_BYTES_MAX: u64 = 16 * 1024;
/// A body that must be decoded is read in pieces of this size.
const PIECE_BYTES: usize = 16 * 1024;
/// Memory that a client keeps for the next body.
const BODY_KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Responses that only announce the real one (1xx).
const ANNOUNCEMENTS_MAX: usize = 16;

/// What an attempt taught about its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Unknown,
    Well,
    /// It asks to be left alone, perhaps for a certain time.
    Refuses(Option<Duration>),
}

/// What an attempt at an item came to.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) manner: Manner,
    /// Set when it is known what the host allows: the pause between two starts that it asks for.
    pub(crate) crawl_delay: Option<Duration>,
    pub(crate) next: Next,
}

/// How an item goes on after an attempt.
#[derive(Debug)]
pub(crate) enum Next {
    /// It has its row; none when the run was over first.
    Row(Option<Box<Row>>),
    /// It is to be tried again after a while; or goes on at another host, at once.
    Again(Box<Job>, Duration),
}

/// What the clients of one run share, and the handle to stop them all.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    shared: Arc<Shared>,
    cancel: CancelToken,
    /// Clients that no worker uses just now. Workers take and return them.
    spare: Arc<Mutex<Vec<Client>>>,
    /// Written by every worker when it starts, emptied by the run when it ends early.
    brakes: Arc<Mutex<Vec<Brake>>>,
    /// How many clients there have been.
    made: Arc<AtomicU32>,
}

/// What all requests of a run need.
#[derive(Debug)]
pub(crate) struct Shared {
    options: Options,
    template: Template,
    dialer: Dialer,
    idle: Idle,
    robots: Option<RobotsCache>,
}

impl Clients {
    pub(crate) fn new(options: &Options, cancel: &CancelToken) -> Clients {
        let shared = Shared {
            template: Template::new(options),
            dialer: Dialer::new(options.dialer_settings()),
            idle: Idle::new(options.workers),
            robots: options.robots.then(|| RobotsCache::new(&options.user_agent)),
            options: options.clone(),
        };
        Clients {
            shared: Arc::new(shared),
            cancel: cancel.clone(),
            spare: Arc::default(),
            brakes: Arc::default(),
            made: Arc::default(),
        }
    }

    /// One attempt at an item, or the part of it that is at one host, whatever happens. Gives no row
    /// when the run is over and there is nothing true to say.
    pub(crate) fn work(&self, mut job: Box<Job>) -> Fetched {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = spare.unwrap_or_else(|| self.client());
        let mut asker = Asker { shared: &self.shared, client: &mut client, open: None };
        let step = guarded(|| asker.step(&mut job));
        let crawl_delay = asker.open;
        let (manner, next) = match step {
            Ok(Step { manner, then }) => {
                self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(client);
                let next = match then {
                    // An error may only say that we broke the request off.
                    Then::Row(row) if row.error.is_some() && self.cancel.is_cancelled() => {
                        Next::Row(None)
                    }
                    Then::Again(_) if self.cancel.is_cancelled() => Next::Row(None),
                    Then::Row(row) => Next::Row(Some(row)),
                    Then::Again(wait) => Next::Again(job, wait),
                };
                (manner, next)
            }
            // The client may be half changed, and is not used again.
            Err(why) => {
                let row = Row::failed(job.index, job.input.shown(), why);
                (Manner::Unknown, Next::Row(Some(Box::new(row))))
            }
        };
        Fetched { manner, crawl_delay, next }
    }

    /// A new client. `stop` reaches it, too.
    fn client(&self) -> Client {
        let brake = Brake::default();
        self.brakes.lock().unwrap_or_else(PoisonError::into_inner).push(brake.clone());
        let seed = 0x5eed + u64::from(self.made.fetch_add(1, Ordering::Relaxed));
        Client {
            inbox: Inbox::new(),
            outbox: String::new(),
            body: Vec::new(),
            brake,
            trace: Trace::begin(),
            dice: Dice::new(seed),
            worker: Arc::default(),
        }
    }

    /// Ends every request there is, whatever it waits for.
    pub(crate) fn stop(&self) {
        self.shared.dialer.stop();
        for brake in self.brakes.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            brake.pull();
        }
        self.shared.idle.clear();
    }
}

/// What one worker needs to ask.
#[derive(Debug)]
struct Client {
    inbox: Inbox,
    outbox: String,
    body: Vec<u8>,
    brake: Brake,
    trace: Trace,
    dice: Dice,
    /// The name of the thread that used it last.
    worker: Arc<str>,
}

/// One step of a job.
struct Step {
    manner: Manner,
    then: Then,
}

enum Then {
    Row(Box<Row>),
    /// To be tried again after a while, or to go on at another host at once.
    Again(Duration),
}

/// What an attempt came to, as far as it could be made at one host.
enum Attempted {
    Page(Page),
    /// It goes on at another host.
    Elsewhere,
    /// The host's robots.txt is known now, and asks for a pause.
    Later,
}

/// A response whose body is still to be read.
struct Response {
    head: Head,
    connection: Connection,
}

/// What is known of a body that was read. Its bytes are in the client.
#[derive(Debug, Default)]
struct Page {
    content_type: Option<String>,
    bytes: u64,
    truncated: bool,
}

/// A client at work.
struct Asker<'a> {
    shared: &'a Shared,
    client: &'a mut Client,
    /// Set when it is known what the host allows.
    open: Option<Duration>,
}

impl Asker<'_> {
    fn step(&mut self, job: &mut Job) -> Step {
        let options = &self.shared.options;
        let started = *job.started.get_or_insert_with(Instant::now);
        let hop = job.hop.take();
        job.attempts += u32::from(hop.is_none());
        let mut hop = hop.unwrap_or_else(|| Box::new(Hop::new(&job.url, options.timeout)));
        let ends = Instant::now() + hop.left;
        let attempted = self.attempt(job, &mut hop, ends);
        let manner = manner(&hop, &attempted);
        let passing = match &attempted {
            Ok(Attempted::Page(_)) => hop.status.is_some_and(retry::is_passing),
            Ok(Attempted::Elsewhere | Attempted::Later) => {
                hop.left = ends.saturating_duration_since(Instant::now());
                job.go_to(hop);
                return Step { manner, then: Then::Again(Duration::ZERO) };
            }
            Err(fault) => fault.may_pass,
        };
        if passing && job.attempts <= options.retries {
            let own = retry::pause(job.attempts, self.client.dice.roll());
            job.start_anew();
            return Step { manner, then: Then::Again(hop.retry_after.unwrap_or(own)) };
        }
        let mut row = Row {
            index: job.index,
            url: job.input.take_shown(),
            final_url: Some(hop.url.into()),
            status: hop.status,
            redirects: hop.redirects,
            timing: self.client.trace.timing(),
            attempts: job.attempts,
            worker: self.client.worker(),
            ..Row::default()
        };
        match attempted {
            Ok(Attempted::Page(page)) => self.fill(&mut row, page),
            Err(fault) => row.error = Some(fault.failure),
            Ok(Attempted::Elsewhere | Attempted::Later) => {}
        }
        row.elapsed = started.elapsed();
        Step { manner, then: Then::Row(Box::new(row)) }
    }

    /// Reads what the page says into the row.
    fn fill(&mut self, row: &mut Row, page: Page) {
        row.bytes = page.bytes;
        row.truncated = page.truncated;
        match &self.shared.options.extractor {
            Some(extractor) => {
                let extracted = extractor.extract(&self.client.body, page.content_type.as_deref());
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
        if let Some(folder) = &self.shared.options.save
            && self.shared.options.method != Method::Head
        {
            row.error = folder.keep(row.index, &self.client.body).err();
        }
        self.client.body.clear();
        self.client.body.shrink_to(BODY_KEPT_BYTES_MAX);
    }

    /// Asks, and follows redirects as long as they stay at the host.
    fn attempt(&mut self, job: &Job, hop: &mut Hop, ends: Instant) -> Result<Attempted, Fault> {
        loop {
            if !self.may_ask(job, hop, ends)? {
                return Ok(Attempted::Later);
            }
            let response = self.ask(self.shared.options.method, hop, ends)?;
            let head = &response.head;
            hop.status = Some(head.status);
            hop.retry_after = retry_after(head);
            for cookie in &head.set_cookies {
                hop.cookies.set(&hop.url, cookie);
            }
            let Some(next) = self.redirect(head, hop)? else {
                return self.read_body(response, hop).map(Attempted::Page);
            };
            hop.led_by_public |= response.connection.is_private != Some(true);
            self.drain(response, hop);
            let is_elsewhere = hop.follow(next, &job.url);
            // Another request to the same host has its own time to start, where hosts have one.
            if is_elsewhere || self.shared.options.spaces_starts() {
                return Ok(Attempted::Elsewhere);
            }
        }
    }

    /// Whether robots.txt allows it. False when the host wants a pause before it is asked for more.
    fn may_ask(&mut self, job: &Job, hop: &Hop, ends: Instant) -> Result<bool, Fault> {
        let Some(robots) = &self.shared.robots else { return Ok(true) };
        let (verdict, is_new) = match robots.verdict(&hop.url) {
            Some(verdict) => (verdict, false),
            None => {
                let file = self.fetch_robots(job, hop, ends)?;
                robots.learn(&hop.url, file);
                (robots.verdict(&hop.url).unwrap_or(Verdict::Allowed(Duration::ZERO)), true)
            }
        };
        match verdict {
            Verdict::Allowed(delay) => {
                self.open = Some(delay);
                let delay = delay.max(self.shared.options.delay);
                Ok(!is_new || delay.is_zero())
            }
            Verdict::Refused(why) => {
                self.open = Some(Duration::ZERO);
                self.client.trace = Trace::begin();
                Err(Fault::lasting(FailureKind::Robots, Phase::Request, why))
            }
        }
    }

    /// Gets the host's robots.txt, as `RobotsCache::learn` wants it.
    fn fetch_robots(
        &mut self,
        job: &Job,
        page: &Hop,
        ends: Instant,
    ) -> Result<Result<Vec<u8>, u16>, Fault> {
        let url = page
            .url
            .join("/robots.txt")
            .map_err(|error| Fault::lasting(FailureKind::Url, Phase::Request, error.to_string()))?;
        let mut hop = page.for_robots(url);
        loop {
            let response = self.ask(Method::Get, &hop, ends).map_err(in_robots)?;
            let status = response.head.status;
            let next = match response.head.location.as_deref() {
                Some(location) if is_redirect(status) => hop.url.join(location).ok(),
                _ => None,
            };
            if let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https")) {
                if hop.redirects.len() >= crate::robots::cache::REDIRECTS_MAX {
                    // The standard allows to take it for a file that is not there.
                    return Ok(Err(404));
                }
                hop.led_by_public |= response.connection.is_private != Some(true);
                self.drain(response, &hop);
                hop.follow(next, &job.url);
                continue;
            }
            if status != 200 {
                self.drain(response, &hop);
                return Ok(Err(if is_redirect(status) { 404 } else { status }));
            }
            let mut file = Vec::new();
            let bytes_max = crate::robots::FILE_BYTES_MAX as u64;
            self.read_into(response, &hop, bytes_max, |piece| file.extend_from_slice(piece))
                .map_err(in_robots)?;
            return Ok(Ok(file));
        }
    }

    /// Sends one request and reads the head of its response.
    fn ask(&mut self, method: Method, hop: &Hop, ends: Instant) -> Result<Response, Fault> {
        let rule = self.rule(hop);
        let fits =
            |connection: &Connection| rule == Rule::All || connection.is_private != Some(true);
        let mut used = self.shared.idle.take(&hop.origin, fits);
        loop {
            self.client.trace = Trace::begin();
            let is_used = used.is_some();
            let client = &mut *self.client;
            let mut connection = match used.take() {
                Some(connection) => connection,
                None => {
                    let dialler = &self.shared.dialer;
                    dialler.dial(&hop.url, rule, ends, &client.brake, &mut client.trace)?
                }
            };
            client.trace.enter(Phase::Request);
            let first_byte = self.shared.options.first_byte_deadline(ends);
            let asked = Asked {
                method,
                url: &hop.url,
                at_home: hop.at_home,
                cookies: &hop.cookies,
                forwarded: connection.forwarded.as_deref(),
            };
            self.shared.template.write(asked, &mut client.outbox);
            match client.exchange(&mut connection, method == Method::Get, first_byte.at, ends) {
                Ok(head) => return Ok(Response { head, connection }),
                // The server closed an idle connection just as we used it, which is nobody's
                // fault. The next one is new.
                Err(error)
                    if is_used && fault::is_closed(&error) && !client.trace.is_answered() => {}
                Err(error) => {
                    let limit = match client.trace.is_answered() {
                        true => self.shared.options.timeout,
                        false => first_byte.limit,
                    };
                    return Err(Fault::new(&error, client.trace.phase(), limit));
                }
            }
        }
    }

    fn rule(&self, hop: &Hop) -> Rule {
        match hop.led_by_public {
            _ if self.shared.options.deny_private => Rule::DenyPrivate,
            true => Rule::LedByPublic,
            false => Rule::All,
        }
    }

    /// Where the response sends us on, if it does and we go.
    fn redirect(&self, head: &Head, hop: &Hop) -> Result<Option<Url>, Fault> {
        let refuse =
            |why: String| Err(Fault::lasting(FailureKind::Redirects, Phase::Response, why));
        let redirects_max = self.shared.options.redirects_max;
        let location = head.location.as_deref();
        let location = location.filter(|_| is_redirect(head.status) && redirects_max > 0);
        let Some(location) = location else { return Ok(None) };
        if hop.redirects.len() >= redirects_max as usize {
            return refuse(format!("more than {redirects_max} redirects"));
        }
        match hop.url.join(location) {
            Ok(next) if next.as_str().len() > URL_BYTES_MAX => {
                refuse("redirected to an address that is too long".to_owned())
            }
            Ok(next) if !hop.has_room_for(&next) => {
                refuse("redirected to addresses that are too long together".to_owned())
            }
            Ok(next) if matches!(next.scheme(), "http" | "https") => Ok(Some(next)),
            Ok(next) => refuse(format!("redirected to {:?}, which is not http", next.as_str())),
            Err(error) => refuse(format!("redirected to {location:?}: {error}")),
        }
    }

    /// Reads the body to its end or to the bound. It is kept for the extractor or the disk.
    fn read_body(&mut self, mut response: Response, hop: &Hop) -> Result<Page, Fault> {
        let content_type = response.head.content_type.take();
        let mut body = std::mem::take(&mut self.client.body);
        body.clear();
        let is_kept = self.shared.options.keeps_bodies();
        let bytes_max = self.shared.options.body_bytes_max;
        let read = self.read_into(response, hop, bytes_max, |piece| {
            if is_kept {
                body.extend_from_slice(piece);
            }
        });
        self.client.body = body;
        let (bytes, truncated) = read?;
        Ok(Page { content_type, bytes, truncated })
    }

    /// Gives the decoded body to `take`, piece by piece, to its end or to the bound. Tells how much
    /// that was, and whether there is more.
    fn read_into(
        &mut self,
        response: Response,
        hop: &Hop,
        bytes_max: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(u64, bool), Fault> {
        let Response { head, mut connection } = response;
        let client = &mut *self.client;
        client.trace.enter(Phase::Body);
        let encoding = match head.framing {
            Framing::Empty => Encoding::Identity,
            _ => encoding_of(&head)?,
        };
        let incoming = Incoming { inbox: &mut client.inbox, connection: &mut connection };
        let mut reader = BodyReader::new(incoming, head.framing);
        let mut bytes = 0;
        let mut take_some = |piece: &[u8]| {
            let room = usize::try_from(bytes_max - bytes).unwrap_or(usize::MAX);
            let taken = piece.len().min(room);
            take(&piece[..taken]);
            bytes += taken as u64;
            taken < piece.len()
        };
        let read = match encoding {
            Encoding::Identity => read_plain(&mut reader, &mut take_some),
            encoding => read_encoded(encoding, &mut reader, &mut take_some),
        };
        let limit = self.shared.options.timeout;
        let truncated = read.map_err(|error| Fault::new(&error, client.trace.phase(), limit))?;
        if !truncated && reader.is_at_end() && head.keep_alive {
            self.put_aside(connection, hop);
        }
        Ok((bytes, truncated))
    }

    /// Reads what is left of a short body. A failure shows when the next request is made.
    fn drain(&mut self, response: Response, hop: &Hop) {
        let Response { head, mut connection } = response;
        let is_short = match head.framing {
            Framing::Empty | Framing::Chunked => true,
            Framing::Length(length) => length <= DRAINED_BYTES_MAX,
            Framing::ToEnd => false,
        };
        if !is_short || !head.keep_alive {
            return;
        }
        let incoming = Incoming { inbox: &mut self.client.inbox, connection: &mut connection };
        let mut reader = BodyReader::new(incoming, head.framing);
        let drained = io::copy(&mut (&mut reader).take(DRAINED_BYTES_MAX), &mut io::sink());
        // The end of the last chunk comes after the data.
        let at_end = drained.is_ok() && reader.fill_buf().is_ok_and(<[u8]>::is_empty);
        if at_end && reader.is_at_end() {
            self.put_aside(connection, hop);
        }
    }

    /// Keeps a connection for the next request to the host. One that has said more than was asked
    /// for is not believed again.
    fn put_aside(&mut self, connection: Connection, hop: &Hop) {
        self.client.brake.release();
        if self.client.inbox.is_empty() {
            self.shared.idle.put(&hop.origin, connection);
        }
    }
}

impl Client {
    /// The name of this thread.
    fn worker(&mut self) -> Arc<str> {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        if *self.worker != *name {
            self.worker = name.into();
        }
        Arc::clone(&self.worker)
    }

    /// Sends what is in the outbox and reads the head of the response, whose first byte must come by
    /// `begins`, and all of which by `ends`.
    fn exchange(
        &mut self,
        connection: &mut Connection,
        asked_for_body: bool,
        begins: Instant,
        ends: Instant,
    ) -> io::Result<Head> {
        self.brake.watch(connection.tcp())?;
        connection.set_deadline(begins);
        self.inbox.clear();
        connection.write_all(self.outbox.as_bytes())?;
        connection.flush()?;
        self.trace.enter(Phase::Response);
        for _ in 0..ANNOUNCEMENTS_MAX {
            let head = self.inbox.read_head(connection, asked_for_body, |connection| {
                self.trace.received();
                connection.set_deadline(ends);
            })?;
            match head.status {
                101 => {
                    return Err(Malformed("the server changes to another protocol".into()).into());
                }
                100..200 => {}
                _ => return Ok(head),
            }
        }
        Err(Malformed("the server announces a response and does not give it".into()).into())
    }
}

fn read_plain(reader: &mut impl BufRead, take: &mut impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    loop {
        let piece = reader.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            return Ok(false);
        }
        let is_cut = take(piece);
        reader.consume(length);
        if is_cut {
            return Ok(true);
        }
    }
}

/// Never a part of its caller: the room that it needs on the stack would be taken for every request, on every
/// thread.
#[inline(never)]
fn read_encoded(
    encoding: Encoding,
    reader: &mut impl BufRead,
    take: &mut impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut decoded = encoding.decode(&mut *reader)?;
    loop {
        let length = decoded.read(&mut piece)?;
        if length == 0 {
            break;
        }
        if take(&piece[..length]) {
            return Ok(true);
        }
    }
    drop(decoded);
    // What comes after the end of the encoded data belongs to nothing; the end of the chunks does.
    io::copy(&mut reader.take(DRAINED_BYTES_MAX), &mut io::sink())?;
    Ok(false)
}

/// What an attempt teaches about the host that was asked last.
fn manner(hop: &Hop, attempted: &Result<Attempted, Fault>) -> Manner {
    match (attempted, hop.status) {
        (Ok(Attempted::Page(_)), Some(status)) if retry::is_refusal(status) => {
            Manner::Refuses(hop.retry_after)
        }
        (Ok(_), Some(_)) => Manner::Well,
        _ => Manner::Unknown,
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The wait that a server asks for, with a status that passes.
fn retry_after(head: &Head) -> Option<Duration> {
    let header = head.retry_after.as_deref().filter(|_| retry::is_passing(head.status))?;
    retry::retry_after(header, SystemTime::now())
}

fn in_robots(mut fault: Fault) -> Fault {
    fault.failure.message = format!("failed to get robots.txt: {}", fault.failure.message);
    fault
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

/// The encoding of a body that is still encoded.
fn encoding_of(head: &Head) -> Result<Encoding, Fault> {
    let name = head.content_encoding.as_deref().unwrap_or_default();
    Encoding::named(name).ok_or_else(|| {
        let why = format!("the body is encoded as {name:?}, which cannot be decoded");
        Fault::lasting(FailureKind::Body, Phase::Body, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_quoted() {
        assert_eq!(guarded(|| 5), Ok(5));
        let why = guarded(|| -> u8 { panic!("no {}", "silk") }).unwrap_err();
        assert_eq!(why, "a mistake in silkmill: no silk");
    }
}
