//! Messages of all sizes and in all pieces, and every bound: at it and one past
//! it (RFC 6455 §5.4, §5.5, §10.4).
#![cfg(feature = "server")]

mod socket;

use socket::{Client, Frame, Running, config, frame, with_1_and_3_workers};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use yamabiko::server::{Admission, Config, Context, Handler, Limits, Message, Refusal, Upgrade};
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
            let binary = Frame {
                opcode: Opcode::Binary,
                payload: bytes_of(size),
            };
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

/// An echo that counts what it was handed.
struct CountingEcho {
    handed_over_bytes: Arc<AtomicUsize>,
}

impl Handler for CountingEcho {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let bytes = message.as_bytes().len();
        self.handed_over_bytes.fetch_add(bytes, Ordering::Relaxed);
        context.send(message).expect("reading pauses before that");
    }
}

const MESSAGES: u32 = 2048;
const MESSAGE_BYTES: usize = 16 << 10;

fn numbered_message(number: u32) -> Vec<u8> {
    let mut payload = vec![number.to_le_bytes()[0]; MESSAGE_BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

#[test]
fn a_client_that_does_not_read_its_echoes_is_not_read_either() {
    with_1_and_3_workers(|config| {
        let handed_over_bytes = Arc::new(AtomicUsize::new(0));
        let handler = CountingEcho {
            handed_over_bytes: handed_over_bytes.clone(),
        };
        let (_tell, told) = channel();
        let server = Running::start_with(config, handler, told);
        let mut client = Client::open(server.address);
        let wire: Vec<u8> = (0..MESSAGES)
            .flat_map(|number| frame(Opcode::Binary, &numbered_message(number)))
            .collect();

        // 32 MiB are offered. What the handler has seen is in the kernel's two
        // buffers (4 MiB, and little) and in the outbox (64 KiB, and a read).
        let rest = client.write_until_refused(&wire);
        let kept = handed_over_bytes.load(Ordering::Relaxed);
        assert!(kept < 8 << 20, "{kept} bytes are kept for one client");

        let mut writer = client.stream.try_clone().expect("a descriptor");
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(rest).expect("it is read again"));
            for number in 0..MESSAGES {
                let payload = client.read_frame().payload;
                assert!(payload == numbered_message(number), "message {number}");
            }
        });
    });
}

#[test]
fn pings_from_a_client_that_does_not_read_do_not_pile_up() {
    let server = Running::start(config(1));
    let mut client = Client::open_narrow(server.address);
    let pings = 100_000u32;
    let payload = |number: u32| [&number.to_be_bytes()[..], &[0; 121]].concat();
    for first in (0..pings).step_by(1000) {
        let thousand = first..first + 1000;
        let wire: Vec<u8> = thousand
            .flat_map(|number| frame(Opcode::Ping, &payload(number)))
            .collect();
        client.send(wire);
    }
    let (mut answered, mut newest) = (0, None);
    while newest < Some(pings - 1) {
        let pong = client.read_frame();
        assert_eq!((pong.opcode, pong.payload.len()), (Opcode::Pong, 125));
        let number = pong.payload.first_chunk().copied().map(u32::from_be_bytes);
        assert!(number > newest, "pongs come in the pings' order");
        newest = number;
        answered += 1;
    }
    assert!(answered < pings, "12 MiB of pongs were kept");
}

#[test]
fn the_application_is_told_when_too_much_waits_for_a_client() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            backlog_bytes_max: 1000,
            ..config
        });
        let mut client = Client::open(server.address);
        // Frames of 100 bytes: ten are at the bound, the eleventh is past it.
        client.text("/flood 98");
        for _ in 0..11 {
            assert_eq!(client.read_frame().payload, [0xf1; 98]);
        }
        client.text("and then it has room again");
        assert_eq!(client.read_text(), "and then it has room again");
    });
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
    third.expect_silence(Duration::from_millis(20));
    first.close(1000, "");
    first.read_close();
    drop(first);
    assert!(third.read_head().starts_with("HTTP/1.1 101 "));
}
