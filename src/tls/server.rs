//! The server's side: certificates by name, tickets for resumption, and sessions.

use super::certificate::Certificate;
use super::error::TlsError;
use super::session::Session;
use super::{ALPN, provider};
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, PoisonError, RwLock};

/// What a server needs for TLS. Cheap to clone; clones share their certificates, so that they can be
/// [replaced](ServerTls::replace) while connections are open.
///
/// A client that offers protocols by ALPN must offer `http/1.1`. A client that has been here
/// before resumes by a ticket, which costs no signature; the server keeps nothing for that.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl ServerTls {
    /// A client gets the first certificate that is valid for the name that it asks for, or else the first one.
    ///
    /// # Errors
    /// There is no certificate, or the operating system has no random bytes.
    pub fn new(certificates: Vec<Certificate>) -> Result<ServerTls, TlsError> {
        let certificates = Arc::new(Certificates::new(certificates)?);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
        //# WebSocket implementations MUST support TLS
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ticketer = Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(ServerTls {
            config: Arc::new(config),
            certificates,
        })
    }

    /// From now on new connections get these certificates. Open connections keep theirs, and tickets stay valid.
    ///
    /// # Errors
    /// There is no certificate. Nothing has changed.
    pub fn replace(&self, certificates: Vec<Certificate>) -> Result<(), TlsError> {
        self.certificates.replace(certificates)
    }

    /// The same for another I/O, such as tokio-rustls: settings of rustls 0.23. Certificates that are
    /// [replaced](ServerTls::replace) are replaced there, too.
    pub fn rustls_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The TLS of a new connection. It takes memory when the client's first bytes come.
    pub fn session(&self) -> Session {
        Session::server(self.config.clone())
    }
}

/// The certificates, to be replaced by any thread.
#[derive(Debug)]
struct Certificates(RwLock<Arc<[Certificate]>>);

impl Certificates {
    fn new(certificates: Vec<Certificate>) -> Result<Certificates, TlsError> {
        Ok(Certificates(RwLock::new(not_empty(certificates)?)))
    }

    fn replace(&self, certificates: Vec<Certificate>) -> Result<(), TlsError> {
        let certificates = not_empty(certificates)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificates;
        Ok(())
    }

    fn current(&self) -> Arc<[Certificate]> {
        let certificates = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&certificates)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.current();
        let of_the_name = certificates.iter().find(|one| one.serves(&hello));
        let of_any_name = || certificates.iter().find(|one| one.can_sign(&hello));
        let found = of_the_name.or_else(of_any_name);
        found.or(certificates.first()).map(Certificate::certified)
    }
}

fn not_empty(certificates: Vec<Certificate>) -> Result<Arc<[Certificate]>, TlsError> {
    match certificates.is_empty() {
        true => Err(rustls::Error::NoCertificatesPresented.into()),
        false => Ok(certificates.into()),
    }
}
