//! A scripted loopback server, a site and trees of files, for tests and the demo.
//!
//! [`Server`] answers HTTP/1.1 on `127.0.0.1` as a closure tells it to, well or badly, and counts
//! the requests; with the feature `tls` it speaks TLS, too, with the certificates of an
//! `Authority`. [`Site`] is a site that a crawler must find its way in. [`Tree`] plants small files
//! whose contents are known in advance. Nothing here leaves the machine, and everything stops when
//! it is dropped.
//!
//! ```
//! use silkmill_testkit::{Reply, Server};
//!
//! let server = Server::start(|request| match request.path() {
//!     "/" => Reply::html("<title>Hello</title>"),
//!     "/slow" => Reply::silence(),
//!     _ => Reply::status(404),
//! })?;
//! assert!(server.url("/").starts_with("http://127.0.0.1:"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod connection;
#[cfg(feature = "tls")]
mod identity;
mod lock;
mod reply;
mod request;
mod server;
mod site;
mod stop;
mod tree;

#[cfg(feature = "tls")]
pub use identity::{Authority, Identity};
pub use reply::Reply;
pub use request::Request;
pub use server::Server;
pub use site::Site;
pub use tree::Tree;
