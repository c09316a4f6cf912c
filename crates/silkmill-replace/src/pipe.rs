//! Edits a stream, in bounded memory, as far as its matches are decided; and a text in memory.

use std::io::{self, BufWriter, Read, Write};

use crate::error::Error;
use crate::options::Options;
use crate::original::FILE_SIZE_MAX;
use crate::outcome::Notice;
use crate::pattern::Cache;
use crate::text::edit::BOM;
use crate::text::encoding::{Charset, EncodeError};
use crate::text::flow::Flow;
use crate::text::revise::{Rules, revise};
use crate::text::stream::{Piece, StreamError};
use crate::text::utf8::Utf8Check;

/// The byte order marks that may begin a text.
const MARKS: [&[u8]; 3] = [BOM, b"\xFF\xFE", b"\xFE\xFF"];

/// Edits what `from` reads and writes it to `to`. Returns how many replacements were made.
///
/// What is decided is written before more is read: a line as soon as it is complete, unless a text
/// to search for holds a line end. Memory does not grow with the text; but a regex that may span
/// lines, and text in an encoding other than UTF-16, need the whole text. Paths, filters and the
/// rules for binary files do not matter here.
///
/// ```
/// use silkmill_replace::{Options, pipe};
///
/// let options = Options::builder("colour", "color").build()?;
/// let mut out = Vec::new();
/// assert_eq!(pipe(&options, &mut &b"Its colour fades.\n"[..], &mut out)?, 1);
/// assert_eq!(out, b"Its color fades.\n");
/// # Ok::<(), silkmill_replace::Error>(())
/// ```
///
/// # Errors
///
/// Reading or writing failed; a line is too long for a regex, or the text for what needs all of it;
/// its encoding cannot represent the new text; or the text is not UTF-8, and a change may break it,
/// as [`OptionsBuilder::encoding`](crate::OptionsBuilder::encoding) says. What
/// was written before stays written.
pub fn pipe(options: &Options, from: &mut dyn Read, to: &mut dyn Write) -> Result<u64, Error> {
    pipe_with_notices(options, from, to, &mut |_| ())
}

/// Does what [`pipe`] does, and calls `notify` with what the user should know: that the text may
/// hide a match, because it is not UTF-8, or that names were left as they are.
///
/// # Errors
///
/// Those of [`pipe`].
pub fn pipe_with_notices(
    options: &Options,
    from: &mut dyn Read,
    to: &mut dyn Write,
    notify: &mut dyn FnMut(&Notice),
) -> Result<u64, Error> {
    let (mut check, mut cache) = (Utf8Check::default(), options.pattern.cache());
    let count = pipe_checked(options, from, to, &mut check, &mut cache)?;
    let names = cache.take_undecided();
    if names > 0 {
        notify(&Notice::Undecided { names });
    }
    if count == 0 && options.foreign_hides && check.is_foreign_at_end() {
        notify(&Notice::HidesMatches);
    }
    Ok(count)
}

/// Edits what `from` reads. What is not decoded is checked for UTF-8.
fn pipe_checked(
    options: &Options,
    from: &mut dyn Read,
    to: &mut dyn Write,
    check: &mut Utf8Check,
    cache: &mut Cache,
) -> Result<u64, Error> {
    let mark = mark(from).map_err(unread)?;
    let mut from = io::Cursor::new(mark.clone()).chain(from);
    let charset = Charset::of(&mark, options.charset);
    let rules = Rules { leaves_nul: false, ..options.rules() };
    if let Some(stream) = Flow::new(rules, charset, cache) {
        let check = (rules.guards_foreign && charset.is_none()).then_some(check);
        return in_pieces(stream, check, &mut from, to);
    }
    whole(options, charset, &mut from, to, (check, cache))
}

