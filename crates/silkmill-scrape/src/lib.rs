//! Fetches URLs and reads what they say.

mod budget;
pub mod charset;
mod css;
mod document;
mod draft;
mod extract;
mod field;
mod gate;
mod parse;
mod problem;
mod tag_scan;
mod view;
mod xpath;

pub use extract::{Extracted, Extractor};
pub use field::{Field, FieldError};
