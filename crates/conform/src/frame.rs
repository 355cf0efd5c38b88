//! Writes frames (RFC 6455 §5.2), legal and illegal ones.
//!
//! ```text
//!   FIN RSV opcode │ MASK length7 │ length 16 or 64 │ masking key │ payload
//!    1   3    4    │  1      7    │   0, 2 or 8     │   0 or 4    │
//! ```
//!
//! A [`Frame`] is data: which bits, which form of the length, masked or not. What is not
//! set has its legal value, so that a frame with one illegal property is legal otherwise.

use std::fmt;

use crate::words::quoted;

/// A frame of the suite, before it is masked.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    pub opcode: u8,
    pub masking: Masking,
    pub length: LengthForm,
    pub payload: Vec<u8>,
}

/// Whether a frame is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masking {
    /// As the suite's role demands: masked with a random key as a client, not masked as a
    /// server.
    Legal,
    /// The opposite of what the suite's role demands.
    Illegal,
    /// As the suite's role demands; a client takes this key.
    Key([u8; 4]),
}

/// How a frame states the length of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthForm {
    Minimal,
    /// 126 and 16 bits.
    Bits16,
    /// 127 and 64 bits.
    Bits64,
    /// 127 and this number, whatever the payload has.
    Claimed(u64),
}

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

impl Frame {
    /// A whole message or a control frame: FIN is set.
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame {
            fin: true,
            rsv: 0,
            opcode,
            masking: Masking::Legal,
            length: LengthForm::Minimal,
            payload: payload.as_ref().to_vec(),
        }
    }

    pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(TEXT, payload)
    }

    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(BINARY, payload)
    }

    /// The last fragment of a message, unless [`more`](Frame::more) follows.
    pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(CONTINUATION, payload)
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(PING, payload)
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(PONG, payload)
    }

    pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_ref());
        Frame::new(CLOSE, payload)
    }

    /// A fragment that others follow: FIN is not set.
    pub(crate) fn more(mut self) -> Frame {
        self.fin = false;
        self
    }

    pub(crate) fn rsv(mut self, bits: u8) -> Frame {
        self.rsv = bits;
        self
    }

    pub(crate) fn masking(mut self, masking: Masking) -> Frame {
        self.masking = masking;
        self
    }

    pub(crate) fn length(mut self, form: LengthForm) -> Frame {
        self.length = form;
        self
    }

    /// Appends the frame. `as_client`: the suite is the client; `random_key` is for a frame
    /// without a key of its own.
    pub(crate) fn encode(&self, as_client: bool, random_key: [u8; 4], output: &mut Vec<u8>) {
        let (is_masked, key) = match self.masking {
            Masking::Legal => (as_client, random_key),
            Masking::Illegal => (!as_client, random_key),
            Masking::Key(key) => (as_client, key),
        };
        output.push(u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode);
        self.encode_length(u8::from(is_masked) << 7, output);
        if !is_masked {
            output.extend_from_slice(&self.payload);
            return;
        }
        output.extend_from_slice(&key);
        let masked = self.payload.iter().zip(key.iter().cycle());
        output.extend(masked.map(|(byte, key)| byte ^ key));
    }

    fn encode_length(&self, mask_bit: u8, output: &mut Vec<u8>) {
        let length = self.payload.len() as u64;
        let form = match (self.length, length) {
            (LengthForm::Minimal, 0..=125) => LengthForm::Minimal,
            (LengthForm::Minimal, 126..=65_535) => LengthForm::Bits16,
            (LengthForm::Minimal, _) => LengthForm::Bits64,
            (form, _) => form,
        };
        match form {
            LengthForm::Minimal => output.push(mask_bit | length as u8),
            LengthForm::Bits16 => {
                output.push(mask_bit | 126);
                output.extend_from_slice(&(length as u16).to_be_bytes());
            }
            LengthForm::Bits64 => {
                output.push(mask_bit | 127);
                output.extend_from_slice(&length.to_be_bytes());
            }
            LengthForm::Claimed(claimed) => {
                output.push(mask_bit | 127);
                output.extend_from_slice(&claimed.to_be_bytes());
            }
        }
    }
}

