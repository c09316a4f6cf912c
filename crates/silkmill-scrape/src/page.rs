//! A page, from bytes to values: its text ([`charset`]), its tree ([`html`]), and the values that
//! XPath ([`xpath`]) and CSS ([`css`]) find in it, from one parse ([`extract`]). Does no I/O.

mod budget;
pub mod charset;
mod css;
pub(crate) mod extract;
pub(crate) mod field;
pub(crate) mod html;
mod problem;
pub(crate) mod value;
mod xpath;
