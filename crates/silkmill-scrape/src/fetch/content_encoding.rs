//! Decodes the `Content-Encoding` of a body. The character encoding of the text is
//! [`crate::page::charset`]'s; the reader bounds how much of it is decoded.

use std::io::{self, BufRead, Cursor, Read};

use brotli_decompressor::Decompressor;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The encodings that a request accepts.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// How far back a body may refer, which must be kept in memory: the bound of RFC 9659 for zstd.
/// (Brotli cannot refer back more than 16 MiB, deflate not more than 32 KiB.)
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Brotli reads in pieces of this size.
const BROTLI_PIECE_BYTES: usize = 8 * 1024;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// Returns the encoding that the header names, or `None` when it cannot be decoded here.
    pub(crate) fn named(header: &str) -> Option<Encoding> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            "br" => Some(Encoding::Brotli),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }

    /// Returns a reader of the decoded body. An empty body is empty in any encoding.
    pub(crate) fn decode<'a>(self, mut body: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        if body.fill_buf()?.is_empty() {
            return Ok(Box::new(io::empty()));
        }
        Ok(match self {
            Encoding::Identity => Box::new(body),
            Encoding::Gzip => Box::new(MultiGzDecoder::new(body)),
            Encoding::Brotli => Box::new(Decompressor::new(body, BROTLI_PIECE_BYTES)),
            Encoding::Zstd => Box::new(Zstd(Frames::Before(body))),
            Encoding::Deflate => {
                let mut start = Vec::new();
                body.by_ref().take(2).read_to_end(&mut start)?;
                let is_zlib = is_zlib(&start);
                let body = Cursor::new(start).chain(body);
                match is_zlib {
                    true => Box::new(ZlibDecoder::new(body)),
                    false => Box::new(DeflateDecoder::new(body)),
                }
            }
        })
    }
}

/// Tells whether a body starts with the header of RFC 1950. By the standard `deflate` always does;
/// some servers send the bare stream of RFC 1951.
fn is_zlib(start: &[u8]) -> bool {
    let [first, second] = *start else { return false };
    first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0
}

/// Decodes one frame of zstd after the other, which together are the body.
struct Zstd<R: BufRead>(Frames<R>);

enum Frames<R: BufRead> {
    Before(R),
    In(Box<StreamingDecoder<R, FrameDecoder>>),
    Over,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.0, Frames::Over) {
                Frames::Over => return Ok(0),
                Frames::Before(mut body) => {
                    if body.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder =
                        StreamingDecoder::new_with_max_window_size(body, ZSTD_WINDOW_BYTES_MAX);
                    self.0 = Frames::In(Box::new(decoder.map_err(io::Error::other)?));
                }
                Frames::In(mut decoder) => {
                    let length = decoder.read(into)?;
                    if length > 0 || into.is_empty() {
                        self.0 = Frames::In(decoder);
                        return Ok(length);
                    }
                    self.0 = Frames::Before(decoder.into_inner());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    /// `A page of silk, silk, silk and silk.` in Brotli and in zstd, made by their own programs.
    const TEXT: &[u8] = b"A page of silk, silk, silk and silk.";
    const BROTLI: &[u8] = &[
        0x1b, 0x23, 0x00, 0xf8, 0xc5, 0x6d, 0x6c, 0x5d, 0xf9, 0xe2, 0xf8, 0xae, 0x29, 0x74, 0xa2,
        0xe8, 0xd4, 0x8a, 0x48, 0x32, 0x0a, 0x3a, 0x72, 0x80, 0x03, 0x0a, 0xd2, 0x38, 0xff, 0xdf,
        0x3b, 0x2c, 0xe4, 0x0a, 0x02,
    ];
    const ZSTD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0xfd, 0x00, 0x00, 0xc8, 0x41, 0x20, 0x70, 0x61, 0x67,
        0x65, 0x20, 0x6f, 0x66, 0x20, 0x73, 0x69, 0x6c, 0x6b, 0x2c, 0x20, 0x61, 0x6e, 0x64, 0x20,
        0x73, 0x69, 0x6c, 0x6b, 0x2e, 0x01, 0x00, 0x31, 0x4a, 0x1d, 0xfd, 0x4b, 0x6f, 0x91,
    ];

    fn read(mut from: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn decoded(name: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Encoding::named(name).unwrap().decode(body)?.take(1 << 20).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let level = Compression::default();
        for (name, body) in [
            ("identity", TEXT.to_vec()),
            ("X-GZip", read(GzEncoder::new(TEXT, level))),
            ("deflate", read(ZlibEncoder::new(TEXT, level))),
            (" DEFLATE ", read(DeflateEncoder::new(TEXT, level))),
            ("br", BROTLI.to_vec()),
            ("zstd", ZSTD.to_vec()),
        ] {
            assert_eq!(decoded(name, &body).unwrap(), TEXT, "{name}");
            assert_eq!(decoded(name, b"").unwrap(), b"", "{name}");
        }
    }

    #[test]
    fn a_body_of_several_frames_is_all_of_them() {
        let gzip = read(GzEncoder::new(TEXT, Compression::default()));
        for (name, body) in [("gzip", &gzip[..]), ("zstd", ZSTD)] {
            assert_eq!(decoded(name, &body.repeat(3)).unwrap(), TEXT.repeat(3), "{name}");
        }
    }

    #[test]
    fn a_body_that_is_cut_or_broken_is_an_error() {
        let gzip = read(GzEncoder::new(TEXT, Compression::default()));
        for (name, body) in [("gzip", &gzip[..]), ("br", BROTLI), ("zstd", ZSTD)] {
            assert!(decoded(name, &body[..body.len() - 5]).is_err(), "{name}");
            assert!(decoded(name, b"no such thing").is_err(), "{name}");
        }
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused() {
        // The frame's header asks for 128 GiB to be kept, and for 16 MiB.
        for window in [0xd8, 14 << 3] {
            let body = [0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01, 0x00, 0x00];
            assert!(decoded("zstd", &body).is_err());
        }
    }

    #[test]
    fn an_encoding_we_cannot_decode_is_not_taken_for_text() {
        for name in ["gzip, gzip", "compress", "exi"] {
            assert_eq!(Encoding::named(name), None);
        }
    }
}
