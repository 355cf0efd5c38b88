//! Inflates and checks compressed messages (permessage-deflate, RFC 7692).
//!
//! A server that compresses a message once sends the same bytes to every member. So the
//! result of a payload is remembered, and a payload that equals a remembered one, byte
//! for byte, is not inflated again:
//!
//! ```text
//!   payload ─▶ the same as one of the recent ones? ── yes ─▶ its Reading
//!                          │ no
//!                          └─▶ inflate ─▶ Template::read ─▶ Reading, remembered
//! ```
//!
//! For one KiB of JSON, the comparison takes about 0.05 µs, inflating 2 µs, so that a thread can check
//! the messages of a thousand members. A server that compresses for each member
//! separately may send equal bytes, too; the check is the same.
//!
//! The load requests that each message is compressed separately
//! (`server_no_context_takeover`), so one state serves all connections, and equal
//! bytes always mean equal messages.
//!
//! Memory: the state with its window, 48 KiB; one message; and the recent payloads, at
//! most [`RECENT_MESSAGES_MAX`] with [`RECENT_BYTES_MAX`] bytes.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::payload::{Reading, Template};

/// See the [module's text](self).
pub(super) struct Inflater {
    inflate: Inflate,
    /// One byte more than a message of the run has.
    message: Box<[u8]>,
    recent: Recent,
}

/// The payload is not valid DEFLATE data, or refers to an earlier message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDeflate;

impl Inflater {
    /// For messages like this one.
    pub(super) fn new(template: &Template) -> Inflater {
        Inflater {
            inflate: Inflate::new(false, WINDOW_BITS),
            message: vec![0; template.message_bytes() + 1].into_boxed_slice(),
            recent: Recent::new(),
        }
    }

    /// The assumed maximum of bytes of a compressed message of the run. A longer one is not
    /// of this run, and is not inflated.
    pub(super) fn payload_bytes_max(&self) -> usize {
        2 * self.message.len() + 64
    }

    /// Reads a compressed payload that lies whole in memory.
    ///
    /// # Errors
    /// It cannot be inflated: the server has broken a rule.
    #[inline]
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        template: &Template,
    ) -> Result<Reading, NotDeflate> {
        match self.recent.get(payload) {
            Some(reading) => Ok(reading),
            None if payload.len() > self.payload_bytes_max() => Ok(Reading::Foreign),
            None => self.inflate_and_read(payload, template),
        }
    }

    #[cold]
    fn inflate_and_read(
        &mut self,
        payload: &[u8],
        template: &Template,
    ) -> Result<Reading, NotDeflate> {
        let bytes = self.inflate(payload)?;
        let reading = template.read(&self.message[..bytes]);
        self.recent.insert(payload, reading);
        Ok(reading)
    }

    /// The number of bytes of `message` that it filled; all of them if the message is longer
    /// than those of the run.
    fn inflate(&mut self, payload: &[u8]) -> Result<usize, NotDeflate> {
        self.inflate.reset(false);
        let mut filled = 0;
        // RFC 7692 §7.2.2: the sender has removed these bytes.
        for mut input in [payload, &EMPTY_BLOCK] {
            while !input.is_empty() && filled < self.message.len() {
                let (taken, given, ended) = self.step(input, filled)?;
                if taken == 0 && given == 0 && !ended {
                    return Err(NotDeflate);
                }
                input = &input[taken..];
                filled += given;
            }
        }
        Ok(filled)
    }

    /// Bytes taken and given, and whether a final block was ended by it: then
    /// another stream begins (§7.2.3.4).
    fn step(&mut self, input: &[u8], filled: usize) -> Result<(usize, usize, bool), NotDeflate> {
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let output = &mut self.message[filled..];
        let status = self
            .inflate
            .decompress(input, output, InflateFlush::SyncFlush)
            .map_err(|_| NotDeflate)?;
        // Both fit their buffers.
        let taken = (self.inflate.total_in() - before_in) as usize;
        let given = (self.inflate.total_out() - before_out) as usize;
        let ended = status == Status::StreamEnd;
        if ended {
            self.inflate.reset(false);
        }
        Ok((taken, given, ended))
    }
}

/// Recent payloads and their results; the oldest are removed first.
struct Recent {
    readings: HashMap<Arc<[u8]>, Reading, BuildHasherDefault<Lanes>>,
    order: VecDeque<Arc<[u8]>>,
    /// Of all payloads: ≤ [`RECENT_BYTES_MAX`].
    bytes: usize,
}

