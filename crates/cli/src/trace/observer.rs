//! Bytes in both directions become heads and frames.
//!
//! ```text
//!   sent      ─▶ head ─▶ frame ─▶ frame ─▶ …
//!   received  ─▶ head ─▶ frame ─▶ broken: the rest is shown as bytes
//! ```
//!
//! It reads the bytes as they are on the wire, and does not rely on what the client has understood: a frame that breaks a rule is an item
//! like any other, with the rule. Of a head at most 64 KiB are kept, and of a payload as much as is to be shown. Compressed messages
//! are inflated (`inflation.rs`).

use yamabiko::websocket::frame::{CloseCode, FrameError, FrameHeader, Opcode, Role, mask};
use yamabiko::websocket::handshake::accept_key;

use super::direction::Direction;
use super::inflation::{Inflated, Inflation, NotInflated};
use super::secrets::hidden;

/// Something on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// A request or a response, with its secrets hidden.
    Head(Vec<u8>),
    Frame(Frame),
    /// What cannot be read as a frame, and all that follows: its first bytes.
    Broken {
        reason: String,
        bytes: Vec<u8>,
    },
    /// Bytes behind a response that is no 101, or behind a broken frame.
    Bytes(Vec<u8>),
    /// So many bytes were left out. The next item begins a frame.
    Gap(u64),
}

/// A frame, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub header: FrameHeader,
    /// As they are on the wire.
    pub header_bytes: Vec<u8>,
    /// The first bytes of the payload, unmasked.
    pub payload: Vec<u8>,
    /// A data frame that continues a message, or leaves one unfinished.
    pub is_fragment: bool,
    /// What its payload has become, if it belongs to a compressed message.
    pub inflated: Option<Result<Inflated, NotInflated>>,
    pub faults: Vec<String>,
}

/// Reads both directions of one connection.
pub(super) struct Observer {
    sent: Reader,
    received: Reader,
    /// Of the request: what the response has to prove.
    key: Option<String>,
}

/// One direction.
struct Reader {
    direction: Direction,
    state: State,
    /// The payload bytes that are kept of each frame.
    shown_bytes: usize,
    message: Message,
    /// permessage-deflate was agreed on.
    inflation: Option<Inflation>,
}

/// The message under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    None,
    Plain,
    Compressed,
    /// Bytes were left out.
    Unknown,
}

enum State {
    Head(Vec<u8>),
    /// The bytes of a header that is not whole.
    Header(Vec<u8>),
    Payload {
        frame: Frame,
        /// Payload bytes that have come.
        come: u64,
    },
    /// No frames follow.
    Raw,
}

impl Observer {
    /// `shown_bytes`: of each payload.
    pub(super) fn new(shown_bytes: usize) -> Observer {
        let reader = |direction| Reader {
            direction,
            state: State::Head(Vec::new()),
            shown_bytes: shown_bytes.max(CONTROL_BYTES_MAX),
            message: Message::None,
            inflation: None,
        };
        Observer {
            sent: reader(Direction::Sent),
            received: reader(Direction::Received),
            key: None,
        }
    }

    /// The next bytes of a direction. `found` gets each item that is complete with them.
    pub(super) fn receive(
        &mut self,
        direction: Direction,
        mut bytes: &[u8],
        mut found: impl FnMut(Item),
    ) {
        while !bytes.is_empty() {
            let Some(item) = self.reader(direction).step(&mut bytes) else {
                continue;
            };
            if let Item::Head(head) = &item {
                self.learn(direction, &String::from_utf8_lossy(head));
            }
            found(item);
        }
    }

    /// So many bytes of a direction were left out, and the next ones begin a frame.
    pub(super) fn skip(&mut self, direction: Direction, bytes: u64) -> Item {
        let reader = self.reader(direction);
        reader.state = State::Header(Vec::new());
        reader.message = Message::Unknown;
        if let Some(inflation) = &mut reader.inflation {
            inflation.lose();
        }
        Item::Gap(bytes)
    }

