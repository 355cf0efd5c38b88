//! Misuse of `/broadcast/{room}`.

use yamabiko_testing::properties::wire::BINARY;

use super::compression::bomb;
use super::{Behaviour, CLIENT, Settings, serve, with};
use crate::steps::*;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// The messages of a room that wait for one client have 64 KiB.
const SMALL_BACKLOG: Settings = &[
    "serve",
    "--workers",
    "1",
    "--backlog-bytes-max",
    "64KiB",
    "--unsent-bytes-max",
    "16KiB",
];

pub fn behaviours() -> Vec<Behaviour> {
    let many = |count: usize| {
        group(
            (0..count)
                .flat_map(|number| [client(number), open("/broadcast/many")])
                .collect(),
        )
    };
    vec![
        serve(
            "message_reaches_all_members_unchanged",
            vec![
                many(20),
                send(CLIENT.binary(b"\0\xff")),
                group(
                    (0..20)
                        .flat_map(|number| [client(number), binary(b"\0\xff")])
                        .collect(),
                ),
            ],
        ),
        serve(
            "members_receive_the_messages_of_one_sender_in_their_order",
            vec![
                many(2),
                group(
                    (0..100)
                        .map(|number| send(CLIENT.text(format!("{number}"))))
                        .collect(),
                ),
                client(0),
                group((0..100).map(|number| text(format!("{number}"))).collect()),
            ],
        ),
        serve(
            "invalid_text_of_one_member_reaches_nobody",
            vec![
                many(2),
                send(CLIENT.text(b"\xff")),
                fails(1007),
                client(0),
                send(CLIENT.text("next")),
                text("next"),
            ],
        ),
        serve(
            "half_a_message_reaches_nobody",
            vec![
                many(2),
                send(CLIENT.text_begins("half")),
                reset(),
                client(0),
                send(CLIENT.text("next")),
                text("next"),
            ],
        ),
        serve(
            "pings_of_one_member_reach_nobody",
            vec![
                many(2),
                send(CLIENT.ping("p")),
                pong("p"),
                client(0),
                send(CLIENT.text("next")),
                text("next"),
            ],
        ),
        serve(
            "chat_and_broadcast_rooms_of_one_name_are_different",
            vec![
                open("/broadcast/same"),
                client(1),
                open("/chat/same"),
                send(CLIENT.text(r#"{"type":"join","name":"Aki"}"#)),
                text_with("welcome"),
                client(0),
                send(CLIENT.text("next")),
                text("next"),
            ],
        ),
        serve(
            "json_of_the_chat_is_only_a_text",
            vec![
                open("/broadcast/json"),
                send(CLIENT.text(r#"{"type":"join","name":"Aki"}"#)),
                text(r#"{"type":"join","name":"Aki"}"#),
            ],
        ),
        serve(
            "message_beyond_the_limit_reaches_nobody",
            vec![
                many(2),
                send(CLIENT.header(
                    yamabiko_testing::properties::wire::WireFrame::new(BINARY, ""),
                    (1 << 20) + 1,
                )),
                fails(1009),
                client(0),
                send(CLIENT.text("next")),
                text("next"),
            ],
        ),
        serve(
            "bomb_of_one_member_reaches_nobody",
            vec![
                client(0),
                open("/broadcast/bomb"),
                client(1),
                open_with("/broadcast/bomb", OFFER),
                send(bomb(1 << 20)),
                fails(1009),
                client(0),
                send(CLIENT.text("next")),
                text("next"),
            ],
        ),
        serve(
            "member_that_compresses_and_one_that_does_not_receive_the_same",
            vec![
                client(0),
                open("/broadcast/both"),
                client(1),
                open_with("/broadcast/both", OFFER),
                send(CLIENT.text("next")),
                text("next"),
                client(0),
                text("next"),
            ],
        ),
        serve(
            "member_that_closes_behind_its_message_still_publishes_it",
            vec![
                many(2),
                send([CLIENT.text("last"), CLIENT.close(1000, "")].concat()),
                close_eventually(1000),
                end(),
                client(0),
                text("last"),
            ],
        ),
        serve(
            "members_that_vanish_during_a_flood_leave_nothing",
            vec![
                many(50),
                flood(CLIENT.text("flood"), 1 << 20),
                group(
                    (0..50)
                        .flat_map(|number| [client(number), reset()])
                        .collect(),
                ),
            ],
        )
        .memory_bytes_max(64 << 20),
        with(
            SMALL_BACKLOG,
            "member_that_does_not_read_is_closed_and_others_receive_everything",
            vec![
                narrow_client(0),
                open("/broadcast/slow"),
                client(1),
                open("/broadcast/slow"),
                group(
                    (0..300)
                        .flat_map(|_| [send(CLIENT.binary([7; 10_000])), binary([7; 10_000])])
                        .collect(),
                ),
                client(0),
                close_eventually(1013),
            ],
        ),
        serve(
            "upgrade_of_one_client_into_many_rooms_is_many_connections",
            vec![group(
                (0..200)
                    .flat_map(|number| {
                        let path: &'static str = format!("/broadcast/room{number}").leak();
                        [
                            client(number),
                            open(path),
                            send(CLIENT.text("a")),
                            text("a"),
                        ]
                    })
                    .collect(),
            )],
        ),
        serve(
            "room_name_in_two_encodings_is_one_room",
            vec![
                client(0),
                open("/broadcast/caf%C3%A9"),
                client(1),
                open("/broadcast/cafe%CC%81"),
                send(CLIENT.text("next")),
                text("next"),
                client(0),
                text("next"),
            ],
        ),
    ]
}
