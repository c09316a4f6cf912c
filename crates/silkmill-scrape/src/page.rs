//! A page, from bytes to values: what it is ([`media`]), its text ([`charset`]), its tree
//! ([`html`], [`xml`]), and the values that XPath ([`xpath`]), CSS ([`css`]), regexes ([`regex`])
//! and JSONPath ([`json`]) find in it, from one parse ([`extract`]). Does no I/O.

mod budget;
pub mod charset;
mod content;
mod css;
pub(crate) mod extract;
pub(crate) mod field;
pub(crate) mod flaw;
pub(crate) mod html;
mod json;
mod media;
mod problem;
mod regex;
pub(crate) mod value;
pub(crate) mod xml;
mod xpath;
