//! Where the bytes of a journal, or of a draft of one, are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::store::journal::record::HEAD_LEN;

/// Bytes that can be read at any place.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Bytes(Arc<[u8]>),
    File(Arc<File>),
}

impl Source {
    pub(crate) fn len(&self) -> io::Result<u64> {
        match self {
            Source::Bytes(bytes) => Ok(bytes.len() as u64),
            Source::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// Reads the head of a journal, as far as it is there.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD_LEN];
        let len = self.fill(&mut head, 0)?;
        head.truncate(len);
        Ok(head)
    }

    /// Reads until the buffer is full or the bytes end. Returns how many were read.
    pub(crate) fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Source::Bytes(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
                let rest = rest.unwrap_or_default();
                let len = rest.len().min(buffer.len());
                buffer[..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
            Source::File(file) => {
                let mut len = 0;
                while len < buffer.len() {
                    match file.read_at(&mut buffer[len..], at + len as u64) {
                        Ok(0) => break,
                        Ok(read) => len += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(len)
            }
        }
    }
}
