//! The messages of the load: writing them, and checking the received ones.
//!
//! ```text
//!  0       8           16         24                  40
//! +-------+-----------+----------+-------------------+------------- - - -
//! | run   | publisher | sequence | intended send time| abcdefghij...
//! | 8 hex | 8 hex     | 8 hex    | 16 hex, ns        | padding to the size
//! +-------+-----------+----------+-------------------+------------- - - -
//! ```
//!
//! All bytes are lower-case hexadecimal digits and letters, for servers that accept only
//! text or log messages. `run` is random: a message that does not begin with it is
//! not of this run and is not counted. A message that does begin with it must be right
//! to its last byte.
//!
//! Eight digits are read and written at once, as the bytes of one `u64`: some
//! three nanoseconds for the whole head.
//!
//! As JSON, the same head is part of a typical document, which compresses about as well as
//! others of its kind:
//!
//! ```text
//!  {"id":"<head>","room":"bench","quotes":[{"symbol":"KAZE",…},…],"note":"abc…"}
//! ```

/// Bytes of the head, and so of the shortest message.
pub(super) const HEAD_BYTES: usize = 40;

/// Bytes of the shortest JSON message: one without quotes.
pub(super) const JSON_BYTES_MIN: usize =
    JSON_BEFORE.len() + HEAD_BYTES + JSON_BEHIND.len() + JSON_NOTE.len() + JSON_END.len();

/// The content of a message besides its head of 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// Letters after the head.
    Letters,
    /// A JSON document with the head in it, to be compressed.
    Json,
}

/// A parsed head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub publisher: u32,
    /// Counted by each publisher from 0; below [`SEQUENCE_MAX`].
    pub sequence: u32,
    /// When it was sent, or in open loop when it was to be sent: nanoseconds
    /// since the run's clock was started.
    pub sent_ns: u64,
}

/// A publisher stops before this number: the next one expected is a `u32` too.
pub(super) const SEQUENCE_MAX: u32 = u32::MAX;

/// The result of reading a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// One of this run's messages, whole and unchanged.
    Ours(Head),
    /// One of this run's messages, changed on its way.
    Corrupted,
    /// Not of this run: a greeting, or another run's message.
    Foreign,
}

/// The common content of all messages of a run, which differ only in their heads.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Box<[u8]>,
    /// Where the head begins.
    head_at: usize,
}

impl Template {
    /// Messages of `bytes` bytes: at least [`HEAD_BYTES`], or
    /// [`JSON_BYTES_MIN`].
    pub(super) fn new(payload: Payload, run: u32, bytes: usize) -> Template {
        let (mut message, head_at) = match payload {
            Payload::Letters => (letters_message(bytes), 0),
            Payload::Json => (json_message(bytes), JSON_BEFORE.len()),
        };
        message[head_at..head_at + 8].copy_from_slice(&hex(run));
        Template {
            bytes: message.into_boxed_slice(),
            head_at,
        }
    }

    /// Bytes of each message.
    pub(super) fn message_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the template the message with this head.
    pub(super) fn fill(&mut self, head: Head) -> &[u8] {
        let (high, low) = halves(head.sent_ns);
        let bytes = &mut self.bytes[self.head_at..][..HEAD_BYTES];
        bytes[8..16].copy_from_slice(&hex(head.publisher));
        bytes[16..24].copy_from_slice(&hex(head.sequence));
        bytes[24..32].copy_from_slice(&hex(high));
        bytes[32..40].copy_from_slice(&hex(low));
        &self.bytes
    }

    /// Where the head begins in each message.
    pub(super) fn head_at(&self) -> usize {
        self.head_at
    }

    /// Reads a payload that lies whole in memory.
    #[inline]
    pub(super) fn read(&self, payload: &[u8]) -> Reading {
        let Some((before, rest)) = payload.split_at_checked(self.head_at) else {
            return Reading::Foreign;
        };
        let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Reading::Foreign;
        };
        let rest_is_right = behind == &self.bytes[self.head_at + HEAD_BYTES..]
            && (before.is_empty() || before == &self.bytes[..self.head_at]);
        self.check(head, rest_is_right)
    }

    /// Classifies a payload by its head, and by whether the rest
    /// [is unchanged](Template::continues).
    ///
    /// Always inlined: a result returned through memory is written and read in different
    /// sizes, and the processor's wait for that exceeds the cost of this function.
    #[inline(always)]
    pub(super) fn check(&self, head: &[u8; HEAD_BYTES], rest_is_right: bool) -> Reading {
        if head[..8] != self.bytes[self.head_at..][..8] {
            return Reading::Foreign;
        }
        match parse(head) {
            Some(head) if rest_is_right && head.sequence < SEQUENCE_MAX => Reading::Ours(head),
            _ => Reading::Corrupted,
        }
    }

    /// Whether each message has `piece` at this offset, outside the head.
    pub(super) fn continues(&self, offset: usize, piece: &[u8]) -> bool {
        let end = offset.saturating_add(piece.len());
        self.bytes.get(offset..end) == Some(piece)
    }
}

