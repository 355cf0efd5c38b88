//! The closing handshake (RFC 6455 §5.5.1, §7).

use yamabiko_testing::properties::wire::{CLOSE, WireFrame};

use super::{Behaviour, CLIENT, echo};
use crate::steps::*;

/// Each of these codes fails a connection of its own.
fn refuses_codes(name: &'static str, codes: &[u16]) -> Behaviour {
    let steps = codes.iter().enumerate().flat_map(|(number, code)| {
        vec![
            client(number),
            open("/"),
            send(CLIENT.close(*code, "")),
            fails(1002),
            hang_up(),
        ]
    });
    echo(name, steps.collect())
}

/// Each of these codes is sent back.
fn accepts_codes(name: &'static str, codes: &[u16]) -> Behaviour {
    let steps = codes.iter().enumerate().flat_map(|(number, code)| {
        vec![
            client(number),
            open("/"),
            send(CLIENT.close(*code, "bye")),
            close(*code),
            end(),
            hang_up(),
        ]
    });
    echo(name, steps.collect())
}

pub fn behaviours() -> Vec<Behaviour> {
    let raw = |body: &[u8]| CLIENT.frame(WireFrame::new(CLOSE, body));
    vec![
        accepts_codes(
            "codes_that_may_be_sent_are_sent_back",
            &[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011],
        ),
        accepts_codes("registered_later_codes_are_sent_back", &[1012, 1013, 1014]),
        accepts_codes(
            "codes_of_applications_are_sent_back",
            &[3000, 3999, 4000, 4999],
        ),
        refuses_codes("codes_below_1000_fail", &[0, 1, 999]),
        refuses_codes("codes_that_are_never_sent_fail", &[1005, 1006, 1015]),
        refuses_codes("reserved_code_1004_fails", &[1004]),
        refuses_codes(
            "codes_that_nobody_has_defined_fail",
            &[1016, 1100, 2000, 2999],
        ),
        refuses_codes("codes_beyond_4999_fail", &[5000, 65_535]),
        echo(
            "close_without_a_code_is_answered_without_one",
            vec![
                open("/"),
                send(CLIENT.close_empty()),
                close_without_code(),
                end(),
            ],
        ),
        echo(
            "close_of_one_byte_fails",
            vec![open("/"), send(raw(b"\x03")), fails(1002)],
        ),
        echo(
            "reason_of_123_bytes_is_accepted",
            vec![
                open("/"),
                send(CLIENT.close(1000, [b'x'; 123])),
                close(1000),
                end(),
            ],
        ),
        echo(
            "reason_that_is_not_utf_8_fails",
            vec![open("/"), send(CLIENT.close(1000, b"\xff")), fails(1007)],
        ),
        echo(
            "reason_that_ends_inside_a_character_fails",
            vec![
                open("/"),
                send(CLIENT.close(1000, b"\xe2\x82")),
                fails(1007),
            ],
        ),
        echo(
            "code_is_checked_before_the_reason",
            vec![open("/"), send(CLIENT.close(1006, b"\xff")), fails(1002)],
        ),
        echo(
            "messages_behind_a_close_are_ignored",
            vec![
                open("/"),
                send([CLIENT.close(1000, ""), CLIENT.text("late")].concat()),
                close(1000),
                end(),
            ],
        ),
        echo(
            "pings_behind_a_close_are_not_answered",
            vec![
                open("/"),
                send([CLIENT.close(1000, ""), CLIENT.ping("late")].concat()),
                close(1000),
                end(),
            ],
        ),
        echo(
            "illegal_frames_behind_a_close_are_ignored",
            vec![
                open("/"),
                send([CLIENT.close(1000, ""), vec![0xff; 100]].concat()),
                close(1000),
                end(),
            ],
        ),
        echo(
            "second_close_is_ignored",
            vec![
                open("/"),
                send([CLIENT.close(1000, ""), CLIENT.close(4000, "")].concat()),
                close(1000),
                end(),
            ],
        ),
        echo(
            "echo_of_a_message_before_the_close_comes_first",
            vec![
                open("/"),
                send([CLIENT.text("a"), CLIENT.close(1000, "")].concat()),
                text("a"),
                close(1000),
                end(),
            ],
        ),
        echo(
            "close_in_single_bytes_is_answered",
            vec![
                open("/"),
                in_single_bytes(CLIENT.close(3000, "bye")),
                close(3000),
                end(),
            ],
        ),
        echo(
            "close_with_a_fin_right_behind_is_answered",
            vec![
                open("/"),
                send(CLIENT.close(1000, "")),
                half_close(),
                close(1000),
                end(),
            ],
        ),
        echo(
            "client_that_sends_on_behind_its_close_is_cut_off",
            vec![
                open("/"),
                send(CLIENT.close(1000, "")),
                flood_until_end(CLIENT.text("on")),
            ],
        ),
        echo(
            "fin_without_a_close_ends_the_connection",
            vec![open("/"), half_close(), gone()],
        ),
        echo(
            "fin_inside_a_frame_ends_the_connection",
            vec![
                open("/"),
                send(&CLIENT.text("hello")[..8]),
                half_close(),
                gone(),
            ],
        ),
        echo(
            "fin_behind_a_message_gives_its_echo",
            vec![
                open("/"),
                send(CLIENT.text("a")),
                half_close(),
                text("a"),
                gone(),
            ],
        ),
    ]
}
