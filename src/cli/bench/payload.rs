//! What a message of the load looks like, and what came back of one.
//!
//! ```text
//!  0       8           16         24                  40
//! +-------+-----------+----------+-------------------+------------- - - -
//! | run   | publisher | sequence | intended send time| abcdefghij...
//! | 8 hex | 8 hex     | 8 hex    | 16 hex, ns        | padding to the size
//! +-------+-----------+----------+-------------------+------------- - - -
//! ```
//!
//! All of it is lower-case hexadecimal and letters, so that servers which take
//! text only, or which write what they get into logs, are content. `run` is
//! drawn at random for each run: a message that does not begin with it comes
//! from somebody else and is not counted. A message that does begin with it
//! must be right to its last byte.
//!
//! Eight digits are read and written at once, as the lanes of one `u64`: some
//! three nanoseconds for the whole head.

/// Octets of the head, and so of the shortest message.
pub(super) const HEAD_BYTES: usize = 40;

/// A head, read.
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

/// What a payload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// One of this run's messages, whole and unchanged.
    Ours(Head),
    /// One of this run's messages, changed on its way.
    Corrupted,
    /// Somebody else's: a greeting, another run.
    Foreign,
}

/// The message that all messages of a run are, but for their heads.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Box<[u8]>,
}

impl Template {
    /// Messages of `bytes` octets, at least [`HEAD_BYTES`].
    pub(super) fn new(run: u32, bytes: usize) -> Template {
        let letters = (b'a'..=b'z').cycle();
        let mut message = vec![b'0'; HEAD_BYTES];
        message.extend(letters.take(bytes.saturating_sub(HEAD_BYTES)));
        message[..8].copy_from_slice(&hex(run));
        Template {
            bytes: message.into_boxed_slice(),
        }
    }

    /// Octets of each message.
    pub(super) fn message_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the template the message with this head.
    pub(super) fn fill(&mut self, head: Head) -> &[u8] {
        let (high, low) = halves(head.sent_ns);
        self.bytes[8..16].copy_from_slice(&hex(head.publisher));
        self.bytes[16..24].copy_from_slice(&hex(head.sequence));
        self.bytes[24..32].copy_from_slice(&hex(high));
        self.bytes[32..40].copy_from_slice(&hex(low));
        &self.bytes
    }

    /// Reads a payload that lies whole in memory.
    #[inline]
    pub(super) fn read(&self, payload: &[u8]) -> Reading {
        let Some((head, padding)) = payload.split_first_chunk::<HEAD_BYTES>() else {
            return Reading::Foreign;
        };
        let padding_is_right = padding == &self.bytes[HEAD_BYTES..];
        self.judge(head, padding_is_right)
    }

    /// Judges a payload by its head, and by whether the rest was
    /// [`as it should be`](Template::continues).
    #[inline]
    pub(super) fn judge(&self, head: &[u8; HEAD_BYTES], padding_is_right: bool) -> Reading {
        if head[..8] != self.bytes[..8] {
            return Reading::Foreign;
        }
        match parse(head) {
            Some(head) if padding_is_right && head.sequence < SEQUENCE_MAX => Reading::Ours(head),
            _ => Reading::Corrupted,
        }
    }

    /// Whether `piece` is what stands at this offset of each message, which is
    /// at [`HEAD_BYTES`] or behind it.
    pub(super) fn continues(&self, offset: usize, piece: &[u8]) -> bool {
        let end = offset.saturating_add(piece.len());
        self.bytes.get(offset..end) == Some(piece)
    }
}

#[inline]
fn parse(head: &[u8; HEAD_BYTES]) -> Option<Head> {
    let [_, publisher, sequence, high, low] = eights(head).map(unhex);
    Some(Head {
        publisher: publisher?,
        sequence: sequence?,
        sent_ns: u64::from(high?) << 32 | u64::from(low?),
    })
}

fn eights(head: &[u8; HEAD_BYTES]) -> [[u8; 8]; 5] {
    let mut eights = [[0; 8]; 5];
    for (eight, digits) in eights.iter_mut().zip(head.chunks_exact(8)) {
        eight.copy_from_slice(digits);
    }
    eights
}

fn halves(number: u64) -> (u32, u32) {
    // Each half fits: the upper one is shifted down, the lower one masked.
    ((number >> 32) as u32, (number & 0xFFFF_FFFF) as u32)
}

/// Eight lower-case hexadecimal digits, the highest first: the nibbles are spread
/// over the octets of a word, and each becomes its digit.
#[inline]
fn hex(number: u32) -> [u8; 8] {
    let nibbles = u64::from(number);
    let nibbles = (nibbles | nibbles << 16) & 0x0000_FFFF_0000_FFFF;
    let nibbles = (nibbles | nibbles << 8) & 0x00FF_00FF_00FF_00FF;
    let nibbles = (nibbles | nibbles << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    digits_of(nibbles).to_be_bytes()
}

/// The number that these digits are, if [`hex`] would write it so.
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

/// Each octet from 0 to 15 as its digit. Adding 6 makes 16 of 10, the first that
/// is a letter.
#[inline]
fn digits_of(nibbles: u64) -> u64 {
    let is_letter = ((nibbles + each(6)) >> 4) & each(1);
    nibbles + each(b'0') + is_letter * u64::from(b'a' - b'0' - 10)
}

/// A word of eight such octets.
const fn each(octet: u8) -> u64 {
    u64::from_ne_bytes([octet; 8])
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
    fn a_message_is_drawn_as_the_picture_says() {
        let mut template = Template::new(0xDECAF, 70);
        assert_eq!(
            template.fill(HEAD),
            b"000decaf0000000900abcdef123456789abcdef0abcdefghijklmnopqrstuvwxyzabcd"
        );
        assert_eq!(template.message_bytes(), 70);
    }

    #[test]
    fn the_shortest_message_is_a_head() {
        let mut template = Template::new(1, HEAD_BYTES);
        let message = template.fill(HEAD).to_vec();
        assert_eq!(message.len(), HEAD_BYTES);
        assert_eq!(template.read(&message), Reading::Ours(HEAD));
        assert_eq!(template.read(&message[..39]), Reading::Foreign);
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let mut template = Template::new(7, 64);
        let message = template.fill(HEAD).to_vec();
        for place in 0..64 {
            for octet in [b'g', b'A', b'/', b':', b'`', 0, 0xFF] {
                let mut changed = message.clone();
                if std::mem::replace(&mut changed[place], octet) == octet {
                    continue;
                }
                let expected = if place < 8 {
                    Reading::Foreign
                } else {
                    Reading::Corrupted
                };
                assert_eq!(template.read(&changed), expected, "{place} {octet}");
            }
        }
    }

    #[test]
    fn a_length_that_differs_is_corrupted() {
        let mut template = Template::new(7, 64);
        let mut message = template.fill(HEAD).to_vec();
        assert_eq!(template.read(&message[..63]), Reading::Corrupted);
        message.push(b'y');
        assert_eq!(template.read(&message), Reading::Corrupted);
    }

    #[test]
    fn the_number_that_no_publisher_reaches_is_corrupted() {
        let mut template = Template::new(7, 40);
        let last = Head {
            sequence: SEQUENCE_MAX,
            ..HEAD
        };
        let message = template.fill(last).to_vec();
        assert_eq!(template.read(&message), Reading::Corrupted);
    }

    #[test]
    fn a_piece_continues_the_message_only_at_its_place() {
        let template = Template::new(7, 50);
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
