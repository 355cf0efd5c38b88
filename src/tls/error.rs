//! A TLS connection that has failed.

use std::fmt;

/// The peer does not accept this side, is not accepted, or has broken a rule of TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsError(rustls::Error);

impl TlsError {
    /// Whether the other side's certificate was not accepted: an unknown authority, another name, an
    /// expired one.
    pub fn is_certificate(&self) -> bool {
        matches!(self.0, rustls::Error::InvalidCertificate(_))
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        TlsError(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(error))
                if error.to_string() == "CaUsedAsEndEntity" =>
            {
                f.write_str(
                    "TLS: the certificate is one of an authority (CA:TRUE), and not one of a server: \
                     issue one with CA:FALSE (openssl req: -addext basicConstraints=critical,CA:FALSE)",
                )
            }
            error => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}
