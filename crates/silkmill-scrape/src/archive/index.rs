//! Where each response of some archives is: an index that is made when they are opened, on disk as
//! far as it does not fit into a small memory, and gone with the run.

use std::collections::VecDeque;
use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use siphasher::sip::SipHasher13;
use url::Url;

use crate::archive::record::{RecordHead, target_uri};
use crate::archive::scan::{Place, scan};
use crate::sync::Mutex;

/// The records that may stand between a request and its response.
const APART_MAX: usize = 64;
/// The responses to one question that are looked at, should their keys be the same by chance.
const SAME_KEY_MAX: u32 = 4;

#[derive(Debug)]
pub(super) struct Index(Mutex<Connection>);

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    /// The digest of the body of the request, or nothing.
    pub(super) data: &'a str,
}

/// Where a response is: in which of the files, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) file: u32,
    pub(super) place: Place,
}

impl Question<'_> {
    fn key(&self) -> i64 {
        let mut hasher = SipHasher13::new();
        for part in [self.method, self.uri, self.data] {
            hasher.write(part.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish().cast_signed()
    }
}

impl Index {
    pub(super) fn new() -> rusqlite::Result<Index> {
        // A database without a name is a temporary file, which the system removes.
        let database = Connection::open("")?;
        database.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA cache_size = -16384;
             CREATE TABLE response (key INTEGER NOT NULL, date TEXT NOT NULL, id INTEGER NOT NULL,
               payload INTEGER, file INTEGER NOT NULL, offset INTEGER NOT NULL,
               skip INTEGER NOT NULL);
             CREATE INDEX by_key ON response (key, date);
             CREATE INDEX by_payload ON response (payload) WHERE payload IS NOT NULL;",
        )?;
        Ok(Index(Mutex::new(database)))
    }

    /// Adds the responses of a file. Returns how many there are.
    pub(super) fn add(&self, file: &Arc<File>, number: u32) -> io::Result<u64> {
        let database = self.0.lock();
        database.execute_batch("BEGIN").map_err(io::Error::other)?;
        let mut adding = Adding { database: &database, number, count: 0, unusual: VecDeque::new() };
        scan(file, &mut |place, head, start| {
            adding.record(place, head, start).map_err(io::Error::other)
        })?;
        let count = adding.count;
        database.execute_batch("COMMIT").map_err(io::Error::other)?;
        Ok(count)
    }

    /// Returns where responses to a question may be, the latest first.
    pub(super) fn find(&self, question: &Question<'_>) -> rusqlite::Result<Vec<Found>> {
        let database = self.0.lock();
        let mut select = database.prepare_cached(
            "SELECT file, offset, skip FROM response WHERE key = ?1
             ORDER BY date DESC, rowid DESC LIMIT ?2",
        )?;
        let rows = select.query_map(params![question.key(), SAME_KEY_MAX], found)?;
        rows.collect()
    }

    /// Returns where the response is whose payload has this digest.
    pub(super) fn find_payload(&self, digest: &str) -> rusqlite::Result<Option<Found>> {
        let database = self.0.lock();
        let mut select = database
            .prepare_cached("SELECT file, offset, skip FROM response WHERE payload = ?1 LIMIT 1")?;
        select.query_row(params![hash(digest)], found).optional()
    }
}

fn found(row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let place = Place { offset: number(1)?, skip: number(2)? };
    Ok(Found { file: row.get(0)?, place })
}

/// Returns a URL as the index knows it, however an archive writes it.
pub(super) fn uri_of(text: &str) -> String {
    Url::parse(text).map_or_else(|_| text.to_owned(), |url| target_uri(&url))
}

fn hash(text: &str) -> i64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish().cast_signed()
}

/// A file whose responses are being added.
struct Adding<'a> {
    database: &'a Connection,
    number: u32,
    count: u64,
    /// The requests that were seen last and are no plain `GET`.
    unusual: VecDeque<Asked>,
}

struct Asked {
    method: String,
    data: String,
    /// The names of the request, and of the responses that it names.
    ids: Vec<String>,
}

impl Adding<'_> {
    fn record(&mut self, place: Place, head: &RecordHead, start: &[u8]) -> rusqlite::Result<()> {
        let is_http = head.content_type.starts_with("application/http");
        match head.kind.as_str() {
            "request" => self.request(head, start),
            "response" if is_http => self.response(place, head, true),
            // A server that did not send a page again has said nothing of what is in it.
            "revisit" if head.profile.ends_with("/identical-payload-digest") => {
                self.response(place, head, false)
            }
            _ => Ok(()),
        }
    }

    fn response(
        &mut self,
        place: Place,
        head: &RecordHead,
        has_payload: bool,
    ) -> rusqlite::Result<()> {
        self.count += 1;
        let asked = self.unusual.iter().rev().find(|asked| {
            asked.ids.contains(&head.id)
                || asked.ids.iter().any(|id| head.concurrent_to.contains(id))
        });
        let (method, data) =
            asked.map_or(("GET", ""), |asked| (asked.method.as_str(), asked.data.as_str()));
        let uri = uri_of(&head.uri);
        let key = Question { method, uri: &uri, data }.key();
        let payload = (has_payload && !head.payload_digest.is_empty() && head.truncated.is_empty())
            .then(|| hash(&head.payload_digest));
        self.database
            .prepare_cached("INSERT INTO response VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                key,
                head.date,
                hash(&head.id),
                payload,
                self.number,
                place.offset.cast_signed(),
                place.skip.cast_signed()
            ])
            .map(|_| ())
    }

    /// Notes a request that is no plain `GET`. Some programs write it behind its response, whose
    /// key is another then.
    fn request(&mut self, head: &RecordHead, start: &[u8]) -> rusqlite::Result<()> {
        let method = start.split(|&byte| byte == b' ').next().unwrap_or_default();
        if method == b"GET" && head.payload_digest.is_empty() {
            return Ok(());
        }
        let method = String::from_utf8_lossy(method).into_owned();
        let uri = uri_of(&head.uri);
        let has_data = !matches!(method.as_str(), "GET" | "HEAD") && !is_digest_of_nothing(head);
        let data = if has_data { head.payload_digest.clone() } else { String::new() };
        let key = Question { method: &method, uri: &uri, data: &data }.key();
        for id in &head.concurrent_to {
            let plain = Question { method: "GET", uri: &uri, data: "" }.key();
            self.database
                .prepare_cached("UPDATE response SET key = ?1 WHERE key = ?2 AND id = ?3")?
                .execute(params![key, plain, hash(id)])?;
        }
        let mut ids = vec![head.id.clone()];
        ids.extend(head.concurrent_to.iter().cloned());
        ids.retain(|id| !id.is_empty());
        if self.unusual.len() == APART_MAX {
            self.unusual.pop_front();
        }
        self.unusual.push_back(Asked { method, data, ids });
        Ok(())
    }
}

/// Tells whether the digest of a request's body is that of no body.
fn is_digest_of_nothing(head: &RecordHead) -> bool {
    head.payload_digest.eq_ignore_ascii_case("sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ")
}
