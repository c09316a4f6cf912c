//! Gives a new file the owner, mode and extended attributes of another file. ACLs are among the
//! last.

use std::ffi::CStr;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{
    XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fremovexattr, fsetxattr,
};
use rustix::io::Errno;

/// The permissions, set-id bits and sticky bit of a mode.
const MODE_BITS: u32 = 0o7777;

/// How often a list or a value is read again because it grew after its length had been read.
const TRIES_MAX: usize = 8;

/// Copies the owner, mode and extended attributes of `from` to `to`. Fails where the operating
/// system does not allow it.
pub(crate) fn copy(from: &File, metadata: &Metadata, to: &File) -> io::Result<()> {
    let has = to.metadata()?;
    let (owner, mode) = ((metadata.uid(), metadata.gid()), metadata.mode() & MODE_BITS);
    let is_owned = (has.uid(), has.gid()) == owner;
    // The owner first: a change of owner takes the set-id bits and file capabilities away.
    if !is_owned {
        fchown(to, Some(owner.0), Some(owner.1))?;
    }
    let has_xattrs = copy_xattrs(from, to)?;
    // An ACL shows in the mode, too.
    if !is_owned || has_xattrs || has.mode() & MODE_BITS != mode {
        to.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Copies what the operating system allows, for a file that may replace the other one later.
pub(crate) fn copy_what_can_be(from: &File, metadata: &Metadata, to: &File) {
    if copy(from, metadata, to).is_err() {
        // The owner may be another one, so the set-id bits are left out.
        let _ = to.set_permissions(Permissions::from_mode(metadata.mode() & 0o777));
    }
}

/// Copies the extended attributes. Returns whether either file has any.
fn copy_xattrs(from: &File, to: &File) -> io::Result<bool> {
    let (wanted, inherited) = (xattr_names(from)?, xattr_names(to)?);
    // A directory's default ACL is given to every new file in it.
    for name in names(&inherited).filter(|name| !names(&wanted).any(|other| other == *name)) {
        fremovexattr(to, name)?;
    }
    for name in names(&wanted) {
        let value = xattr(from, name)?;
        if names(&inherited).any(|other| other == name) && xattr(to, name)? == value {
            // Setting a security label may be forbidden even where it would change nothing.
            continue;
        }
        fsetxattr(to, name, &value, XattrFlags::empty())?;
    }
    Ok(!(wanted.is_empty() && inherited.is_empty()))
}

/// Lists the names of the extended attributes, one after the other, each followed by its NUL.
fn xattr_names(file: &File) -> io::Result<Vec<u8>> {
    match sized(|| flistxattr_query(file), |buffer| flistxattr(file, buffer)) {
        // A filesystem without extended attributes has none to keep.
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        names => Ok(names?),
    }
}

fn xattr(file: &File, name: &CStr) -> io::Result<Vec<u8>> {
    Ok(sized(|| fgetxattr_query(file, name), |buffer| fgetxattr(file, name, buffer))?)
}

fn names(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|&byte| byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

/// Reads the length, then the bytes.
fn sized(
    len: impl Fn() -> Result<usize, Errno>,
    read: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> Result<Vec<u8>, Errno> {
    for _ in 0..TRIES_MAX {
        let mut bytes = vec![0; len()?];
        if bytes.is_empty() {
            return Ok(bytes);
        }
        match read(&mut bytes) {
            Ok(len) => {
                bytes.truncate(len);
                return Ok(bytes);
            }
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::RANGE)
}
