//! The authorities that the certificate of a web server may be from, and the TLS of a webhook.
//!
//! The cryptography is that of the library's TLS, and is given to rustls by value. The web server's certificate is always checked:
//! its authority, its name and its time.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Authorities {
    /// The authorities that this machine trusts: those of the operating system, or of the file that the environment variable
    /// `SSL_CERT_FILE` names.
    #[default]
    Platform,
    /// These alone.
    Own(Vec<CertificateDer<'static>>),
}

impl Authorities {
    /// # Errors
    /// One of them cannot be read, or there is none.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Authorities, String> {
        let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|error| error.to_string())?;
        if found.is_empty() {
            return Err("there is no certificate in the text".to_owned());
        }
        let mut roots = RootCertStore::empty();
        for certificate in &found {
            let added = roots.add(certificate.clone());
            added.map_err(|error| error.to_string())?;
        }
        Ok(Authorities::Own(found))
    }

    /// # Errors
    /// This machine trusts no authority.
    pub(super) fn tls(&self) -> Result<TlsConfig, String> {
        let certificates = match self {
            Authorities::Own(certificates) => certificates.clone(),
            Authorities::Platform => of_this_machine()?,
        };
        let roots = certificates
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .unversioned_rustls_crypto_provider(provider)
            .build())
    }
}

fn of_this_machine() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason = found.errors.first().map(ToString::to_string);
        let reason = reason.unwrap_or_else(|| "there are none".to_owned());
        return Err(format!("this machine trusts no authority: {reason}"));
    }
    Ok(found.certs)
}
