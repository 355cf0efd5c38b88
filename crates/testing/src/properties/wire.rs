//! An encoder and a decoder of frames for the tests, written from the diagram of RFC 6455 §5.2. It
//! shares no code with the library, so that it cannot share an error. It is slow and simple, and
//! can also write illegal frames.

/// The opcodes of §5.2: the four low bits of a frame's first byte.
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The opcodes that §5.2 reserves.
pub const RESERVED_OPCODES: [u8; 10] = [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF];

/// The masking key of the examples in §5.7.
pub const RFC_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame. `payload` is not masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFrame {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub masking_key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

/// The three forms of a payload length (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthForm {
    Bits7,
    Bits16,
    Bits64,
}

impl LengthForm {
    /// The form that §5.2 requires: the shortest.
    pub fn minimal(length: u64) -> LengthForm {
        match length {
            0..=125 => LengthForm::Bits7,
            126..=65_535 => LengthForm::Bits16,
            _ => LengthForm::Bits64,
        }
    }
}

impl WireFrame {
    /// A whole, unmasked frame.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> WireFrame {
        WireFrame {
            fin: true,
            rsv: 0b000,
            opcode,
            masking_key: None,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// A Close frame with any status code, also an illegal one.
    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> WireFrame {
        let body = [&code.to_be_bytes()[..], reason.as_ref()].concat();
        WireFrame::new(CLOSE, body)
    }

    /// The same frame without FIN: the message continues.
    pub fn unfinished(self) -> WireFrame {
        WireFrame { fin: false, ..self }
    }

    pub fn rsv(self, rsv: u8) -> WireFrame {
        WireFrame { rsv, ..self }
    }

    pub fn masked(self, masking_key: [u8; 4]) -> WireFrame {
        let masking_key = Some(masking_key);
        WireFrame {
            masking_key,
            ..self
        }
    }

    pub fn unmasked(self) -> WireFrame {
        let masking_key = None;
        WireFrame {
            masking_key,
            ..self
        }
    }

    /// The bytes of the frame, with the length in the minimal form.
    pub fn bytes(&self) -> Vec<u8> {
        let length = self.payload.len() as u64;
        let mut bytes = self.header_claiming(LengthForm::minimal(length), length);
        bytes.extend(self.masked_payload());
        bytes
    }

    /// The bytes of the frame, with its true length in this form.
    pub fn bytes_in_form(&self, form: LengthForm) -> Vec<u8> {
        let mut bytes = self.header_claiming(form, self.payload.len() as u64);
        bytes.extend(self.masked_payload());
        bytes
    }

    /// The header alone, with any length in any form.
    ///
    /// ```text
    ///  0 1 2 3 4 5 6 7   8 9 ...                             masking key
    /// |F|R|R|R|opcode | |M| 7 bits, or 126 + 16, or 127 + 64 | 32 bits if M |
    /// ```
    pub fn header_claiming(&self, form: LengthForm, length: u64) -> Vec<u8> {
        let mask_bit = if self.masking_key.is_some() {
            0b1000_0000
        } else {
            0
        };
        let fin_bit = if self.fin { 0b1000_0000 } else { 0 };
        let mut bytes = vec![fin_bit | (self.rsv << 4) | self.opcode];
        match form {
            LengthForm::Bits7 => {
                assert!(length <= 125, "seven bits hold no more");
                bytes.push(mask_bit | length as u8);
            }
            LengthForm::Bits16 => {
                assert!(length <= 65_535, "sixteen bits hold no more");
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            LengthForm::Bits64 => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend(self.masking_key.iter().flatten());
        bytes
    }

    /// §5.3, byte by byte: transformed[i] = original[i] XOR key[i mod 4].
    fn masked_payload(&self) -> Vec<u8> {
        let key = self.masking_key.unwrap_or_default();
        let masked = self.payload.iter().enumerate();
        masked.map(|(i, byte)| byte ^ key[i % 4]).collect()
    }

    /// The status code and the reason of a Close frame that has them.
    pub fn close_body(&self) -> Option<(u16, String)> {
        assert_eq!(self.opcode, CLOSE);
        let code = self.payload.first_chunk::<2>()?;
        let reason = String::from_utf8(self.payload[2..].to_vec());
        Some((
            u16::from_be_bytes(*code),
            reason.expect("a reason is UTF-8"),
        ))
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireHeader {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub masking_key: Option<[u8; 4]>,
    pub form: LengthForm,
    pub payload_length: u64,
}

/// The header at the front of `bytes`, and the bytes after it. `None`: the header is incomplete.
/// Does not check whether the header is legal.
pub fn split_header(bytes: &[u8]) -> Option<(WireHeader, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (form, payload_length, rest) = match second & 0b0111_1111 {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (
                LengthForm::Bits16,
                u64::from(u16::from_be_bytes(*length)),
                rest,
            )
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (LengthForm::Bits64, u64::from_be_bytes(*length), rest)
        }
        length => (LengthForm::Bits7, u64::from(length), rest),
    };
    let (masking_key, rest) = if second & 0b1000_0000 == 0 {
        (None, rest)
    } else {
        let (key, rest) = rest.split_first_chunk()?;
        (Some(*key), rest)
    };
    let header = WireHeader {
        fin: first & 0b1000_0000 != 0,
        rsv: (first >> 4) & 0b111,
        opcode: first & 0b1111,
        masking_key,
        form,
        payload_length,
    };
    Some((header, rest))
}

/// All frames in the output of an endpoint. Checks that they are complete, and that each length
/// has the minimal form.
pub fn decode_all(mut bytes: &[u8]) -> Vec<WireFrame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = split_header(bytes).expect("an endpoint writes whole headers");
        let length = usize::try_from(header.payload_length).expect("a frame that fits memory");
        assert!(length <= rest.len(), "an endpoint writes whole frames");
        assert_eq!(header.form, LengthForm::minimal(header.payload_length));

        let (payload, rest) = rest.split_at(length);
        let mut frame = WireFrame {
            fin: header.fin,
            rsv: header.rsv,
            opcode: header.opcode,
            masking_key: header.masking_key,
            payload: payload.to_vec(),
        };
        frame.payload = frame.masked_payload(); // masking twice is unmasking
        frames.push(frame);
        bytes = rest;
    }
    frames
}
