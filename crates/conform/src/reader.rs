//! Reads the peer's frames, strictly: a reader of its own, which shares no code with any
//! implementation that is tested.
//!
//! A rule whose violation leaves no doubt about the rest (the MASK bit, the form of the
//! length) is noted with the frame, for the cases that check it. Every other violation is a
//! [`Fault`]: nothing after it can be understood.

use std::collections::VecDeque;

use crate::deflate::{InflateError, Inflater, TAIL};
use crate::frame::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, opcode_name, payload_words};
use crate::words::quoted;

/// See the [module's text](self).
#[derive(Debug)]
pub(crate) struct Reader {
    message_bytes_max: usize,
    input: Vec<u8>,
    /// The first bytes of `input` that have been read: 0 ≤ taken ≤ input.len().
    taken: usize,
    message: Option<Partial>,
    is_closed: bool,
    arrived: VecDeque<Received>,
    frames: Vec<FrameSeen>,
    /// After permessage-deflate was agreed.
    inflater: Option<Inflater>,
    compressed: Vec<CompressedSeen>,
}

/// What the peer has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Message { is_binary: bool, payload: Vec<u8> },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, Vec<u8>),
}

/// The header of a frame from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameSeen {
    pub opcode: u8,
    pub fin: bool,
    pub rsv: u8,
    /// Its masking key, if it was masked.
    pub key: Option<[u8; 4]>,
    pub length: u64,
    /// The length is in the shortest form.
    pub is_minimal: bool,
}

/// How a message of the peer was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompressedSeen {
    /// The longest distance of a copy.
    pub distance_max: usize,
    /// How far a copy refers to bytes before the message.
    pub reach: usize,
    /// The payload still has the four bytes that a sender removes.
    pub has_tail: bool,
}

/// A rule that the peer has broken, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub String);

/// A message that has begun.
#[derive(Debug)]
struct Partial {
    is_binary: bool,
    is_compressed: bool,
    payload: Vec<u8>,
}

impl Reader {
    /// A reader of messages up to this length; a longer one is a fault.
    pub(crate) fn new(message_bytes_max: usize) -> Reader {
        Reader {
            message_bytes_max,
            input: Vec::new(),
            taken: 0,
            message: None,
            is_closed: false,
            arrived: VecDeque::new(),
            frames: Vec::new(),
            inflater: None,
            compressed: Vec::new(),
        }
    }

    /// From now on, messages may be compressed.
    pub(crate) fn agree_on_deflate(&mut self) {
        self.inflater = Some(Inflater::default());
    }

    /// The first compressed messages, up to a bound.
    pub(crate) fn compressed(&self) -> &[CompressedSeen] {
        &self.compressed
    }

    /// The buffer for bytes of the peer.
    pub(crate) fn input(&mut self) -> &mut Vec<u8> {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        } else if self.taken > COMPACTED_BYTES {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        &mut self.input
    }

    /// Drops what has arrived and was not read.
    pub(crate) fn forget_input(&mut self) {
        self.input.clear();
        self.taken = 0;
    }

