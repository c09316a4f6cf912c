//! The archives of a run: where what comes is kept, and what answers it instead of the network.

use std::path::Path;
use std::time::Duration;

use crate::archive::ArchivePaths;
use crate::error::Error;
use crate::options::Options;
use crate::options::builder::OptionsBuilder;

impl OptionsBuilder {
    /// Archives every request and its response in a WARC 1.1 file: as they went over the wire, each
    /// record compressed by itself, a body that the file has already as a reference to it. What is
    /// there is kept, and a record that a killed run has torn is cut off. A path whose name does
    /// not end in `.warc.gz` or `.warc` is a folder of files, each of about a gigabyte.
    ///
    /// A record is written before its row is handed on. When one cannot be written, the run ends
    /// with an error. Requests and responses may have passwords and cookies in them: a file that is
    /// made can be read by its owner alone.
    ///
    /// ```
    /// use silkmill_scrape::Options;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let options = Options::builder().warc(folder.path().join("pages.warc.gz")).build()?;
    /// # let _ = options;
    /// assert!(folder.path().join("pages.warc.gz").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn warc(mut self, path: impl AsRef<Path>) -> Self {
        self.archives.warc = Some(path.as_ref().to_owned());
        self
    }

    /// Uses responses again that earlier runs stored in this folder, as a cache of one user does
    /// (RFC 9111): without a request as long as they are fresh, and else if the server says that
    /// they are still what it would send. The responses are WARC files; `index.db` says which of
    /// them may be used.
    ///
    /// ```
    /// use silkmill_scrape::Options;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let options = Options::builder().cache(folder.path().join("cache")).build()?;
    /// # let _ = options;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cache(mut self, folder: impl AsRef<Path>) -> Self {
        self.archives.cache = Some(folder.as_ref().to_owned());
        self
    }

    /// Answers every request from WARC files, or those in folders, and makes no connection. Of
    /// several responses the latest is taken; a request without one is a failure of the kind
    /// [`Archive`](crate::FailureKind::Archive). There are no pauses and no retries, and nothing is
    /// archived anew.
    ///
    /// ```
    /// use silkmill_scrape::Options;
    ///
    /// assert!(Options::builder().replay("/nowhere/pages.warc.gz").build().is_err());
    /// ```
    pub fn replay(mut self, path: impl AsRef<Path>) -> Self {
        self.archives.replay.push(path.as_ref().to_owned());
        self
    }
}

impl ArchivePaths {
    /// Opens the archives for a run with these options.
    pub(super) fn open_for(&self, options: &mut Options) -> Result<(), Error> {
        options.archives = self.open(&options.user_agent)?;
        if options.archives.replay.is_some() {
            // No host is asked, so none has to be spared, and none can be down.
            (options.delay, options.throttle) = (Duration::ZERO, None);
            (options.retries, options.per_host, options.host_errors_max) = (0, 0, 0);
        }
        Ok(())
    }
}
