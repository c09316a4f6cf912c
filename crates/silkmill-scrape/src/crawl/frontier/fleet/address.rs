//! Where a fleet's database is, as the user says it.

use std::fmt;
use std::str::FromStr;

use postgres::Config;
use postgres::config::Host;

use crate::crawl::frontier::fleet::texts::quoted;
use crate::error::{Error, ErrorKind};

/// The longest name of a job: what PostgreSQL keeps of a name.
const JOB_BYTES_MAX: usize = 63;

/// A database, and the job in it.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    schema: String,
    shown: String,
    /// The certificates that the server's is checked with, if the address names a file.
    pub(super) root_certificates: Option<std::path::PathBuf>,
    pub(super) verifies: bool,
}

/// The password must not get into any message.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads an address like `postgres://user@host:5432/database` and the name of a job.
    pub(super) fn parse(url: &str, job: &str, password: Option<&str>) -> Result<Address, Error> {
        let refuse = |why: String| Error::from(ErrorKind::FleetAddress(hide_password(url), why));
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(refuse("it must begin with postgres://".to_owned()));
        }
        if job.is_empty() || job.len() > JOB_BYTES_MAX || job.contains('\0') {
            let why = format!("the name of the job must have 1 to {JOB_BYTES_MAX} bytes");
            return Err(refuse(why));
        }
        if job.starts_with("pg_") || ["public", "information_schema"].contains(&job) {
            return Err(refuse(format!("a job cannot be called {job:?}")));
        }
        let (url, words) = Words::of(url);
        let mut config = Config::from_str(&url).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            refuse(cause.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_password().is_none()
            && let Some(password) = password
        {
            config.password(password);
        }
        if config.get_user().is_none() {
            return Err(refuse("it names no user: postgres://USER@HOST/DATABASE".to_owned()));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refuse("it names no host: postgres://USER@HOST/DATABASE".to_owned()));
        }
        let verifies = match words.mode.as_deref() {
            Some("verify-full" | "verify-ca") => {
                config.ssl_mode(postgres::config::SslMode::Require);
                true
            }
            _ => false,
        };
        let shown = shown(&config, job);
        let schema = quoted(job);
        let root_certificates = words.root_certificates.map(Into::into);
        Ok(Address { config, schema, shown, root_certificates, verifies })
    }

    pub(super) fn config(&self) -> Config {
        self.config.clone()
    }

    /// Returns the job's schema, quoted.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns the address for messages, without the password.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

/// What an address says in words that the client does not know.
#[derive(Default)]
struct Words {
    mode: Option<String>,
    root_certificates: Option<String>,
}

impl Words {
    /// Takes them out of the address.
    fn of(url: &str) -> (String, Words) {
        let mut words = Words::default();
        let Some((start, query)) = url.split_once('?') else { return (url.to_owned(), words) };
        let mut others = Vec::new();
        for pair in query.split('&') {
            let name = pair.split('=').next().unwrap_or_default();
            let value = || {
                let pairs = url::form_urlencoded::parse(pair.as_bytes());
                pairs.last().map(|(_, value)| value.into_owned()).unwrap_or_default()
            };
            match name {
                "sslmode" if pair.contains("verify-") => words.mode = Some(value()),
                "sslrootcert" => words.root_certificates = Some(value()),
                _ => others.push(pair),
            }
        }
        match others.is_empty() {
            true => (start.to_owned(), words),
            false => (format!("{start}?{}", others.join("&")), words),
        }
    }
}

fn shown(config: &Config, job: &str) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("job {job:?} in {database:?} on {host}:{port}")
}

/// Returns an address without what may be a password.
fn hide_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut url) => {
            if url.password().is_some() {
                let _ = url.set_password(Some("..."));
            }
            if url.query().is_some_and(|query| query.contains("password")) {
                url.set_query(None);
            }
            url.into()
        }
        Err(_) => url.split_once("://").map_or("...", |(scheme, _)| scheme).to_owned() + "://...",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_user_and_a_host() {
        let address =
            Address::parse("postgres://me:secret@db.example/crawls", "site", None).unwrap();
        assert_eq!(address.shown(), "job \"site\" in \"crawls\" on db.example:5432");
        assert_eq!(address.schema(), "\"site\"");
        assert!(!format!("{address:?}").contains("secret"));
        let socket = "postgresql://me@%2Fvar%2Frun/crawls?sslmode=disable";
        assert!(Address::parse(socket, "a\"b", Some("pw")).unwrap().schema() == "\"a\"\"b\"");
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for (url, job, expected) in [
            ("mysql://me:secret@a/b", "j", "begin with postgres://"),
            ("postgres:///b", "j", "names no user"),
            ("postgres://me:secret@/b", "j", "names no host"),
            ("postgres://me:secret@a/b", "", "1 to 63 bytes"),
            ("postgres://me:secret@a/b", "public", "cannot be called"),
            ("postgres://me:secret@a:port/b", "j", "port"),
            ("postgres://me:secret@a/b?colour=red", "j", "colour"),
        ] {
            let error = Address::parse(url, job, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn certificates_are_checked_where_the_address_says_so() {
        let url = "postgres://me@a/b?sslmode=verify-full&sslrootcert=%2Ftmp%2Fca.pem";
        let address = Address::parse(url, "j", None).unwrap();
        assert!(address.verifies);
        assert_eq!(address.root_certificates.unwrap().to_str(), Some("/tmp/ca.pem"));
        assert!(!Address::parse("postgres://me@a/b", "j", None).unwrap().verifies);
    }
}
