//! The server for operators: the paths of monitoring and nothing else, also while the other server stops.

use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};

use yamabiko::server::{Config, ListenAddresses, ListeningSocket, Server, ServerHandle};

use super::handler::MonitoringPaths;
use super::{Monitoring, MonitoringSettings};

/// The server for operators. It ends when the value is dropped.
pub(crate) struct Administration {
    server: ServerHandle,
    addresses: ListenAddresses,
    /// Copies of its sockets, for a successor.
    #[cfg(target_os = "linux")]
    copies: Vec<ListeningSocket>,
    thread: Option<JoinHandle<()>>,
}

impl Administration {
    /// Serves on the addresses of `--admin-listen`, if there are any. `sockets`: those that listen on them already.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub(crate) fn start(
        settings: &MonitoringSettings,
        monitoring: &Monitoring,
        sockets: Vec<ListeningSocket>,
    ) -> std::io::Result<Option<Administration>> {
        if settings.admin_listen.is_empty() {
            return Ok(None);
        }
        let config = Config {
            listen: settings.admin_listen.iter().cloned().collect(),
            workers: NonZeroUsize::MIN,
            connections_max: ADMIN_CONNECTIONS_MAX,
            memory_bytes_max: None,
            ..Config::default()
        };
        let handler = MonitoringPaths::for_operators(monitoring.clone());
        let server = Server::bind_with(config, handler, sockets)?;
        let (handle, addresses) = (server.handle(), server.local_addresses().clone());
        #[cfg(target_os = "linux")]
        let copies = server.listening_sockets()?;
        let run = move || {
            if let Err(error) = server.run() {
                tracing::error!(name: "admin_failed", %error, "the server for operators failed");
            }
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(run)?;
        let administration = Administration {
            server: handle,
            addresses,
            #[cfg(target_os = "linux")]
            copies,
            thread: Some(thread),
        };
        Ok(Some(administration))
    }

    pub(crate) fn handle(&self) -> &ServerHandle {
        &self.server
    }

    pub(crate) fn addresses(&self) -> &ListenAddresses {
        &self.addresses
    }

    /// Copies of its sockets, once. The caller closes them.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_copies(&mut self) -> Vec<ListeningSocket> {
        std::mem::take(&mut self.copies)
    }
}

impl Drop for Administration {
    fn drop(&mut self) {
        self.server.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Operators and their monitoring systems, and not clients.
const ADMIN_CONNECTIONS_MAX: usize = 64;
