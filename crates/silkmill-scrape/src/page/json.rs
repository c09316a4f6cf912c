//! JSON in pages: the values of a body or of the scripts in its markup ([`texts`]), each made at a
//! bounded cost ([`bounded`]), and the paths that lead into them ([`path`]).

mod bounded;
pub(crate) mod path;
pub(crate) mod texts;
