//! Reads the lines of a list on a thread of their own, so that a pipe that is silent for hours
//! delays neither the rows nor ^C.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use silkmill::Thread;
use silkmill_scrape::Input;

use crate::cmd::url_list::list::{List, ListForm, OtherColumns};
use crate::cmd::url_list::sitemaps::Spooled;
use crate::messages::reason;

/// The most lines that are read ahead of the requests.
const LINES_AHEAD_MAX: usize = 64;
/// The time that the input waits for a line before it lets the run write its rows.
const LINE_WAIT_MAX: Duration = Duration::from_millis(10);

/// The inputs of a list.
pub(super) struct Lines {
    name: String,
    /// What the list is read from, when it is a regular file.
    file: Option<FileIdentity>,
    other_columns: OtherColumns,
    lines: Receiver<io::Result<Line>>,
    /// A daemon, since nothing can wake it from a read that never returns.
    _reader: Thread<()>,
}

/// An input, and the number of its line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) input: Input,
    pub(super) number: u64,
    /// The bytes of the list up to the end of the line.
    pub(super) position: u64,
}

impl Lines {
    pub(super) fn open(path: &Path, form: &ListForm) -> Result<Lines> {
        if path == Path::new("-") {
            let identity = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let identity = identity.ok().and_then(|file| identity_of(&file));
            return Lines::read("standard input".to_owned(), identity, io::stdin(), form);
        }
        let name = format!("{path:?}");
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => bail!("failed to read {name}: {}", reason(&error)),
        };
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            bail!("failed to read {name}: it is a directory");
        }
        Lines::read(name, identity_of(&file), file, form)
    }

    fn read(
        name: String,
        file: Option<FileIdentity>,
        from: impl Read + Send + 'static,
        form: &ListForm,
    ) -> Result<Lines> {
        let (list, other_columns) = match List::open(BufReader::new(from), form) {
            Ok(opened) => opened,
            Err(error) => bail!("failed to read {name}: {}", reason(&error)),
        };
        Lines::start(name, file, list, other_columns)
    }

    /// Reads the pages of sitemaps, which are in a file.
    pub(super) fn of_sitemaps(file: File) -> Result<Lines> {
        let identity = identity_of(&file);
        let list = List::Sitemaps(Spooled::new(BufReader::new(file)));
        Lines::start("the sitemaps".to_owned(), identity, list, OtherColumns::None)
    }

    fn start(
        name: String,
        file: Option<FileIdentity>,
        list: List<impl BufRead + Send + 'static>,
        other_columns: OtherColumns,
    ) -> Result<Lines> {
        let (sender, lines) = mpsc::sync_channel(LINES_AHEAD_MAX);
        let reader = Thread::<()>::builder()
            .name("read-list")
            .daemon(true)
            .spawn(move || send_lines(list, &sender))?;
        Ok(Lines { name, file, other_columns, lines, _reader: reader })
    }

    /// Returns the name of the list in error messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether `file` is the one that the lines are read from, by whatever name.
    pub(super) fn are_from(&self, file: &File) -> bool {
        let other = identity_of(file);
        self.file.zip(other).is_some_and(|(this, other)| this.place == other.place)
    }

    /// Returns the columns of the list beside the URL.
    pub(super) fn other_columns(&self) -> &OtherColumns {
        &self.other_columns
    }

    /// Returns the length of the list in bytes, if it is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.file.map(|file| file.bytes)
    }
}

/// A regular file: its device and inode, and its length when it was opened.
#[derive(Clone, Copy, Debug)]
struct FileIdentity {
    place: (u64, u64),
    bytes: u64,
}

/// Identifies a regular file. A device or a pipe has no content to lose, and may be both read and
/// written.
fn identity_of(file: &File) -> Option<FileIdentity> {
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    Some(FileIdentity { place: (metadata.dev(), metadata.ino()), bytes: metadata.len() })
}

fn send_lines(mut list: List<impl BufRead>, to: &SyncSender<io::Result<Line>>) {
    while let Some(input) = list.next() {
        let last = input.is_err();
        let (number, position) = (list.line_number(), list.position());
        if to.send(input.map(|input| Line { input, number, position })).is_err() || last {
            return;
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Result<Line>> {
        match self.lines.recv_timeout(LINE_WAIT_MAX) {
            Ok(line) => Some(
                line.map_err(|error| anyhow!("failed to read {}: {}", self.name, reason(&error))),
            ),
            Err(RecvTimeoutError::Timeout) => {
                Some(Ok(Line { input: Input::waiting(), number: 0, position: 0 }))
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}
