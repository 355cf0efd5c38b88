//! Where frames begin in the bytes of one direction, so that a trace that has left bytes out goes on at the next frame.
//!
//! It is called in the event loop for each traced connection: of a frame it reads the header, and passes over the payload at once.

use yamabiko::websocket::frame::FrameHeader;

/// The position in the bytes of one direction.
pub(super) enum Boundaries {
    /// In the head; so many bytes of its end have come.
    Head(usize),
    /// The bytes of a header that is not whole; none: a frame begins here.
    Header(Vec<u8>),
    Payload {
        left: u64,
    },
    /// A header that cannot be read: no further frame is found.
    Lost,
}

impl Boundaries {
    /// Passes over bytes, and returns the first position in them at which a frame begins; the end counts.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut position = 0;
        let mut first = self.is_between_frames().then_some(0);
        while position < bytes.len() && !matches!(self, Boundaries::Lost) {
            position += self.step(&bytes[position..]);
            if first.is_none() && self.is_between_frames() {
                first = Some(position);
            }
        }
        first
    }

    fn is_between_frames(&self) -> bool {
        matches!(self, Boundaries::Header(header) if header.is_empty())
    }

    /// Passes over bytes of one thing, at least one, and returns their number.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match self {
            Boundaries::Head(matched) => {
                let (end, passed) = (END_OF_HEAD.len(), &mut 0);
                while *matched < end && *passed < bytes.len() {
                    *matched = match bytes[*passed] {
                        byte if byte == END_OF_HEAD[*matched] => *matched + 1,
                        b'\r' => 1,
                        _ => 0,
                    };
                    *passed += 1;
                }
                let passed = *passed;
                if *matched == end {
                    *self = Boundaries::Header(Vec::new());
                }
                passed
            }
            Boundaries::Header(header) => {
                header.push(bytes[0]);
                match FrameHeader::parse(header) {
                    Ok(None) => {}
                    Ok(Some((header, _))) => self.payload(header.payload_length),
                    Err(_) => *self = Boundaries::Lost,
                }
                1
            }
            Boundaries::Payload { left } => {
                let passed = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let left = *left - passed as u64;
                self.payload(left);
                passed
            }
            Boundaries::Lost => bytes.len(),
        }
    }

    /// So much of a payload is left.
    fn payload(&mut self, left: u64) {
        *self = match left {
            0 => Boundaries::Header(Vec::new()),
            left => Boundaries::Payload { left },
        };
    }
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::super::observer::tests::{MASKED_HELLO, RESPONSE};
    use super::*;

    /// All positions at which frames begin, with the bytes in pieces of this length.
    fn positions(bytes: &[u8], piece: usize) -> Vec<usize> {
        let mut boundaries = Boundaries::Head(0);
        let mut found = Vec::new();
        for (index, piece_of) in bytes.chunks(piece).enumerate() {
            let first = boundaries.pass(piece_of);
            found.extend(first.map(|first| index * piece + first));
        }
        found.dedup();
        found
    }

    #[test]
    fn frames_are_found_behind_the_head_however_the_bytes_are_cut() {
        let long = [b"\x82\x7e\x03\xe8", &[b'\r'; 1000][..]].concat();
        let bytes = [
            b"\r\n\r",
            RESPONSE,
            MASKED_HELLO,
            b"\x89\x00",
            &long,
            b"\x88\x00",
        ]
        .concat();
        let head = RESPONSE.len() + 3;
        let begins = [0, 11, 13, 13 + 1004, 13 + 1004 + 2].map(|at| head + at);
        assert_eq!(positions(&bytes, 1), begins);
        // The first one of each piece.
        assert_eq!(positions(&bytes, usize::MAX), [head]);
        for piece in 2..40 {
            let found = positions(&bytes, piece);
            assert!(
                found.iter().all(|at| begins.contains(at)),
                "{piece}: {found:?}"
            );
            assert!(found.contains(&head), "{piece}: {found:?}");
        }
    }

    #[test]
    fn behind_a_header_that_cannot_be_read_no_frame_is_found() {
        let bytes = [RESPONSE, b"\x83\x00\x81\x00\x81\x00"].concat();
        assert_eq!(positions(&bytes, 1), [RESPONSE.len()]);
    }
}
