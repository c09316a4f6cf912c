//! Copies a text over its target, byte by byte, and recognizes what a crash may leave of such a
//! copy.

use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, fchmod, fstat, ftruncate};

/// How many bytes are read at a time when files are compared.
const COMPARED_LEN: usize = 64 << 10;

/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

pub(super) fn set_id(file: &File) -> io::Result<u32> {
    Ok(fstat(file)?.st_mode & SET_ID)
}

/// Gives the copy in the store the set-id bits of the target. A write removes them from the target,
/// and a process that is killed after the write does not give them back; a recovery reads them off
/// the copy.
pub(super) fn note_set_id(target: &File, kept: &File) -> io::Result<()> {
    let (bits, mode) = (set_id(target)?, fstat(kept)?.st_mode & 0o7777);
    if bits != mode & SET_ID {
        fchmod(kept, Mode::from_raw_mode(mode & !SET_ID | bits))?;
    }
    Ok(())
}

/// Overwrites `target` with the bytes of `text`, and gives it its own mode again, with these set-id
/// bits.
pub(super) fn overwrite(mut target: &File, mut text: &File, bits: u32) -> io::Result<()> {
    let mode = fstat(target)?.st_mode | bits;
    target.rewind()?;
    text.rewind()?;
    let len = io::copy(&mut text, &mut target)?;
    ftruncate(target, len)?;
    // A write removes the set-id bits.
    if fstat(target)?.st_mode != mode {
        fchmod(target, Mode::from_raw_mode(mode & 0o7777))?;
    }
    Ok(())
}

/// Returns whether `target` is what a crash may leave while `new` is copied over `old`: every byte
/// is that of one or the other, or a zero where the file has grown.
pub(super) fn is_between(target: &File, old: &File, new: &File) -> io::Result<bool> {
    let len = target.metadata()?.len();
    let (old_len, new_len) = (old.metadata()?.len(), new.metadata()?.len());
    if len > old_len.max(new_len) || len < old_len.min(new_len) {
        return Ok(false);
    }
    let mut buffers = [vec![0; COMPARED_LEN], vec![0; COMPARED_LEN], vec![0; COMPARED_LEN]];
    let mut at = 0;
    while at < len {
        let [a, b, c] = &mut buffers;
        let is = read_at(target, a, at)?;
        // Each file is read at an offset of its own, since two of them may share one open file.
        let (was, will) = (read_at(old, b, at)?, read_at(new, c, at)?);
        let fits = is.iter().enumerate().all(|(place, byte)| {
            let grown = at + place as u64 >= old_len;
            was.get(place) == Some(byte) || will.get(place) == Some(byte) || (grown && *byte == 0)
        });
        if !fits {
            return Ok(false);
        }
        if is.is_empty() {
            break;
        }
        at += is.len() as u64;
    }
    Ok(true)
}

/// Reads until the buffer is full or the file ends.
fn read_at<'a>(from: &File, buffer: &'a mut [u8], at: u64) -> io::Result<&'a [u8]> {
    let mut len = 0;
    while len < buffer.len() {
        match from.read_at(&mut buffer[len..], at + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        file
    }

    #[test]
    fn what_a_crash_may_leave_of_a_copy_is_distinguished_from_what_another_wrote() {
        let large = [vec![b'a'; 3 * COMPARED_LEN], vec![b'b'; 3 * COMPARED_LEN]];
        let torn = [&large[1][..COMPARED_LEN + 7], &large[0][COMPARED_LEN + 7..]].concat();
        type Claim<'a> = (&'a [u8], &'a [u8], &'a [u8], bool);
        let claims: &[Claim<'_>] = &[
            (b"old", b"old", b"newer", true),
            (b"newer", b"old", b"newer", true),
            (b"nel", b"nex", b"oll", true),
            (b"oewer", b"old", b"newer", true),
            (b"old\0\0", b"old", b"newer", true),
            (b"o\0d", b"old", b"newer", false),
            (b"old!", b"old", b"newer", false),
            (b"ol", b"old", b"newer", false),
            (b"newest", b"old", b"newer", false),
            (b"longer", b"longer", b"new", true),
            (b"newger", b"longer", b"new", true),
            (b"", b"", b"", true),
            (&torn, &large[0], &large[1], true),
            (&torn, &large[0], &large[0], false),
        ];
        for (target, old, new, want) in claims {
            let found = is_between(&file(target), &file(old), &file(new)).unwrap();
            assert_eq!(found, *want, "{} of {} and {}", target.len(), old.len(), new.len());
        }
        let same = file(&large[0]);
        assert!(is_between(&file(&large[0]), &same, &same).unwrap());
    }
}
