//! An endpoint that hands out messages in pieces is compared with one that hands them out whole.
//!
//! ```text
//! pieces  | flags | limit | windows | n | n lengths of pieces | messages ...
//!           │││││
//!           │││││ as in `inflate`: a client, without takeover, sent again
//!           ││└── bytes of the peer instead of messages
//!           │└─── compression is not agreed on
//! ```
//!
//! Joined, the pieces of a message are the message, for any cutting of the input.

use super::inflate::{INPUT_BYTES_MAX, endpoint, limits_of, messages, parameters};
use super::input::take_lengths;
use super::session::{Endpoint, Received, cut};
use super::{Connection, Event, Piece, Role, State};

/// Joined, the pieces are the messages of an endpoint that hands them out whole, and the failure
/// is at the same byte, however the input is cut.
pub fn pieces(data: &[u8]) {
    let [flags, limit, windows, rest @ ..] = data else {
        return;
    };
    if data.len() > INPUT_BYTES_MAX {
        return;
    }
    let (lengths, rest) = take_lengths(rest);
    let role = match flags & 1 {
        0 => Role::Server,
        _ => Role::Client,
    };
    let limits = limits_of(*limit);
    let is_plain = flags & 16 != 0;
    let made = || match is_plain {
        false => endpoint(role, parameters(*flags, *windows), limits),
        true => Endpoint::new(role, limits),
    };
    let wire: Vec<u8> = match flags & 8 {
        0 => messages(rest, flags & 4 != 0)
            .iter()
            .flat_map(|sent| sent.wire(role))
            .collect(),
        _ => rest.to_vec(),
    };
    any_cutting_gives_the_messages(made, is_plain, lengths, &wire);
}

/// Compares three endpoints: whole messages; pieces of the whole input; pieces of a cut one.
pub fn any_cutting_gives_the_messages(
    made: impl Fn() -> Endpoint,
    is_plain: bool,
    lengths: &[u8],
    wire: &[u8],
) {
    let mut whole = made();
    let expected = whole.receive(wire);
    let mut uncut = InPieces::new(made());
    uncut.receive(&[wire]);
    let mut in_parts = InPieces::new(made());
    in_parts.receive(&cut(wire, lengths));

    assert_eq!(uncut.events, in_parts.events, "the same for any cutting");
    assert_eq!(uncut.endpoint.replies, in_parts.endpoint.replies);
    let (one, other) = (&uncut.endpoint.connection, &in_parts.endpoint.connection);
    assert_eq!(one.state(), other.state());
    assert_eq!(one.ended(), other.ended());
    if uncut.failure().is_none() {
        assert_eq!(uncut.begun, in_parts.begun, "all that has come is there");
    }
    uncut.is_as(&whole, &expected, is_plain);
}

/// An endpoint that hands out pieces, and its events, with the pieces joined.
struct InPieces {
    endpoint: Endpoint,
    events: Vec<Received>,
    /// The message of which the last piece has not come: whether it is a text, and its bytes.
    begun: Option<(bool, Vec<u8>)>,
}

impl InPieces {
    fn new(mut endpoint: Endpoint) -> InPieces {
        let plain = Connection::server(Default::default());
        let connection = std::mem::replace(&mut endpoint.connection, plain);
        endpoint.connection = connection.with_pieces();
        InPieces {
            endpoint,
            events: Vec::new(),
            begun: None,
        }
    }

    fn receive(&mut self, parts: &[&[u8]]) {
        for part in parts {
            let mut bytes = part.to_vec();
            let mut input = &mut bytes[..];
            loop {
                let endpoint = &mut self.endpoint;
                let received = endpoint
                    .connection
                    .receive(&mut input, &mut endpoint.replies);
                match received {
                    Ok(Some(Event::Piece(piece))) => {
                        join(&mut self.begun, &mut self.events, &piece)
                    }
                    Ok(Some(event)) => self.events.push(Received::from(event)),
                    Ok(None) => {
                        assert!(input.is_empty(), "`None` means that all input was taken");
                        break;
                    }
                    Err(error) => {
                        assert!(input.is_empty(), "what follows a failure is dropped");
                        let code = error.close_code().get();
                        return self.events.push(Received::Failed(code));
                    }
                }
            }
        }
    }