    fn reader(&mut self, direction: Direction) -> &mut Reader {
        match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        }
    }

    /// What a head says about the rest of the connection.
    fn learn(&mut self, direction: Direction, head: &str) {
        match direction {
            Direction::Sent => self.key = field(head, "sec-websocket-key").map(str::to_owned),
            Direction::Received => {
                let extensions = field(head, "sec-websocket-extensions").unwrap_or_default();
                if extensions.contains("permessage-deflate") {
                    let takes_over =
                        |end| !extensions.contains(&format!("{end}_no_context_takeover"));
                    self.sent.inflation = Some(Inflation::new(takes_over("client")));
                    self.received.inflation = Some(Inflation::new(takes_over("server")));
                }
                let switched = head.split(' ').nth(1) == Some("101");
                if !switched {
                    self.received.state = State::Raw;
                }
            }
        }
    }

    /// Whether the response proves that the server has read the key. `None`: there is no key yet.
    pub(super) fn is_right_accept(&self, value: &str) -> Option<bool> {
        let key = self.key.as_deref()?;
        Some(accept_key(key) == value.as_bytes())
    }
}

/// The value of the first field of this name, in lower case.
pub(super) fn field<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then_some(value.trim())
    })
}

impl Reader {
    /// Takes bytes from the front; an item if one is complete.
    fn step(&mut self, bytes: &mut &[u8]) -> Option<Item> {
        match std::mem::replace(&mut self.state, State::Raw) {
            State::Head(head) => self.step_head(head, bytes),
            State::Header(header) => self.step_header(header, bytes),
            State::Payload { frame, come } => self.step_payload(frame, come, bytes),
            State::Raw => {
                let raw = bytes[..bytes.len().min(self.shown_bytes)].to_vec();
                *bytes = &[];
                Some(Item::Bytes(raw))
            }
        }
    }

    fn step_head(&mut self, mut head: Vec<u8>, bytes: &mut &[u8]) -> Option<Item> {
        while let Some((&byte, rest)) = bytes.split_first() {
            head.push(byte);
            *bytes = rest;
            if head.ends_with(b"\r\n\r\n") {
                self.state = State::Header(Vec::new());
                return Some(Item::Head(hidden(&head)));
            }
            if head.len() == HEAD_BYTES_MAX {
                let reason = "a head of more than 64 KiB".to_owned();
                head.truncate(self.shown_bytes);
                return Some(Item::Broken {
                    reason,
                    bytes: head,
                });
            }
        }
        self.state = State::Head(head);
        None
    }

    fn step_header(&mut self, mut header_bytes: Vec<u8>, bytes: &mut &[u8]) -> Option<Item> {
        while let Some((&byte, rest)) = bytes.split_first() {
            header_bytes.push(byte);
            *bytes = rest;
            match FrameHeader::parse(&header_bytes) {
                Ok(None) => {}
                Ok(Some((header, _))) => {
                    let frame = self.begin(header, header_bytes);
                    return self.step_payload(frame, 0, bytes);
                }
                Err(error) => {
                    header_bytes.extend(bytes.iter().take(self.shown_bytes));
                    *bytes = &[];
                    let reason = error.to_string();
                    return Some(Item::Broken {
                        reason,
                        bytes: header_bytes,
                    });
                }
            }
        }
        self.state = State::Header(header_bytes);
        None
    }

    /// A header is whole: the rules that it breaks.
    fn begin(&mut self, header: FrameHeader, header_bytes: Vec<u8>) -> Frame {
        let mut faults = Vec::new();
        if let Err(error) = self.check(header) {
            faults.push(error.to_string());
        }
        let is_data = !header.opcode.is_control();
        let continues = header.opcode == Opcode::Continuation;
        if is_data {
            faults.extend(self.message.fault_of(continues).map(str::to_owned));
            self.begin_data(header, continues);
        }
        let inflated = is_data && self.message == Message::Compressed;
        if is_data && header.fin {
            self.message = Message::None;
        }
        Frame {
            header,
            header_bytes,
            payload: Vec::new(),
            is_fragment: is_data && (continues || !header.fin),
            inflated: inflated.then(|| Ok(Inflated::default())),
            faults,
        }
    }

    /// A data frame begins a message, or continues it.
    fn begin_data(&mut self, header: FrameHeader, continues: bool) {
        if continues {
            return;
        }
        self.message = match (&mut self.inflation, header.rsv & FrameHeader::RSV1 != 0) {
            (Some(inflation), true) => {
                inflation.begin();
                Message::Compressed
            }
            _ => Message::Plain,
        };
    }