impl Recent {
    fn new() -> Recent {
        Recent {
            readings: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    #[inline]
    fn get(&self, payload: &[u8]) -> Option<Reading> {
        self.readings.get(payload).copied()
    }

    /// It is not there yet.
    fn insert(&mut self, payload: &[u8], reading: Reading) {
        if payload.len() > RECENT_BYTES_MAX {
            return;
        }
        while self.order.len() >= RECENT_MESSAGES_MAX
            || self.bytes + payload.len() > RECENT_BYTES_MAX
        {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
            self.readings.remove(&oldest);
        }
        let payload: Arc<[u8]> = payload.into();
        self.bytes += payload.len();
        self.order.push_back(Arc::clone(&payload));
        self.readings.insert(payload, reading);
    }
}

/// Four independent words at a time: hashing a payload costs less than comparing it. Only
/// the speed depends on the hash.
#[derive(Default)]
struct Lanes {
    sum: u64,
}

impl Hasher for Lanes {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut lanes = [self.sum, 1, 2, 3];
        let mut chunks = bytes.chunks_exact(32);
        for chunk in &mut chunks {
            for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(8)) {
                *lane = mixed(*lane, word);
            }
        }
        for (place, word) in chunks.remainder().chunks(8).enumerate() {
            lanes[place] = mixed(lanes[place], word);
        }
        self.sum = lanes.into_iter().fold(bytes.len() as u64, |sum, lane| {
            mixed(sum, &lane.to_le_bytes())
        });
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.sum ^ (self.sum >> 32)
    }
}

/// Adds up to eight bytes to a word of the hash.
#[inline]
fn mixed(lane: u64, word: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..word.len()].copy_from_slice(word);
    (lane.rotate_left(5) ^ u64::from_le_bytes(bytes)).wrapping_mul(ODD)
}

/// 2^64 divided by the golden ratio.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
/// The largest window, which every sender may use.
const WINDOW_BITS: u8 = 15;
const EMPTY_BLOCK: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// More than are in flight in a closed loop with a window of 64 for 10 publishers.
pub(super) const RECENT_MESSAGES_MAX: usize = 1024;
pub(super) const RECENT_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
pub(super) mod tests {
    use super::super::payload::{Head, Payload};
    use super::*;
    use zlib_rs::{Deflate, DeflateFlush};

    /// As a server sends it that keeps no context.
    pub fn compressed(payload: &[u8]) -> Vec<u8> {
        let mut deflate = Deflate::new(6, false, WINDOW_BITS);
        let mut output = with_flush(&mut deflate, payload, DeflateFlush::SyncFlush);
        assert!(output.ends_with(&EMPTY_BLOCK));
        output.truncate(output.len() - EMPTY_BLOCK.len());
        output
    }

    fn with_flush(deflate: &mut Deflate, payload: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let mut output = vec![0; payload.len() + 1024];
        let before = deflate.total_out();
        deflate.compress(payload, &mut output, flush).expect("room");
        output.truncate((deflate.total_out() - before) as usize);
        output
    }

    fn head(sequence: u32) -> Head {
        Head {
            publisher: 1,
            sequence,
            sent_ns: 77,
        }
    }

    fn inflater(bytes: usize) -> (Inflater, Template) {
        let template = Template::new(Payload::Json, 5, bytes);
        (Inflater::new(&template), template)
    }

    #[test]
    fn compressed_message_is_read_the_first_time_and_from_memory() {
        let (mut inflater, mut template) = inflater(1024);
        for sequence in [0, 1, 0, 1, 2] {
            let payload = compressed(template.fill(head(sequence)));
            assert!(payload.len() < 700);
            let reading = inflater.read(&payload, &template);
            assert_eq!(reading, Ok(Reading::Ours(head(sequence))));
        }
        assert_eq!(inflater.recent.order.len(), 3);
    }

    #[test]
    fn changed_byte_is_detected_although_the_message_is_remembered() {
        let (mut inflater, mut template) = inflater(1024);
        let payload = compressed(template.fill(head(0)));
        let ours = Ok(Reading::Ours(head(0)));
        assert_eq!(inflater.read(&payload, &template), ours);
        for place in 0..payload.len() {
            let mut changed = payload.clone();
            changed[place] ^= 0x10;
            // The last byte may have unused bits.
            if inflater.read(&changed, &template) == ours {
                assert_eq!(place, payload.len() - 1);
            }
            assert_eq!(inflater.read(&payload, &template), ours);
        }
    }