    /// Cuts the head of HTTP off the front of the input.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.input.drain(..bytes);
    }

    /// Reads what has arrived, and calls `log` with each frame in words.
    ///
    /// # Errors
    /// The peer has broken a rule; what arrived before can still be taken.
    pub(crate) fn read(&mut self, mut log: impl FnMut(String)) -> Result<(), Fault> {
        while let Some((frame, payload)) = self.next_frame()? {
            self.note(frame);
            log(words(&frame, &payload));
            self.check(&frame, &payload)?;
            self.accept(&frame, payload, &mut log)?;
        }
        Ok(())
    }

    /// The next thing that the peer has sent.
    pub(crate) fn next(&mut self) -> Option<Received> {
        self.arrived.pop_front()
    }

    /// Whether the peer has sent anything, be it a part of a frame.
    pub(crate) fn has_begun(&self) -> bool {
        self.taken < self.input.len() || !self.frames.is_empty()
    }

    /// The headers of the first frames, up to a bound.
    pub(crate) fn frames(&self) -> &[FrameSeen] {
        &self.frames
    }

    fn note(&mut self, frame: FrameSeen) {
        if self.frames.len() < FRAMES_NOTED_MAX {
            self.frames.push(frame);
        }
    }

    fn next_frame(&mut self) -> Result<Option<(FrameSeen, Vec<u8>)>, Fault> {
        let input = &self.input[self.taken..];
        let Some((frame, header_bytes)) = header(input) else {
            return Ok(None);
        };
        if frame.length > self.message_bytes_max as u64 {
            return fault(format!("a frame of {} bytes", frame.length));
        }
        let Some(payload) = input.get(header_bytes..header_bytes + frame.length as usize) else {
            return Ok(None);
        };
        let mut payload = payload.to_vec();
        if let Some(key) = frame.key {
            let keys = key.iter().cycle();
            payload
                .iter_mut()
                .zip(keys)
                .for_each(|(byte, key)| *byte ^= key);
        }
        self.taken += header_bytes + payload.len();
        Ok(Some((frame, payload)))
    }

    fn check(&self, frame: &FrameSeen, payload: &[u8]) -> Result<(), Fault> {
        let name = opcode_name(frame.opcode);
        if self.is_closed {
            return fault(format!("a frame ({name}) after a Close frame (§5.5.1)"));
        }
        let legal_rsv = match frame.opcode {
            TEXT | BINARY if self.inflater.is_some() => [0, RSV1],
            _ => [0, 0],
        };
        match frame.opcode {
            _ if !legal_rsv.contains(&frame.rsv) => fault(format!(
                "reserved bits {:03b} in a {name} frame (§5.2)",
                frame.rsv
            )),
            CLOSE | PING | PONG if !frame.fin => fault(format!("a fragmented {name} (§5.5)")),
            CLOSE | PING | PONG if payload.len() > 125 => {
                fault(format!("a {name} frame of {} bytes (§5.5)", payload.len()))
            }
            CONTINUATION if self.message.is_none() => {
                fault("a continuation frame without a message (§5.4)".to_owned())
            }
            TEXT | BINARY if self.message.is_some() => {
                fault(format!("a {name} frame inside a fragmented message (§5.4)"))
            }
            CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => Ok(()),
            _ => fault(format!("a frame with the reserved {name} (§5.2)")),
        }
    }

    fn accept(
        &mut self,
        frame: &FrameSeen,
        payload: Vec<u8>,
        log: &mut impl FnMut(String),
    ) -> Result<(), Fault> {
        match frame.opcode {
            PING => self.arrived.push_back(Received::Ping(payload)),
            PONG => self.arrived.push_back(Received::Pong(payload)),
            CLOSE => {
                let close = close(&payload)?;
                self.is_closed = true;
                self.arrived.push_back(close);
            }
            opcode => {
                let is_binary = opcode == BINARY;
                let empty = || Partial {
                    is_binary,
                    is_compressed: frame.rsv == RSV1,
                    payload: Vec::new(),
                };
                let message = self.message.get_or_insert_with(empty);
                message.payload.extend_from_slice(&payload);
                if message.payload.len() > self.message_bytes_max {
                    return fault(format!("a message of {} bytes", message.payload.len()));
                }
            }
        }
        if frame.fin && frame.opcode < CLOSE {
            self.finish_message(log)?;
        }
        Ok(())
    }

    fn finish_message(&mut self, log: &mut impl FnMut(String)) -> Result<(), Fault> {
        let Some(message) = self.message.take() else {
            return Ok(());
        };
        let is_binary = message.is_binary;
        let payload = match message.is_compressed {
            true => self.inflate(&message.payload, log)?,
            false => message.payload,
        };
        if !is_binary && std::str::from_utf8(&payload).is_err() {
            return fault("a text message that is not UTF-8 (§5.6)".to_owned());
        }
        self.arrived
            .push_back(Received::Message { is_binary, payload });
        Ok(())
    }

    fn inflate(&mut self, payload: &[u8], log: &mut impl FnMut(String)) -> Result<Vec<u8>, Fault> {
        let Some(inflater) = &mut self.inflater else {
            return Ok(payload.to_vec());
        };
        let inflated = match inflater.message(payload, self.message_bytes_max) {
            Ok(inflated) => inflated,
            Err(InflateError::TooLong) => {
                return fault(format!(
                    "a message that inflates to more than {} bytes",
                    self.message_bytes_max
                ));
            }
            Err(InflateError::Corrupt(reason)) => {
                return fault(format!(
                    "a compressed message with {reason} (RFC 7692 §7.2.1)"
                ));
            }
        };
        let text = quoted(&inflated.bytes);
        log(format!("… {} blocks of DEFLATE: {text}", inflated.blocks));
        if self.compressed.len() < FRAMES_NOTED_MAX {
            self.compressed.push(CompressedSeen {
                distance_max: inflated.distance_max,
                reach: inflated.reach,
                has_tail: payload.ends_with(&TAIL),
            });
        }
        Ok(inflated.bytes)
    }
}

