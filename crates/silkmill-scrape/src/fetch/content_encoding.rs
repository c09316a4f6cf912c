//! Decodes the `Content-Encoding` of a body. The character encoding of the text is
//! [`crate::page::charset`]'s; the reader bounds how much of it is decoded.

mod deflate;
mod peek;
mod zstd;

use std::io::{self, BufRead, BufReader, Read};

use brotli_decompressor::Decompressor;

use crate::fetch::content_encoding::deflate::Inflater;
use crate::fetch::content_encoding::zstd::Zstd;

/// The encodings that a request accepts.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// Brotli reads in pieces of this size.
const BROTLI_PIECE_BYTES: usize = 8 * 1024;
/// The most encodings of one body.
const ENCODINGS_MAX: usize = 5;
/// Encodings that are registered for HTTP or were in use, and cannot be decoded here. Any other
/// name says nothing of how the body is encoded.
const UNDECODABLE: [&str; 14] = [
    "aes128gcm",
    "bzip2",
    "compress",
    "dcb",
    "dcz",
    "exi",
    "lz4",
    "lzma",
    "pack200-gzip",
    "sdch",
    "x-bzip2",
    "x-compress",
    "x-snappy-framed",
    "xz",
];

/// One way in which a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The encodings of a body, in the order in which they are undone: the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encodings(Vec<Encoding>);

impl Encodings {
    /// Parses the header, of which several are one list. Names of no encoding (`none`, `UTF-8`,
    /// `aws-chunked`) are passed over, as browsers do. An error says which name cannot be decoded.
    pub(crate) fn parse(header: &str) -> Result<Encodings, String> {
        let mut encodings = Vec::new();
        for word in header.rsplit(',') {
            let name = word.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            encodings.push(match name.as_str() {
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" | "x-deflate" => Encoding::Deflate,
                "br" => Encoding::Brotli,
                "zstd" => Encoding::Zstd,
                name if UNDECODABLE.contains(&name) => {
                    return Err(format!(
                        "the body is encoded as {name:?}, which cannot be decoded"
                    ));
                }
                _ => continue,
            });
        }
        match encodings.len() {
            0..=ENCODINGS_MAX => Ok(Encodings(encodings)),
            count => Err(format!("the body is encoded {count} times, more than {ENCODINGS_MAX}")),
        }
    }

    /// Tells whether the body is as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a reader of the decoded body.
    pub(crate) fn decode<'a>(&self, body: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let mut encodings = self.0.iter();
        let Some(first) = encodings.next() else { return Ok(Box::new(body)) };
        let mut decoded = first.decode(body)?;
        for encoding in encodings {
            decoded = encoding.decode(BufReader::new(decoded))?;
        }
        Ok(decoded)
    }
}