fn letters_message(bytes: usize) -> Vec<u8> {
    let mut message = vec![b'0'; HEAD_BYTES];
    message.extend(letters().take(bytes.saturating_sub(HEAD_BYTES)));
    message
}

/// As many quotes as fit, and letters for the rest.
fn json_message(bytes: usize) -> Vec<u8> {
    let zeros = "0".repeat(HEAD_BYTES);
    let mut text = [JSON_BEFORE, &zeros, JSON_BEHIND].concat();
    let tail_bytes = JSON_NOTE.len() + JSON_END.len();
    for number in 0.. {
        let comma = if number == 0 { "" } else { "," };
        let quote = [comma, &json_quote(number)].concat();
        if text.len() + quote.len() + tail_bytes > bytes {
            break;
        }
        text.push_str(&quote);
    }
    text.push_str(JSON_NOTE);
    let mut message = text.into_bytes();
    let letters_bytes = bytes.saturating_sub(message.len() + JSON_END.len());
    message.extend(letters().take(letters_bytes));
    message.extend_from_slice(JSON_END.as_bytes());
    message
}

/// A plausible price for each number, always the same.
fn json_quote(number: u32) -> String {
    let dice = number.wrapping_add(1).wrapping_mul(0x9E37_79B1);
    let symbol = SYMBOLS[(dice >> 28) as usize % SYMBOLS.len()];
    let (price, volume, second) = (dice >> 12, dice >> 20, number % 60);
    let (whole, cents, spread) = (price % 900 + 100, price % 100, dice % 50);
    format!(
        "{{\"symbol\":\"{symbol}\",\"bid\":{whole}.{cents:02},\"spread\":0.{spread:02},\
         \"volume\":{volume},\"time\":\"09:30:{second:02}\"}}"
    )
}

fn letters() -> impl Iterator<Item = u8> {
    (b'a'..=b'z').cycle()
}

const JSON_BEFORE: &str = "{\"id\":\"";
const JSON_BEHIND: &str = "\",\"room\":\"bench\",\"quotes\":[";
const JSON_NOTE: &str = "],\"note\":\"";
const JSON_END: &str = "\"}";
const SYMBOLS: [&str; 8] = [
    "KAZE", "MORI", "YAMA", "KAWA", "SORA", "TAKI", "HOSHI", "NAMI",
];

/// Inlined as [`Template::check`] is, and for the same reason.
#[inline(always)]
fn parse(head: &[u8; HEAD_BYTES]) -> Option<Head> {
    let high = unhex(eight(head, 24))?;
    let low = unhex(eight(head, 32))?;
    Some(Head {
        publisher: unhex(eight(head, 8))?,
        sequence: unhex(eight(head, 16))?,
        sent_ns: u64::from(high) << 32 | u64::from(low),
    })
}

/// Eight bytes of the head, from one of its fields on: at ≤ 32.
#[inline]
fn eight(head: &[u8; HEAD_BYTES], at: usize) -> [u8; 8] {
    std::array::from_fn(|place| head[at + place])
}

fn halves(number: u64) -> (u32, u32) {
    // Each half fits: the upper one is shifted down, the lower one masked.
    ((number >> 32) as u32, (number & 0xFFFF_FFFF) as u32)
}