fn words(frame: &FrameSeen, payload: &[u8]) -> String {
    let mut words = opcode_name(frame.opcode);
    if !frame.fin {
        words.push_str(", FIN 0");
    }
    if frame.rsv != 0 {
        words.push_str(&format!(", RSV {:03b}", frame.rsv));
    }
    words + ", " + &payload_words(frame.opcode, payload)
}

/// The header at the front of `input` and its length; `None`: it is not whole.
fn header(input: &[u8]) -> Option<(FrameSeen, usize)> {
    let (&first, &second) = (input.first()?, input.get(1)?);
    let (length, length_bytes) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(array(input, 2)?)), 2),
        127 => (u64::from_be_bytes(array(input, 2)?), 8),
        length => (u64::from(length), 0),
    };
    let is_minimal = match length_bytes {
        0 => true,
        2 => length > 125,
        _ => length > 65_535,
    };
    let is_masked = second & 0x80 != 0;
    let key = match is_masked {
        true => Some(array(input, 2 + length_bytes)?),
        false => None,
    };
    let frame = FrameSeen {
        opcode: first & 0x0F,
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 0b111,
        key,
        length,
        is_minimal,
    };
    Some((frame, 2 + length_bytes + if is_masked { 4 } else { 0 }))
}

fn array<const BYTES: usize>(input: &[u8], at: usize) -> Option<[u8; BYTES]> {
    input.get(at..at + BYTES)?.try_into().ok()
}

