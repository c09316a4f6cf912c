//! How tasks and pools begin and end, in the programs around them.

mod bindings;
mod drain;
mod limits;
mod named;