    #[test]
    fn stored_and_final_blocks_are_read() {
        let (mut inflater, mut template) = inflater(300);
        let message = template.fill(head(4)).to_vec();
        let mut stored = vec![0x00, 0x2C, 0x01, 0xD3, 0xFE];
        stored.extend_from_slice(&message);
        stored.push(0x00);
        // BFINAL, and an empty block after it (RFC 7692 §7.2.3.4).
        let mut deflate = Deflate::new(6, false, WINDOW_BITS);
        let mut with_end = with_flush(&mut deflate, &message, DeflateFlush::Finish);
        with_end.push(0x00);
        for payload in [stored, with_end] {
            let reading = inflater.read(&payload, &template);
            assert_eq!(reading, Ok(Reading::Ours(head(4))));
        }
    }

    #[test]
    fn messages_of_others_are_not_of_this_run_at_any_length() {
        let (mut inflater, mut template) = inflater(200);
        let longer = [template.fill(head(0)), b"!"].concat();
        let noise: Vec<u8> = (0..10_000_u32)
            .map(|number| (number.wrapping_mul(0x9E37_79B1) >> 24) as u8)
            .collect();
        let cases: [(&[u8], Reading); 5] = [
            (b"", Reading::Foreign),
            (b"welcome", Reading::Foreign),
            (&[b'w'; 100_000], Reading::Foreign),
            (&noise, Reading::Foreign),
            (&longer, Reading::Corrupted),
        ];
        for (message, expected) in cases {
            let payload = compressed(message);
            assert_eq!(inflater.read(&payload, &template), Ok(expected));
        }
    }

    #[test]
    fn invalid_deflate_data_and_references_to_earlier_messages_are_errors() {
        let (mut inflater, mut template) = inflater(400);
        // A block of the reserved type 11.
        assert_eq!(inflater.read(&[0x07], &template), Err(NotDeflate));
        let message = template.fill(head(0)).to_vec();
        let mut deflate = Deflate::new(6, false, WINDOW_BITS);
        with_flush(&mut deflate, &message, DeflateFlush::SyncFlush);
        let second = with_flush(&mut deflate, &message, DeflateFlush::SyncFlush);
        assert_eq!(inflater.read(&second, &template), Err(NotDeflate));
        // The next message can be read.
        let payload = compressed(&message);
        let reading = inflater.read(&payload, &template);
        assert_eq!(reading, Ok(Reading::Ours(head(0))));
    }

    #[test]
    fn recent_messages_are_limited_in_number_and_bytes() {
        let mut recent = Recent::new();
        let payload = |number: usize| number.to_le_bytes();
        for number in 0..=RECENT_MESSAGES_MAX {
            recent.insert(&payload(number), Reading::Foreign);
        }
        assert_eq!(recent.order.len(), RECENT_MESSAGES_MAX);
        assert_eq!(recent.readings.len(), RECENT_MESSAGES_MAX);
        assert_eq!(recent.get(&payload(0)), None);
        assert_eq!(recent.get(&payload(1)), Some(Reading::Foreign));
        let large = vec![0; RECENT_BYTES_MAX];
        recent.insert(&large, Reading::Foreign);
        assert_eq!((recent.order.len(), recent.bytes), (1, RECENT_BYTES_MAX));
        let larger = vec![0; RECENT_BYTES_MAX + 1];
        recent.insert(&larger, Reading::Foreign);
        assert_eq!(recent.get(&larger), None);
        assert_eq!(recent.get(&large), Some(Reading::Foreign));
    }

    #[test]
    fn similar_payloads_have_different_hashes() {
        let hash = |bytes: &[u8]| {
            let mut lanes = Lanes::default();
            lanes.write(bytes);
            lanes.finish()
        };
        let base = [7; 100];
        let mut hashes: Vec<u64> = (0..100)
            .map(|place| {
                let mut changed = base;
                changed[place] ^= 1;
                hash(&changed)
            })
            .chain([hash(&base), hash(&base[..99]), hash(b"")])
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 103);
    }
}
