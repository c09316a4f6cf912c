//! Connections. Names are looked up ([`resolver`]) and checked ([`address`]), a connection is made
//! to one of their addresses, directly or through a proxy ([`dialer`]), and kept for the next
//! request ([`idle_pool`]). HTTP/1.1 on the wire is [`http`].

pub(crate) mod address;
mod connect;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod dialer;
pub(crate) mod fault;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod idle_pool;
pub(crate) mod interrupter;
pub(crate) mod proxy;
pub(crate) mod read_buffer;
pub(crate) mod resolver;
pub(crate) mod tls;
pub(crate) mod trace;
