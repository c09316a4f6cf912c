//! Answers requests from archives, and never from the network.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use crate::archive::index::{Found, Index, Question, uri_of};
use crate::archive::record::{broken, labelled, sha1, target_uri};
use crate::archive::stored::{Stored, is_empty};
use crate::error::{Error, ErrorKind, io_error_in_words};

/// The endings of archives in a folder.
const ENDINGS: [&str; 2] = [".warc.gz", ".warc"];
/// The most archives of a run, each of which is an open file.
const ARCHIVES_MAX: usize = 512;

/// Archives that a run is answered from.
#[derive(Debug)]
pub(crate) struct Replay {
    files: Vec<Arc<File>>,
    index: Index,
}

/// A response from an archive. Its body may be in another record, whose head is passed over.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The record that has the head, if it is not the one with the body.
    pub(crate) head: Option<Stored>,
    pub(crate) body: Stored,
}

impl Replay {
    /// Opens archives, and those in folders, and looks for what they have.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Replay, Error> {
        let failed = |path: &Path, why: &io::Error| {
            Error::from(ErrorKind::Archive(path.to_owned(), "read", io_error_in_words(why)))
        };
        let index = Index::new().map_err(|why| failed(Path::new(""), &io::Error::other(why)))?;
        let mut replay = Replay { files: Vec::new(), index };
        for path in paths {
            let mut responses = 0;
            for file in archives(path).map_err(|why| failed(path, &why))? {
                responses += replay.add(&file).map_err(|why| failed(&file, &why))?;
            }
            if responses == 0 {
                return Err(failed(path, &broken("it has no response")));
            }
        }
        Ok(replay)
    }

    fn add(&mut self, path: &Path) -> io::Result<u64> {
        if self.files.len() == ARCHIVES_MAX {
            return Err(io::Error::other(format!("there are more than {ARCHIVES_MAX} archives")));
        }
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = Arc::new(file);
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        let count = self.index.add(&file, number)?;
        self.files.push(file);
        Ok(count)
    }

    /// Returns the latest response to a request; `None` when the archives have none.
    pub(crate) fn find(
        &self,
        method: &str,
        url: &Url,
        data: Option<&[u8]>,
    ) -> io::Result<Option<Answer>> {
        let uri = target_uri(url);
        let data = data.map(|data| {
            let mut digest = sha1();
            digest.update(data);
            labelled(&digest.finish())
        });
        let data = data.as_deref().unwrap_or_default();
        let asked = Question { method, uri: &uri, data };
        // The head of a page says what a server would answer to HEAD; other programs do not archive
        // what they send.
        let or_page = (method == "HEAD").then_some(Question { method: "GET", ..asked });
        let or_any_data = (!data.is_empty()).then_some(Question { data: "", ..asked });
        for question in [Some(asked), or_page, or_any_data].into_iter().flatten() {
            for found in self.index.find(&question).map_err(io::Error::other)? {
                let stored = self.stored(found)?;
                if uri_of(&stored.record.uri) == uri {
                    return self.answer(stored).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn stored(&self, found: Found) -> io::Result<Stored> {
        let file = self
            .files
            .get(found.file as usize)
            .ok_or_else(|| broken("there is no such archive"))?;
        Stored::open(file, found.place)
    }

    /// Finds the body that a reference stands for.
    fn answer(&self, mut stored: Stored) -> io::Result<Answer> {
        if stored.record.kind != "revisit" {
            return Ok(Answer { head: None, body: stored });
        }
        let digest = &stored.record.payload_digest;
        let found = self.index.find_payload(digest).map_err(io::Error::other)?;
        let found = found.ok_or_else(|| {
            broken(&format!("the archive refers to a body that it does not have ({digest})"))
        })?;
        let body = self.stored(found)?;
        let has_head = !is_empty(&mut stored.block)?;
        Ok(Answer { head: has_head.then_some(stored), body })
    }
}

/// Returns the archives that a path leads to, in the order of their names.
fn archives(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.as_os_str().as_encoded_bytes();
        if ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes())) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
