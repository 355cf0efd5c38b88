//! What stands for compression where the feature `deflate` is left out.
//!
//! Types without a value. A connection has none of them, so that it has agreed on no
//! compression, and the compiler removes the code that would use one.

use super::history::History;
use super::inflated::{InflateError, Inflated, Inflation};

/// No pool can be made, and no compressor without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeflatePool {}

impl DeflatePool {
    /// `None`: there is no compression.
    pub(crate) fn for_one_connection() -> Option<DeflatePool> {
        None
    }
}

/// No compressed message can begin.
#[derive(Debug)]
pub(crate) enum CompressedMessage {}

impl CompressedMessage {
    pub(crate) fn new(_: History, _: usize, pool: &DeflatePool) -> Self {
        match *pool {}
    }

    pub(crate) fn set_bytes_max(&mut self, _: usize) {
        match *self {}
    }

    pub(crate) fn held_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn has_more(&self) -> bool {
        match *self {}
    }

    pub(crate) fn push<I: Inflated>(
        &mut self,
        _: &[u8],
        _: bool,
        _: &mut I,
    ) -> Result<usize, I::Error> {
        match *self {}
    }

    pub(crate) fn finish(&mut self) -> Result<(), InflateError> {
        match *self {}
    }

    pub(crate) fn history_behind(&mut self, _: &[u8]) -> History {
        match *self {}
    }
}

/// No compressed message can be handed out in pieces.
#[derive(Debug)]
pub(crate) enum CompressedPieces {}

impl CompressedPieces {
    pub(crate) fn new(_: History, _: usize, pool: &DeflatePool) -> Self {
        match *pool {}
    }

    pub(crate) fn set_bytes_max(&mut self, _: usize) {
        match *self {}
    }

    pub(crate) fn held_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn inflate<T>(&mut self, _: &[u8], _: impl FnOnce(&[u8]) -> T) -> Inflation<T> {
        match *self {}
    }

    pub(crate) fn finish(self) -> Result<History, InflateError> {
        match self {}
    }
}
