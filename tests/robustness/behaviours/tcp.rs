//! FIN, RST and silence at each stage of a connection (RFC 6455 §7.1, §7.2).

use yamabiko_testing::properties::wire::{LengthForm, RFC_KEY, TEXT, WireFrame};
use yamabiko_testing::socket::upgrade;

use super::{Behaviour, CLIENT, echo, serve};
use crate::steps::*;

/// These steps for each of so many clients.
fn clients(count: usize, steps: impl Fn() -> Vec<Step>) -> Step {
    group(
        (0..count)
            .flat_map(|number| {
                let mut all = vec![client(number)];
                all.extend(steps());
                all
            })
            .collect(),
    )
}

fn half_a_frame() -> Vec<u8> {
    let header = WireFrame::new(TEXT, b"").masked(RFC_KEY);
    header.header_claiming(LengthForm::Bits16, 50_000)
}

pub fn behaviours() -> Vec<Behaviour> {
    let half = &upgrade("/", "")[..60];
    vec![
        echo(
            "fin_without_a_byte_ends_the_connection",
            vec![half_close(), gone()],
        ),
        echo(
            "fin_inside_the_handshake_ends_the_connection",
            vec![send(half), half_close(), gone()],
        ),
        echo(
            "fin_right_behind_the_handshake_ends_the_connection",
            vec![send(upgrade("/", "")), half_close(), gone()],
        ),
        echo(
            "reset_without_a_byte_leaves_nothing",
            vec![clients(100, || vec![reset()]), forgotten()],
        ),
        echo(
            "reset_inside_the_handshake_leaves_nothing",
            vec![clients(100, || vec![send(half), reset()]), forgotten()],
        ),
        echo(
            "reset_right_behind_the_handshake_leaves_nothing",
            vec![
                clients(100, || vec![send(upgrade("/", "")), reset()]),
                forgotten(),
            ],
        ),
        echo(
            "reset_of_an_open_connection_leaves_nothing",
            vec![clients(100, || vec![open("/"), reset()])],
        ),
        echo(
            "reset_inside_a_frame_header_leaves_nothing",
            vec![clients(100, || {
                vec![open("/"), send([0x82, 0xff, 0, 0]), reset()]
            })],
        ),
        echo(
            "reset_inside_a_payload_leaves_nothing",
            vec![clients(100, || {
                vec![open("/"), send(half_a_frame()), send([0; 1000]), reset()]
            })],
        ),
        echo(
            "reset_before_the_echo_is_read_leaves_nothing",
            vec![clients(50, || {
                vec![open("/"), send(CLIENT.binary([7; 50_000])), reset()]
            })],
        )
        .memory_bytes_max(12 << 20),
        echo(
            "reset_inside_the_closing_handshake_leaves_nothing",
            vec![clients(100, || {
                vec![open("/"), send(CLIENT.close(1000, "")), reset()]
            })],
        ),
        echo(
            "reset_behind_an_illegal_frame_leaves_nothing",
            vec![clients(100, || {
                vec![open("/"), send([0xff, 0xff]), reset()]
            })],
        ),
        serve(
            "reset_of_members_of_a_room_leaves_nothing",
            vec![clients(100, || {
                vec![open("/broadcast/reset"), send(CLIENT.text("a")), reset()]
            })],
        ),
        serve(
            "reset_of_a_person_in_a_room_frees_the_name",
            vec![
                client(1000),
                open("/chat/reset"),
                send(CLIENT.text(r#"{"type":"join","name":"Bo"}"#)),
                text_with("welcome"),
                clients(30, || {
                    vec![
                        open("/chat/reset"),
                        send(CLIENT.text(r#"{"type":"join","name":"Aki"}"#)),
                        text_with("welcome"),
                        reset(),
                        client(1000),
                        text_with("joined"),
                        text_with("left"),
                    ]
                }),
            ],
        ),
        echo(
            "thousand_connections_one_after_the_other_leave_nothing",
            vec![clients(1000, || vec![open("/"), hang_up()])],
        ),
        echo(
            "hundreds_of_open_connections_are_all_served",
            vec![
                clients(400, || vec![open("/")]),
                clients(400, || vec![send(CLIENT.text("here")), text("here")]),
            ],
        ),
        echo(
            "silent_connections_do_not_hinder_others",
            vec![
                clients(300, Vec::new),
                client(1000),
                open("/"),
                send(CLIENT.text("here")),
                text("here"),
            ],
        ),
        echo(
            "handshakes_in_single_bytes_of_many_clients_at_a_time_are_understood",
            vec![group(
                upgrade("/", "")
                    .bytes()
                    .flat_map(|byte| (0..20).flat_map(move |number| [client(number), send([byte])]))
                    .chain((0..20).flat_map(|number| [client(number), status(101)]))
                    .collect(),
            )],
        ),
        echo(
            "client_that_never_reads_is_closed_or_waits_within_its_limit",
            vec![
                narrow_client(0),
                open("/"),
                flood(CLIENT.binary([7; 10_000]), 128 << 20),
                client(1),
                open("/"),
                send(CLIENT.text("here")),
                text("here"),
            ],
        )
        .memory_bytes_max(16 << 20),
        echo(
            "client_that_reads_late_gets_every_echo",
            vec![
                narrow_client(0),
                open("/"),
                group((0..40).map(|_| send(CLIENT.binary([7; 10_000]))).collect()),
                group((0..40).map(|_| binary([7; 10_000])).collect()),
            ],
        ),
    ]
}
