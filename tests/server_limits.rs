//! Messages of all sizes and in all pieces, and every bound: at it and one past
//! it (RFC 6455 §5.4, §5.5, §10.4).
#![cfg(feature = "server")]

mod socket;

use socket::{Client, Frame, Running, Told, config, frame, with_1_and_3_workers};
use yamabiko::server::{Config, Limits};
use yamabiko::websocket::frame::{Opcode, encode};
use yamabiko::websocket::{Connection, Fragment};

const SIZES: [usize; 14] = [
    0, 1, 2, 124, 125, 126, 127, 1_000, 65_535, 65_536, 65_537, 65_550, 131_072, 200_000,
];

fn bytes_of(size: usize) -> Vec<u8> {
    (0u8..=250).cycle().take(size).collect()
}

/// Text with characters of one to four bytes.
fn text_of(size: usize) -> String {
    let mut text: String = "aé漢𝄞".chars().cycle().take(size).collect();
    while text.len() > size {
        text.pop();
    }
    text.push_str(&"x".repeat(size - text.len()));
    text
}

#[test]
fn messages_of_all_sizes_come_back_as_they_were() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        for size in SIZES {
            client.send(frame(Opcode::Binary, &bytes_of(size)));
            let binary = Frame::new(Opcode::Binary, bytes_of(size));
            assert!(client.read_frame() == binary, "{size} bytes");
            let text = text_of(size);
            client.text(&text);
            assert!(client.read_text() == text, "{size} bytes of text");
        }
    });
}

#[test]
fn fragmented_messages_come_back_whole_with_pings_answered_between() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        let mut connection = Connection::client(Limits::default(), || [9, 8, 7, 6]);
        for size in SIZES {
            let text = text_of(size);
            let mut wire = Vec::new();
            let mut pieces = text.as_bytes().chunks(size / 7 + 1).peekable();
            let mut pings = 0;
            loop {
                let piece = pieces.next().unwrap_or_default();
                let last = pieces.peek().is_none();
                let sent = connection.send_fragment(Fragment::Text(piece), last, &mut wire);
                sent.expect("a legal fragment");
                if last {
                    break;
                }
                wire.extend_from_slice(&frame(Opcode::Ping, b"between"));
                pings += 1;
            }
            client.send(&wire);
            for _ in 0..pings {
                let pong = client.read_frame();
                assert_eq!(pong.opcode, Opcode::Pong);
                assert_eq!(pong.payload, b"between");
            }
            assert!(client.read_text() == text, "{size} bytes");
        }
    });
}

#[test]
fn messages_and_control_frames_in_one_packet_are_answered_in_order() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        let mut wire = Vec::new();
        for number in 0..20 {
            wire.extend_from_slice(&frame(Opcode::Text, format!("{number}").as_bytes()));
            wire.extend_from_slice(&frame(Opcode::Ping, &[number]));
            wire.extend_from_slice(&frame(Opcode::Pong, b"unsolicited"));
        }
        client.send(&wire);
        for number in 0..20 {
            assert_eq!(client.read_text(), format!("{number}"));
            let pong = client.read_frame();
            assert_eq!((pong.opcode, pong.payload), (Opcode::Pong, vec![number]));
        }
    });
}

#[test]
fn pings_of_up_to_125_bytes_get_their_own_words_back() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    for size in [0, 1, 124, 125] {
        client.send(frame(Opcode::Ping, &bytes_of(size)));
        assert_eq!(client.read_frame().payload, bytes_of(size));
    }
    client.send(frame(Opcode::Ping, &bytes_of(126)));
    assert_eq!(client.read_close().0, 1002);
}

#[test]
fn a_message_is_refused_at_one_byte_past_its_bound_by_its_header_alone() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            limits: Limits {
                message_bytes_max: 70_000,
                fragments_max: 3,
                ..Limits::default()
            },
            ..config
        });
        let mut client = Client::open(server.address);
        client.send(frame(Opcode::Binary, &bytes_of(70_000)));
        assert!(client.read_frame().payload == bytes_of(70_000));

        let one_past = frame(Opcode::Binary, &bytes_of(70_001));
        client.send(&one_past[..14]);
        assert_eq!(client.read_close().0, 1009);
        client.expect_end();

        // All fragments together, too.
        let fragment = |opcode, payload: &[u8], fin| {
            let mut bytes = Vec::new();
            encode(fin, opcode, Some([1, 2, 3, 4]), payload, &mut bytes);
            bytes
        };
        let mut client = Client::open(server.address);
        client.send(fragment(Opcode::Binary, &bytes_of(69_999), false));
        client.send(fragment(Opcode::Continuation, &[1], true));
        assert_eq!(client.read_frame().payload.len(), 70_000);
        client.send(fragment(Opcode::Binary, &bytes_of(70_000), false));
        client.send(&fragment(Opcode::Continuation, &[1], true)[..6]);
        assert_eq!(client.read_close().0, 1009);

        let mut client = Client::open(server.address);
        client.send(fragment(Opcode::Text, b"a", false));
        client.send(fragment(Opcode::Continuation, b"b", false));
        client.send(fragment(Opcode::Continuation, b"c", true));
        assert_eq!(client.read_text(), "abc");
        client.send(fragment(Opcode::Text, b"a", false));
        client.send(fragment(Opcode::Continuation, b"b", false));
        client.send(fragment(Opcode::Continuation, b"c", false));
        client.send(fragment(Opcode::Continuation, b"d", true));
        assert_eq!(client.read_close().0, 1008);
    });
}

#[test]
fn one_connection_more_than_there_may_be_waits_until_another_has_gone() {
    let server = Running::start(Config {
        connections_max: 2,
        ..config(1)
    });
    let mut first = Client::open(server.address);
    let mut second = Client::open(server.address);
    let mut third = Client::connect(server.address);
    third.send(socket::upgrade("/", ""));
    second.text("served");
    assert_eq!(second.read_text(), "served");
    first.close(1000, "");
    first.read_close();
    drop(first);
    assert!(third.read_head().starts_with("HTTP/1.1 101 "));
    // It has opened when one of the others had closed, and not before.
    let told = [(); 4].map(|()| matches!(server.told(), Told::Opened(_)));
    assert_eq!(told, [true, true, false, true]);
}
