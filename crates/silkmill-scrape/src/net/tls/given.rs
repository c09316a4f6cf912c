//! A server's own certificate that the user gave as one to trust: made by `openssl req -x509`, it
//! says that it is an authority's, and often has its host in the old place. Other clients take it.

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, OtherError};

/// The identifier of the common name of a subject (2.5.4.3), as it stands in a certificate.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// Tells whether `error` does not matter for a certificate that the user gave, if that is for the
/// host. The time was checked before either error could come up.
pub(super) fn may_be_excused(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(why) = error else { return false };
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => true,
        CertificateError::Other(OtherError(why)) => {
            matches!(why.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// Tells whether `certificate` is for `host`: by its names, or, if it has none, by its common name.
pub(super) fn is_for(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return false };
    let is_common_name = |name: &str| name.eq_ignore_ascii_case(&host.to_str());
    parsed.verify_is_valid_for_subject_name(host).is_ok()
        || (parsed.valid_dns_names().next().is_none()
            && common_name(parsed.subject()).is_some_and(is_common_name))
}

/// Returns the common name in a subject (RFC 5280, section 4.1.2.4).
fn common_name(subject: &[u8]) -> Option<&str> {
    let at = subject.windows(COMMON_NAME.len()).position(|window| window == COMMON_NAME)?;
    // The kind of the text, its length, and the text.
    let [_, length, text @ ..] = &subject[at + COMMON_NAME.len()..] else { return None };
    std::str::from_utf8(text.get(..usize::from(*length))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_is_found_in_its_subject() {
        let subject = b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02CH\
                        \x31\x0f\x30\x0d\x06\x03\x55\x04\x03\x0c\x06a.test";
        assert_eq!(common_name(subject), Some("a.test"));
        for end in 0..subject.len() {
            assert_eq!(common_name(&subject[..end]), None, "{end}");
        }
    }
}
