//! `--takeover` on systems other than Linux, where no program tells this one which user it belongs to.

use std::path::PathBuf;

use super::monitoring::Administration;
use yamabiko::server::{Handler, ListeningSocket, Server};

/// A server that takes over from none.
pub(super) struct Takeover;

impl Takeover {
    /// # Errors
    /// A path is given.
    pub(super) fn begin(
        path: Option<PathBuf>,
        managed: Vec<ListeningSocket>,
    ) -> Result<(Takeover, Vec<ListeningSocket>), String> {
        match path {
            None => Ok((Takeover, managed)),
            Some(_) => Err("--takeover is for Linux only".to_owned()),
        }
    }

    /// # Errors
    /// None.
    pub(super) fn copies(
        &self,
        _: &Server<impl Handler>,
        _: Option<&mut Administration>,
    ) -> Result<Copies, String> {
        Ok(Copies)
    }

    /// # Errors
    /// None.
    pub(super) fn ready(
        self,
        _: &mut Server<impl Handler>,
        _: Copies,
        _: impl Fn() + Send + 'static,
    ) -> Result<TakeoverSocket, String> {
        Ok(TakeoverSocket)
    }
}

/// There is none.
pub(super) struct TakeoverSocket;

/// There are none.
#[derive(Clone)]
pub(super) struct Copies;

impl Copies {
    pub(super) fn close(&self) {}
}