    fn failure(&self) -> Option<&Received> {
        failure(&self.events)
    }

    /// A compressed message that is whole is inflated at its end, or when 16 KiB have come, and
    /// pieces at once: so their failure can come earlier, and be another one.
    fn is_as(&self, whole: &Endpoint, expected: &[Received], is_plain: bool) {
        match (self.failure(), failure(expected)) {
            _ if is_plain => assert_eq!(self.events, expected),
            (None, None) => assert_eq!(self.events, expected),
            (None, Some(_)) => panic!("only whole messages fail: {expected:?}"),
            (Some(_), None) => {
                let connection = &whole.connection;
                assert!(connection.is_inflating() && connection.has_unfinished_input());
                assert_eq!(connection.state(), State::Open);
                assert_eq!(data_of(&self.events), data_of(expected));
            }
            (Some(_), Some(_)) => assert_eq!(data_of(&self.events), data_of(expected)),
        }
    }
}

/// Adds a piece to the message that it belongs to.
fn join(begun: &mut Option<(bool, Vec<u8>)>, events: &mut Vec<Received>, piece: &Piece<'_>) {
    assert_eq!(piece.is_first(), begun.is_none());
    assert!(!piece.as_bytes().is_empty() || piece.is_last());
    assert!(
        piece
            .as_text()
            .is_none_or(|text| text.as_bytes() == piece.as_bytes())
    );
    assert_eq!(piece.as_text().is_some(), piece.is_text());
    let (is_text, bytes) = begun.get_or_insert_with(|| (piece.is_text(), Vec::new()));
    assert_eq!(*is_text, piece.is_text());
    bytes.extend_from_slice(piece.as_bytes());
    if piece.is_last() {
        events.extend(begun.take().map(|(is_text, bytes)| match is_text {
            true => Received::Text(String::from_utf8(bytes).expect("texts joined are a text")),
            false => Received::Binary(bytes),
        }));
    }
}

fn failure(events: &[Received]) -> Option<&Received> {
    events
        .last()
        .filter(|event| matches!(event, Received::Failed(_)))
}

fn data_of(events: &[Received]) -> Vec<&Received> {
    let is_data = |event: &&Received| matches!(event, Received::Text(_) | Received::Binary(_));
    events.iter().filter(is_data).collect()
}

/// The first inputs of the fuzzer: those of `inflate`, which has the same form, and bytes of a
/// peer.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    const PEER: u8 = 8;
    const PLAIN: u8 = 16;
    const CLIENT: u8 = 1;
    let fragments = b"\x01\x03Hel\x89\x01p\x00\x00\x80\x02lo";
    let characters = "\u{81}\u{5c71}\u{5f66}".as_bytes();
    let text = [&[0x81, characters.len() as u8], characters].concat();
    let overlong = b"\x01\x02a\xe0\x80\x02\x80\xaf";
    let raw = |flags: u8, lengths: &[u8], bytes: &[u8]| {
        let head = [flags | PEER, 0, 0xff, lengths.len() as u8];
        [&head[..], lengths, bytes].concat()
    };
    let mut seeds = super::inflate::seeds();
    seeds.extend([
        ("peer-fragments", raw(CLIENT | PLAIN, &[1], fragments)),
        ("peer-characters", raw(CLIENT | PLAIN, &[1, 2], &text)),
        ("peer-overlong", raw(CLIENT | PLAIN, &[3], overlong)),
        (
            "peer-no-takeover",
            raw(
                CLIENT,
                &[2],
                b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
            ),
        ),
        (
            "peer-empty",
            raw(CLIENT | PLAIN, &[1], b"\x82\x00\x02\x00\x80\x00"),
        ),
        (
            "peer-masked",
            raw(PLAIN, &[5], b"\x82\x83\x01\x02\x03\x04abc"),
        ),
    ]);
    seeds
}
