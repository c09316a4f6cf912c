//! Makes certificates for servers, good and bad, when they are needed.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::connection::Duplex;

/// A certificate authority, which a client may be told to trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes an authority that no client trusts yet.
    pub fn new() -> Authority {
        // A client would take two authorities of one name for the same.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut params = named(&format!("testkit authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = key();
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        Authority { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Returns the authority's certificate, for the clients that trust it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues an identity for these host names and addresses.
    pub fn issue(&self, hosts: &[&str]) -> Identity {
        self.sign(params(hosts))
    }

    /// Issues an identity that expired in the year 2000.
    pub fn issue_expired(&self, hosts: &[&str]) -> Identity {
        let mut params = params(hosts);
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(2000, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = key();
        let certificate =
            params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        Identity::new(certificate.der().clone(), &key)
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The certificate of a server, and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Makes an identity that no authority has signed.
    pub fn self_signed(hosts: &[&str]) -> Identity {
        let key = key();
        let certificate = params(hosts).self_signed(&key).expect("the parameters are complete");
        Identity::new(certificate.der().clone(), &key)
    }

    /// Makes an identity that no authority has signed and that says it is one, as `openssl req
    /// -x509` makes it. Returns it with its certificate, for the clients that trust it.
    pub fn self_signed_authority(hosts: &[&str], common_name: &str) -> (Identity, String) {
        let key = key();
        let mut params = params(hosts);
        params.distinguished_name = named(common_name).distinguished_name;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        (Identity::new(certificate.der().clone(), &key), certificate.pem())
    }

    /// Starts a TLS session over a connection. The handshake begins when bytes are read.
    ///
    /// # Errors
    ///
    /// When there is no memory or no randomness for a session.
    pub fn accept(&self, stream: TcpStream) -> io::Result<impl Read + Write + use<>> {
        self.session(stream)
    }

    pub(crate) fn accept_boxed(&self, stream: TcpStream) -> io::Result<Box<dyn Duplex>> {
        Ok(Box::new(self.session(stream)?))
    }

    fn session(&self, stream: TcpStream) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let session = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        Ok(StreamOwned::new(session, stream))
    }

    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> Identity {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key is the certificate's");
        Identity { config: Arc::new(config) }
    }
}

impl Duplex for StreamOwned<ServerConnection, TcpStream> {
    fn send_close_notify(&mut self) {
        self.conn.send_close_notify();
        // An error means that the client has left, and needs no goodbye.
        let _ = self.flush();
    }

    fn reset(&mut self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.sock, Some(Duration::ZERO));
    }

    fn write_past_tls(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sock.write_all(bytes)
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}

fn params(hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let subject = named("testkit server").distinguished_name;
    let mut params = CertificateParams::new(hosts).expect("the hosts are names or addresses");
    params.distinguished_name = subject;
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
