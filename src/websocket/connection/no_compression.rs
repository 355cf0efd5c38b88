//! What stands for `compression.rs` where the feature `deflate` is left out: a type without
//! a value, so that the compiler removes the code that would use one.

use super::super::frame::Opcode;
use alloc::vec::Vec;

/// No endpoint has one.
#[derive(Debug)]
pub(super) enum Compression {}

impl Compression {
    pub(super) fn write_frame(
        &mut self,
        _: Opcode,
        _: &[u8],
        _: impl FnOnce() -> Option<[u8; 4]>,
        _: &mut Vec<u8>,
    ) -> bool {
        match *self {}
    }
}
