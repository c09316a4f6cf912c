//! Connects to the database, by TLS where the address or the server wants it.
//!
//! `sslmode` means what it means to PostgreSQL's own programs: `prefer`, the default, and `require`
//! check no certificate; `verify-full` does, by the system's certificates or by those of
//! `sslrootcert`.

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::crawl::frontier::fleet::address::Address;
pub(super) use crate::net::tls::words::in_words;
use crate::net::tls::{Tls, Trust};

/// Why there is no connection.
pub(super) enum Refused {
    /// What the address says cannot be done.
    Address(String),
    Client(postgres::Error),
}

pub(super) fn connect(address: &Address, config: &Config) -> Result<Client, Refused> {
    let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    let is_socket = is_local && config.get_hostaddrs().is_empty();
    let client = if is_socket || config.get_ssl_mode() == SslMode::Disable {
        config.connect(NoTls)
    } else {
        let mut trust = Trust::default();
        trust.accepts_any_certificate = !address.verifies;
        if let Some(path) = &address.root_certificates {
            trust.add_file(path).map_err(|error| Refused::Address(error.to_string()))?;
        }
        let tls = Tls::new(trust).client_config().map_err(Refused::Address)?;
        config.connect(MakeRustlsConnect::new((*tls).clone()))
    };
    client.map_err(Refused::Client)
}
