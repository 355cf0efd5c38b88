//! Opcodes: the kinds of frames (RFC 6455 §5.2, §5.5, §5.6).

/// The four bits that define the meaning of a frame's payload.
///
/// The reserved values (0x3 to 0x7 and 0xB to 0xF) cannot be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message begun before (0x0).
    Continuation = 0x0,
    /// A text message, or its first fragment (0x1).
    Text = 0x1,
    /// A binary message, or its first fragment (0x2).
    Binary = 0x2,
    /// The sender closes the connection (0x8).
    Close = 0x8,
    /// Asks for a Pong (0x9).
    Ping = 0x9,
    /// Answers a Ping, or is sent unasked as a sign of life (0xA).
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of these four bits; `None` for a reserved one.
    pub const fn from_bits(bits: u8) -> Option<Opcode> {
        match bits {
            0x0 => Some(Opcode::Continuation),
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xA => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// The four bits of this opcode.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether the frame is about the connection and not for the application: the most significant of the four bits is 1 (§5.5).
    pub const fn is_control(self) -> bool {
        self.bits() & 0b1000 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_is_its_bits_and_the_others_are_reserved() {
        let known: Vec<u8> = (0x0..=0xF)
            .filter(|&bits| Opcode::from_bits(bits).is_some_and(|opcode| opcode.bits() == bits))
            .collect();
        assert_eq!(known, [0x0, 0x1, 0x2, 0x8, 0x9, 0xA]);
    }

    #[test]
    fn control_opcodes_have_the_highest_bit_set() {
        assert!(!Opcode::Continuation.is_control());
        assert!(!Opcode::Text.is_control());
        assert!(!Opcode::Binary.is_control());
        assert!(Opcode::Close.is_control());
        assert!(Opcode::Ping.is_control());
        assert!(Opcode::Pong.is_control());
    }
}
