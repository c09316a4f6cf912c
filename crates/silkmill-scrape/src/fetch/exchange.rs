//! One request on one connection: finds or makes the connection, writes the request, reads the head
//! of the response and decodes its body. Redirects and retries are [`crate::fetch::attempt`]'s.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::archive::cache::Hit;
use crate::archive::tape::{Heads, Recorded, Tape, Truncated};
use crate::fetch::content_encoding::Encodings;
use crate::fetch::job::RedirectChain;
use crate::fetch::refresh::PageRefresh;
use crate::fetch::request::{Request, Template};
use crate::fetch::source::{Source, cached, replayed, response_to};
use crate::net::address::Rule;
use crate::net::connection::Connection;
use crate::net::dialer::Dialer;
use crate::net::fault::{self, Fault};
use crate::net::http::body::BodyReader;
use crate::net::http::{Framing, Head, Malformed, ResponseTo};
use crate::net::idle_pool::IdlePool;
use crate::net::interrupter::Interrupter;
use crate::net::read_buffer::{Incoming, ReadBuffer};
use crate::net::trace::Trace;
use crate::options::Options;
use crate::retry::Jitter;
use crate::robots::cache::RobotsCache;
use crate::row::{FailureKind, Phase};

/// The most bytes of an unwanted body that are read so that the connection can be used again.
const DRAINED_BYTES_MAX: u64 = 16 * 1024;
/// The size of the pieces in which an encoded body is decoded.
const PIECE_BYTES: usize = 16 * 1024;
/// The most responses that only announce the real one (1xx).
const ANNOUNCEMENTS_MAX: usize = 16;

/// The status of a server that waited too long for a request.
const REQUEST_TIMEOUT: u16 = 408;
/// The status of a server that has nothing newer than what is stored.
const NOT_MODIFIED: u16 = 304;

/// Everything that all requests of a run need.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) template: Template,
    pub(super) dialer: Dialer,
    pub(super) idle: IdlePool,
    pub(super) robots: Option<RobotsCache>,
    /// Set when refreshes are followed.
    pub(super) refresh: Option<PageRefresh>,
}

/// The buffers and handles that one worker needs to make requests.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) read_buffer: ReadBuffer,
    pub(super) request_bytes: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) interrupter: Interrupter,
    pub(super) trace: Trace,
    pub(super) jitter: Jitter,
    /// The name of the thread that used the client last.
    pub(super) worker: Arc<str>,
}

/// A response whose body is still to be read.
pub(super) struct Response {
    pub(super) head: Head,
    pub(super) source: Source,
    /// What is recorded of the exchange, if it is.
    pub(super) tape: Option<Box<Tape>>,
}

/// A client at work for one attempt.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a mut Client,
}

