//! The head of a WARC record (WARC 1.1, section 4): its named fields read and written, and the
//! forms of what stands in them. What a block holds is for others.

use std::io::{self, BufRead};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY};
use ring::rand::{SecureRandom, SystemRandom};
use url::Url;

/// The most bytes of the head of a record.
const HEAD_BYTES_MAX: u64 = 512 * 1024;

/// The named fields of a record that are acted on, and what was read of its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordHead {
    /// In lower case.
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) date: String,
    pub(super) uri: String,
    pub(super) content_type: String,
    pub(super) concurrent_to: Vec<String>,
    pub(super) payload_digest: String,
    pub(super) profile: String,
    pub(super) truncated: String,
    /// The length of the block.
    pub(super) length: u64,
    /// The length of the head itself.
    pub(super) bytes: u64,
}

impl RecordHead {
    /// Reads the head of a record. `None` means that nothing is left.
    pub(super) fn read(from: &mut dyn BufRead) -> io::Result<Option<RecordHead>> {
        let mut head = RecordHead::default();
        let mut has_length = false;
        let mut lines = 0u64;
        let mut line = Vec::new();
        loop {
            line.clear();
            io::Read::take(&mut *from, HEAD_BYTES_MAX - head.bytes).read_until(b'\n', &mut line)?;
            head.bytes += line.len() as u64;
            if line.is_empty() && head.bytes == 0 {
                return Ok(None);
            }
            if line.last() != Some(&b'\n') {
                return Err(match head.bytes >= HEAD_BYTES_MAX {
                    true => broken("a record has a head without an end"),
                    false => io::ErrorKind::UnexpectedEof.into(),
                });
            }
            let text = line.trim_ascii();
            if lines == 0 && !text.starts_with(b"WARC/") {
                return Err(broken("a record does not begin with \"WARC/\""));
            }
            lines += 1;
            if text.is_empty() {
                break;
            }
            let text = String::from_utf8_lossy(text);
            let Some((name, value)) = text.split_once(':') else { continue };
            has_length |= head.set(&name.trim().to_ascii_lowercase(), value.trim())?;
        }
        if has_length { Ok(Some(head)) } else { Err(broken("a record has no length")) }
    }

    /// Keeps a field. Tells whether it is the length.
    fn set(&mut self, name: &str, value: &str) -> io::Result<bool> {
        let value = || value.to_owned();
        match name {
            "warc-type" => self.kind = value().to_ascii_lowercase(),
            "warc-record-id" => self.id = value(),
            "warc-date" => self.date = value(),
            // Some programs write the URL between angle brackets, as WARC 1.0 showed it.
            "warc-target-uri" => {
                self.uri = value().trim_start_matches('<').trim_end_matches('>').to_owned();
            }
            "content-type" => self.content_type = value(),
            "warc-concurrent-to" => self.concurrent_to.push(value()),
            "warc-payload-digest" => self.payload_digest = value(),
            "warc-profile" => self.profile = value(),
            "warc-truncated" => self.truncated = value().to_ascii_lowercase(),
            "content-length" => {
                let length = value().parse();
                self.length = length.map_err(|_| broken("a record has a length that is none"))?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}

/// The head of a record that is being written.
#[derive(Debug)]
pub(super) struct NewRecord {
    lines: String,
}

impl NewRecord {
    pub(super) fn new(kind: &str, id: &str, date: &str) -> NewRecord {
        let lines = "WARC/1.1\r\n".to_owned();
        NewRecord { lines }
            .field("WARC-Type", kind)
            .field("WARC-Record-ID", id)
            .field("WARC-Date", date)
    }

    pub(super) fn field(mut self, name: &str, value: &str) -> NewRecord {
        for part in [name, ": ", value, "\r\n"] {
            self.lines.push_str(part);
        }
        self
    }

    pub(super) fn field_if(self, name: &str, value: Option<&str>) -> NewRecord {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Ends the head of a record whose block has this length.
    pub(super) fn end(self, length: u64) -> Vec<u8> {
        let mut head = self.field("Content-Length", &length.to_string()).lines;
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Returns the name of a new record: a random UUID (RFC 9562, version 4).
pub(super) fn new_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system has no random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = "<urn:uuid:".to_owned();
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        id.push_str(&format!("{byte:02x}"));
    }
    id.push('>');
    Ok(id)
}

/// Returns a time as `WARC-Date` has it: in UTC, with six decimals of a second.
pub(super) fn date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // The calendar of a year that begins in March repeats every 400 years of 146,097 days.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Begins a SHA-1, the digest that archives label payloads with.
pub(super) fn sha1() -> Context {
    Context::new(&SHA1_FOR_LEGACY_USE_ONLY)
}

/// Returns a digest as archives write it: in Base 32 (RFC 4648).
pub(super) fn labelled(digest: &Digest) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = "sha1:".to_owned();
    for five in digest.as_ref().chunks(5) {
        let bits = five.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        for place in (0..8).rev() {
            text.push(char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]));
        }
    }
    text
}

/// Returns a URL as records name it: without its fragment, and without the user and the password,
/// who are no part of what was asked for.
pub(super) fn target_uri(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    // A URL of http has a host, and so may have no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

pub(super) fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = NewRecord::new("response", "<urn:uuid:1>", "2026-11-28T10:00:00Z")
            .field("WARC-Target-URI", "http://a.test/")
            .field("WARC-Concurrent-To", "<urn:uuid:2>")
            .field_if("WARC-Truncated", None)
            .end(7);

        let read = RecordHead::read(&mut &head[..]).unwrap().unwrap();

        assert_eq!((read.length, read.bytes), (7, head.len() as u64));
        assert_eq!((read.kind.as_str(), read.uri.as_str()), ("response", "http://a.test/"));
        assert_eq!((read.concurrent_to.len(), read.truncated.as_str()), (1, ""));
        assert_eq!(RecordHead::read(&mut &b""[..]).unwrap(), None);
    }

