//! RFC 7692 §6: the frames in which RSV1 may mark a compressed message.

use yamabiko_testing::deflate::{HELLO, NO_TAKEOVER, TAKEOVER, agreed, compressed, fragments};
use yamabiko_testing::protocol::{
    BINARY, CLOSE, CONTINUATION, CloseFrame, Connection, Message, PING, PONG, Role, SendError,
    TEXT, WireFrame, both_roles, decode_all, fails_after, fails_with, frames_of, peer, ping, pong,
    text,
};

const PROTOCOL_ERROR: u16 = 1002;

fn with_rsv(rsv: u8, mut frame: WireFrame) -> WireFrame {
    frame.rsv = rsv;
    frame
}

fn fails_connection_on_rsv1_without_permessage_deflate(role: Role) {
    for opcode in [TEXT, BINARY] {
        fails_with(
            PROTOCOL_ERROR,
            role,
            peer(role).frame(compressed(opcode, HELLO)),
        );
    }
}
both_roles!(fails_connection_on_rsv1_without_permessage_deflate);

fn fails_connection_on_rsv2_and_rsv3_with_permessage_deflate(role: Role) {
    for rsv in [0b001, 0b010, 0b011, 0b101, 0b110, 0b111] {
        let wire = peer(role).frame(with_rsv(rsv, WireFrame::new(TEXT, HELLO)));
        fails_after(&[], PROTOCOL_ERROR, agreed(role, TAKEOVER), &wire);
        fails_after(&[], PROTOCOL_ERROR, agreed(role, TAKEOVER), &wire[..1]);
    }
}
both_roles!(fails_connection_on_rsv2_and_rsv3_with_permessage_deflate);

//= https://www.rfc-editor.org/rfc/rfc7692#section-6
//= type=test
//# PMCEs operate only on data messages.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//= type=test
//# An endpoint MUST NOT set the "Per-Message Compressed" bit of control
//# frames and non-first fragments of a data message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//= type=test
//# An endpoint
//# receiving such a frame MUST _Fail the WebSocket Connection_.
fn fails_connection_on_rsv1_except_in_the_first_frame_of_a_data_message(role: Role) {
    for opcode in [PING, PONG, CLOSE] {
        let wire = peer(role).frame(compressed(opcode, b""));
        fails_after(&[], PROTOCOL_ERROR, agreed(role, TAKEOVER), &wire);
        fails_after(&[], PROTOCOL_ERROR, agreed(role, TAKEOVER), &wire[..1]);
    }
    for first in [
        fragments(TEXT, &[b"", b""]).remove(0),
        WireFrame::new(TEXT, "").unfinished(),
    ] {
        let mut endpoint = agreed(role, TAKEOVER);
        assert_eq!(endpoint.receive(peer(role).frame(first)), []);
        let wire = peer(role).frame(compressed(CONTINUATION, HELLO));
        fails_after(&[], PROTOCOL_ERROR, endpoint, &wire[..1]);
    }
}
both_roles!(fails_connection_on_rsv1_except_in_the_first_frame_of_a_data_message);

//= https://www.rfc-editor.org/rfc/rfc7692#section-6.2
//= type=test
//# An endpoint MUST use the following algorithm to receive a message in
//# the form of an uncompressed message.
fn plain_messages_and_control_frames_may_be_between_compressed_messages(role: Role) {
    let peer = peer(role);
    let mut wire = peer.frame(compressed(TEXT, HELLO));
    wire.extend(peer.text("plain"));
    wire.extend(peer.text_begins("pla"));
    wire.extend(peer.ping("1"));
    wire.extend(peer.ends("in"));
    for (number, frame) in fragments(TEXT, &[&HELLO[..2], b"", &HELLO[2..]])
        .into_iter()
        .enumerate()
    {
        wire.extend(peer.frame(frame));
        wire.extend(peer.pong([number as u8]));
    }
    let mut endpoint = agreed(role, NO_TAKEOVER);
    let expected = [
        text("Hello"),
        text("plain"),
        ping("1"),
        text("plain"),
        pong([0]),
        pong([1]),
        text("Hello"),
        pong([2]),
    ];
    assert_eq!(endpoint.receive(wire), expected);
    assert_eq!(endpoint.take_replies(), [WireFrame::new(PONG, "1")]);
}
both_roles!(plain_messages_and_control_frames_may_be_between_compressed_messages);

//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//= type=test
//# An endpoint MUST use the following algorithm to send a message in the
//# form of a compressed message.
//= https://www.rfc-editor.org/rfc/rfc7692#section-6.1
//= type=test
//# PMCEs do not change the opcode field.
fn compressed_messages_have_rsv1_and_their_own_opcode_and_control_frames_do_not(role: Role) {
    let zeros = [0; 125];
    let message = "0".repeat(500);
    type Send<'a> = &'a dyn Fn(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>;
    let cases: [(Send<'_>, u8, u8); 4] = [
        (
            &|to, output| to.send(Message::Text(&message), output),
            TEXT,
            0b100,
        ),
        (
            &|to, output| to.send(Message::Binary(&[0; 500]), output),
            BINARY,
            0b100,
        ),
        (&|to, output| to.ping(&zeros, output), PING, 0b000),
        (&|to, output| to.pong(&zeros, output), PONG, 0b000),
    ];
    for (send, opcode, rsv) in cases {
        let mut output = Vec::new();
        let mut endpoint = agreed(role, TAKEOVER);
        send(&mut endpoint.connection, &mut output).unwrap();
        let frames = decode_all(&output);
        let [frame] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert_eq!((frame.fin, frame.opcode, frame.rsv), (true, opcode, rsv));
        assert_eq!(frame.masking_key.is_some(), role == Role::Client);
    }
    let mut endpoint = agreed(role, TAKEOVER);
    let mut output = Vec::new();
    endpoint
        .connection
        .close(CloseFrame::EMPTY, &mut output)
        .unwrap();
    assert_eq!(frames_of(role, &output), [WireFrame::new(CLOSE, b"")]);
}
both_roles!(compressed_messages_have_rsv1_and_their_own_opcode_and_control_frames_do_not);
