//! A model of the receiving endpoint of RFC 6455. It processes the whole input at once and copies
//! its bytes: it needs no state between calls, and no speed. Its result is compared with the
//! events of a `Connection`.

use super::session::Received;
use super::wire::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WireFrame, WireHeader, split_header,
};
use super::{Limits, Role};

/// The correct result of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The events, without the failure that may follow them.
    pub events: Vec<Received>,
    /// The replies that the endpoint owes the peer, without masking keys: a Pong for each Ping and
    /// the Close that answers a Close. The Close of a failure is not included.
    pub replies: Vec<WireFrame>,
    pub end: End,
    /// Whether the input ends after a whole frame, and no message is incomplete.
    pub idle: bool,
}

/// The state of the connection at the end of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The connection is open.
    Open,
    /// The peer's Close was received. The bytes after it are ignored.
    Closed,
    /// The connection has failed at the first byte that breaks a rule. If it breaks two rules,
    /// both close codes are correct.
    Failed(Vec<u16>),
}

/// The correct result of `input` for an endpoint of this role.
pub fn expected(role: Role, limits: Limits, input: &[u8]) -> Expected {
    let mut model = Model {
        role,
        limits,
        message: None,
        in_a_frame: false,
        events: Vec::new(),
        replies: Vec::new(),
    };
    let end = model.read(input);
    Expected {
        idle: !model.in_a_frame && model.message.is_none(),
        events: model.events,
        replies: model.replies,
        end,
    }
}

/// §7.4: the codes that are allowed in a Close frame. 1012 to 1014 are in the IANA registry that
/// §11.7 establishes.
pub fn code_may_travel(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

struct Model {
    role: Role,
    limits: Limits,
    message: Option<Unfinished>,
    in_a_frame: bool,
    events: Vec<Received>,
    replies: Vec<WireFrame>,
}

/// A message whose last frame was not received yet.
struct Unfinished {
    opcode: u8,
    fragments: u32,
    data: Vec<u8>,
}

impl Model {
    fn read(&mut self, mut input: &[u8]) -> End {
        while !input.is_empty() {
            if let Some(code) = self.offence(input) {
                return End::Failed(vec![code]);
            }
            let Some((header, rest)) = split_header(input) else {
                self.in_a_frame = true;
                return End::Open;
            };
            let came = rest.len().min(header.payload_length as usize);
            let (payload, rest) = rest.split_at(came);
            let whole = came as u64 == header.payload_length;
            self.in_a_frame = !whole;
            let payload = unmask(payload, header.masking_key);
            let end = match header.opcode {
                CLOSE | PING | PONG if !whole => None,
                CLOSE => Some(self.close(&payload)),
                PING => self.ping(payload),
                PONG => self.pong(payload),
                _ => self.data(&header, &payload, whole),
            };
            if let Some(end) = end {
                return end;
            }
            input = rest;
        }
        End::Open
    }

    /// The close code for the header at the front of `input`, as soon as one of its bytes breaks a
    /// rule.
    fn offence(&self, input: &[u8]) -> Option<u16> {
        let longest = &input[..input.len().min(14)];
        (1..=longest.len()).find_map(|received| self.violation_of(&longest[..received]))
    }

    /// The close code for this number of bytes. The last of them breaks the rule.
    fn violation_of(&self, received: &[u8]) -> Option<u16> {
        let (first, second) = (received[0], received.get(1).copied());
        let (fin, rsv, opcode) = (first >> 7 == 1, first >> 4 & 0b111, first & 0b1111);
        let control = opcode & 0b1000 != 0;
        let known = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].contains(&opcode);
        if rsv != 0
            || !known
            || control && !fin
            || opcode == CONTINUATION && self.message.is_none()
            || [TEXT, BINARY].contains(&opcode) && self.message.is_some()
        {
            return Some(1002);
        }
        let (held, fragments) = match &self.message {
            Some(message) => (message.data.len() as u64, message.fragments),
            None => (0, 0),
        };
        if !control && fragments + 1 > self.limits.fragments_max {
            return Some(1008);
        }
        let (masked, length_7) = (second? >> 7 == 1, second? & 0b0111_1111);
        if masked != (self.role == Role::Server)
            || control && length_7 > 125
            || opcode == CLOSE && length_7 == 1
        {
            return Some(1002);
        }
        let (shortest, longest) = match length_7 {
            126 => (126, 0xFFFF),
            127 => (0x1_0000, 0x7FFF_FFFF_FFFF_FFFF),
            length => (u64::from(length), u64::from(length)),
        };
        // The smallest and the largest possible length: all missing bytes are zeros, or ones.
        let bytes = match length_7 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let filled = |with: u8| {
            let digits = (0..bytes).map(|i| received.get(2 + i).copied().unwrap_or(with));
            digits.fold(0_u64, |length, digit| length * 256 + u64::from(digit))
        };
        let (least, most) = match bytes {
            0 => (shortest, longest),
            _ => (filled(0), filled(0xFF)),
        };
        if least > longest || most < shortest {
            return Some(1002);
        }
        if !control && held + least.max(shortest) > self.limits.message_bytes_max as u64 {
            return Some(1009);
        }
        None
    }

    fn data(&mut self, header: &WireHeader, payload: &[u8], whole: bool) -> Option<End> {
        let mut message = self.message.take().unwrap_or(Unfinished {
            opcode: header.opcode,
            fragments: 0,
            data: Vec::new(),
        });
        message.fragments += 1;
        message.data.extend(payload);
        let finished = whole && header.fin;

        if message.opcode == TEXT
            && let Err(error) = std::str::from_utf8(&message.data)
            && (finished || error.error_len().is_some())
        {
            return Some(End::Failed(vec![1007]));
        }
        if !finished {
            self.message = Some(message);
        } else if message.opcode == TEXT {
            let text = String::from_utf8(message.data).expect("checked above");
            self.events.push(Received::Text(text));
        } else {
            self.events.push(Received::Binary(message.data));
        }
        None
    }

    fn ping(&mut self, payload: Vec<u8>) -> Option<End> {
        self.replies.push(WireFrame::new(PONG, &payload));
        self.events.push(Received::Ping(payload));
        None
    }

    fn pong(&mut self, payload: Vec<u8>) -> Option<End> {
        self.events.push(Received::Pong(payload));
        None
    }

    fn close(&mut self, body: &[u8]) -> End {
        if body.is_empty() {
            self.replies.push(WireFrame::new(CLOSE, b""));
            self.events.push(Received::Close(None));
            return End::Closed;
        }
        let Some((code, reason)) = body.split_first_chunk() else {
            return End::Failed(vec![1002]);
        };
        let code = u16::from_be_bytes(*code);
        match (code_may_travel(code), std::str::from_utf8(reason)) {
            (true, Ok(reason)) => {
                self.replies.push(WireFrame::close(code, b""));
                self.events
                    .push(Received::Close(Some((code, reason.to_owned()))));
                End::Closed
            }
            (true, Err(_)) => End::Failed(vec![1007]),
            (false, Ok(_)) => End::Failed(vec![1002]),
            (false, Err(_)) => End::Failed(vec![1002, 1007]),
        }
    }
}

fn unmask(payload: &[u8], masking_key: Option<[u8; 4]>) -> Vec<u8> {
    let key = masking_key.unwrap_or_default();
    let bytes = payload.iter().enumerate();
    bytes.map(|(i, byte)| byte ^ key[i % 4]).collect()
}
