//! Errors of TLS in words: what is wrong with a certificate, or with what the server speaks.

use std::time::{Duration, UNIX_EPOCH};

use rustls::{AlertDescription, CertificateError, OtherError, PeerIncompatible};

/// The most names of a certificate that are shown.
const NAMES_SHOWN_MAX: usize = 4;
const NO_COMMON_CIPHER: &str = "the server and we have no cipher suite in common: it may only speak \
     CBC, RSA key exchange or DHE, all of which are obsolete; ECDHE with AES-GCM or ChaCha20 is spoken here";
const TOO_OLD: &str = "the server only speaks a version of TLS that is obsolete, before 1.2";

/// Returns the message for an error of TLS.
pub(crate) fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(bad) => certificate_in_words(bad),
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                NO_COMMON_CIPHER.to_owned()
            }
            AlertDescription::ProtocolVersion => TOO_OLD.to_owned(),
            AlertDescription::UnrecognisedName => "the server does not know the host".to_owned(),
            AlertDescription::CertificateRequired => {
                "the server wants a certificate of the client".to_owned()
            }
            alert => format!("the server ended TLS: {}", separated(&format!("{alert:?}"))),
        },
        rustls::Error::PeerIncompatible(why) => match why {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => TOO_OLD.to_owned(),
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon => NO_COMMON_CIPHER.to_owned(),
            why => format!("the server's TLS is not ours: {}", separated(&format!("{why:?}"))),
        },
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        error => error.to_string(),
    }
}

fn certificate_in_words(bad: &CertificateError) -> String {
    use CertificateError as Bad;
    match bad {
        Bad::Expired => "the certificate has expired".to_owned(),
        Bad::ExpiredContext { not_after, .. } => {
            let date = UNIX_EPOCH + Duration::from_secs(not_after.as_secs());
            format!("the certificate has expired, on {}", httpdate::fmt_http_date(date))
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        Bad::NotValidForName => "the certificate is for another host".to_owned(),
        Bad::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> =
                presented.iter().take(NAMES_SHOWN_MAX).map(|name| bare_name(name)).collect();
            match names.is_empty() {
                true => "the certificate names no host".to_owned(),
                false => format!("the certificate is for another host: {}", names.join(", ")),
            }
        }
        Bad::UnknownIssuer => "the certificate's issuer is not trusted".to_owned(),
        Bad::BadSignature => "the certificate's signature is wrong".to_owned(),
        Bad::Revoked => "the certificate was revoked".to_owned(),
        Bad::BadEncoding => "the certificate is broken".to_owned(),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "the certificate is not one for servers".to_owned()
        }
        Bad::Other(OtherError(why)) => match why.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "the certificate is an authority's, not a server's".to_owned()
            }
            Some(why) => format!("the certificate is not valid: {}", separated(&why.to_string())),
            None => why.to_string(),
        },
        other => format!("the certificate is not valid: {}", separated(&format!("{other:?}"))),
    }
}

/// Takes the name out of `DnsName("a.test")` or `IpAddress(127.0.0.1)`.
fn bare_name(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"')
}

/// Separates the words of `SuchAName`, and drops what stands behind it.
fn separated(name: &str) -> String {
    let mut words = String::new();
    for char in name.chars().take_while(|char| char.is_ascii_alphanumeric()) {
        if char.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(char.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        let bad = CertificateError::NotValidForNameContext {
            expected: "x.test".to_owned().try_into().unwrap(),
            presented: vec!["DnsName(\"*.a.test\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()],
        };
        let message = in_words(&rustls::Error::InvalidCertificate(bad));
        assert_eq!(message, "the certificate is for another host: *.a.test, 127.0.0.1");
        let unknown = rustls::Error::AlertReceived(AlertDescription::IllegalParameter);
        assert_eq!(in_words(&unknown), "the server ended TLS: illegal parameter");
        let other = rustls::Error::InvalidCertificate(CertificateError::InvalidPurpose);
        assert!(!in_words(&other).contains("InvalidPurpose"));
    }

    #[test]
    fn a_server_without_a_modern_cipher_is_said_to_be_one() {
        let refused = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
        for word in ["CBC", "RSA", "DHE"] {
            assert!(in_words(&refused).contains(word));
        }
    }
}
