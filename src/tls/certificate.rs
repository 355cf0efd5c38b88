//! A certificate with its key, as a server shows it.

use super::provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;

/// A certificate, the intermediate ones behind it, and its key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// From two texts in PEM. `chain`: the certificate of the server, then the intermediate ones. `key`: its key, as
    /// PKCS #8, PKCS #1 or SEC1. Both may be in one text. What is neither is ignored.
    ///
    /// # Errors
    /// What is wrong with which of the texts.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, InvalidCertificate> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| InvalidCertificate::Chain(pem_reason(&error)))?;
        let Some(first) = certificates.first() else {
            let reason = "there is no certificate in it".to_owned();
            return Err(InvalidCertificate::Chain(reason));
        };
        ParsedCertificate::try_from(first)
            .map_err(|error| InvalidCertificate::Chain(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            InvalidCertificate::Key(match error {
                pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
                error => pem_reason(&error),
            })
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| InvalidCertificate::Key(error.to_string()))?;
        let certified = CertifiedKey::new(certificates, key);
        match certified.keys_match() {
            // A key that does not show its public part cannot be compared.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Certificate(Arc::new(certified)))
            }
            Err(_) => Err(InvalidCertificate::NotItsKey),
        }
    }

    /// Whether it is valid for the name that the client asks for, and can be signed for in one of
    /// the ways that the client knows.
    pub(super) fn serves(&self, hello: &ClientHello<'_>) -> bool {
        let names = hello.server_name().is_none_or(|name| self.names(name));
        names && self.can_sign(hello)
    }

    pub(super) fn can_sign(&self, hello: &ClientHello<'_>) -> bool {
        let scheme = self.0.key.choose_scheme(hello.signature_schemes());
        scheme.is_some()
    }

    fn names(&self, name: &str) -> bool {
        let certificate = self.0.cert.first().map(ParsedCertificate::try_from);
        match (certificate, ServerName::try_from(name)) {
            (Some(Ok(certificate)), Ok(name)) => {
                rustls::client::verify_server_name(&certificate, &name).is_ok()
            }
            _ => false,
        }
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

/// A certificate or a key that a server cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCertificate {
    /// The certificates cannot be read: why.
    Chain(String),
    /// The key cannot be read: why.
    Key(String),
    /// The key is of another certificate.
    NotItsKey,
}

impl fmt::Display for InvalidCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidCertificate::Chain(reason) | InvalidCertificate::Key(reason) => {
                f.write_str(reason)
            }
            InvalidCertificate::NotItsKey => f.write_str("the key does not fit the certificate"),
        }
    }
}

impl std::error::Error for InvalidCertificate {}

fn pem_reason(error: &pem::Error) -> String {
    format!("it is not valid PEM: {error}")
}
