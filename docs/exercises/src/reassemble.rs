//! Exercise 3: messages from frames (RFC 6455 §5.4).

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
}

/// The close code of the broken rule: 1002, 1007 or 1009.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u16);

/// Puts the fragments of a message together. Add the fields that you need.
#[derive(Debug, Default)]
pub struct Reassembler {}

/// The most bytes of a message: one more is 1009.
pub const MESSAGE_BYTES_MAX: usize = 1 << 16;

impl Reassembler {
    /// The next frame, unmasked. Opcodes: 0 continuation, 1 text, 2 binary, 9 ping.
    ///
    /// A ping is an event at once, also between fragments. A message is an event when its
    /// last frame has arrived. 1002: a continuation of nothing, or a message inside a
    /// message. 1007: a text that is not UTF-8; a character may be cut between two frames.
    pub fn frame(
        &mut self,
        fin: bool,
        opcode: u8,
        payload: &[u8],
    ) -> Result<Option<Event>, Failure> {
        let _ = (fin, opcode, payload);
        unimplemented!("exercise 3")
    }
}
