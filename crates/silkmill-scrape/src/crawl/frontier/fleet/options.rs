//! How a process takes part in a crawl that many share.

use std::fmt;
use std::time::Duration;

/// How a process takes part in a crawl that many share.
///
/// ```
/// use std::time::Duration;
/// use silkmill_scrape::FleetOptions;
///
/// let options = FleetOptions::new("postgres://me@db.example/crawls")
///     .job("example.com")
///     .lease(Duration::from_secs(30));
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use = "options have no effect until a job is opened with them"]
pub struct FleetOptions {
    pub(super) url: String,
    pub(super) job: String,
    pub(super) password: Option<String>,
    pub(super) lease: Duration,
    pub(super) rows_max: Option<u64>,
    pub(super) delay: Duration,
    pub(super) name: String,
}

impl fmt::Debug for FleetOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetOptions").field("job", &self.job).finish_non_exhaustive()
    }
}

impl FleetOptions {
    /// Names the database: `postgres://USER@HOST:PORT/DATABASE`.
    pub fn new(url: impl Into<String>) -> FleetOptions {
        FleetOptions {
            url: url.into(),
            job: "silkmill".to_owned(),
            password: None,
            lease: Duration::from_secs(60),
            rows_max: None,
            delay: Duration::ZERO,
            name: format!("process {}", std::process::id()),
        }
    }

    /// Names the job, which is a schema of the database. The default is `silkmill`.
    pub fn job(mut self, name: impl Into<String>) -> Self {
        self.job = name.into();
        self
    }

    /// Sets the password, for a URL that has none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets how long a host stays with a process that has died. The default is a minute; a second
    /// is the least.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time.max(Duration::from_secs(1));
        self
    }

    /// Ends the crawl when all processes together have this many rows. It never has one more. Of
    /// the limits that processes were given the largest counts.
    pub fn rows_max(mut self, rows: u64) -> Self {
        self.rows_max = Some(rows);
        self
    }

    /// Sets how long every host is left alone between two requests, whatever it wants.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Names this process in the database, for people.
    pub fn process_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}
