//! How far a client that reads has come: it is open, or it has ended in one of four ways.

use std::io;
use std::sync::Arc;

use super::error::{ClientError, Step};
use crate::websocket::ProtocolError;

/// The state of a client that reads.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// Messages may arrive.
    Open,
    /// The closing handshake is complete, and the stream has ended.
    Clean,
    /// The server broke a rule.
    Failed(ProtocolError),
    /// The stream has ended without a Close; the error of the read, if it was one.
    Lost(Option<Arc<io::Error>>),
    /// The server did not do this in time.
    GivenUp(Step),
}

impl Progress {
    /// Whether messages may arrive; if not, the closing handshake is complete.
    ///
    /// # Errors
    /// The connection has ended in another way. The same each time.
    pub(super) fn may_receive(&self) -> Result<bool, ClientError> {
        match self {
            Progress::Open => Ok(true),
            Progress::Clean => Ok(false),
            Progress::Failed(error) => Err(ClientError::Protocol(*error)),
            Progress::Lost(cause) => Err(ClientError::Lost(cause.clone())),
            Progress::GivenUp(step) => Err(ClientError::TimedOut(*step)),
        }
    }
}
