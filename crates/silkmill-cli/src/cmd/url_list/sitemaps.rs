//! The pages that sitemaps list, as a list: they are kept in a file, since they may be millions,
//! and the file goes when the run ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::ops::ControlFlow;

use anyhow::{Result, anyhow};
use silkmill::CancelToken;
use silkmill_scrape::{Input, Options, SitemapList, SitemapSummary};

use crate::args::{SitemapArgs, UrlListArgs, When};
use crate::messages::{count, reason, to_stderr};
use crate::progress::ProgressLine;

/// A line of the file begins with one of these: the user has named its URL, or a server on the
/// Internet has.
const NAMED_BY_USER: u8 = b'+';
const NAMED_BY_SERVER: u8 = b'-';

/// Checks the sitemaps that were named, if any were.
pub(super) fn list_of(args: &SitemapArgs) -> Result<Option<SitemapList>> {
    if args.sitemap.is_empty() {
        return Ok(None);
    }
    let list = SitemapList::new(&args.sitemap)?;
    Ok(Some(match &args.since {
        Some(date) => list.since(date)?,
        None => list,
    }))
}

/// Reads sitemaps into a file. Returns `None` when that was interrupted.
pub(super) fn spool(
    list: &SitemapList,
    options: &Options,
    cancel: &CancelToken,
    args: &UrlListArgs,
) -> Result<Option<File>> {
    let mut progress = ProgressLine::new(if args.quiet { When::Never } else { args.progress });
    let spooled = into_file(list, options, cancel, &mut |pages| {
        progress.show(|| format!("sitemaps: {}", count(pages, "URL")));
    });
    progress.clear();
    let Some((file, summary)) = spooled? else { return Ok(None) };
    if !args.quiet {
        report(&summary);
    }
    Ok(Some(file))
}

/// Reads sitemaps into a file, and tells `progress` how many URLs it has. Returns `None` when that
/// was interrupted.
fn into_file(
    list: &SitemapList,
    options: &Options,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<(File, SitemapSummary)>> {
    let failed = |error: io::Error| {
        anyhow!("failed to write the pages of the sitemaps to a file: {}", reason(&error))
    };
    let mut file = BufWriter::new(tempfile::tempfile().map_err(failed)?);
    let (mut pages, mut unwritten) = (0u64, None);
    let summary = list.read(options, cancel, &mut |input| {
        pages += 1;
        progress(pages);
        unwritten = write(&input, &mut file).err();
        if unwritten.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(error) = unwritten {
        return Err(failed(error));
    }
    if summary.interrupted {
        return Ok(None);
    }
    let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.rewind().map_err(failed)?;
    Ok(Some((file, summary)))
}

/// The pages of sitemaps, as a list: kept in a file that goes with this value, since they may be
/// millions.
///
/// ```
/// use silkmill::CancelToken;
/// use silkmill_cli::SitemapPages;
/// use silkmill_scrape::{Options, SitemapList};
///
/// let list = SitemapList::new(["http://127.0.0.1:1/sitemap.xml"])?;
/// let options = Options::builder().retries(0).build()?;
/// // Nothing listens there.
/// assert!(SitemapPages::read(&list, &options, &CancelToken::new()).is_err());
/// # Ok::<(), silkmill_scrape::Error>(())
/// ```
#[derive(Debug)]
pub struct SitemapPages(Spooled<BufReader<File>>);

impl SitemapPages {
    /// Reads all sitemaps of the list. Returns `None` when `cancel` has ended that early.
    ///
    /// # Errors
    ///
    /// When a sitemap cannot be read, or the file cannot be written.
    pub fn read(
        list: &SitemapList,
        options: &Options,
        cancel: &CancelToken,
    ) -> Result<Option<SitemapPages>> {
        let spooled = into_file(list, options, cancel, &mut |_| {})?;
        Ok(spooled.map(|(file, _)| SitemapPages(Spooled::new(BufReader::new(file)))))
    }
}

impl Iterator for SitemapPages {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        self.0.next()
    }
}

/// Says what was left out.
fn report(summary: &SitemapSummary) {
    let left_out: Vec<String> = summary
        .left_out
        .iter()
        .map(|(refusal, count)| format!("{} {count}", refusal.name()))
        .collect();
    if !left_out.is_empty() {
        to_stderr(format_args!(
            "silkmill: {} in {}; left out: {}",
            count(summary.pages, "URL"),
            count(summary.sitemaps, "sitemap"),
            left_out.join(", ")
        ));
    }
}

fn write(input: &Input, file: &mut impl Write) -> io::Result<()> {
    let by_server = input.is_named_by_public_server();
    let mark = if by_server { NAMED_BY_SERVER } else { NAMED_BY_USER };
    let url = input.shown().replace(['\r', '\n'], " ");
    file.write_all(&[mark])?;
    file.write_all(url.as_bytes())?;
    file.write_all(b"\n")
}

/// The URLs of such a file.
#[derive(Debug)]
pub(super) struct Spooled<R> {
    from: R,
    line: Vec<u8>,
    pub(super) line_number: u64,
    /// The bytes up to the end of the last line.
    pub(super) position: u64,
}

impl<R: BufRead> Spooled<R> {
    pub(super) fn new(from: R) -> Spooled<R> {
        Spooled { from, line: Vec::new(), line_number: 0, position: 0 }
    }
}

impl<R: BufRead> Iterator for Spooled<R> {
    type Item = io::Result<Input>;

    fn next(&mut self) -> Option<io::Result<Input>> {
        self.line.clear();
        match self.from.read_until(b'\n', &mut self.line) {
            Ok(0) => return None,
            Ok(bytes) => self.position += bytes as u64,
            Err(error) => return Some(Err(error)),
        }
        self.line_number += 1;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let (mark, url) = line.split_first().unwrap_or((&NAMED_BY_USER, b""));
        let input = Input::url(String::from_utf8_lossy(url));
        let by_server = *mark == NAMED_BY_SERVER;
        Some(Ok(if by_server { input.named_by_public_server() } else { input }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let inputs = [
            Input::url("http://a.example/?x#y"),
            Input::url("http://127.0.0.1/").named_by_public_server(),
            Input::url("no URL, # and no\ncomment"),
        ];
        let mut file = Vec::new();
        inputs.iter().for_each(|input| write(input, &mut file).unwrap());

        let mut list = Spooled::new(file.as_slice());

        let read: Vec<Input> = list.by_ref().map(Result::unwrap).collect();
        assert_eq!(read[..2], inputs[..2]);
        assert_eq!(read[2], Input::url("no URL, # and no comment"));
        assert_eq!((list.line_number, list.position), (3, file.len() as u64));
    }
}