fn close(payload: &[u8]) -> Result<Received, Fault> {
    let (code, reason) = match payload {
        [] => return Ok(Received::Close(None, Vec::new())),
        [_] => return fault("a Close frame with a body of one byte (§5.5.1)".to_owned()),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    match code {
        0..=999 => fault(format!("a Close frame with the code {code} (§7.4.2)")),
        1004..=1006 | 1015 | 1016..=2999 | 5000.. => {
            fault(format!("a Close frame with the code {code} (§7.4.1)"))
        }
        _ if std::str::from_utf8(reason).is_err() => {
            fault("a reason of a Close that is not UTF-8 (§5.5.1)".to_owned())
        }
        _ => Ok(Received::Close(Some(code), reason.to_vec())),
    }
}

fn fault<T>(words: String) -> Result<T, Fault> {
    Err(Fault(words))
}

/// The bit of a compressed message (RFC 7692 §6).
const RSV1: u8 = 4;
/// Bytes that have been read are moved out of the buffer when they are more.
const COMPACTED_BYTES: usize = 64 << 10;
/// Headers of further frames are not kept.
const FRAMES_NOTED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    fn read(bytes: &[u8]) -> (Vec<Received>, Option<String>) {
        let mut reader = Reader::new(1 << 20);
        let mut fault = None;
        for byte in bytes {
            reader.input().push(*byte);
            fault = fault.or(reader.read(drop).err());
        }
        let mut whole = Reader::new(1 << 20);
        whole.input().extend_from_slice(bytes);
        assert_eq!(whole.read(drop).err(), fault);
        let events: Vec<_> = std::iter::from_fn(|| reader.next()).collect();
        assert_eq!(
            std::iter::from_fn(|| whole.next()).collect::<Vec<_>>(),
            events
        );
        (events, fault.map(|fault| fault.0))
    }

    fn bytes(frames: &[Frame]) -> Vec<u8> {
        let mut output = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            frame.encode(number % 2 == 0, [1, 2, 3, 4], &mut output);
        }
        output
    }

    #[test]
    fn messages_and_control_frames_are_read_however_they_are_cut() {
        let frames = [
            Frame::text("Hé").more(),
            Frame::ping("p"),
            Frame::continuation("llo"),
            Frame::pong(""),
            Frame::binary([0xFF; 126]),
            Frame::close(1000, "bye"),
        ];
        let expected = vec![
            Received::Ping(b"p".to_vec()),
            Received::Message {
                is_binary: false,
                payload: "Héllo".into(),
            },
            Received::Pong(Vec::new()),
            Received::Message {
                is_binary: true,
                payload: vec![0xFF; 126],
            },
            Received::Close(Some(1000), b"bye".to_vec()),
        ];
        assert_eq!(read(&bytes(&frames)), (expected, None));
    }

    #[test]
    fn broken_rule_is_a_fault() {
        let cases = [
            (vec![Frame::text("").rsv(4)], "reserved bits 100"),
            (vec![Frame::new(3, "")], "reserved opcode 0x3"),
            (vec![Frame::ping("").more()], "fragmented ping"),
            (vec![Frame::ping([0; 126])], "ping frame of 126"),
            (vec![Frame::continuation("")], "without a message"),
            (
                vec![Frame::text("").more(), Frame::text("")],
                "inside a fragmented",
            ),
            (vec![Frame::text([0xC0])], "not UTF-8"),
            (vec![Frame::new(CLOSE, [0])], "body of one byte"),
            (vec![Frame::close(1005, "")], "code 1005"),
            (vec![Frame::close(999, "")], "code 999"),
            (vec![Frame::close(1000, [0xFF])], "not UTF-8"),
            (
                vec![Frame::close(1000, ""), Frame::pong("")],
                "after a Close",
            ),
        ];
        for (frames, expected) in cases {
            let (_, fault) = read(&bytes(&frames));
            let fault = fault.expect(expected);
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn message_past_the_limit_is_a_fault_in_a_frame_in_fragments_and_compressed() {
        let fault_of = |reader: &mut Reader, frames: &[Frame]| {
            reader.input().extend(bytes(frames));
            reader.read(drop).err().map(|fault| fault.0)
        };
        let whole =
            |length: usize| fault_of(&mut Reader::new(300), &[Frame::binary(vec![0; length])]);
        assert_eq!(whole(300), None);
        assert_eq!(whole(301).as_deref(), Some("a frame of 301 bytes"));
        let in_two = |length: usize| {
            let second = Frame::continuation(vec![0; length - 200]);
            fault_of(
                &mut Reader::new(300),
                &[Frame::binary([0; 200]).more(), second],
            )
        };
        assert_eq!(in_two(300), None);
        assert_eq!(in_two(301).as_deref(), Some("a message of 301 bytes"));
        let inflated = |length: usize| {
            let mut reader = Reader::new(300);
            reader.agree_on_deflate();
            let payload = crate::deflate::Compressor::new(15, false).message(&vec![0; length]);
            fault_of(&mut reader, &[Frame::binary(payload).rsv(RSV1)])
        };
        assert_eq!(inflated(300), None);
        let words = "a message that inflates to more than 300 bytes";
        assert_eq!(inflated(301).as_deref(), Some(words));
    }

    #[test]
    fn form_of_the_length_and_the_key_are_noted() {
        use crate::frame::LengthForm;
        let mut reader = Reader::new(1 << 20);
        let frame = Frame::text("a").length(LengthForm::Bits16);
        frame.encode(true, [1, 2, 3, 4], reader.input());
        reader.read(drop).expect("no fault");
        let frames = reader.frames();
        assert!(!frames[0].is_minimal);
        assert_eq!(frames[0].key, Some([1, 2, 3, 4]));
    }
}
