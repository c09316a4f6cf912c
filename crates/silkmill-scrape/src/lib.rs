//! Fetches URLs and reads what they say.

mod document;
mod draft;
mod parse;
