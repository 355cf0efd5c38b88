//! Compressed messages of one direction, inflated as their bytes come (RFC 7692 §7.2.2).
//!
//! It reads what is on the wire, also of a peer that breaks a rule: the first error ends the text of the connection's direction, and
//! nothing else. It holds a decompressor of 47 KiB and a window of 32 KiB during a message; longer only where messages refer to
//! earlier ones.

use zlib_rs::{Inflate, InflateFlush, Status};

/// Inflates the messages of one direction, one after the other.
pub(super) struct Inflation {
    /// `None`: nothing refers to earlier bytes.
    inflate: Option<Box<Inflate>>,
    /// Each message may refer to the earlier ones.
    takes_over: bool,
    state: State,
    /// The last bytes of the message under way, or of all messages: at most [`WINDOW_BYTES`].
    window: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    BetweenMessages,
    InMessage,
    /// Earlier bytes are missing, or were wrong: until a message that refers to none, if there may be one.
    Lost,
}

/// What the bytes of one frame have become.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inflated {
    /// The first ones.
    pub bytes: Vec<u8>,
    /// All.
    pub length: u64,
}

/// The bytes cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotInflated {
    /// They are no DEFLATE data.
    Corrupt,
    /// They may refer to bytes that this program does not have.
    Unknown,
}

impl Inflation {
    pub(super) fn new(takes_over: bool) -> Inflation {
        Inflation {
            inflate: None,
            takes_over,
            state: State::BetweenMessages,
            window: Vec::new(),
        }
    }

    /// Bytes of the direction were left out.
    pub(super) fn lose(&mut self) {
        self.state = State::Lost;
        self.forget();
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        if self.state == State::Lost && self.takes_over {
            return;
        }
        if !self.takes_over {
            self.forget();
        }
        self.state = State::InMessage;
    }

    fn forget(&mut self) {
        self.inflate = None;
        self.window = Vec::new();
    }

    /// Inflates further bytes of the message into `inflated`, of which at most `bytes_max` are kept. `is_last`: the message
    /// ends with them.
    ///
    /// # Errors
    /// Nothing more of the message can be inflated.
    pub(super) fn add(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        inflated: &mut Inflated,
        bytes_max: usize,
    ) -> Result<(), NotInflated> {
        if self.state != State::InMessage {
            return Err(NotInflated::Unknown);
        }
        let tail: &[u8] = if is_last { &TAIL } else { &[] };
        for mut part in [bytes, tail] {
            while !part.is_empty() {
                let taken = self.step(part, inflated, bytes_max);
                let taken = taken.inspect_err(|_| self.lose())?;
                part = &part[taken..];
            }
        }
        if is_last {
            self.state = State::BetweenMessages;
            if !self.takes_over {
                self.forget();
            }
        }
        Ok(())
    }

    /// Inflates bytes from the front of `part`, and returns how many.
    fn step(
        &mut self,
        part: &[u8],
        inflated: &mut Inflated,
        bytes_max: usize,
    ) -> Result<usize, NotInflated> {
        let new = || Box::new(Inflate::new(false, 15));
        let inflate = self.inflate.get_or_insert_with(new);
        let (taken, written) = (inflate.total_in(), inflate.total_out());
        let mut block = [0; BLOCK_BYTES];
        let status = inflate.decompress(part, &mut block, InflateFlush::SyncFlush);
        // No truncation: both are at most the length of a slice.
        let taken = (inflate.total_in() - taken) as usize;
        let written = (inflate.total_out() - written) as usize;
        let bytes = &block[..written];
        let kept = written.min(bytes_max.saturating_sub(inflated.bytes.len()));
        inflated.bytes.extend_from_slice(&bytes[..kept]);
        inflated.length += written as u64;
        self.window.extend_from_slice(bytes);
        let outdated = self.window.len().saturating_sub(WINDOW_BYTES);
        self.window.drain(..outdated);
        match status {
            // A stream ends inside the message (BFINAL): the next one may refer to it.
            Ok(Status::StreamEnd) => {
                inflate.reset(false);
                let set = inflate.set_dictionary(&self.window);
                set.map_err(|_| NotInflated::Corrupt)?;
            }
            Ok(_) => {}
            Err(_) => return Err(NotInflated::Corrupt),
        }
        match (taken, written) {
            (0, 0) => Err(NotInflated::Corrupt),
            _ => Ok(taken),
        }
    }
}

/// What the sender has removed from the end of a message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const WINDOW_BYTES: usize = 32 << 10;

const BLOCK_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko_testing::deflate::stored;

    /// RFC 7692 §7.2.3.1 and §7.2.3.2: "Hello", and again with a reference to it.
    const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    const HELLO_AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];
    /// RFC 7692 §7.2.3.4: the same with BFINAL.
    const HELLO_FINAL: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];

    fn inflated(inflation: &mut Inflation, message: &[u8]) -> Result<Inflated, NotInflated> {
        let mut inflated = Inflated::default();
        inflation.begin();
        inflation.add(message, true, &mut inflated, 64)?;
        Ok(inflated)
    }

    fn hello() -> Result<Inflated, NotInflated> {
        Ok(Inflated {
            bytes: b"Hello".to_vec(),
            length: 5,
        })
    }

    #[test]
    fn examples_of_rfc_7692_are_inflated() {
        let mut inflation = Inflation::new(true);
        for message in [HELLO, HELLO_AGAIN, HELLO_FINAL, HELLO_AGAIN] {
            assert_eq!(inflated(&mut inflation, message), hello(), "{message:?}");
        }
        let mut inflation = Inflation::new(false);
        assert_eq!(inflated(&mut inflation, HELLO), hello());
        let error = inflated(&mut inflation, HELLO_AGAIN);
        assert_eq!(error, Err(NotInflated::Corrupt), "it refers to nothing");
        assert_eq!(inflated(&mut inflation, HELLO), hello());
    }

    #[test]
    fn text_does_not_depend_on_how_a_message_is_cut() {
        for cut in 0..=HELLO.len() {
            let (first, second) = HELLO.split_at(cut);
            let mut inflation = Inflation::new(true);
            let mut all = Inflated::default();
            inflation.begin();
            assert_eq!(inflation.add(first, false, &mut all, 64), Ok(()));
            assert_eq!(inflation.add(second, true, &mut all, 64), Ok(()));
            assert_eq!(Ok(all), hello());
        }
    }

    #[test]
    fn lost_bytes_end_the_text_where_later_messages_refer_to_them() {
        for (takes_over, again) in [(true, Err(NotInflated::Unknown)), (false, hello())] {
            let mut inflation = Inflation::new(takes_over);
            inflation.lose();
            assert_eq!(inflated(&mut inflation, HELLO), again);
        }
    }

    #[test]
    fn long_message_is_kept_up_to_the_limit_and_counted_beyond_it() {
        let mut inflation = Inflation::new(true);
        let message = stored(&[b'x'; 60_000]);
        let found = inflated(&mut inflation, &message).expect("legal");
        assert_eq!((found.bytes.len(), found.length), (64, 60_000));
        assert!(inflation.window.len() <= WINDOW_BYTES);
    }
}