impl Options {
    /// Returns what `text` becomes, as a file with this text would, or `None` when nothing in it is
    /// replaced. Paths, filters and the rules for binary files do not matter here.
    ///
    /// ```
    /// use silkmill_replace::Options;
    ///
    /// let options = Options::builder(r"(\w+)@old", "$1@new").regex(true).build()?;
    /// assert_eq!(options.edit(b"ada@old")?.as_deref(), Some(&b"ada@new"[..]));
    /// assert_eq!(options.edit(b"nobody")?, None);
    /// # Ok::<(), silkmill_replace::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it would become longer than 2 GiB, its encoding cannot represent the new text, or it is
    /// not UTF-8 and a change may break it.
    pub fn edit(&self, text: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut edited = Vec::new();
        let rules = Rules { leaves_nul: false, ..self.rules() };
        let charset = Charset::of(text, self.charset);
        let revision = revise(rules, charset, &mut self.pattern.cache(), text, &mut edited, None);
        let revision = revision.map_err(|error| error.of("the text".as_ref()))?;
        Ok((revision.replacements > 0).then_some(edited))
    }
}

/// Reads the first bytes, as far as they may be a byte order mark.
fn mark(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let (mut mark, mut byte) = (Vec::new(), [0]);
    while MARKS.iter().any(|known| known.len() > mark.len() && known.starts_with(&mark)) {
        match from.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => mark.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(mark)
}

fn in_pieces(
    mut stream: Flow<'_>,
    mut check: Option<&mut Utf8Check>,
    from: &mut dyn Read,
    to: &mut dyn Write,
) -> Result<u64, Error> {
    let (mut to, failed) =
        (BufWriter::new(to), |error: StreamError| error.of("stdin".as_ref(), unwritten));
    let pass = |to: &mut BufWriter<_>, piece: Piece<'_>| {
        let (Piece::Same(bytes) | Piece::New(bytes)) = piece;
        to.write_all(bytes)
    };
    loop {
        let room = stream.room().map_err(failed)?;
        match from.read(room) {
            Ok(0) => break,
            Ok(len) => {
                if let Some(check) = &mut check {
                    check.see(&room[..len]);
                    guard(&mut stream, check.is_foreign()).map_err(failed)?;
                }
                stream.advance(len, |piece| pass(&mut to, piece)).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(error)),
        }
        to.flush().map_err(unwritten)?;
    }
    guard(&mut stream, check.is_some_and(|check| check.is_foreign_at_end())).map_err(failed)?;
    stream.finish(|piece| pass(&mut to, piece)).map_err(failed)?;
    to.flush().map_err(unwritten)?;
    Ok(stream.count())
}

/// Refuses doubtful changes once a text is known not to be UTF-8, those made before included.
fn guard(stream: &mut Flow<'_>, is_foreign: bool) -> Result<(), StreamError> {
    if !is_foreign {
        return Ok(());
    }
    stream.refuse_doubtful();
    let doubt = stream.doubt().map(EncodeError::Doubt);
    doubt.map_or(Ok(()), |doubt| Err(StreamError::EncodeError(doubt)))
}

fn whole(
    options: &Options,
    charset: Option<Charset>,
    from: &mut dyn Read,
    to: &mut dyn Write,
    (check, cache): (&mut Utf8Check, &mut Cache),
) -> Result<u64, Error> {
    let (mut text, mut edited) = (Vec::new(), Vec::new());
    let size_max = options.file_size_max.unwrap_or(FILE_SIZE_MAX);
    from.take(size_max.saturating_add(1)).read_to_end(&mut text).map_err(unread)?;
    if text.len() as u64 > size_max {
        return Err(Error::too_large("stdin".as_ref(), text.len() as u64, size_max));
    }
    if charset.is_none() {
        check.see(&text);
    }
    let rules = Rules { leaves_nul: false, ..options.rules() };
    let revision = revise(rules, charset, cache, &text, &mut edited, None);
    let count = revision.map_err(|error| error.of("stdin".as_ref()))?.replacements;
    let out = if count > 0 { &edited } else { &text };
    to.write_all(out).and_then(|()| to.flush()).map_err(unwritten)?;
    Ok(count)
}

fn unread(error: io::Error) -> Error {
    Error::io("read", "stdin".as_ref(), error)
}

fn unwritten(error: io::Error) -> Error {
    Error::io("write to", "stdout".as_ref(), error)
}
