//! What a page says: bytes in, values out. Does no I/O.

mod budget;
pub mod charset;
mod css;
pub(crate) mod extract;
pub(crate) mod field;
pub(crate) mod html;
mod problem;
pub(crate) mod value;
mod xpath;