    fn check(&self, mut header: FrameHeader) -> Result<(), FrameError> {
        let receiver = match self.direction {
            Direction::Sent => Role::Server,
            Direction::Received => Role::Client,
        };
        let is_first = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if self.inflation.is_some() && is_first && header.rsv == FrameHeader::RSV1 {
            header.rsv = 0;
        }
        header.check(receiver)
    }

    fn step_payload(&mut self, mut frame: Frame, come: u64, bytes: &mut &[u8]) -> Option<Item> {
        let left = frame.header.payload_length - come;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        self.inflate(&mut frame, come, taken);
        let offset = frame.payload.len();
        let kept = taken.len().min(self.shown_bytes.saturating_sub(offset));
        frame.payload.extend_from_slice(&taken[..kept]);
        if let Some(key) = frame.header.masking_key {
            mask(&mut frame.payload[offset..], key, offset);
        }
        let come = come + count as u64;
        if come < frame.header.payload_length {
            self.state = State::Payload { frame, come };
            return None;
        }
        if frame.header.opcode == Opcode::Close {
            frame.faults.extend(close_fault(&frame.payload));
        }
        self.state = State::Header(Vec::new());
        Some(Item::Frame(frame))
    }
}

// Compressed messages.
impl Reader {
    /// Inflates bytes of a frame's payload, which is masked on the wire.
    fn inflate(&mut self, frame: &mut Frame, come: u64, bytes: &[u8]) {
        let (Some(inflation), Some(Ok(inflated))) = (&mut self.inflation, &mut frame.inflated)
        else {
            return;
        };
        let mut payload = bytes.to_vec();
        if let Some(key) = frame.header.masking_key {
            // Only the position in the key counts.
            mask(&mut payload, key, (come % 4) as usize);
        }
        let is_last = frame.header.fin && come + bytes.len() as u64 == frame.header.payload_length;
        if let Err(error) = inflation.add(&payload, is_last, inflated, self.shown_bytes) {
            if error == NotInflated::Corrupt {
                let fault = "compressed data that cannot be inflated (RFC 7692 §7.2.2)";
                frame.faults.push(fault.to_owned());
            }
            frame.inflated = Some(Err(error));
        }
    }
}

impl Message {
    /// The rule that a data frame breaks here.
    fn fault_of(self, continues: bool) -> Option<&'static str> {
        match (self, continues) {
            (Message::None, true) => Some("continuation frame without a message (§5.4)"),
            (Message::Plain | Message::Compressed, false) => {
                Some("new message before the last has ended (§5.4)")
            }
            _ => None,
        }
    }
}