impl Exchange<'_> {
    /// Sends one request and reads the head of its response.
    pub(super) fn request(
        &mut self,
        chain: &RedirectChain,
        ends: Instant,
    ) -> Result<Response, Fault> {
        if let Some(replay) = &self.shared.options.archives.replay {
            let Client { read_buffer, trace, .. } = &mut *self.client;
            let (head, source) = replayed(read_buffer, trace, replay, chain)?;
            return Ok(Response { head, source, tape: None });
        }
        let rule = self.rule(chain);
        let fits =
            |connection: &Connection| rule == Rule::All || connection.is_private != Some(true);
        let to = response_to(&chain.method);
        let cookies = match &self.shared.options.cookie_jar {
            Some(jar) => jar.header(&chain.url),
            None => chain.cookies.header(&chain.url),
        };
        // What no connection would be made for is not answered by the cache either.
        let may_use = |hit: &Hit| rule == Rule::All || hit.is_public;
        let mut hit = self.hit(chain, cookies.as_deref()).filter(may_use);
        if let Some(fresh) = hit.take_if(|hit| hit.condition.is_none()) {
            let head = fresh.head.clone();
            return self.cached(fresh, &head, None);
        }
        // The server may be closing an idle connection, and then the request is sent again.
        let may_use_idle = self.shared.options.may_send_twice();
        let mut used = may_use_idle.then(|| self.shared.idle.take(&chain.origin, fits)).flatten();
        loop {
            self.client.trace = Trace::begin();
            let asked = self.shared.options.archives.records().then(SystemTime::now);
            let is_used = used.is_some();
            let client = &mut *self.client;
            let mut connection = match used.take() {
                Some(connection) => connection,
                None => {
                    let dialler = &self.shared.dialer;
                    dialler.dial(&chain.url, rule, ends, &client.interrupter, &mut client.trace)?
                }
            };
            client.trace.enter(Phase::Request);
            let first_byte = self.shared.options.first_byte_deadline(ends);
            let request = Request {
                forwarded: connection.forwarded.as_deref(),
                condition: hit.as_ref().and_then(|hit| hit.condition.as_deref()),
                ..request(chain, cookies.as_deref())
            };
            self.shared.template.write(request, &mut client.request_bytes);
            let data = chain.data.as_deref().unwrap_or_default();
            match client.exchange(&mut connection, data, to, first_byte.at, ends) {
                // The server gave up the wait for a request just as this one was on its way.
                Ok(head) if is_used && head.status == REQUEST_TIMEOUT => {}
                Ok(head) => {
                    let tape = asked.and_then(|asked| self.tape(chain, asked, &head, &connection));
                    let response = Response { head, source: Source::Connection(connection), tape };
                    return match hit {
                        Some(hit) if response.head.status == NOT_MODIFIED => {
                            self.valid(hit, response, chain)
                        }
                        _ => Ok(response),
                    };
                }
                // The server closed an idle connection just as it was used again, which is not a
                // failure of the host. The next connection is new.
                Err(error)
                    if is_used && fault::is_closed(&error) && !client.trace.is_answered() => {}
                Err(error) => return Err(self.fault(&error, first_byte.limit)),
            }
        }
    }

    /// Returns a stored response to the request that `chain` makes next.
    fn hit(&mut self, chain: &RedirectChain, cookies: Option<&[u8]>) -> Option<Hit> {
        let cache = self.shared.options.archives.cache.as_ref()?;
        self.shared.template.write(request(chain, cookies), &mut self.client.request_bytes);
        cache.find(chain.method.as_str(), &chain.url, &self.client.request_bytes)
    }

    /// Answers a request with a stored response of which the server has said that it is valid.
    fn valid(
        &mut self,
        hit: Hit,
        response: Response,
        chain: &RedirectChain,
    ) -> Result<Response, Fault> {
        let Response { head, source, tape } = response;
        let kept = tape.map(|tape| self.shared.options.archives.keep_valid(&hit, &tape));
        // What could not be kept ends the run, if it was to be archived.
        let updated = kept.and_then(Result::ok).unwrap_or_else(|| hit.head.clone());
        if head.keep_alive {
            self.keep_idle(source, chain);
        }
        self.cached(hit, &updated, Some(head))
    }

    /// Answers a request from the cache.
    fn cached(&mut self, hit: Hit, head: &[u8], came: Option<Head>) -> Result<Response, Fault> {
        let Client { read_buffer, trace, .. } = &mut *self.client;
        let (head, source) = cached(read_buffer, trace, hit, head, came)?;
        Ok(Response { head, source, tape: None })
    }

    /// Begins to record an exchange whose head has come.
    fn tape(
        &self,
        chain: &RedirectChain,
        asked: SystemTime,
        head: &Head,
        connection: &Connection,
    ) -> Option<Box<Tape>> {
        let is_direct = connection.is_private.is_some();
        let address = connection.tcp().peer_addr().ok().filter(|_| is_direct);
        let heads = Heads {
            method: chain.method.as_str(),
            url: &chain.url,
            asked,
            address: address.map(|address| address.ip()),
            is_private: connection.is_private,
            request: &self.client.request_bytes,
            data: chain.data.as_ref(),
            status: head.status,
            response: self.client.read_buffer.head(),
            framing: head.framing,
        };
        self.shared.options.archives.tape(&heads).map(Box::new)
    }

    /// Returns the fault that an error of the exchange means. Until the first byte has come, the
    /// limit that was up is its own.
    fn fault(&self, error: &io::Error, first_byte_limit: Duration) -> Fault {
        let trace = &self.client.trace;
        let is_answered = trace.is_answered();
        let limit = if is_answered { self.shared.options.timeout } else { first_byte_limit };
        let mut fault = Fault::new(error, trace.phase(), limit);
        fault.is_transient &= !(is_answered && fault.failure.kind == FailureKind::Timeout);
        fault
    }

    fn rule(&self, chain: &RedirectChain) -> Rule {
        match chain.from_public_network {
            _ if self.shared.options.deny_private => Rule::DenyPrivate,
            true => Rule::FromPublicNetwork,
            false => Rule::All,
        }
    }

    /// Passes the decoded body to `take`, piece by piece, to its end or to the bound. Returns the
    /// number of bytes passed, and whether there are more.
    pub(super) fn read_into(
        &mut self,
        response: Response,
        chain: &RedirectChain,
        bytes_max: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(u64, bool), Fault> {
        let Response { head, mut source, mut tape } = response;
        let client = &mut *self.client;
        client.trace.enter(Phase::Body);
        let encodings = match head.framing {
            Framing::Empty => Ok(Encodings::default()),
            _ => encodings_of(&head),
        };
        let was_cut = source.is_cut();
        let incoming = Incoming { read_buffer: &mut client.read_buffer, from: &mut source };
        let reader = BodyReader::new(incoming, head.framing);
        let mut reader = Recorded { from: reader, tape: tape.as_deref_mut() };
        let mut bytes = 0;
        let mut take_some = |piece: &[u8]| {
            let room = usize::try_from(bytes_max - bytes).unwrap_or(usize::MAX);
            let taken = piece.len().min(room);
            take(&piece[..taken]);
            bytes += taken as u64;
            taken < piece.len()
        };
        let (limit, phase) = (self.shared.options.timeout, client.trace.phase());
        let read = encodings.and_then(|encodings| {
            let read = match encodings.is_empty() {
                true => read_plain(&mut reader, &mut take_some),
                false => read_encoded(&encodings, &mut reader, &mut take_some),
            };
            read.map_err(|error| Fault::new(&error, phase, limit))
        });
        let is_at_end = reader.from.is_at_end();
        if reader.tape.is_some() {
            let truncated = match &read {
                Ok(is_cut) => is_cut.then_some(Truncated::Length),
                // What cannot be decoded is archived all the same.
                Err(fault) if fault.failure.kind == FailureKind::Body && !fault.is_transient => {
                    read_rest(&mut reader, bytes_max, limit)
                }
                Err(fault) => Some(Truncated::by(fault)),
            };
            self.keep(tape, truncated);
        }
        let truncated = read?;
        if !truncated && is_at_end && head.keep_alive {
            self.keep_idle(source, chain);
        }
        Ok((bytes, truncated || was_cut))
    }

    fn keep(&self, tape: Option<Box<Tape>>, truncated: Option<Truncated>) {
        if let Some(tape) = tape {
            self.shared.options.archives.keep(&tape, truncated);
        }
    }

    /// Reads the rest of a short body. A failure shows when the next request is made.
    pub(super) fn drain(&mut self, response: Response, chain: &RedirectChain) {
        let is_short = match response.head.framing {
            Framing::Empty | Framing::Chunked => true,
            Framing::Length(length) => length <= DRAINED_BYTES_MAX,
            Framing::ToEnd => false,
        };
        if is_short && response.head.keep_alive || response.tape.is_some() {
            self.read_unwanted(response, chain);
        }
    }

    /// Records a response that is not wanted, if responses are recorded.
    pub(super) fn record(&mut self, response: Response, chain: &RedirectChain) {
        if response.tape.is_some() {
            self.read_unwanted(response, chain);
        }
    }

    /// Reads a body that is not wanted: as much of it as is recorded, or else no more than it takes
    /// to use the connection again.
    fn read_unwanted(&mut self, response: Response, chain: &RedirectChain) {
        let Response { head, mut source, mut tape } = response;
        let bytes_max = match tape {
            Some(_) => self.shared.options.body_bytes_max,
            None => DRAINED_BYTES_MAX,
        };
        let incoming = Incoming { read_buffer: &mut self.client.read_buffer, from: &mut source };
        let reader = BodyReader::new(incoming, head.framing);
        let mut reader = Recorded { from: reader, tape: tape.as_deref_mut() };
        let truncated = read_rest(&mut reader, bytes_max, self.shared.options.timeout);
        let is_at_end = reader.from.is_at_end();
        self.keep(tape, truncated);
        if head.keep_alive && is_at_end && truncated.is_none() {
            self.keep_idle(source, chain);
        }
    }

    /// Keeps a connection for the next request to the host. One that has sent more than the
    /// response is not used again.
    fn keep_idle(&mut self, source: Source, chain: &RedirectChain) {
        let Source::Connection(connection) = source else { return };
        self.client.interrupter.release();
        if self.client.read_buffer.is_empty() {
            self.shared.idle.put(&chain.origin, connection);
        }
    }
}

