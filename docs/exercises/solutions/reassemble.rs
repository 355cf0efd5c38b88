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

/// Puts the fragments of a message together.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// The opcode of the message that was begun, and what has come of it.
    unfinished: Option<(u8, Vec<u8>)>,
}

/// The most bytes of a message: one more is 1009.
pub const MESSAGE_BYTES_MAX: usize = 1 << 16;

impl Reassembler {
    /// The next frame, unmasked. Opcodes: 0 continuation, 1 text, 2 binary, 9 ping.
    pub fn frame(
        &mut self,
        fin: bool,
        opcode: u8,
        payload: &[u8],
    ) -> Result<Option<Event>, Failure> {
        if opcode == 9 {
            return Ok(Some(Event::Ping(payload.to_vec())));
        }
        let (opcode, mut bytes) = match (opcode, self.unfinished.take()) {
            (0, Some(unfinished)) => unfinished,
            (1 | 2, None) => (opcode, Vec::new()),
            _ => return Err(Failure(1002)),
        };
        if bytes.len() + payload.len() > MESSAGE_BYTES_MAX {
            return Err(Failure(1009));
        }
        bytes.extend_from_slice(payload);
        if !fin {
            self.unfinished = Some((opcode, bytes));
            return Ok(None);
        }
        match opcode {
            1 => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(Event::Text(text))),
                Err(_) => Err(Failure(1007)),
            },
            _ => Ok(Some(Event::Binary(bytes))),
        }
    }
}