impl Encoding {
    /// Returns a reader of the decoded body. An empty body is empty in any encoding.
    fn decode<'a>(self, mut body: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        if body.fill_buf()?.is_empty() {
            return Ok(Box::new(io::empty()));
        }
        Ok(match self {
            Encoding::Gzip => Box::new(Inflater::gzip(body)?),
            Encoding::Deflate => Box::new(Inflater::deflate(body)?),
            Encoding::Brotli => Box::new(Decompressor::new(body, BROTLI_PIECE_BYTES)),
            Encoding::Zstd => Box::new(Zstd::new(body)),
        })
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
        Encodings::parse(name).unwrap().decode(body)?.take(1 << 20).read_to_end(&mut bytes)?;
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
        let zlib = read(ZlibEncoder::new(TEXT, Compression::default()));
        for (name, body, tail) in [
            ("gzip", &gzip[..], 8),
            ("deflate", &zlib[..], 4),
            ("deflate", &zlib[2..], 4),
            ("br", BROTLI, 0),
            ("zstd", ZSTD, 4),
        ] {
            let cut = &body[..body.len() - tail - 1];
            assert!(decoded(name, cut).is_err(), "{name}");
            assert!(decoded(name, &cut[..cut.len() / 2]).is_err(), "{name}");
        }
        for name in ["gzip", "deflate", "br", "zstd"] {
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
    fn bytes_behind_the_end_are_dropped() {
        let level = Compression::default();
        for (name, body) in [
            ("gzip", read(GzEncoder::new(TEXT, level))),
            ("deflate", read(ZlibEncoder::new(TEXT, level))),
            ("deflate", read(DeflateEncoder::new(TEXT, level))),
            ("deflate", read(GzEncoder::new(TEXT, level))),
            ("br", BROTLI.to_vec()),
            ("zstd", ZSTD.to_vec()),
        ] {
            for behind in
                [&b"\0\0\0\0\0\0\0\0\0"[..], b"\r\n", b"<!-- served by a cache -->", b"\x1f"]
            {
                let body = [&body[..], behind].concat();
                assert_eq!(decoded(name, &body).unwrap(), TEXT, "{name} {behind:?}");
                let dripped = BufReader::with_capacity(1, &body[..]);
                let mut bytes = Vec::new();
                let encodings = Encodings::parse(name).unwrap();
                encodings.decode(dripped).unwrap().read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, TEXT, "{name} {behind:?}, one byte at a time");
            }
        }
    }

    #[test]
    fn a_checksum_may_be_missing() {
        let level = Compression::default();
        for (name, body, checksum) in [
            ("gzip", read(GzEncoder::new(TEXT, level)), 8),
            ("deflate", read(ZlibEncoder::new(TEXT, level)), 4),
            ("zstd", ZSTD.to_vec(), 4),
        ] {
            for missing in 1..=checksum {
                let cut = &body[..body.len() - missing];
                assert_eq!(decoded(name, cut).unwrap(), TEXT, "{name} without {missing} bytes");
            }
        }
    }

    #[test]
    fn the_header_of_gzip_may_have_texts_in_it() {
        let mut encoder = flate2::GzBuilder::new()
            .filename("page.html")
            .comment("silk")
            .extra(b"extra".to_vec())
            .read(TEXT, Compression::fast());
        let mut body = Vec::new();
        encoder.read_to_end(&mut body).unwrap();
        assert_eq!(decoded("gzip", &body).unwrap(), TEXT);
    }

    #[test]
    fn a_frame_of_zstd_that_is_no_data_is_skipped() {
        let skipped = b"\x5f\x2a\x4d\x18\x03\0\0\0abc";
        let body = [skipped, ZSTD, skipped, ZSTD, b"\0"].concat();
        assert_eq!(decoded("zstd", &body).unwrap(), TEXT.repeat(2));
    }

    #[test]
    fn several_encodings_are_undone_from_the_last() {
        let level = Compression::default();
        let gzip = |bytes: &[u8]| read(GzEncoder::new(bytes, level));
        let twice = gzip(&gzip(TEXT));
        for (header, body) in [
            ("gzip, gzip", &twice),
            ("gzip,, x-gzip,", &twice),
            ("identity, gzip, none, gzip", &twice),
            ("deflate, gzip", &gzip(&read(ZlibEncoder::new(TEXT, level)))),
            ("br, gzip", &gzip(BROTLI)),
            ("zstd, GZIP", &gzip(ZSTD)),
        ] {
            assert_eq!(decoded(header, body).unwrap(), TEXT, "{header}");
        }
    }

    #[test]
    fn a_name_of_no_encoding_says_nothing() {
        for header in ["", "identity", "UTF-8", "none", "binary", "aws-chunked", "8bit", ", ,", "x"]
        {
            assert_eq!(Encodings::parse(header), Ok(Encodings::default()), "{header}");
            assert_eq!(decoded(header, TEXT).unwrap(), TEXT, "{header}");
        }
        assert_eq!(Encodings::parse("aws-chunked, gzip;q=1").unwrap().0, [Encoding::Gzip]);
    }

    #[test]
    fn an_encoding_we_cannot_decode_is_not_taken_for_text() {
        for header in ["compress", "exi", "gzip, DCB", &"gzip,".repeat(ENCODINGS_MAX + 1)] {
            assert!(Encodings::parse(header).is_err(), "{header}");
        }
    }
}