impl Shared {
    pub(super) fn new(options: &Options) -> Shared {
        Shared {
            template: Template::new(options),
            dialer: Dialer::new(options.dialer_settings()),
            idle: IdlePool::new(options.workers),
            refresh: options.follow_refresh.then(PageRefresh::new),
            robots: options.robots.then(|| RobotsCache::new(&options.user_agent)),
            options: options.clone(),
        }
    }
}

impl Client {
    /// Makes a client. `seed` is for the pauses between retries, which need to differ from client
    /// to client and nothing else. `keeps_heads` is for exchanges that are recorded.
    pub(super) fn new(interrupter: Interrupter, seed: u64, keeps_heads: bool) -> Client {
        let mut read_buffer = ReadBuffer::new();
        if keeps_heads {
            read_buffer.keep_heads();
        }
        Client {
            read_buffer,
            request_bytes: Vec::new(),
            body: Vec::new(),
            interrupter,
            trace: Trace::begin(),
            jitter: Jitter::new(seed),
            worker: Arc::default(),
        }
    }

    /// Returns the name of this thread.
    pub(super) fn worker(&mut self) -> Arc<str> {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        if *self.worker != *name {
            self.worker = name.into();
        }
        Arc::clone(&self.worker)
    }

    /// Sends the bytes of the request, with `data` as its body, and reads the head of the response,
    /// whose first byte must come by `begins` and all of it by `ends`.
    fn exchange(
        &mut self,
        connection: &mut Connection,
        data: &[u8],
        to: ResponseTo,
        begins: Instant,
        ends: Instant,
    ) -> io::Result<Head> {
        self.interrupter.watch(connection.tcp())?;
        connection.set_deadline(begins);
        self.read_buffer.clear();
        connection.write_all(&self.request_bytes)?;
        if let Err(error) = connection.write_all(data).and_then(|()| connection.flush()) {
            // A server that refuses a body may close before it has read it. What it says counts.
            if data.is_empty() || !fault::is_closed(&error) {
                return Err(error);
            }
        }
        self.trace.enter(Phase::Response);
        for _ in 0..ANNOUNCEMENTS_MAX {
            let head = self.read_buffer.read_head(connection, to, |connection| {
                self.trace.received();
                connection.set_deadline(ends);
            })?;
            match head.status {
                101 => {
                    let why = "the server answers 101 and changes to another protocol";
                    return Err(Malformed(why.to_owned()).into());
                }
                100..200 => {}
                _ => return Ok(head),
            }
        }
        Err(Malformed("the server announces a response and does not give it".into()).into())
    }
}

