//! The first message of a TLS client, as bytes.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::sync::Arc;

/// An alert of the server (RFC 8446 §6).
pub const HANDSHAKE_FAILURE: u8 = 40;

/// A ClientHello that offers TLS 1.2 and 1.3.
pub struct Hello {
    name: &'static str,
    alpn: Vec<Vec<u8>>,
}

impl Default for Hello {
    fn default() -> Hello {
        Hello::new()
    }
}

impl Hello {
    /// For `localhost`, without ALPN.
    pub fn new() -> Hello {
        Hello {
            name: "localhost",
            alpn: Vec::new(),
        }
    }

    /// Asks for the certificate of this name.
    pub fn name(self, name: &'static str) -> Hello {
        Hello { name, ..self }
    }

    /// Offers these protocols.
    pub fn alpn(self, protocols: &[&[u8]]) -> Hello {
        let alpn = protocols.iter().map(|name| name.to_vec()).collect();
        Hello { alpn, ..self }
    }

    /// One record.
    pub fn bytes(self) -> Vec<u8> {
        let mut config = ClientConfig::builder_with_provider(super::authority::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = self.alpn;
        let name = ServerName::try_from(self.name).expect("a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        let mut bytes = Vec::new();
        tls.write_tls(&mut bytes).expect("memory");
        bytes
    }
}

/// ```text
///   record: handshake, 3.1, length │ ClientHello, length │ TLS 1.1 │ random │ no session │ suites │ no compression
/// ```
pub fn of_version_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([0x5A; 32]);
    hello.push(0);
    // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA and TLS_RSA_WITH_AES_128_CBC_SHA.
    hello.extend([0, 4, 0xC0, 0x13, 0, 0x2F]);
    hello.extend([1, 0]);
    let length = u8::try_from(hello.len()).expect("it is short");
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}
