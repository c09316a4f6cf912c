//! The certificates that are trusted. [`words`] says why one is not.

mod given;
pub(crate) mod words;

use std::fmt;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme,
};

use crate::error::{Error, ErrorKind, io_error_in_words};

/// The certificates that are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Certificates to trust besides the system's.
    extra: Vec<CertificateDer<'static>>,
    /// Whether every certificate is accepted.
    pub(crate) accepts_any_certificate: bool,
}

impl Trust {
    /// Adds the certificates of a PEM file.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let refuse = |why: String| ErrorKind::Certificates(path.to_owned(), why);
        let bytes = fs::read(path).map_err(|error| refuse(io_error_in_words(&error)))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|error| refuse(error.to_string()))?;
        if found.is_empty() {
            return Err(refuse("there is no certificate in it".to_owned()).into());
        }
        let mut roots = RootCertStore::empty();
        for certificate in &found {
            let added = roots.add(certificate.clone());
            added.map_err(|error| refuse(error.to_string()))?;
        }
        self.extra.extend(found);
        Ok(())
    }
}

/// The TLS configuration of one run, made when it is first needed: reading the system's
/// certificates takes some milliseconds.
#[derive(Debug)]
pub(crate) struct Tls {
    trust: Trust,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    pub(crate) fn new(trust: Trust) -> Tls {
        Tls { trust, config: OnceLock::new() }
    }

    /// Returns a session with `host`, which begins when bytes are sent.
    pub(crate) fn session(&self, host: &str) -> io::Result<ClientConnection> {
        let config =
            self.config.get_or_init(|| self.configure()).clone().map_err(io::Error::other)?;
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = match ServerName::try_from(name) {
            Ok(name) => name,
            // No certificate is looked at. An address is not sent to the server, which has to do
            // without the name that it cannot be told.
            Err(_) if self.trust.accepts_any_certificate => Ipv4Addr::UNSPECIFIED.into(),
            Err(_) => {
                let why = format!("no certificate can be for a host named {host:?}");
                return Err(io::Error::other(why));
            }
        };
        ClientConnection::new(config, name).map_err(io::Error::other)
    }

    /// Returns the configuration for a client that is not ours.
    #[cfg(feature = "postgres")]
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| self.configure()).clone()
    }

    fn configure(&self) -> Result<Arc<ClientConfig>, String> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in &self.trust.extra {
            roots.add(certificate.clone()).map_err(|error| error.to_string())?;
        }
        let system = rustls_native_certs::load_native_certs();
        // Some of the system's certificates may be of an unknown kind.
        roots.add_parsable_certificates(system.certs);
        let verifier = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| error.to_string())?,
            ),
        };
        let accepts_any_certificate = self.trust.accepts_any_certificate;
        let verifier = Verifier {
            inner: verifier,
            given: self.trust.extra.clone(),
            accepts_any_certificate,
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// The usual verifier, which also tells a self-signed certificate from one of an unknown issuer.
#[derive(Debug)]
struct Verifier {
    /// `None` when no certificate is trusted.
    inner: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates that the user gave, each of which may be a server's own.
    given: Vec<CertificateDer<'static>>,
    accepts_any_certificate: bool,
    provider: Arc<CryptoProvider>,
}

/// Why a certificate is not trusted, where `rustls` does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Untrusted {
    SelfSigned,
    NoTrustedRoots,
}

impl std::error::Error for Untrusted {}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Untrusted::SelfSigned => "the certificate is self-signed",
            Untrusted::NoTrustedRoots => "the system has no certificates to trust",
        })
    }
}

impl From<Untrusted> for rustls::Error {
    fn from(why: Untrusted) -> rustls::Error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.accepts_any_certificate {
            return Ok(ServerCertVerified::assertion());
        }
        let inner = self.inner.as_ref().ok_or(Untrusted::NoTrustedRoots)?;
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(why) = &verified
            && self.given.contains(end_entity)
            && given::may_be_excused(why)
        {
            return match given::is_for(end_entity, server_name) {
                true => Ok(ServerCertVerified::assertion()),
                false => Err(CertificateError::NotValidForName.into()),
            };
        }
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if is_self_signed(end_entity) && !self.given.contains(end_entity) => {
                Err(Untrusted::SelfSigned.into())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}