/// Reads what is left of a body, up to a bound. Returns why that is not all.
fn read_rest(reader: &mut impl BufRead, bytes_max: u64, limit: Duration) -> Option<Truncated> {
    let read = io::copy(&mut (&mut *reader).take(bytes_max), &mut io::sink());
    // The end of the last chunk comes after the data.
    match read.and_then(|_| reader.fill_buf().map(<[u8]>::is_empty)) {
        Ok(true) => None,
        Ok(false) => Some(Truncated::Length),
        Err(error) => Some(Truncated::by(&Fault::new(&error, Phase::Body, limit))),
    }
}

/// Returns the request that a chain makes next, to a server without a proxy.
fn request<'a>(chain: &'a RedirectChain, cookies: Option<&'a [u8]>) -> Request<'a> {
    Request {
        method: &chain.method,
        url: &chain.url,
        same_origin: chain.same_origin,
        cookies,
        body_length: chain.data.as_ref().map(|data| data.len()),
        forwarded: None,
        condition: None,
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

/// Reads a body that must be decoded. Never inlined: the room that it needs on the stack would
/// otherwise be taken for every request, on every thread.
#[inline(never)]
fn read_encoded(
    encodings: &Encodings,
    reader: &mut impl BufRead,
    take: &mut impl FnMut(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut decoded = encodings.decode(&mut *reader)?;
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
    // Bytes after the end of the encoded data are dropped; the end of the chunks is still to be
    // read.
    io::copy(&mut reader.take(DRAINED_BYTES_MAX), &mut io::sink())?;
    Ok(false)
}

/// Returns the encodings of a body.
fn encodings_of(head: &Head) -> Result<Encodings, Fault> {
    let header = head.content_encoding.as_deref().unwrap_or_default();
    Encodings::parse(header).map_err(|why| Fault::permanent(FailureKind::Body, Phase::Body, why))
}
