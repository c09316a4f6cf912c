//! From the text of a page to its tree, at a bounded cost: [`parse`] feeds the parser,
//! [`cost_limit`] counts its work, [`tree_sink`] grows the tree, and [`document`] is the result.

#[cfg(test)]
mod conformance;
pub(crate) mod cost_limit;
pub(crate) mod document;
pub(crate) mod parse;
pub(crate) mod serialize;
mod tag_scan;
pub(crate) mod tree_sink;
