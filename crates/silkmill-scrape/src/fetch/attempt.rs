//! One attempt at an item: asks robots.txt for permission, follows redirects, reads the page, and
//! decides whether to retry. What its end says about the host is [`crate::fetch::ending`]'s, the
//! bytes on the wire are [`crate::fetch::exchange`]'s.

use std::time::{Duration, Instant};

use url::Url;

use crate::crawl::links::PageHeaders;
use crate::crawl::sitemap::SITEMAP_BYTES_MAX;
use crate::fetch::ending::{
    AttemptEnd, Feedback, Page, Sign, feedback, has_no_https, may_want_body, sign, was_not_sent,
};
use crate::fetch::exchange::{Client, Exchange, Response, Shared};
use crate::fetch::job::{Job, RedirectChain};
use crate::fetch::look::{Looked, OfCrawl, is_checked, look};
use crate::fetch::response::{is_redirect, location, retry_after, unread};
use crate::fetch::{mime_type, refresh};
use crate::input::URL_BYTES_MAX;
use crate::input::ticket::Purpose;
use crate::net::fault::Fault;
use crate::net::http::Head;
use crate::net::trace::Trace;
use crate::options::Method;
use crate::page::charset;
use crate::retry;
use crate::robots::cache::{REDIRECTS_MAX, RobotsFile, Verdict, unreachable_robots};
use crate::row::{FailureKind, Phase, Row};

/// The memory that a client keeps for the next body.
const BODY_KEPT_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes that are read of a page that is only checked.
const CHECKED_BYTES_MAX: u64 = 64 * 1024;

/// The result of one step of a job.
pub(super) struct Step {
    pub(super) feedback: Feedback,
    pub(super) sign: Sign,
    pub(super) then: Then,
}

pub(super) enum Then {
    Row(Box<Row>),
    /// The job is retried after a while, or goes on at another host at once.
    Requeue(Duration),
}

