//! Text from old to new: edited, decoded, encoded and compared. Pure: bytes in, bytes out, and no
//! file.

pub(crate) mod diff;
pub(crate) mod edit;
pub(crate) mod encoding;
pub(crate) mod flow;
pub(crate) mod revise;
pub(crate) mod stream;
pub(crate) mod utf16;
pub(crate) mod utf8;
