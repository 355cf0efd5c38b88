//! RFC 7692 §7.2: compressed messages, received.

mod common;

use common::{Connection, Endpoint, Limits, Role, TEXT, WireFrame, both_roles, cut, peer, text};
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters};

/// "Hello" in one block with fixed codes.
const HELLO: [u8; 7] = *b"\xf2\x48\xcd\xc9\xc9\x07\x00";
fn deflating(role: Role, agreed: DeflateParameters, limits: Limits) -> Endpoint {
    let mut endpoint = Endpoint::new(role, limits);
    let plain = Connection::server(limits);
    let connection = std::mem::replace(&mut endpoint.connection, plain);
    endpoint.connection = connection.with_deflate(agreed, &DeflateConfig::default());
    endpoint
}

fn with_takeover(role: Role) -> Endpoint {
    deflating(role, DeflateParameters::default(), Limits::default())
}

/// The first frame of a compressed message.
fn compressed(opcode: u8, payload: impl AsRef<[u8]>) -> WireFrame {
    let mut frame = WireFrame::new(opcode, payload);
    frame.rsv = 0b100;
    frame
}

fn hello_in_one_frame(role: Role) {
    let wire = peer(role).frame(compressed(TEXT, HELLO));
    assert_eq!(with_takeover(role).receive(&wire), [text("Hello")]);
    let pieces = cut(&wire, &[1]);
    assert_eq!(
        with_takeover(role).receive_in_pieces(pieces),
        [text("Hello")]
    );
}
both_roles!(hello_in_one_frame);
