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

/// The owner, mode and extended attributes of a file.
#[derive(Debug)]
pub(crate) struct Attributes {
    owner: (u32, u32),
    mode: u32,
    /// The names of the extended attributes, one after the other, each followed by its NUL.
    xattr_names: Vec<u8>,
    /// The value of each, in the same order.
    xattr_values: Vec<Vec<u8>>,
}

impl Attributes {
    /// Reads the attributes of an open file.
    pub(crate) fn of(file: &File, metadata: &Metadata) -> io::Result<Attributes> {
        let xattr_names = xattr_names(file)?;
        let values = names(&xattr_names).map(|name| xattr(file, name));
        let xattr_values = values.collect::<io::Result<_>>()?;
        let (owner, mode) = ((metadata.uid(), metadata.gid()), metadata.mode() & MODE_BITS);
        Ok(Attributes { owner, mode, xattr_names, xattr_values })
    }

    /// Returns the same with another owner and mode.
    pub(crate) fn with_owner_and_mode(self, owner: (u32, u32), mode: u32) -> Attributes {
        Attributes { owner, mode: mode & MODE_BITS, ..self }
    }

    /// Gives them to another file. Fails where the operating system does not allow it.
    pub(crate) fn give(&self, to: &File) -> io::Result<()> {
        let has = to.metadata()?;
        let is_owned = (has.uid(), has.gid()) == self.owner;
        // The owner first: a change of owner takes the set-id bits and file capabilities away.
        if !is_owned {
            fchown(to, Some(self.owner.0), Some(self.owner.1))?;
        }
        let has_xattrs = self.give_xattrs(to)?;
        // An ACL shows in the mode, too.
        if !is_owned || has_xattrs || has.mode() & MODE_BITS != self.mode {
            to.set_permissions(Permissions::from_mode(self.mode))?;
        }
        Ok(())
    }

    /// Gives what the operating system allows, to a file that may replace the other one later.
    /// Fails where the disk or the machine has failed.
    pub(crate) fn give_what_can_be(&self, to: &File) -> io::Result<()> {
        let or_refused = |given: io::Result<()>| match given {
            Err(error) if !is_refused(&error) => Err(error),
            given => Ok(given.is_ok()),
        };
        if !or_refused(self.give(to))? {
            // The owner may be another one, so the set-id bits are left out.
            or_refused(to.set_permissions(Permissions::from_mode(self.mode & 0o777)))?;
        }
        Ok(())
    }

    /// Gives the extended attributes. Returns whether either file has any.
    fn give_xattrs(&self, to: &File) -> io::Result<bool> {
        let inherited = xattr_names(to)?;
        let is_wanted = |name: &CStr| names(&self.xattr_names).any(|other| other == name);
        // A directory's default ACL is given to every new file in it.
        for name in names(&inherited).filter(|name| !is_wanted(name)) {
            fremovexattr(to, name)?;
        }
        for (name, value) in names(&self.xattr_names).zip(&self.xattr_values) {
            if names(&inherited).any(|other| other == name) && xattr(to, name)? == *value {
                // Setting a security label may be forbidden even where it would change nothing.
                continue;
            }
            fsetxattr(to, name, value, XattrFlags::empty())?;
        }
        Ok(!(self.xattr_names.is_empty() && inherited.is_empty()))
    }
}

/// Returns whether the operating system does not allow an attribute to be given, as opposed to a
/// disk that is full, broken or read-only, or a machine without memory or file handles.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    const FAILURES: &[Errno] = &[
        Errno::IO,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::ROFS,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
    ];
    Errno::from_io_error(error).is_none_or(|errno| !FAILURES.contains(&errno))
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
