//! Ping and Pong (RFC 6455 §5.5).

use yamabiko_testing::properties::wire::{CLOSE, LengthForm, PING, PONG, RFC_KEY, WireFrame};

use super::{Behaviour, CLIENT, echo};
use crate::steps::*;

fn fails_with(name: &'static str, bytes: impl AsRef<[u8]>) -> Behaviour {
    echo(name, vec![open("/"), send(bytes), fails(1002)])
}

fn header(opcode: u8, form: LengthForm, length: u64) -> Vec<u8> {
    WireFrame::new(opcode, b"")
        .masked(RFC_KEY)
        .header_claiming(form, length)
}

pub fn behaviours() -> Vec<Behaviour> {
    let unfinished = |opcode| CLIENT.frame(WireFrame::new(opcode, b"").unfinished());
    vec![
        echo(
            "ping_of_125_bytes_gets_its_payload_back",
            vec![open("/"), send(CLIENT.ping([7; 125])), pong([7; 125])],
        ),
        echo(
            "empty_ping_gets_an_empty_pong",
            vec![open("/"), send(CLIENT.ping("")), pong("")],
        ),
        echo(
            "ping_that_is_not_utf_8_gets_its_payload_back",
            vec![open("/"), send(CLIENT.ping(b"\xff\xfe")), pong(b"\xff\xfe")],
        ),
        fails_with(
            "ping_of_126_bytes_fails",
            header(PING, LengthForm::Bits16, 126),
        ),
        fails_with(
            "pong_of_126_bytes_fails",
            header(PONG, LengthForm::Bits16, 126),
        ),
        fails_with(
            "close_of_126_bytes_fails",
            header(CLOSE, LengthForm::Bits16, 126),
        ),
        fails_with(
            "control_frame_with_a_length_of_64_bits_fails",
            header(PING, LengthForm::Bits64, 1 << 40),
        ),
        fails_with(
            "long_control_frame_fails_at_its_second_byte",
            &header(PING, LengthForm::Bits16, 126)[..2],
        ),
        fails_with("fragmented_ping_fails", unfinished(PING)),
        fails_with("fragmented_pong_fails", unfinished(PONG)),
        fails_with("fragmented_close_fails", unfinished(CLOSE)),
        fails_with("fragmented_control_frame_fails_at_its_first_byte", [PING]),
        echo(
            "pong_without_a_ping_is_ignored",
            vec![
                open("/"),
                send(CLIENT.pong("nobody asked")),
                send(CLIENT.ping("x")),
                pong("x"),
            ],
        ),
        echo(
            "pongs_without_end_are_ignored",
            vec![
                open("/"),
                flood(CLIENT.pong([7; 125]), 8 << 20),
                send(CLIENT.ping("x")),
            ],
        ),
        echo(
            "pings_are_answered_between_the_fragments_of_a_message",
            vec![
                open("/"),
                send(CLIENT.text_begins("a")),
                send(CLIENT.ping("x")),
                pong("x"),
                send(CLIENT.ends("b")),
                text("ab"),
            ],
        ),
        echo(
            "ping_between_the_bytes_of_another_frame_is_payload",
            vec![
                open("/"),
                send(
                    WireFrame::new(0x2, b"")
                        .masked([0; 4])
                        .header_claiming(LengthForm::Bits7, 6),
                ),
                send(b"\x89\x80\0\0\0\0"),
                binary(b"\x89\x80\0\0\0\0"),
            ],
        ),
        echo(
            "ping_in_single_bytes_is_answered",
            vec![
                open("/"),
                in_single_bytes(CLIENT.ping("hello")),
                pong("hello"),
            ],
        ),
        echo(
            "pings_of_a_client_that_reads_nothing_cost_little_memory",
            vec![
                narrow_client(0),
                open("/"),
                flood(CLIENT.ping([7; 125]), 64 << 20),
            ],
        ),
        echo(
            "newest_ping_of_a_flood_is_answered",
            vec![
                open("/"),
                send(CLIENT.ping([7; 125]).repeat(2000)),
                send(CLIENT.ping("last")),
                pong_eventually("last"),
            ],
        ),
    ]
}