/// One attempt: an exchange at work, and what robots.txt said.
pub(super) struct Attempt<'a> {
    exchange: Exchange<'a>,
    /// The pause between two starts that the host asks for, once its robots.txt is known.
    pub(super) crawl_delay: Option<Duration>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(shared: &'a Shared, client: &'a mut Client) -> Attempt<'a> {
        Attempt { exchange: Exchange { shared, client }, crawl_delay: None }
    }

    /// Takes the job one step further: to its end, or to where it goes on at another host.
    pub(super) fn step(&mut self, job: &mut Job) -> Step {
        if job.has_lost_its_lease() {
            return self.give_back(job);
        }
        let options = &self.exchange.shared.options;
        let started = *job.started.get_or_insert_with(Instant::now);
        let chain = job.chain.take();
        job.attempts += u32::from(chain.is_none());
        let mut chain = chain.unwrap_or_else(|| Box::new(self.chain(job)));
        let ends = Instant::now() + chain.left;
        let attempted = self.follow(job, &mut chain, ends);
        let feedback = match &options.archives.replay {
            Some(_) => Feedback::Unknown,
            None => feedback(&chain, &attempted),
        };
        let sign = sign(chain.status, &attempted);
        let may_repeat = options.may_send_twice() || was_not_sent(&chain, &attempted);
        let is_transient = match &attempted {
            Ok(AttemptEnd::Page(_)) => chain.status.is_some_and(retry::is_transient_status),
            Ok(AttemptEnd::Elsewhere | AttemptEnd::Later) => {
                chain.left = ends.saturating_duration_since(Instant::now());
                job.go_to(chain);
                return Step { feedback, sign, then: Then::Requeue(Duration::ZERO) };
            }
            Ok(AttemptEnd::Unleased) => return self.give_back(job),
            Err(fault) => fault.is_transient,
        };
        if let Err(fault) = &attempted
            && may_repeat
            && !options.has_secrets()
            && has_no_https(&chain, fault)
            && job.give_up_https(&fault.failure.message)
        {
            let then = Then::Requeue(Duration::ZERO);
            return Step { feedback, sign: Sign::NoHttps, then };
        }
        if is_checked(job) && !is_transient && may_want_body(&chain, &attempted) {
            job.wants_body = true;
            job.start_anew();
            return Step { feedback, sign: Sign::None, then: Then::Requeue(Duration::ZERO) };
        }
        if is_transient && may_repeat && job.may_retry(options.retries) {
            let own = retry::pause(job.attempts, self.exchange.client.jitter.roll());
            job.start_anew();
            let then = Then::Requeue(chain.retry_after.unwrap_or(own));
            return Step { feedback, sign: Sign::None, then };
        }
        let mut row = self.row(job, *chain, attempted);
        row.elapsed = started.elapsed();
        Step { feedback, sign, then: Then::Row(Box::new(row)) }
    }

    /// Takes a job further whose next host is given up: to the same host by HTTP, if the job left
    /// the scheme open, else to its end.
    pub(super) fn pass_over(&mut self, job: &mut Job) -> Step {
        let errors_max = self.exchange.shared.options.host_errors_max;
        let why = format!(
            "not requested: the last {errors_max} rows of {} had no response, or one whose status \
             is retried",
            job.host()
        );
        let chain = job.chain.take();
        let then = if chain.is_none() && job.give_up_https(&why) {
            Then::Requeue(Duration::ZERO)
        } else {
            let chain = chain.unwrap_or_else(|| Box::new(self.chain(job)));
            self.exchange.client.trace = Trace::begin();
            let fault = Fault::permanent(FailureKind::Host, Phase::Request, why);
            let mut row = self.row(job, *chain, Err(fault));
            row.elapsed = job.started.map_or(Duration::ZERO, |started| started.elapsed());
            Then::Row(Box::new(row))
        };
        Step { feedback: Feedback::Unknown, sign: Sign::None, then }
    }

    /// Ends a job that may not be requested any more. Its row says nothing but that.
    fn give_back(&mut self, job: &mut Job) -> Step {
        self.exchange.client.trace = Trace::begin();
        let then = Then::Row(Box::new(Row::given_back(job.index)));
        Step { feedback: Feedback::Unknown, sign: Sign::None, then }
    }

    /// Begins a chain of redirects with the request that the options name.
    fn chain(&self, job: &Job) -> RedirectChain {
        let options = &self.exchange.shared.options;
        let mut chain = RedirectChain::new(&job.url, options.timeout);
        (chain.method, chain.data) = (options.method.clone(), options.data.clone());
        if let Some(ticket) = job.input.ticket() {
            chain.from_public_network = ticket.from_public_network;
            if ticket.purpose == Purpose::Check && !job.wants_body {
                chain.method = Method::Head;
            }
        }
        chain
    }

    /// Builds the row of a job that has come to its end.
    fn row(
        &mut self,
        job: &mut Job,
        chain: RedirectChain,
        attempted: Result<AttemptEnd, Fault>,
    ) -> Row {
        let mut row = Row {
            index: job.index,
            url: job.input.take_shown(),
            carried: job.input.take_carried(),
            final_url: Some(chain.url.into()),
            status: chain.status,
            redirects: chain.redirects,
            timing: self.exchange.client.trace.timing(),
            attempts: job.attempts,
            worker: self.exchange.client.worker(),
            ..Row::default()
        };
        match attempted {
            Ok(AttemptEnd::Page(page)) => self.fill(job, &mut row, page),
            Err(fault) => {
                let mut failure = fault.failure;
                if let Some(why) = job.without_https().filter(|_| row.status.is_none()) {
                    failure.message += &format!(" (by https: {why})");
                }
                row.error = Some(failure);
            }
            Ok(AttemptEnd::Elsewhere | AttemptEnd::Later | AttemptEnd::Unleased) => {}
        }
        row
    }

    /// Reads what the page says into the row.
    fn fill(&mut self, job: &Job, row: &mut Row, page: Page) {
        row.bytes = page.bytes;
        row.truncated = page.truncated;
        let options = &self.exchange.shared.options;
        let body = &self.exchange.client.body;
        match &options.extractor {
            Some(extractor) => {
                let content_type = page.content_type.as_deref();
                let ticket = job.input.ticket().zip(page.of_crawl.as_deref());
                let extracted = match options.finder.as_deref().zip(ticket) {
                    Some((finder, (ticket, of_crawl))) => {
                        let looked = Looked { of_crawl, content_type, body, status: row.status };
                        let (extracted, crawled) = look(finder, extractor, ticket, &looked);
                        row.crawled = Some(crawled);
                        extracted
                    }
                    None => extractor.extract_from(body, content_type, row.final_url.as_deref()),
                };
                row.title = extracted.title;
                row.fields = extracted.fields;
                row.charset = extracted.charset.map(str::to_owned);
                row.truncated |= extracted.truncated;
                // The end of a page that was cut is no mistake of the page.
                let flaw = extracted.flaw.filter(|flaw| !(page.truncated && flaw.is_at_end()));
                row.error = unread(&extracted.unfinished, flaw.as_ref());
            }
            None => {
                let named = page.content_type.as_deref().and_then(charset::named);
                row.charset = named.map(str::to_owned);
            }
        }
        if let Some(folder) = &self.exchange.shared.options.save
            && self.exchange.shared.options.method != Method::Head
        {
            row.error = folder.keep(row.index, &self.exchange.client.body).err();
        }
        self.exchange.client.body.clear();
        self.exchange.client.body.shrink_to(BODY_KEPT_BYTES_MAX);
    }

    /// Requests the page, and follows redirects as long as they stay at the host.
    fn follow(
        &mut self,
        job: &Job,
        chain: &mut RedirectChain,
        ends: Instant,
    ) -> Result<AttemptEnd, Fault> {
        loop {
            if !self.robots_allow(job, chain, ends)? {
                return Ok(AttemptEnd::Later);
            }
            // To read robots.txt may have taken its time.
            if job.has_lost_its_lease() {
                return Ok(AttemptEnd::Unleased);
            }
            let response = self.exchange.request(chain, ends)?;
            let head = &response.head;
            chain.status = Some(head.status);
            chain.retry_after = retry_after(head);
            for cookie in &head.set_cookies {
                match &self.exchange.shared.options.cookie_jar {
                    Some(jar) => jar.set(&chain.url, cookie),
                    None => chain.cookies.set(&chain.url, cookie),
                }
            }
            let is_public = response.source.is_public();
            let next = match self.redirect(job, head, chain) {
                Ok(next) => next,
                Err(fault) => {
                    self.exchange.record(response, chain);
                    return Err(fault);
                }
            };
            let next = match next {
                Some(next) if self.is_of_another_row(job, &next) => {
                    let mut page = self.read_body(job, response, chain)?;
                    if let Some(of_crawl) = &mut page.of_crawl {
                        of_crawl.redirect = Some(next);
                    }
                    return Ok(AttemptEnd::Page(page));
                }
                Some(next) => {
                    if let Some(method) = chain.method.after_redirect(head.status) {
                        chain.change_method(method);
                    }
                    self.exchange.drain(response, chain);
                    next
                }
                None => {
                    let page = self.read_body(job, response, chain)?;
                    let Some(next) = self.refresh(job, &page, chain)? else {
                        return Ok(AttemptEnd::Page(page));
                    };
                    chain.change_method(Method::Get);
                    next
                }
            };
            chain.from_public_network |= is_public;
            let is_elsewhere = chain.follow(next, &job.url);
            // Another request to the same host has a start of its own, where starts are spaced.
            if is_elsewhere || self.exchange.shared.options.spaces_starts() {
                return Ok(AttemptEnd::Elsewhere);
            }
        }
    }

    /// Tells whether robots.txt allows the request. Returns false when the host wants a pause
    /// before the next request.
    fn robots_allow(
        &mut self,
        job: &Job,
        chain: &mut RedirectChain,
        ends: Instant,
    ) -> Result<bool, Fault> {
        let Some(robots) = &self.exchange.shared.robots else { return Ok(true) };
        let (verdict, is_new) = match robots.verdict(&chain.url) {
            Some(verdict) => (verdict, false),
            None => {
                let file = self.fetch_robots(job, chain, ends)?;
                robots.learn(&chain.url, file);
                (robots.verdict(&chain.url).unwrap_or(Verdict::Allowed(Duration::ZERO)), true)
            }
        };
        match verdict {
            Verdict::Allowed(delay) => {
                // No host is asked when an archive answers.
                let is_replayed = self.exchange.shared.options.archives.replay.is_some();
                let delay = if is_replayed { Duration::ZERO } else { delay };
                self.crawl_delay = Some(delay);
                let learned =
                    job.input.ticket().map_or(Duration::ZERO, |ticket| ticket.learned.delay);
                let delay = delay.max(self.exchange.shared.options.delay).max(learned);
                Ok(!is_new || delay.is_zero())
            }
            Verdict::Refused(why) => {
                self.crawl_delay = Some(Duration::ZERO);
                self.exchange.client.trace = Trace::begin();
                Err(Fault::permanent(FailureKind::Robots, Phase::Request, why))
            }
        }
    }

    /// Fetches the host's robots.txt. A status that is transient is a transient fault, until the
    /// job has no retry left.
    fn fetch_robots(
        &mut self,
        job: &Job,
        page: &mut RedirectChain,
        ends: Instant,
    ) -> Result<RobotsFile, Fault> {
        let url = page.url.join("/robots.txt").map_err(|error| {
            Fault::permanent(FailureKind::Url, Phase::Request, error.to_string())
        })?;
        let mut chain = page.for_robots(url);
        loop {
            let response = match self.exchange.request(&chain, ends) {
                // What was archived without the file was asked for without it.
                Err(fault) if fault.failure.kind == FailureKind::Archive => {
                    return Ok(RobotsFile::Status(404));
                }
                response => response.map_err(in_robots)?,
            };
            let status = response.head.status;
            let next = location(&response.head).and_then(|location| chain.url.join(location).ok());
            if let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https")) {
                if chain.redirects.len() >= REDIRECTS_MAX {
                    self.exchange.record(response, &chain);
                    // RFC 9309 allows treating this as a missing file.
                    return Ok(RobotsFile::Status(404));
                }
                chain.from_public_network |= response.source.is_public();
                self.exchange.drain(response, &chain);
                chain.follow(next, &job.url);
                continue;
            }
            if status != 200 {
                let wait = retry_after(&response.head);
                self.exchange.drain(response, &chain);
                if retry::is_transient_status(status)
                    && job.may_retry(self.exchange.shared.options.retries)
                {
                    page.retry_after = wait;
                    let why = unreachable_robots(status);
                    let fault = Fault::permanent(FailureKind::Robots, Phase::Request, why);
                    return Err(Fault { is_transient: true, ..fault });
                }
                let status = if is_redirect(status) { 404 } else { status };
                return Ok(RobotsFile::Status(status));
            }
            let mut file = Vec::new();
            let bytes_max = crate::robots::FILE_BYTES_MAX as u64;
            self.exchange
                .read_into(response, &chain, bytes_max, |piece| {
                    file.extend_from_slice(piece);
                })
                .map_err(in_robots)?;
            return Ok(RobotsFile::Bytes(file));
        }
    }

    /// Returns the URL that the response redirects to, if it redirects and the options follow
    /// redirects.
    fn redirect(
        &self,
        job: &Job,
        head: &Head,
        chain: &RedirectChain,
    ) -> Result<Option<Url>, Fault> {
        let is_followed = self.exchange.shared.options.redirects_max > 0;
        let Some(location) = location(head).filter(|_| is_followed) else { return Ok(None) };
        match chain.url.join(location) {
            Ok(next) => self.next(job, next, chain).map(Some),
            Err(error) => Err(redirects(format!("redirected to {location:?}: {error}"))),
        }
    }

    /// Returns the URL that the page refreshes to, if it does and the options follow refreshes.
    fn refresh(&self, job: &Job, page: &Page, chain: &RedirectChain) -> Result<Option<Url>, Fault> {
        let shared = self.exchange.shared;
        let Some(finder) = shared.refresh.as_ref().filter(|_| shared.options.redirects_max > 0)
        else {
            return Ok(None);
        };
        let of_header =
            page.refresh.as_deref().and_then(|header| refresh::of_header(header, &chain.url));
        let content_type = page.content_type.as_deref();
        let next = of_header
            .or_else(|| finder.of_page(&self.exchange.client.body, content_type, &chain.url));
        next.map(|next| self.next(job, next, chain)).transpose()
    }

    /// Tells whether `next` has a row of its own, as in a crawl every page has that a page
    /// redirects to; but not a page that redirects to itself, as some do to set a cookie.
    fn is_of_another_row(&self, job: &Job, next: &Url) -> bool {
        let finder = self.exchange.shared.options.finder.as_ref();
        let ticket = job.input.ticket().filter(|ticket| ticket.purpose == Purpose::Page);
        finder.zip(ticket).is_some_and(|(finder, _)| !finder.is_same(next, &job.url))
    }

    /// Checks the URL that the chain goes on to.
    fn next(&self, job: &Job, next: Url, chain: &RedirectChain) -> Result<Url, Fault> {
        let redirects_max = self.exchange.shared.options.redirects_max;
        let earlier = job.input.ticket().map_or(0, |ticket| ticket.hops as usize);
        if earlier + chain.redirects.len() >= redirects_max as usize {
            Err(redirects(format!("more than {redirects_max} redirects")))
        } else if next.as_str().len() > URL_BYTES_MAX {
            Err(redirects("redirected to an address that is too long".to_owned()))
        } else if !chain.has_room_for(&next) {
            Err(redirects("redirected to addresses that are too long together".to_owned()))
        } else if !matches!(next.scheme(), "http" | "https") {
            Err(redirects(format!("redirected to {:?}, which is not http", next.as_str())))
        } else {
            Ok(next)
        }
    }

    /// Reads the body to its end or to the bound, and keeps it for the extractor or the disk.
    fn read_body(
        &mut self,
        job: &Job,
        mut response: Response,
        chain: &RedirectChain,
    ) -> Result<Page, Fault> {
        let content_type =
            response.head.content_type.take().map(|header| mime_type::extract(&header));
        let refresh = response.head.refresh.take();
        let is_public = chain.from_public_network || response.source.is_public();
        let of_crawl = job.input.ticket().map(|ticket| {
            let headers = PageHeaders {
                link: response.head.link.take(),
                refresh: refresh.clone(),
                robots: std::mem::take(&mut response.head.robots_tags),
            };
            let robots = self.exchange.shared.robots.as_ref().filter(|_| ticket.is_seed);
            let sitemaps = robots.map(|robots| robots.sitemaps(&chain.url)).unwrap_or_default();
            let url = chain.url.clone();
            Box::new(OfCrawl { headers, url, sitemaps, redirect: None, is_public })
        });
        let mut body = std::mem::take(&mut self.exchange.client.body);
        body.clear();
        let is_kept = self.exchange.shared.options.keeps_bodies();
        let bytes_max = match job.input.ticket() {
            Some(ticket) if ticket.purpose == Purpose::Sitemap => SITEMAP_BYTES_MAX + 1,
            Some(ticket) if ticket.purpose == Purpose::Check => CHECKED_BYTES_MAX,
            _ => self.exchange.shared.options.body_bytes_max,
        };
        let read = self.exchange.read_into(response, chain, bytes_max, |piece| {
            if is_kept {
                body.extend_from_slice(piece);
            }
        });
        self.exchange.client.body = body;
        let (bytes, truncated) = read?;
        Ok(Page { content_type, refresh, bytes, truncated, of_crawl })
    }
}

fn redirects(why: String) -> Fault {
    Fault::permanent(FailureKind::Redirects, Phase::Response, why)
}

fn in_robots(mut fault: Fault) -> Fault {
    fault.failure.message = format!("failed to get robots.txt: {}", fault.failure.message);
    fault
}
