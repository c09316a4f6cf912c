//! Connections: names looked up, addresses connected to, proxies, TLS, HTTP/1.1 on the wire.

pub(crate) mod address;
mod connect;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod dialer;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod idle_pool;
pub(crate) mod interrupter;
pub(crate) mod proxy;
pub(crate) mod read_buffer;
pub(crate) mod resolver;
pub(crate) mod tls;
pub(crate) mod trace;