/// Eight lower-case hexadecimal digits, the highest first: the nibbles are spread
/// over the bytes of a word, and each becomes its digit.
#[inline]
fn hex(number: u32) -> [u8; 8] {
    let nibbles = u64::from(number);
    let nibbles = (nibbles | nibbles << 16) & 0x0000_FFFF_0000_FFFF;
    let nibbles = (nibbles | nibbles << 8) & 0x00FF_00FF_00FF_00FF;
    let nibbles = (nibbles | nibbles << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    digits_of(nibbles).to_be_bytes()
}

/// The number of these digits, if [`hex`] would write it in the same way.
#[inline]
fn unhex(digits: [u8; 8]) -> Option<u32> {
    let digits = u64::from_be_bytes(digits);
    // Of a letter, 0b011x_xxxx, the low bits are 1 to 6.
    let is_letter = (digits >> 6) & each(1);
    let nibbles = ((digits & each(0xF)) + is_letter * 9) & each(0xF);
    if digits_of(nibbles) != digits {
        return None;
    }
    let number = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF;
    let number = (number | number >> 8) & 0x0000_FFFF_0000_FFFF;
    // Half of the word is left, and the mask keeps it.
    Some(((number | number >> 16) & 0xFFFF_FFFF) as u32)
}

/// Each byte from 0 to 15 as its digit. Adding 6 makes 16 of 10, the first that
/// is a letter.
#[inline]
fn digits_of(nibbles: u64) -> u64 {
    let is_letter = ((nibbles + each(6)) >> 4) & each(1);
    nibbles + each(b'0') + is_letter * u64::from(b'a' - b'0' - 10)
}

/// A word of eight such bytes.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: Head = Head {
        publisher: 9,
        sequence: 0x00AB_CDEF,
        sent_ns: 0x1234_5678_9ABC_DEF0,
    };

    #[test]
    fn message_has_the_documented_layout() {
        let mut template = Template::new(Payload::Letters, 0xDECAF, 70);
        assert_eq!(
            template.fill(HEAD),
            b"000decaf0000000900abcdef123456789abcdef0abcdefghijklmnopqrstuvwxyzabcd"
        );
        assert_eq!(template.message_bytes(), 70);
    }

    #[test]
    fn shortest_message_is_a_head() {
        let mut template = Template::new(Payload::Letters, 1, HEAD_BYTES);
        let message = template.fill(HEAD).to_vec();
        assert_eq!(message.len(), HEAD_BYTES);
        assert_eq!(template.read(&message), Reading::Ours(HEAD));
        assert_eq!(template.read(&message[..39]), Reading::Foreign);
    }

    #[test]
    fn every_changed_byte_is_detected() {
        let mut template = Template::new(Payload::Letters, 7, 64);
        let message = template.fill(HEAD).to_vec();
        for place in 0..64 {
            for byte in [b'g', b'A', b'/', b':', b'`', 0, 0xFF] {
                let mut changed = message.clone();
                if std::mem::replace(&mut changed[place], byte) == byte {
                    continue;
                }
                let expected = if place < 8 {
                    Reading::Foreign
                } else {
                    Reading::Corrupted
                };
                assert_eq!(template.read(&changed), expected, "{place} {byte}");
            }
        }
    }

    #[test]
    fn json_message_of_any_size_is_json_and_carries_the_head() {
        for bytes in (JSON_BYTES_MIN..1_300).chain([65_536]) {
            let mut template = Template::new(Payload::Json, 7, bytes);
            let message = template.fill(HEAD).to_vec();
            assert_eq!(message.len(), bytes);
            assert_eq!(template.read(&message), Reading::Ours(HEAD));
            let document: serde_json::Value = serde_json::from_slice(&message).expect("JSON");
            let id = "0000000700000009".to_owned() + "00abcdef123456789abcdef0";
            assert_eq!(document["id"], id);
        }
    }

    #[test]
    fn every_changed_byte_of_a_json_message_is_detected() {
        let mut template = Template::new(Payload::Json, 7, 300);
        let message = template.fill(HEAD).to_vec();
        let run = JSON_BEFORE.len()..JSON_BEFORE.len() + 8;
        for place in 0..message.len() {
            let mut changed = message.clone();
            changed[place] = b'~';
            let expected = match run.contains(&place) {
                true => Reading::Foreign,
                false => Reading::Corrupted,
            };
            assert_eq!(template.read(&changed), expected, "{place}");
        }
        assert_eq!(template.read(&message[..46]), Reading::Foreign);
        assert_eq!(template.read(b"{}"), Reading::Foreign);
    }

    #[test]
    fn message_of_another_length_is_corrupted() {
        let mut template = Template::new(Payload::Letters, 7, 64);
        let mut message = template.fill(HEAD).to_vec();
        assert_eq!(template.read(&message[..63]), Reading::Corrupted);
        message.push(b'y');
        assert_eq!(template.read(&message), Reading::Corrupted);
    }

    #[test]
    fn message_with_a_number_above_the_maximum_is_corrupted() {
        let mut template = Template::new(Payload::Letters, 7, 40);
        let last = Head {
            sequence: SEQUENCE_MAX,
            ..HEAD
        };
        let message = template.fill(last).to_vec();
        assert_eq!(template.read(&message), Reading::Corrupted);
    }

    #[test]
    fn piece_continues_the_message_only_at_its_offset() {
        let template = Template::new(Payload::Letters, 7, 50);
        assert!(template.continues(40, b"abcdefghij"));
        assert!(template.continues(42, b"cde"));
        assert!(!template.continues(43, b"cde"));
        assert!(!template.continues(49, b"jk"));
        assert!(!template.continues(usize::MAX, b"jk"));
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_std_writes_them(number: u32) {
            prop_assert_eq!(hex(number).to_vec(), format!("{number:08x}").into_bytes());
            prop_assert_eq!(unhex(hex(number)), Some(number));
        }

        #[test]
        fn only_lower_case_digits_are_read(digits: [u8; 8]) {
            let text = std::str::from_utf8(&digits).ok();
            let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            let expected = text
                .filter(|_| digits.iter().all(lower))
                .and_then(|text| u32::from_str_radix(text, 16).ok());
            prop_assert_eq!(unhex(digits), expected);
        }
    }
}
