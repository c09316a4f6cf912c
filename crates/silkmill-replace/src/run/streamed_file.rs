//! Edits and stages a large file without taking it into memory.

use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use crate::error::Error;
use crate::options::Mode;
use crate::original;
use crate::outcome::{Action, Skip};
use crate::pattern::Cache;
use crate::run::worker::{FileJob, Finding};
use crate::text::encoding::{Charset, EncodeError};
use crate::text::flow::Flow;
use crate::text::revise::ReviseError;
use crate::text::stream::{Piece, StreamError};
use crate::text::utf8::Utf8Check;
use crate::transaction::stage;

/// How many bytes of a streamed file are written at once.
const WRITTEN_LEN: usize = 256 << 10;

impl FileJob<'_> {
    /// Edits the file piece by piece. Writes nothing up to the first change, since most files have
    /// none.
    pub(super) fn stream(
        &self,
        cache: &mut Cache,
        charset: Option<Charset>,
    ) -> Result<Finding, Error> {
        let options = &self.context.options;
        let size = self.original.metadata.len();
        let stream = Flow::new(options.rules(), charset, cache);
        let mut stream = stream.expect("the caller looked at the pattern's reach");
        // What an earlier search of the file has counted does not count twice.
        stream.take_undecided();
        let mut staging =
            Staging { job: self, writer: None, unbegun: None, same: 0, bytes_after: 0 };
        let mut at = 0;
        while at < size {
            let room = stream.room().map_err(|error| staging.failed(error))?;
            let most = usize::try_from(size - at).unwrap_or(usize::MAX).min(room.len());
            let room = &mut room[..most];
            let read = match self.original.file.read_at(room, at) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unread(error)),
            };
            if original::holds_nul(&room[..read], charset, options.reading()) {
                return Ok(self.reported(Action::Skipped(Skip::Binary)));
            }
            at += read as u64;
            match stream.advance(read, |piece| staging.take(piece)) {
                Err(StreamError::Nul) => return Ok(self.reported(Action::Skipped(Skip::Binary))),
                passed => passed.map_err(|error| staging.failed(error))?,
            }
            if self.context.cancel.is_cancelled() {
                return Ok(Finding::NoMatch);
            }
        }
        match stream.finish(|piece| staging.take(piece)) {
            Err(StreamError::Nul) => return Ok(self.reported(Action::Skipped(Skip::Binary))),
            passed => passed.map_err(|error| staging.failed(error))?,
        }
        self.context.count_undecided(stream.take_undecided());
        let (replacements, doubt) = (stream.count(), stream.doubt());
        if replacements == 0 {
            if options.foreign_hides && charset.is_none() && self.is_foreign()? {
                self.context.count_foreign();
            }
            return Ok(Finding::NoMatch);
        }
        if let Some(doubt) = doubt
            && options.guards_foreign
            && charset.is_none()
            && self.is_foreign()?
        {
            return Err(ReviseError::EncodeError(EncodeError::Doubt(doubt)).of(&self.found.path));
        }
        staging.finish(at, replacements)
    }

    /// Reads the file once more, to learn whether it is not UTF-8. Few files give a reason to ask.
    fn is_foreign(&self) -> Result<bool, Error> {
        let (mut check, mut at) = (Utf8Check::default(), 0);
        let mut buffer = vec![0; WRITTEN_LEN];
        loop {
            match self.original.file.read_at(&mut buffer, at) {
                Ok(0) => return Ok(check.is_foreign_at_end()),
                Ok(read) => {
                    check.see(&buffer[..read]);
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unread(error)),
            }
        }
    }
}

/// Where the pieces of a streamed file go.
struct Staging<'a> {
    job: &'a FileJob<'a>,
    /// `None` before the first change, and when nothing is to be written.
    writer: Option<BufWriter<stage::Writer<'a>>>,
    /// Why the writer could not be created, or given what is before the first change.
    unbegun: Option<Error>,
    /// The number of bytes before the first change.
    same: u64,
    bytes_after: u64,
}

impl<'a> Staging<'a> {
    fn take(&mut self, piece: Piece<'_>) -> io::Result<()> {
        let (Piece::Same(bytes) | Piece::New(bytes)) = piece;
        self.bytes_after += bytes.len() as u64;
        if let Some(writer) = &mut self.writer {
            return writer.write_all(bytes);
        }
        match piece {
            Piece::Same(_) => self.same = self.bytes_after,
            Piece::New(bytes) if self.job.context.options.mode == Mode::Write => {
                self.begin()?.write_all(bytes)?;
            }
            Piece::New(_) => {}
        }
        Ok(())
    }

    /// Creates the writer, and copies to it what is before the first change.
    fn begin(&mut self) -> io::Result<&mut BufWriter<stage::Writer<'a>>> {
        let FileJob { context, found, original } = self.job;
        let writer = context.stage().begin(found.target(), original).map_err(|error| {
            self.unbegun = Some(error);
            io::ErrorKind::Other
        })?;
        let mut writer = BufWriter::with_capacity(WRITTEN_LEN, writer);
        let (mut buffer, mut at) = (vec![0; WRITTEN_LEN], 0);
        while at < self.same {
            let len = usize::try_from(self.same - at).unwrap_or(usize::MAX).min(buffer.len());
            if let Err(error) = original.file.read_exact_at(&mut buffer[..len], at) {
                self.unbegun = Some(self.job.unread(error));
                return Err(io::ErrorKind::Other.into());
            }
            writer.write_all(&buffer[..len])?;
            at += len as u64;
        }
        Ok(self.writer.insert(writer))
    }

    fn failed(&mut self, error: StreamError) -> Error {
        let (job, unbegun) = (self.job, self.unbegun.take());
        error.of(&job.found.path, |error| unbegun.unwrap_or_else(|| job.unstaged(error)))
    }

    fn finish(self, bytes_before: u64, replacements: u64) -> Result<Finding, Error> {
        let outcome =
            |action| self.job.outcome(action, bytes_before, replacements, self.bytes_after);
        let Some(writer) = self.writer else {
            let action = Action::WouldChange { diff: Vec::new() };
            let file = Some(self.job.original.identity().file);
            return Ok(Finding::Reported { outcome: outcome(action), file });
        };
        let outcome = outcome(Action::Changed);
        let writer = writer.into_inner().map_err(|error| self.job.unstaged(error.into_error()))?;
        Ok(Finding::Staged { staged: Box::new(writer.finish()?), outcome })
    }
}