/// The frame in words: `text, 5 bytes "Hello"`.
impl fmt::Display for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&opcode_name(self.opcode))?;
        if !self.fin {
            formatter.write_str(", FIN 0")?;
        }
        if self.rsv != 0 {
            write!(formatter, ", RSV {:03b}", self.rsv)?;
        }
        match self.masking {
            Masking::Legal => {}
            Masking::Illegal => formatter.write_str(", with the wrong MASK bit")?,
            Masking::Key(key) => write!(formatter, ", key {key:02x?}")?,
        }
        match self.length {
            LengthForm::Minimal => {}
            LengthForm::Bits16 => formatter.write_str(", length in 16 bits")?,
            LengthForm::Bits64 => formatter.write_str(", length in 64 bits")?,
            LengthForm::Claimed(length) => write!(formatter, ", length claimed as {length}")?,
        }
        write!(formatter, ", {}", payload_words(self.opcode, &self.payload))
    }
}

/// The RFC's name of an opcode.
pub(crate) fn opcode_name(opcode: u8) -> String {
    let name = match opcode {
        CONTINUATION => "continuation",
        TEXT => "text",
        BINARY => "binary",
        CLOSE => "Close",
        PING => "ping",
        PONG => "pong",
        _ => return format!("opcode 0x{opcode:X}"),
    };
    name.to_owned()
}

/// The payload of a frame in words; of a Close its code and its reason.
pub(crate) fn payload_words(opcode: u8, payload: &[u8]) -> String {
    match (opcode, payload) {
        (CLOSE, [high, low]) => u16::from_be_bytes([*high, *low]).to_string(),
        (CLOSE, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("{code}, reason {}", quoted(reason))
        }
        (_, []) => "no payload".to_owned(),
        _ => quoted(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(frame: &Frame, as_client: bool) -> Vec<u8> {
        let mut output = Vec::new();
        frame.encode(as_client, [1, 2, 3, 4], &mut output);
        output
    }

    #[test]
    fn examples_of_the_rfc_are_written_as_it_shows_them() {
        let hello = Frame::text("Hello");
        assert_eq!(encoded(&hello, false), b"\x81\x05Hello");
        let masked = hello.masking(Masking::Key([0x37, 0xfa, 0x21, 0x3d]));
        let bytes = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(encoded(&masked, true), bytes);
        assert_eq!(encoded(&Frame::text("Hel").more(), false), b"\x01\x03Hel");
        assert_eq!(encoded(&Frame::continuation("lo"), false), b"\x80\x02lo");
        let binary = encoded(&Frame::binary([0; 256]), false);
        assert_eq!(binary[..4], [0x82, 0x7E, 0x01, 0x00]);
        let binary = encoded(&Frame::binary([0; 65_536]), false);
        assert_eq!(binary[..10], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn illegal_properties_are_written() {
        let frame = Frame::ping("").more().rsv(0b101);
        assert_eq!(encoded(&frame, false), [0b0101_1001, 0]);
        let frame = Frame::text("a").masking(Masking::Illegal);
        assert_eq!(encoded(&frame, true), b"\x81\x01a");
        assert_eq!(encoded(&frame, false), [0x81, 0x81, 1, 2, 3, 4, b'a' ^ 1]);
        let frame = Frame::text("a").length(LengthForm::Bits16);
        assert_eq!(encoded(&frame, false), b"\x81\x7E\x00\x01a");
        let frame = Frame::text("").length(LengthForm::Claimed(u64::MAX));
        assert_eq!(encoded(&frame, false)[2..], [0xFF; 8]);
    }

    #[test]
    fn frame_in_words_names_what_is_unusual() {
        assert_eq!(Frame::text("Hi").to_string(), "text, 2 bytes \"Hi\"");
        assert_eq!(Frame::close(1000, "").to_string(), "Close, 1000");
        let frame = Frame::ping("").more().rsv(4).length(LengthForm::Bits64);
        let words = "ping, FIN 0, RSV 100, length in 64 bits, no payload";
        assert_eq!(frame.to_string(), words);
    }
}
