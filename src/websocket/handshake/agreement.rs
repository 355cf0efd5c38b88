//! What a handshake has agreed on for messages, kept until the connection is made.

use crate::websocket::connection::Connection;
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};

/// permessage-deflate as both ends have agreed on it, and how this end uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    parameters: DeflateParameters,
    /// How this end compresses. `None`: it only inflates.
    config: Option<DeflateConfig>,
    pool: DeflatePool,
}

impl Agreement {
    pub(super) fn new(
        parameters: DeflateParameters,
        config: Option<DeflateConfig>,
        pool: DeflatePool,
    ) -> Agreement {
        Agreement {
            parameters,
            config,
            pool,
        }
    }

    pub(super) fn parameters(&self) -> &DeflateParameters {
        &self.parameters
    }

    /// The same connection, with compression.
    #[cfg(feature = "deflate")]
    pub(super) fn apply(&self, connection: Connection) -> Connection {
        match &self.config {
            Some(config) => connection.with_deflate(self.parameters, config, &self.pool),
            None => connection.with_inflate(self.parameters, &self.pool),
        }
    }

    /// There is no agreement without a pool.
    #[cfg(not(feature = "deflate"))]
    pub(super) fn apply(&self, _: Connection) -> Connection {
        match self.pool {}
    }
}
