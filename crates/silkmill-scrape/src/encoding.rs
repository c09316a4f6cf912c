//! Undoes the `Content-Encoding` of a body, where the client's library has not. Which character
//! encoding the text then has is [`crate::charset`]'s.

use std::io::{self, Cursor, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// How a body is encoded. Plain `gzip` is decoded before it gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

impl Encoding {
    /// What the header names; `None` when we cannot decode it.
    pub(crate) fn named(header: &str) -> Option<Encoding> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            _ => None,
        }
    }

    /// The decoded body. A reader of it decides how much of it there may be.
    pub(crate) fn decode<'a>(self, mut body: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Encoding::Identity => Box::new(body),
            Encoding::Gzip => Box::new(MultiGzDecoder::new(body)),
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

/// Whether a body starts with the header of RFC 1950. By the standard `deflate` always does; some
/// servers send the bare stream of RFC 1951.
fn is_zlib(start: &[u8]) -> bool {
    let [first, second] = *start else { return false };
    first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn read(mut from: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let page = &b"<title>A page</title> of a few words of words of words"[..];
        let level = Compression::default();
        for (name, body) in [
            ("identity", page.to_vec()),
            ("X-GZip", read(GzEncoder::new(page, level))),
            ("deflate", read(ZlibEncoder::new(page, level))),
            (" DEFLATE ", read(DeflateEncoder::new(page, level))),
        ] {
            let encoding = Encoding::named(name).unwrap();
            assert_eq!(read(encoding.decode(&body[..]).unwrap()), page, "{name}");
        }
    }

    #[test]
    fn an_encoding_we_cannot_decode_is_not_taken_for_text() {
        for name in ["br", "zstd", "gzip, gzip", "compress"] {
            assert_eq!(Encoding::named(name), None);
        }
    }
}
