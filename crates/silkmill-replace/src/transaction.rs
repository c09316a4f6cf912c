//! The transaction: new text is staged, committed, and recovered after a crash.

pub(crate) mod attributes;
pub(crate) mod commit;
pub(crate) mod flusher;
pub(crate) mod recovery;
pub(crate) mod stage;
pub(crate) mod swap;
