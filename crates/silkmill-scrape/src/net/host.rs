//! The name that a host is known by: what limits and delays count by.

use url::Url;

/// Returns the host of a URL: a name or an IP address, with a port.
pub(crate) fn host_of(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}
