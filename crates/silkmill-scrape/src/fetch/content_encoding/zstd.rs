//! zstd (RFC 8878): one frame after the other, which together are the body.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::fetch::content_encoding::peek::Peek;

/// How far back a body may refer, which must be kept in memory: the bound of RFC 9659. (Brotli
/// cannot refer back more than 16 MiB, deflate not more than 32 KiB.)
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
const MAGIC: u32 = 0xfd2f_b528;
/// The first of sixteen numbers that begin a frame of something else than data.
const SKIPPED_MAGIC: u32 = 0x184d_2a50;

/// Decodes a body of zstd. Bytes behind the last frame are dropped.
pub(super) struct Zstd<R: BufRead> {
    at: At<R>,
    /// Whether a frame of data was decoded.
    has_frame: bool,
}

enum At<R: BufRead> {
    BeforeFrame(Peek<R>),
    InFrame(Box<StreamingDecoder<Peek<R>, FrameDecoder>>),
    /// At the end of a body whose last checksum did not come, with data that was not read yet.
    WithoutChecksum(Box<FrameDecoder>),
    End,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(body: R) -> Zstd<R> {
        Zstd { at: At::BeforeFrame(Peek::new(body)), has_frame: false }
    }

    /// Begins the next frame, or ends the body where none begins.
    fn begin(&mut self, mut body: Peek<R>) -> io::Result<()> {
        let start = body.peek(8)?;
        let number = |at: usize| Some(u32::from_le_bytes(start.get(at..at + 4)?.try_into().ok()?));
        match (number(0), number(4)) {
            (Some(magic), Some(length)) if magic & !0xf == SKIPPED_MAGIC => {
                body.read_exact(&mut [0; 8])?;
                io::copy(&mut body.by_ref().take(length.into()), &mut io::sink())?;
                self.at = At::BeforeFrame(body);
            }
            (magic, _) if magic == Some(MAGIC) || (!self.has_frame && !start.is_empty()) => {
                let decoder = StreamingDecoder::new_with_max_window_size(body, WINDOW_BYTES_MAX);
                self.at = At::InFrame(Box::new(decoder.map_err(io::Error::other)?));
                self.has_frame = true;
            }
            _ => {}
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.at, At::End) {
                At::End => return Ok(0),
                At::BeforeFrame(body) => self.begin(body)?,
                At::InFrame(mut decoder) => match decoder.read(into) {
                    Ok(0) => self.at = At::BeforeFrame(decoder.into_inner()),
                    Err(error) if is_cut_checksum(&error) => {
                        self.at = At::WithoutChecksum(Box::new(decoder.into_frame_decoder()));
                    }
                    read => {
                        self.at = At::InFrame(decoder);
                        return read;
                    }
                },
                At::WithoutChecksum(mut decoder) => {
                    let length = decoder.read(into)?;
                    self.at = if length > 0 { At::WithoutChecksum(decoder) } else { At::End };
                    return Ok(length);
                }
            }
        }
    }
}

/// Tells whether all data came, and the body ended before its checksum. It is checked nowhere.
fn is_cut_checksum(error: &io::Error) -> bool {
    let why = error.get_ref().and_then(|why| why.downcast_ref::<FrameDecoderError>());
    matches!(why, Some(FrameDecoderError::FailedToReadChecksum(why))
        if why.kind() == io::ErrorKind::UnexpectedEof)
}