/// The rule that the body of a Close breaks.
fn close_fault(body: &[u8]) -> Option<String> {
    let (code, reason) = match body {
        [] => return None,
        [_] => return Some("Close body of one byte (§5.5.1)".to_owned()),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if CloseCode::new(code).is_none() {
        return Some(format!("close code {code} must not be sent (§7.4)"));
    }
    let is_text = std::str::from_utf8(reason).is_ok();
    (!is_text).then(|| "close reason is not UTF-8 (§5.5.1)".to_owned())
}

/// Control frames are kept whole.
const CONTROL_BYTES_MAX: usize = 125;

const HEAD_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The items of these pieces.
    fn items(pieces: &[(Direction, &[u8])]) -> Vec<Item> {
        let mut observer = Observer::new(16);
        let mut items = Vec::new();
        for (direction, bytes) in pieces {
            observer.receive(*direction, bytes, |item| items.push(item));
        }
        items
    }

    pub(in crate::trace) const REQUEST: &[u8] =
        b"GET /?token=abc HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    pub(in crate::trace) const RESPONSE: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    /// The example of RFC 6455 §5.7.
    pub(in crate::trace) const MASKED_HELLO: &[u8] =
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

    fn frames_of(bytes: &[u8]) -> Vec<Item> {
        let pieces = [
            (Direction::Received, RESPONSE),
            (Direction::Received, bytes),
        ];
        items(&pieces).split_off(1)
    }

    fn faults(bytes: &[u8]) -> Vec<String> {
        let frames = frames_of(bytes).into_iter();
        let faults = frames.flat_map(|item| match item {
            Item::Frame(frame) => frame.faults,
            Item::Broken { reason, .. } => vec![reason],
            _ => Vec::new(),
        });
        faults.collect()
    }

    #[test]
    fn items_do_not_depend_on_how_the_bytes_are_cut() {
        let sent = [REQUEST, MASKED_HELLO, b"\x88\x80\x01\x02\x03\x04"].concat();
        let received = [
            RESPONSE,
            b"\x01\x03abc",
            b"\x89\x00",
            b"\x80\x02de",
            b"\x82\x7e\x00\x80",
        ]
        .concat();
        let received = [&received[..], &[7; 128], b"\x88\x02\x03\xe8"].concat();
        let whole = items(&[(Direction::Sent, &sent), (Direction::Received, &received)]);
        assert_eq!(whole.len(), 3 + 6);
        let mut pieces: Vec<(Direction, &[u8])> = Vec::new();
        pieces.extend(sent.chunks(1).map(|byte| (Direction::Sent, byte)));
        pieces.extend(received.chunks(1).map(|byte| (Direction::Received, byte)));
        assert_eq!(items(&pieces), whole);
    }

    #[test]
    fn frame_is_unmasked_and_its_payload_is_kept_up_to_the_limit() {
        let found = items(&[(Direction::Sent, REQUEST), (Direction::Sent, MASKED_HELLO)]);
        let Some(Item::Frame(frame)) = found.last() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (&frame.payload[..], &frame.header_bytes[..]),
            (&b"Hello"[..], &MASKED_HELLO[..6])
        );
        assert!(frame.faults.is_empty() && !frame.is_fragment);
        let long = [b"\x82\x7e\x03\xe8", &[b'x'; 1000][..], b"\x8a\x00"].concat();
        let found = frames_of(&long);
        let kept = found.iter().map(|item| match item {
            Item::Frame(frame) => frame.payload.len(),
            _ => panic!("{found:?}"),
        });
        assert_eq!(kept.collect::<Vec<_>>(), [125, 0]);
    }

    #[test]
    fn each_broken_rule_is_named_with_its_section() {
        for (bytes, section) in [
            (MASKED_HELLO, "§5.1"),
            (b"\xc1\x00", "§5.2"),
            (b"\x83\x00", "§5.2"),
            (b"\x81\x7e\x00\x01x", "§5.2"),
            (b"\x09\x00", "§5.4"),
            (b"\x80\x00", "§5.4"),
            (b"\x01\x00\x81\x00", "§5.4"),
            (b"\x88\x01x", "§5.5.1"),
            (b"\x88\x02\x03\xed", "§7.4"),
            (b"\x88\x03\x03\xe8\xff", "§5.5.1"),
        ] {
            let faults = faults(bytes);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(section), "{faults:?}");
        }
    }

    #[test]
    fn bytes_behind_a_broken_header_or_a_refusal_are_shown_as_bytes() {
        let found = frames_of(b"\x83\x00\x81\x01a");
        assert!(matches!(&found[..], [Item::Broken { .. }]), "{found:?}");
        let refusal = b"HTTP/1.1 403 Forbidden\r\n\r\nno\n";
        let found = items(&[(Direction::Received, refusal)]);
        assert_eq!(found[1], Item::Bytes(b"no\n".to_vec()));
    }

    #[test]
    fn compressed_frame_is_legal_only_if_compression_was_agreed_on() {
        let agreed = b"HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        let found = items(&[
            (Direction::Received, agreed),
            (Direction::Received, b"\xc1\x01\x00"),
        ]);
        assert!(
            matches!(&found[1], Item::Frame(frame) if frame.faults.is_empty()),
            "{found:?}"
        );
    }

    #[test]
    fn head_is_read_up_to_its_limit_and_not_one_byte_past_it() {
        let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
        head.resize(HEAD_BYTES_MAX - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        let found = items(&[(Direction::Sent, &head)]);
        assert!(matches!(&found[..], [Item::Head(_)]));
        head.insert(20, b'x');
        let found = items(&[(Direction::Sent, &head)]);
        assert!(matches!(&found[0], Item::Broken { .. }));
    }

    #[test]
    fn accept_is_compared_with_the_key_of_the_request() {
        let mut observer = Observer::new(16);
        assert_eq!(observer.is_right_accept("x"), None);
        observer.receive(Direction::Sent, REQUEST, |_| {});
        assert_eq!(
            observer.is_right_accept("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            Some(true)
        );
        assert_eq!(observer.is_right_accept("x"), Some(false));
    }
}