    #[test]
    fn other_programs_heads_are_read_too() {
        let text = b"WARC/1.0\r\nwarc-type:Response\r\nWARC-TARGET-URI: <http://a.test/>\r\n\
                     Folded: a\r\n b\r\ncontent-length:3\r\n\r\n";
        let head = RecordHead::read(&mut &text[..]).unwrap().unwrap();
        assert_eq!((head.kind.as_str(), head.uri.as_str()), ("response", "http://a.test/"));
    }

    #[test]
    fn a_head_that_is_none_is_told_from_one_that_is_cut() {
        let kind = |text: &[u8]| RecordHead::read(&mut &text[..]).unwrap_err().kind();
        for broken in [&b"HTTP/1.1 200\r\n\r\n"[..], b"WARC/1.1\r\n\r\n"] {
            assert_eq!(kind(broken), io::ErrorKind::InvalidData);
        }
        assert_eq!(kind(b"WARC/1.1\r\nContent-Length: x\r\n\r\n"), io::ErrorKind::InvalidData);
        for cut in [&b"WARC/1.1"[..], b"WARC/1.1\r\nContent-Length: 3\r\n"] {
            assert_eq!(kind(cut), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn dates_are_the_calendars() {
        let at = |seconds, micros: u32| date(UNIX_EPOCH + Duration::new(seconds, micros * 1000));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.000005Z");
        assert_eq!(at(1_709_251_199, 999_999), "2024-02-29T23:59:59.999999Z");
        assert_eq!(at(1_764_324_000, 0), "2025-11-28T10:00:00.000000Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn digests_are_those_of_the_field() {
        let mut context = sha1();
        context.update(b"");
        // The SHA-1 of nothing, which every archive has.
        assert_eq!(labelled(&context.finish()), "sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ");
    }

    #[test]
    fn an_id_is_a_random_uuid() {
        let (id, other) = (new_id().unwrap(), new_id().unwrap());
        assert_ne!(id, other);
        assert_eq!((id.len(), &id[..10], &id[24..25]), (47, "<urn:uuid:", "4"));
    }

    #[test]
    fn a_target_has_no_secrets() {
        let url = Url::parse("http://user:pass@a.test/x?y#z").unwrap();
        assert_eq!(target_uri(&url), "http://a.test/x?y");
    }
}
