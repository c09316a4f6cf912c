//! The certificates that are trusted, and the message for one that is not.

use std::fmt;
use std::fs;
use std::io;
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
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        ClientConnection::new(config, name).map_err(io::Error::other)
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
        let verifier =
            Verifier { inner: verifier, accepts_any_certificate, provider: Arc::clone(&provider) };
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
        match verified {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if is_self_signed(end_entity) => Err(Untrusted::SelfSigned.into()),
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

/// Returns the message for an error of TLS.
pub(crate) fn in_words(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired => "the certificate has expired".to_owned(),
            Bad::ExpiredContext { not_after, .. } => {
                let date =
                    std::time::UNIX_EPOCH + std::time::Duration::from_secs(not_after.as_secs());
                format!("the certificate has expired, on {}", httpdate::fmt_http_date(date))
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "the certificate is not valid yet".to_owned()
            }
            Bad::NotValidForName => "the certificate is for another host".to_owned(),
            Bad::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().map(|name| name.as_str()).take(4).collect();
                format!("the certificate is for another host: {}", names.join(", "))
            }
            Bad::UnknownIssuer => "the certificate's issuer is not trusted".to_owned(),
            Bad::BadSignature => "the certificate's signature is wrong".to_owned(),
            Bad::Revoked => "the certificate was revoked".to_owned(),
            Bad::BadEncoding => "the certificate is broken".to_owned(),
            Bad::Other(OtherError(why)) => why.to_string(),
            other => format!("the certificate is not valid: {other:?}"),
        },
        rustls::Error::AlertReceived(alert) => format!("the server ended TLS: {alert:?}"),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        error => error.to_string(),
    }
}
