//! The certificates of the servers and of the authorities that clients trust, from files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use yamabiko::server::{Config, ListenAddress};
use yamabiko::tls::{Certificate, ClientTls, InvalidCertificate, ServerTls};

use super::output::{in_sentence, report_error};

/// The files that `--tls-cert` and `--tls-key` name.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsFiles {
    /// Each with the certificate of the server, and the intermediate ones behind it.
    certificates: Vec<PathBuf>,
    /// The key of each; none if the files of the certificates have the keys, too.
    keys: Vec<PathBuf>,
}

impl TlsFiles {
    pub(super) fn new(certificates: Vec<PathBuf>, keys: Vec<PathBuf>) -> TlsFiles {
        TlsFiles { certificates, keys }
    }

    /// The configuration with the certificates.
    ///
    /// # Errors
    /// The file and what is wrong in it, in one line; or an address that needs a certificate.
    pub(super) fn apply_to(&self, config: Config) -> Result<Config, String> {
        if self.is_empty() {
            let mut addresses = config.listen.as_slice().iter();
            let is_https = |address: &&ListenAddress| matches!(address, ListenAddress::Https(_));
            return match addresses.find(is_https) {
                Some(address) => Err(format!("{address} needs --tls-cert and --tls-key")),
                None => Ok(config),
            };
        }
        let tls = ServerTls::new(self.read()?).map_err(|error| error.to_string())?;
        Ok(Config {
            tls: Some(tls),
            ..config
        })
    }

    /// Whether no file is named.
    pub(super) fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.keys.is_empty()
    }

    /// # Errors
    /// The file and what is wrong in it, in one line.
    pub(super) fn read(&self) -> Result<Vec<Certificate>, String> {
        let (certificates, keys) = (self.certificates.len(), self.keys.len());
        if keys != 0 && keys != certificates {
            return Err(format!(
                "each --tls-cert has its --tls-key: {certificates} certificates, {keys} keys"
            ));
        }
        let pair = |(index, certificate): (usize, &PathBuf)| {
            read_pair(certificate, self.keys.get(index).unwrap_or(certificate))
        };
        self.certificates.iter().enumerate().map(pair).collect()
    }
}

/// Which servers a client trusts for `wss`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct TrustSettings {
    /// Trust the authorities in this file alone, in PEM, for wss [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Accept any certificate for wss: anybody on the way can read and change what is sent
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
}

/// What a client trusts; `None`: what this machine trusts. Says on standard error if that is everything.
///
/// # Errors
/// The file and what is wrong in it, in one line.
pub(super) fn trusted(settings: &TrustSettings) -> Result<Option<ClientTls>, String> {
    if settings.insecure {
        report_error("--insecure: the certificate of the server is not checked");
        let tls = ClientTls::insecure().map_err(|error| error.to_string());
        return tls.map(Some);
    }
    let Some(file) = &settings.ca else {
        return Ok(None);
    };
    let tls = ClientTls::authorities(&read(file)?);
    tls.map(Some)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Certificate, String> {
    let pair = Certificate::from_pem(&read(certificate)?, &read(key)?);
    pair.map_err(|error| match error {
        InvalidCertificate::Key(reason) => format!("{}: {reason}", key.display()),
        InvalidCertificate::NotItsKey => format!(
            "{}: the key does not fit the certificate in {}",
            key.display(),
            certificate.display()
        ),
        error => format!("{}: {error}", certificate.display()),
    })
}

/// A file that is no longer than any certificate.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |reason: &str| format!("cannot read {}: {reason}", path.display());
    let bytes = fs::metadata(path).map(|file| file.len());
    if bytes.is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
        return Err(cannot("a file with certificates has at most 1 MiB"));
    }
    fs::read(path).map_err(|error| cannot(&in_sentence(&error)))
}

const FILE_BYTES_MAX: u64 = 1 << 20;
