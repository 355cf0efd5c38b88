//! UTF-8 of texts (RFC 6455 §5.6, §8.1; RFC 3629).

use yamabiko_testing::properties::wire::{LengthForm, RFC_KEY, TEXT, WireFrame};

use super::{Behaviour, CLIENT, echo};
use crate::steps::*;

/// A text with these bytes fails.
fn refuses(name: &'static str, payload: &[u8]) -> Behaviour {
    echo(
        name,
        vec![open("/"), send(CLIENT.text(payload)), fails(1007)],
    )
}

fn accepts(name: &'static str, payload: &str) -> Behaviour {
    echo(
        name,
        vec![open("/"), send(CLIENT.text(payload)), text(payload)],
    )
}

/// A text of this length has begun, and no more than these bytes have come.
fn refuses_at_once(name: &'static str, payload: &[u8]) -> Behaviour {
    let header = WireFrame::new(TEXT, b"")
        .masked([0; 4])
        .header_claiming(LengthForm::Bits7, 125);
    echo(
        name,
        vec![open("/"), send([&header, payload].concat()), fails(1007)],
    )
}

pub fn behaviours() -> Vec<Behaviour> {
    let long = "x".repeat(100_000);
    vec![
        refuses("continuation_byte_alone_fails", b"a\x80"),
        refuses("overlong_form_of_two_bytes_fails", b"\xc0\xaf"),
        refuses("overlong_form_of_three_bytes_fails", b"\xe0\x80\xaf"),
        refuses("overlong_form_of_four_bytes_fails", b"\xf0\x80\x80\xaf"),
        refuses("overlong_nul_fails", b"\xc0\x80"),
        refuses("surrogate_fails", b"\xed\xa0\x80"),
        refuses("pair_of_surrogates_fails", b"\xed\xa0\xbd\xed\xb8\x80"),
        refuses("character_beyond_u_10ffff_fails", b"\xf4\x90\x80\x80"),
        refuses("form_of_five_bytes_fails", b"\xf8\x88\x80\x80\x80"),
        refuses("byte_that_never_occurs_fails", b"\xff"),
        refuses("character_that_is_cut_at_the_end_fails", b"caf\xc3"),
        refuses("character_that_is_cut_by_a_letter_fails", b"\xe2\x82a"),
        refuses("latin_1_fails", b"caf\xe9"),
        refuses("utf_16_fails", b"\xff\xfeh\0i\0"),
        refuses(
            "invalid_byte_at_the_end_of_a_long_text_fails",
            &[long.as_bytes(), b"\xff"].concat(),
        ),
        accepts("byte_order_mark_is_kept", "\u{feff}a"),
        accepts("nul_is_a_character", "a\0b"),
        accepts("noncharacters_are_accepted", "\u{ffff}\u{fdd0}\u{10ffff}"),
        accepts(
            "characters_at_the_edges_of_each_length_are_accepted",
            "\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{10000}",
        ),
        refuses_at_once("invalid_text_fails_before_the_frame_is_complete", b"ab\xff"),
        refuses_at_once(
            "beginning_of_a_surrogate_fails_at_its_second_byte",
            b"\xed\xa0",
        ),
        refuses_at_once(
            "beginning_of_an_overlong_form_fails_at_its_second_byte",
            b"\xe0\x80",
        ),
        echo(
            "invalid_first_fragment_fails_before_the_next",
            vec![open("/"), send(CLIENT.text_begins(b"\xc0")), fails(1007)],
        ),
        echo(
            "character_may_be_cut_between_fragments",
            vec![
                open("/"),
                send(CLIENT.text_begins(b"\xf0\x9d")),
                send(CLIENT.ping("")),
                pong(""),
                send(CLIENT.ends(b"\x84\x9e")),
                text("\u{1d11e}"),
            ],
        ),
        echo(
            "character_that_is_cut_by_the_end_of_the_message_fails",
            vec![
                open("/"),
                send(CLIENT.text_begins(b"\xf0\x9d")),
                send(CLIENT.ends(b"")),
                fails(1007),
            ],
        ),
        echo(
            "second_fragment_that_continues_a_character_wrongly_fails",
            vec![
                open("/"),
                send(CLIENT.text_begins(b"\xe2\x82")),
                send(CLIENT.ends(b"\xff")),
                fails(1007),
            ],
        ),
        echo(
            "binary_message_may_have_any_bytes",
            vec![
                open("/"),
                send(CLIENT.binary(b"\xff\xc0\x80")),
                binary(b"\xff\xc0\x80"),
            ],
        ),
        echo(
            "unfinished_text_of_a_client_that_leaves_is_no_error_of_others",
            vec![
                client(0),
                open("/"),
                client(1),
                open("/"),
                send(
                    WireFrame::new(TEXT, b"")
                        .masked(RFC_KEY)
                        .header_claiming(LengthForm::Bits7, 9),
                ),
                reset(),
                client(0),
                send(CLIENT.text("here")),
                text("here"),
            ],
        ),
    ]
}
