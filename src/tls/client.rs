//! The client's side: which servers are trusted, and sessions.

use super::certificate::InvalidCertificate;
use super::error::TlsError;
use super::session::Session;
use super::{ALPN, provider};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// What a client needs for TLS: which certificates it trusts. Cheap to clone; clones share their
/// tickets, so that a client that connects again resumes.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

/// Equal are clones of each other: they trust the same, and share their tickets.
impl PartialEq for ClientTls {
    fn eq(&self, other: &ClientTls) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientTls {}

impl ClientTls {
    /// Trusts the authorities that this machine trusts: those of the operating system, or of the file that the
    /// environment variable `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// This machine has none that can be read.
    pub fn platform() -> Result<ClientTls, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let reason = found.errors.first().map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| "there are none".to_owned());
            let text = format!("this machine trusts no authority: {reason}");
            return Err(Error::General(text).into());
        }
        ClientTls::trusting(roots)
    }

    /// Trusts these authorities alone, in PEM.
    ///
    /// # Errors
    /// One of them cannot be read, or there is none.
    pub fn authorities(pem: &[u8]) -> Result<ClientTls, InvalidCertificate> {
        let invalid = |reason: String| InvalidCertificate::Chain(reason);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
            let added = roots.add(certificate);
            added.map_err(|error| invalid(error.to_string()))?;
        }
        match roots.is_empty() {
            true => Err(invalid("there is no certificate in it".to_owned())),
            false => ClientTls::trusting(roots).map_err(|error| invalid(error.to_string())),
        }
    }

    /// Trusts every certificate, of whatever name: what is sent can be read and changed by any machine on the way.
    /// For tests.
    ///
    /// # Errors
    /// As [`ClientTls::platform`], never in practice.
    pub fn insecure() -> Result<ClientTls, TlsError> {
        ClientTls::verifying(Arc::new(AnyCertificate(provider())))
    }

    /// The TLS of a new connection to this host: a name, or an IP address (one of IPv6 with or without brackets).
    ///
    /// # Errors
    /// That is no name of a host.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# Clients MUST use the Server Name Indication extension in the TLS
    //# handshake
    pub fn session(&self, host: &str) -> Result<Session, TlsError> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let name = ServerName::try_from(bare.unwrap_or(host).to_owned());
        let name = name.map_err(|error| TlsError::from(Error::General(error.to_string())))?;
        Session::client(self.0.clone(), name)
    }

    /// The same for another I/O, such as tokio-rustls: settings of rustls 0.23.
    pub fn rustls_config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }

    fn trusting(roots: RootCertStore) -> Result<ClientTls, TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.build();
        ClientTls::verifying(verifier.map_err(|error| Error::General(error.to_string()))?)
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
    //# To achieve reasonable levels of protection, clients should use
    //# only Strong TLS algorithms.
    fn verifying(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientTls, TlsError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(ClientTls(Arc::new(config)))
    }
}

/// Accepts every certificate. The server must have its key, as always.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
