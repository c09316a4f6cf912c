//! The cookie files of a run: read at its start, written at its end.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use silkmill_scrape::CookieJar;

use crate::messages::reason;

/// Cookies are secrets: others cannot read a file that is made for them.
const MODE: u32 = 0o600;

/// The cookies of a run, and the file that they go to.
#[derive(Debug)]
pub struct Cookies {
    /// `None` when cookies are kept along the redirects of one URL only.
    jar: Option<CookieJar>,
    file: Option<PathBuf>,
}

impl Cookies {
    /// Reads the files of `from`, and sees to it that the one of `to` can be written.
    ///
    /// # Errors
    ///
    /// When one cannot be read or written, or holds no cookies.
    pub fn open(from: &[PathBuf], to: Option<&Path>) -> Result<Cookies> {
        let file = to.map(Path::to_owned);
        if from.is_empty() && file.is_none() {
            return Ok(Cookies { jar: None, file });
        }
        let jar = CookieJar::default();
        for path in from {
            let bytes = fs::read(path).map_err(|error| {
                anyhow!("failed to read cookies from {path:?}: {}", reason(&error))
            })?;
            jar.read(&bytes).with_context(|| format!("failed to read cookies from {path:?}"))?;
        }
        if let Some(path) = &file {
            let opened = OpenOptions::new().append(true).create(true).mode(MODE).open(path);
            opened.map_err(|error| unwritten(path, &error))?;
        }
        Ok(Cookies { jar: Some(jar), file })
    }

    /// Returns the jar, unless cookies are kept along the redirects of one URL only.
    pub fn jar(&self) -> Option<&CookieJar> {
        self.jar.as_ref()
    }

    /// Writes the cookies that the run has at its end.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self) -> Result<()> {
        let (Some(jar), Some(path)) = (&self.jar, &self.file) else { return Ok(()) };
        replace(path, &jar.to_bytes()).map_err(|error| unwritten(path, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("failed to write cookies to {path:?}: {}", reason(error))
}

/// Writes a file anew. A regular file is replaced when all is written; a link, a pipe or a device
/// is written to.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return fs::write(path, bytes);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&part)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&part, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })
}
