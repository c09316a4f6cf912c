//! Caches what the `robots.txt` of each host of a run allows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::{Position, Url};

use crate::robots::{self, Rules};
use crate::sync::Mutex;

/// The most redirects from a robots.txt, as the standard has it.
pub(crate) const REDIRECTS_MAX: usize = 5;
/// The most files cached. Beyond that, or beyond the bytes of their rules, all are forgotten, which
/// costs requests and nothing else.
const FILES_MAX: usize = 4096;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a server that failed to send its file is taken to fail.
const UNREACHABLE_AGE_MAX: Duration = Duration::from_secs(60);

/// The robots.txt of many hosts.
#[derive(Debug)]
pub(crate) struct RobotsCache {
    product: String,
    /// Written and read by every worker, for the time of one access to the map.
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    by_origin: HashMap<String, Arc<File>>,
    bytes: usize,
}

/// The content of a file, or why there is none.
#[derive(Debug, PartialEq, Eq)]
enum File {
    Rules(Rules),
    /// The server failed to send it, which forbids everything.
    Unreachable {
        status: u16,
        since: Instant,
    },
}

/// The response to a request for a robots.txt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RobotsFile {
    Bytes(Vec<u8>),
    /// The status of a response without the file.
    Status(u16),
}

/// Whether a URL may be requested.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may, with this pause between two requests.
    Allowed(Duration),
    Refused(String),
}

impl RobotsCache {
    pub(crate) fn new(user_agent: &str) -> RobotsCache {
        RobotsCache { product: robots::product(user_agent).to_owned(), files: Mutex::default() }
    }

    /// Tells whether `url` may be requested; `None` when the file of its host is not known, or
    /// could not be had some time ago.
    pub(crate) fn verdict(&self, url: &Url) -> Option<Verdict> {
        let file = {
            let files = self.files.lock();
            Arc::clone(files.by_origin.get(&origin(url))?)
        };
        let path = &url[Position::BeforePath..Position::AfterQuery];
        Some(match &*file {
            File::Rules(rules) if rules.allows(path) => {
                Verdict::Allowed(rules.crawl_delay().unwrap_or_default())
            }
            File::Rules(_) => Verdict::Refused("robots.txt disallows it".to_owned()),
            File::Unreachable { since, .. } if since.elapsed() > UNREACHABLE_AGE_MAX => {
                return None;
            }
            File::Unreachable { status, .. } => Verdict::Refused(unreachable_robots(*status)),
        })
    }

    /// Returns the sitemaps that the file of the host of `url` names, if it is known.
    pub(crate) fn sitemaps(&self, url: &Url) -> Vec<String> {
        let file = self.files.lock().by_origin.get(&origin(url)).map(Arc::clone);
        match file.as_deref() {
            Some(File::Rules(rules)) => rules.sitemaps().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Caches the file of a host. A missing file allows everything; a server that fails forbids
    /// everything (RFC 9309, section 2.3.1). So does one that is asked too often, as Google has it.
    pub(crate) fn learn(&self, url: &Url, file: RobotsFile) {
        let file = match file {
            RobotsFile::Bytes(bytes) => File::Rules(Rules::parse(&bytes, &self.product)),
            RobotsFile::Status(status @ (429 | 500..)) => {
                File::Unreachable { status, since: Instant::now() }
            }
            RobotsFile::Status(_) => File::Rules(Rules::all()),
        };
        let bytes = match &file {
            File::Rules(rules) => rules.bytes(),
            File::Unreachable { .. } => 0,
        };
        let mut files = self.files.lock();
        if files.by_origin.len() >= FILES_MAX || files.bytes + bytes > BYTES_MAX {
            *files = Files::default();
        }
        files.bytes += bytes;
        files.by_origin.insert(origin(url), Arc::new(file));
    }
}

/// Returns why nothing may be requested from a host whose file cannot be had.
pub(crate) fn unreachable_robots(status: u16) -> String {
    format!("the server answers {status} for robots.txt, which disallows everything")
}

fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_file_that_is_not_there_allows_and_one_that_cannot_be_had_forbids() {
        let robots = RobotsCache::new("silkmill/1");
        let page = url("http://a.test/x");
        assert_eq!(robots.verdict(&page), None);

        for (file, allowed) in [
            (RobotsFile::Status(404), true),
            (RobotsFile::Status(401), true),
            (RobotsFile::Status(429), false),
            (RobotsFile::Status(500), false),
            (RobotsFile::Status(503), false),
            (RobotsFile::Bytes(b"User-agent: *\nDisallow: /x".to_vec()), false),
            (RobotsFile::Bytes(b"User-agent: silkmill\nAllow: /x".to_vec()), true),
        ] {
            robots.learn(&page, file.clone());
            let verdict = robots.verdict(&page).unwrap();
            assert_eq!(matches!(verdict, Verdict::Allowed(_)), allowed, "{file:?} {verdict:?}");
        }
    }

    #[test]
    fn every_origin_has_its_own_file() {
        let robots = RobotsCache::new("silkmill/1");
        robots.learn(&url("http://a.test/"), RobotsFile::Status(500));

        for other in ["https://a.test/", "http://a.test:81/", "http://b.test/"] {
            assert_eq!(robots.verdict(&url(other)), None, "{other}");
        }
        assert!(robots.verdict(&url("http://a.test:80/y?z")).is_some());
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let robots = RobotsCache::new("silkmill/1");
        let long = "User-agent: *\n".to_owned() + &"Disallow: /x\n".repeat(30_000);
        for host in 0..100 {
            robots.learn(
                &url(&format!("http://{host}.test/")),
                RobotsFile::Bytes(long.clone().into_bytes()),
            );
            assert!(robots.files.lock().bytes <= BYTES_MAX);
        }
        for host in 0..FILES_MAX + 10 {
            robots.learn(&url(&format!("http://{host}.test/")), RobotsFile::Status(404));
            assert!(robots.files.lock().by_origin.len() <= FILES_MAX);
        }
    }
}
