//! TLS 1.3 and 1.2 by rustls for the reference: the unbuffered interface, and nothing around it.

use std::fs;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

/// The files that the variables `TLS_CERT` and `TLS_KEY` name.
///
/// # Errors
/// One of them cannot be used.
pub fn config() -> io::Result<Arc<ServerConfig>> {
    let file = |name: &str| {
        let path = std::env::var(name).map_err(io::Error::other)?;
        fs::read(path)
    };
    let chain = CertificateDer::pem_slice_iter(&file("TLS_CERT")?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(&file("TLS_KEY")?).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// The TLS of one connection.
pub struct Sealed {
    connection: UnbufferedServerConnection,
    /// A record that has come in part.
    input: Vec<u8>,
}

/// The connection has failed.
pub struct Broken;

impl Sealed {
    /// # Errors
    /// There is no randomness.
    pub fn new(config: Arc<ServerConfig>) -> io::Result<Sealed> {
        let connection = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Sealed {
            connection,
            input: Vec::new(),
        })
    }

    /// Appends what `bytes` contain to `opened`, and what the peer gets to `output`.
    ///
    /// # Errors
    /// The peer has broken a rule, or ends.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        opened: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut consumed = 0;
        loop {
            let rest = &mut input[consumed..];
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(rest);
            let is_done = match state.map_err(|_| Broken)? {
                ConnectionState::ReadTraffic(mut records) => {
                    while let Some(record) = records.next_record() {
                        let record = record.map_err(|_| Broken)?;
                        discard += record.discard;
                        opened.extend_from_slice(record.payload);
                    }
                    false
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                        data.encode(&mut [])
                    else {
                        return Err(Broken);
                    };
                    let start = output.len();
                    output.resize(start + required_size, 0);
                    data.encode(&mut output[start..]).map_err(|_| Broken)?;
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => true,
                _ => return Err(Broken),
            };
            consumed += discard;
            if is_done {
                self.input = input.split_off(consumed);
                return Ok(());
            }
        }
    }

    /// Writes `bytes` into `output`, sealed: it grows to their length and has no other content. Returns that length.
    ///
    /// # Errors
    /// The handshake is not complete.
    #[inline]
    pub fn seal(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<usize, Broken> {
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
        let ConnectionState::WriteTraffic(mut traffic) = state.map_err(|_| Broken)? else {
            return Err(Broken);
        };
        loop {
            match traffic.encrypt(bytes, output) {
                Ok(count) => return Ok(count),
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    output.resize(required_size, 0);
                }
                Err(EncryptError::EncryptExhausted) => return Err(Broken),
            }
        }
    }
}
