//! From the text of an XML document to its tree, by XML's own rules and at a bounded cost:
//! [`parse`] reads it, [`namespaces`] knows what prefixes mean, [`mod@reference`] what `&…;` stands
//! for, and [`lexis`] which characters and names there are.

mod lexis;
mod namespaces;
pub(crate) mod parse;
mod reference;
#[cfg(test)]
mod tests;
mod tree;
