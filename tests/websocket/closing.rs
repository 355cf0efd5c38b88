//! Close (RFC 6455 §5.5.1) and the end of a connection (§7). Every rule is checked as
//! server and as client.

use yamabiko_testing::protocol::*;

/// Codes that are valid in a Close frame: those of §7.4.1, those that the IANA registry of
/// §11.7 has added (1012 to 1014), and the ranges of §7.4.2.
const MAY_TRAVEL: [u16; 18] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000,
    4001, 4999,
];

/// Codes that are invalid in a Close frame: unused, reserved, or without a meaning yet.
const MAY_NOT_TRAVEL: [u16; 18] = [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1100, 1999, 2000, 2999, 5000, 5001, 9999, 32768,
    65535,
];

/// Starts the closing handshake. Returns the Close that was written.
fn closes<'f>(endpoint: &mut Endpoint, close: impl Into<CloseFrame<'f>>) -> WireFrame {
    let mut output = Vec::new();
    let closed = endpoint.connection.close(close, &mut output);
    assert_eq!(closed, Ok(()));
    let [frame] = &frames_of(endpoint.role, &output)[..] else {
        panic!("one Close and nothing else: {output:x?}");
    };
    assert_eq!(frame.opcode, CLOSE);
    frame.clone()
}

/// The code and reason of the one Close in the replies.
fn answer(endpoint: &mut Endpoint) -> Option<(u16, String)> {
    let [frame] = &endpoint.take_replies()[..] else {
        panic!("one Close and nothing else");
    };
    frame.close_body()
}

// ── The body of a Close (§5.5.1, §7.4) ──────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte order)
//# representing a status code with value /code/ defined in Section 7.4.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2
//# Status codes in the range 1000-2999 are reserved for definition by this protocol
both_roles!(accepts_and_echoes_every_code_that_is_valid_in_a_close);
fn accepts_and_echoes_every_code_that_is_valid_in_a_close(role: Role) {
    for code in MAY_TRAVEL {
        let mut endpoint = open(role);
        let received = endpoint.receive(peer(role).close(code, "why"));
        assert_eq!(received, [close(code, "why")]);
        assert_eq!(answer(&mut endpoint).map(|body| body.0), Some(code));
        let ended = endpoint.connection.ended();
        assert_eq!(
            (ended.clean, ended.code(), ended.reason()),
            (true, code, "why")
        );
        assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2
//# Status codes in the range 0-999 are not used.
both_roles!(fails_connection_on_every_code_that_is_invalid_in_a_close);
fn fails_connection_on_every_code_that_is_invalid_in_a_close(role: Role) {
    for code in MAY_NOT_TRAVEL {
        fails_with(1002, role, peer(role).close(code, ""));
        fails_with(1002, role, peer(role).close(code, "why"));
        assert_eq!(CloseCode::new(code), None, "{code}");
    }
}

#[test]
fn valid_codes_are_exactly_those_of_the_registry() {
    for code in 0..=u16::MAX {
        let may_travel = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(CloseCode::new(code).is_some(), may_travel, "{code}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# 1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
//# endpoint.
both_roles!(code_1005_is_never_sent_and_never_accepted);
fn code_1005_is_never_sent_and_never_accepted(role: Role) {
    assert_eq!(CloseCode::new(1005), None);
    fails_with(1002, role, peer(role).close(1005, ""));
    // If the peer sends no code, the endpoint reports 1005, but does not send it.
    let mut endpoint = open(role);
    endpoint.receive(peer(role).close_empty());
    assert_eq!(endpoint.connection.ended().code(), 1005);
    assert_eq!(answer(&mut endpoint), None);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# 1006 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
//# endpoint.
both_roles!(code_1006_is_never_sent_and_never_accepted);
fn code_1006_is_never_sent_and_never_accepted(role: Role) {
    assert_eq!(CloseCode::new(1006), None);
    fails_with(1002, role, peer(role).close(1006, ""));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# 1015 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
//# endpoint.
both_roles!(code_1015_is_never_sent_and_never_accepted);
fn code_1015_is_never_sent_and_never_accepted(role: Role) {
    assert_eq!(CloseCode::new(1015), None);
    fails_with(1002, role, peer(role).close(1015, ""));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# Note that this status code is not used by the server, because it can fail the WebSocket handshake
//# instead.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# The list of extensions that are needed SHOULD appear in the /reason/ part of the Close frame.
#[test]
fn only_a_client_closes_with_1010() {
    let needed = (CloseCode::MANDATORY_EXTENSION, "permessage-deflate");
    let mut server = open(Role::Server);
    let mut output = Vec::new();
    let refused = server.connection.close(needed, &mut output);
    assert_eq!(refused, Err(SendError::CloseCodeNotForServer));
    assert_eq!(output, b"");
    assert_eq!(server.connection.state(), State::Open);

    let frame = closes(&mut open(Role::Client), needed);
    let body = Some((1010, "permessage-deflate".to_owned()));
    assert_eq!(frame.close_body(), body);
}

both_roles!(fails_connection_on_a_close_body_of_one_byte);
fn fails_connection_on_a_close_body_of_one_byte(role: Role) {
    for byte in [b"\0", b"\x03", b"\xff"] {
        fails_with(1002, role, peer(role).frame(WireFrame::new(CLOSE, byte)));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/
both_roles!(fails_connection_on_a_reason_that_is_not_utf8);
fn fails_connection_on_a_reason_that_is_not_utf8(role: Role) {
    let not_utf8: [&[u8]; 6] = [
        b"\xff",
        b"\xc3",
        b"good \xe2\x82",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
    ];
    for bytes in not_utf8 {
        fails_with(1007, role, peer(role).close(1000, bytes));
    }
    let received = open(role).receive(peer(role).close(1000, "さようなら"));
    assert_eq!(received, [close(1000, "さようなら")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# Close frames sent from client to server must be masked as per Section 5.3.
#[test]
fn client_masks_its_close() {
    let mut client = Connection::client(Limits::default(), || RFC_KEY);
    let mut output = Vec::new();
    let normal = (CloseCode::NORMAL, "");
    assert_eq!(client.close(normal, &mut output), Ok(()));
    assert_eq!(output, b"\x88\x82\x37\xfa\x21\x3d\x34\x12");
    fails_with(1002, Role::Server, WireFrame::close(1000, "").bytes());
}

// ── The peer closes (§5.5.1) ────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint
//# MUST send a Close frame in response.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# When sending a Close frame in response, the endpoint typically echos the status code it received.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# It SHOULD do so as soon as practical.
both_roles!(close_is_answered_at_once_with_its_own_code);
fn close_is_answered_at_once_with_its_own_code(role: Role) {
    let mut endpoint = open(role);
    let mut bytes = peer(role).close(1001, "going away");
    let mut input = &mut bytes[..];
    let event = endpoint
        .connection
        .receive(&mut input, &mut endpoint.replies);
    let close = CloseFrame::new(CloseCode::GOING_AWAY, "going away");
    assert_eq!(event, Ok(Some(Event::Close(close))));
    assert_eq!(answer(&mut endpoint).map(|body| body.0), Some(1001));
    assert_eq!(endpoint.connection.state(), State::Closed);
}

both_roles!(empty_close_is_answered_by_an_empty_close);
fn empty_close_is_answered_by_an_empty_close(role: Role) {
    let mut endpoint = open(role);
    let received = endpoint.receive(peer(role).close_empty());
    assert_eq!(received, [Received::Close(None)]);
    assert_eq!(endpoint.take_replies(), [WireFrame::new(CLOSE, "")]);
    assert_eq!(endpoint.connection.state(), State::Closed);
}

both_roles!(bytes_after_a_close_are_ignored);
fn bytes_after_a_close_are_ignored(role: Role) {
    let peer = peer(role);
    let after = [
        peer.text("data"),
        peer.ping("ping"),
        peer.close(1002, "another"),
        b"\xff\xff no frame at all".to_vec(),
    ];
    let mut together = open(role);
    let bytes = [peer.close(1000, "first"), after.concat()].concat();
    assert_eq!(together.receive(bytes), [close(1000, "first")]);
    assert_eq!(answer(&mut together).map(|body| body.0), Some(1000));

    let mut apart = open(role);
    apart.receive(peer.close(1000, "first"));
    assert_eq!(answer(&mut apart).map(|body| body.0), Some(1000));
    for bytes in after {
        assert_eq!(apart.receive(bytes), []);
    }
    assert_eq!(apart.replies, b"");
    let ended = apart.connection.ended();
    assert_eq!(
        (ended.clean, ended.code(), ended.reason()),
        (true, 1000, "first")
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# After both sending and receiving a Close message, an endpoint considers the WebSocket connection
//# closed and MUST close the underlying TCP connection.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
//# Once an endpoint has both sent and received a Close control frame, that endpoint SHOULD _Close
//# the WebSocket Connection_ as defined in Section 7.1.1.
both_roles!(state_is_closed_when_both_closes_have_been_sent_and_received);
fn state_is_closed_when_both_closes_have_been_sent_and_received(role: Role) {
    let mut asked = open(role);
    assert_eq!(asked.connection.state(), State::Open);
    asked.receive(peer(role).close(1000, ""));
    assert_eq!(asked.connection.state(), State::Closed);

    let mut asking = open(role);
    closes(&mut asking, CloseCode::NORMAL);
    assert_eq!(asking.connection.state(), State::Closing);
    asking.receive(peer(role).close(1000, ""));
    assert_eq!(asking.connection.state(), State::Closed);
}

both_roles!(application_cannot_close_a_connection_that_the_peer_has_closed);
fn application_cannot_close_a_connection_that_the_peer_has_closed(role: Role) {
    let mut endpoint = open(role);
    endpoint.receive(peer(role).close(1000, ""));
    endpoint.replies.clear();
    let mut output = Vec::new();
    let closed = endpoint.connection.close(CloseFrame::EMPTY, &mut output);
    assert_eq!(closed, Err(SendError::NotOpen));
    assert_eq!(output, b"");
}

// ── The endpoint closes (§7.1.2, §7.3) ──────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2
//# an endpoint MUST send a Close control frame, as described in Section 5.5.1, whose status code is
//# set to /code/ and whose close reason is set to /reason/.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.3
//# In either case, an endpoint initiates a closure by following the procedures to _Start the
//# WebSocket Closing Handshake_ (Section 7.1.2).
both_roles!(close_carries_the_code_and_the_reason_of_the_application);
fn close_carries_the_code_and_the_reason_of_the_application(role: Role) {
    for code in MAY_TRAVEL {
        if code == 1010 && role == Role::Server {
            continue;
        }
        let code = CloseCode::new(code).unwrap();
        for text in ["", "because", "さようなら"] {
            let frame = closes(&mut open(role), (code, text));
            assert_eq!(frame, WireFrame::close(code.get(), text));
        }
    }
    let frame = closes(&mut open(role), CloseFrame::EMPTY);
    assert_eq!(frame, WireFrame::new(CLOSE, ""));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.3
//# Upon either sending or receiving a Close control frame, it is said that _The WebSocket Closing
//# Handshake is Started_ and that the WebSocket connection is in the CLOSING state.
both_roles!(sending_a_close_starts_the_closing_handshake);
fn sending_a_close_starts_the_closing_handshake(role: Role) {
    let mut endpoint = open(role);
    closes(&mut endpoint, CloseCode::NORMAL);
    assert_eq!(endpoint.connection.state(), State::Closing);
    assert!(!endpoint.connection.ended().clean, "not yet");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# The application MUST NOT send any more data frames after sending a Close frame.
both_roles!(sends_no_data_after_its_close);
fn sends_no_data_after_its_close(role: Role) {
    let mut endpoint = open(role);
    let mut output = Vec::new();
    let fragment = Fragment::text(b"a message under way");
    let started = endpoint.connection.send_fragment(fragment, &mut output);
    assert_eq!(started, Ok(()));
    closes(&mut endpoint, CloseCode::NORMAL);

    output.clear();
    let connection = &mut endpoint.connection;
    let refused = [
        connection.send(Message::Text("a"), &mut output),
        connection.send(Message::Binary(b"a"), &mut output),
        connection.send_fragment(Fragment::text(b"a").last(), &mut output),
        connection.close(CloseFrame::EMPTY, &mut output),
    ];
    assert_eq!(refused, [Err(SendError::NotOpen); 4]);
    assert_eq!(output, b"");
}

both_roles!(loop_that_echoes_while_the_connection_is_open_completes_the_closing_handshake);
fn loop_that_echoes_while_the_connection_is_open_completes_the_closing_handshake(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    assert!(endpoint.connection.is_open());
    closes(&mut endpoint, CloseCode::NORMAL);
    assert!(!endpoint.connection.is_open());

    let mut bytes = [peer.text("on its way"), peer.close(1000, "")].concat();
    let (mut input, mut output) = (&mut bytes[..], Vec::new());
    let mut messages = 0;
    while let Some(event) = endpoint
        .connection
        .receive(&mut input, &mut output)
        .unwrap()
    {
        if let Some(message) = event.message() {
            messages += 1;
            if endpoint.connection.is_open() {
                endpoint.connection.send(message, &mut output).unwrap();
            }
        }
    }
    assert_eq!((messages, &output[..]), (1, &b""[..]));
    assert!(endpoint.connection.ended().clean);
}

both_roles!(connection_that_has_failed_or_is_lost_is_not_open);
fn connection_that_has_failed_or_is_lost_is_not_open(role: Role) {
    let mut failed = open(role);
    failed.receive(peer(role).frame(WireFrame::new(TEXT, b"\xff")));
    assert!(!failed.connection.is_open());
    let mut lost = open(role);
    lost.connection.end_of_input();
    assert!(!lost.connection.is_open());
}

both_roles!(close_that_was_received_can_be_sent_on_another_connection);
fn close_that_was_received_can_be_sent_on_another_connection(role: Role) {
    for bytes in [
        peer(role).close(4001, "moved"),
        peer(role).frame(WireFrame::new(CLOSE, "")),
    ] {
        let mut bytes = bytes;
        let event = open(role)
            .connection
            .receive(&mut &mut bytes[..], &mut Vec::new());
        let Ok(Some(Event::Close(close))) = event else {
            panic!("a Close has come: {event:?}");
        };
        let code = close.code().map(CloseCode::get);
        let expected = code.map(|code| (code, close.reason().to_owned()));
        let passed_on = closes(&mut open(role), close);
        assert_eq!(passed_on.close_body(), expected);
    }
}

both_roles!(answers_pings_after_its_own_close_until_the_peers_close_arrives);
fn answers_pings_after_its_own_close_until_the_peers_close_arrives(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    closes(&mut endpoint, CloseCode::NORMAL);
    assert_eq!(
        endpoint.receive(peer.ping("still there?")),
        [ping("still there?")]
    );
    assert_eq!(
        endpoint.take_replies(),
        [WireFrame::new(PONG, "still there?")]
    );

    let bytes = [peer.close(1000, ""), peer.ping("late")].concat();
    assert_eq!(endpoint.receive(bytes), [close(1000, "")]);
    assert_eq!(endpoint.replies, b"", "our Close was sent before");
}

both_roles!(receives_the_end_of_the_peers_message_after_its_own_close);
fn receives_the_end_of_the_peers_message_after_its_own_close(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    assert_eq!(endpoint.receive(peer.text_begins("on ")), []);
    closes(&mut endpoint, CloseCode::NORMAL);
    // The peer may finish its message before it answers the Close (§5.5.1).
    let bytes = [peer.ends("its way"), peer.close(1000, "")].concat();
    let events = [text("on its way"), close(1000, "")];
    assert_eq!(endpoint.receive(bytes), events);
    assert_eq!(endpoint.replies, b"");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//# If a client and server both send a Close message at the same time, both endpoints will have sent
//# and received a Close message and should consider the WebSocket connection closed and close the
//# underlying TCP connection.
both_roles!(closes_that_cross_close_the_connection_without_further_frames);
fn closes_that_cross_close_the_connection_without_further_frames(role: Role) {
    let mut endpoint = open(role);
    closes(&mut endpoint, (CloseCode::NORMAL, "ours"));
    let received = endpoint.receive(peer(role).close(4000, "theirs"));
    assert_eq!(received, [close(4000, "theirs")]);
    assert_eq!(endpoint.replies, b"", "both have sent one already");
    assert_eq!(endpoint.connection.state(), State::Closed);
    // §7.1.5: each side sees what the other has sent.
    let ended = endpoint.connection.ended();
    assert_eq!(
        (ended.clean, ended.code(), ended.reason()),
        (true, 4000, "theirs")
    );
}

both_roles!(failure_after_its_own_close_sends_no_second_close);
fn failure_after_its_own_close_sends_no_second_close(role: Role) {
    let mut endpoint = open(role);
    closes(&mut endpoint, CloseCode::NORMAL);
    let received = endpoint.receive(peer(role).frame(WireFrame::new(0x3, "")));
    assert_eq!(received, [Received::Failed(1002)]);
    assert_eq!(endpoint.replies, b"", "§7.1.5: no further Close frames");
    is_dead(endpoint, 1002);
}

// ── The end (§7.1.4 to §7.1.6) ──────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
//# If the TCP connection was closed after the WebSocket closing handshake was completed, the
//# WebSocket connection is said to have been closed _cleanly_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
//# When the underlying TCP connection is closed, it is said that _The WebSocket Connection is
//# Closed_ and that the WebSocket connection is in the CLOSED state.
both_roles!(end_is_clean_after_the_closing_handshake_and_never_before);
fn end_is_clean_after_the_closing_handshake_and_never_before(role: Role) {
    let mut endpoint = open(role);
    assert!(!endpoint.connection.ended().clean);
    closes(&mut endpoint, CloseCode::NORMAL);
    assert!(!endpoint.connection.ended().clean);
    endpoint.receive(peer(role).close(1000, ""));
    assert!(endpoint.connection.ended().clean);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
//# _The WebSocket Connection Close Code_ is defined as the status code (Section 7.4) contained in
//# the first Close control frame received by the application implementing this protocol.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
//# _The WebSocket Connection Close Reason_ is defined as the UTF-8-encoded data following the status
//# code (Section 7.4) contained in the first Close control frame received
both_roles!(code_and_reason_are_those_of_the_first_close_received);
fn code_and_reason_are_those_of_the_first_close_received(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    let bytes = [peer.close(4001, "first"), peer.close(4002, "second")];
    assert_eq!(endpoint.receive(bytes.concat()), [close(4001, "first")]);
    let ended = endpoint.connection.ended();
    assert_eq!(
        (ended.clean, ended.code(), ended.reason()),
        (true, 4001, "first")
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
//# If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is
//# considered to be 1005.
both_roles!(code_is_1005_after_a_close_without_a_code);
fn code_is_1005_after_a_close_without_a_code(role: Role) {
    let mut endpoint = open(role);
    endpoint.receive(peer(role).close_empty());
    let ended = endpoint.connection.ended();
    assert_eq!(
        (ended.clean, ended.code(), ended.reason()),
        (true, 1005, "")
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
//# no Close control frame was received by the endpoint (such as could occur if the underlying
//# transport connection is lost), _The WebSocket Connection Close Code_ is considered to be 1006.
both_roles!(code_is_1006_when_tcp_ends_without_a_close);
fn code_is_1006_when_tcp_ends_without_a_close(role: Role) {
    let peer = peer(role);
    let lost = |endpoint: &Endpoint| {
        let ended = endpoint.connection.ended();
        assert_eq!(
            (ended.clean, ended.code(), ended.reason()),
            (false, 1006, "")
        );
    };
    let mut endpoint = open(role);
    lost(&endpoint);
    endpoint.receive([peer.text("a"), peer.text_begins("b")].concat());
    lost(&endpoint);
    let close = peer.close(1000, "cut off");
    endpoint.receive(&close[..close.len() - 1]);
    lost(&endpoint);
    closes(&mut endpoint, (CloseCode::NORMAL, "our own"));
    lost(&endpoint);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
//# If there is no such data in the Close control frame, _The WebSocket Connection Close Reason_ is
//# the empty string.
both_roles!(reason_is_empty_after_a_close_without_one);
fn reason_is_empty_after_a_close_without_one(role: Role) {
    let mut endpoint = open(role);
    assert_eq!(
        endpoint.receive(peer(role).close(1001, "")),
        [close(1001, "")]
    );
    assert_eq!(endpoint.connection.ended().reason(), "");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
//# If the WebSocket connection could not be established, it is also said that _The WebSocket
//# Connection is Closed_, but not _cleanly_.
both_roles!(end_without_any_byte_from_the_peer_is_not_clean);
fn end_without_any_byte_from_the_peer_is_not_clean(role: Role) {
    let endpoint = open(role);
    assert!(!endpoint.connection.ended().clean);
    assert_eq!(endpoint.connection.ended().code(), 1006);
}

// ── Failure (§7.1.7, §10.7) ─────────────────────────────────────────────────

/// One fault for each close code that a failing endpoint sends.
fn faults(role: Role) -> [(u16, Vec<u8>); 4] {
    let fragments = [peer(role).text_begins(""), peer(role).goes_on("")].concat();
    [
        (1002, peer(role).frame(WireFrame::new(0xB, ""))),
        (1007, peer(role).text(b"\xff")),
        (1008, fragments),
        (1009, peer(role).binary([0; 11])),
    ]
}

/// An endpoint that fails on each of these.
fn strict(role: Role) -> Endpoint {
    Endpoint::new(role, limits(10, 1, 1000))
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before
//# proceeding to _Close the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
//# Incoming data MUST always be validated by both clients and servers.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
//# the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before
//# proceeding to _Close the WebSocket Connection_.
both_roles!(each_failure_sends_exactly_one_close_with_its_code);
fn each_failure_sends_exactly_one_close_with_its_code(role: Role) {
    for (code, bytes) in faults(role) {
        // Asserts that there is one Close with this code, and nothing after it.
        fails_after(&[], code, strict(role), bytes);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# Similarly, to do so, the server MUST _Close the WebSocket Connection_
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# To do so, the client MUST _Close the WebSocket Connection_
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//# To do so, the client MUST _Fail the WebSocket Connection_ as defined in Section 7.1.7.
both_roles!(state_of_a_failed_connection_is_failed_so_that_tcp_is_closed);
fn state_of_a_failed_connection_is_failed_so_that_tcp_is_closed(role: Role) {
    for (_, bytes) in faults(role) {
        let mut endpoint = strict(role);
        endpoint.receive(bytes);
        assert_eq!(endpoint.connection.state(), State::Failed);
        let ended = endpoint.connection.ended();
        assert_eq!((ended.clean, ended.code()), (false, 1006));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# An endpoint MUST NOT continue to attempt to process data (including a responding Close frame)
//# from the remote endpoint after being instructed to _Fail the WebSocket Connection_.
both_roles!(failed_connection_processes_nothing_more);
fn failed_connection_processes_nothing_more(role: Role) {
    for (code, bytes) in faults(role) {
        let mut endpoint = strict(role);
        let more = [peer(role).text("a"), peer(role).close(1000, "")].concat();
        let received = endpoint.receive([bytes, more.clone()].concat());
        assert_eq!(received, [Received::Failed(code)]);
        let written = endpoint.replies.len();
        assert_eq!(endpoint.receive(more), [Received::Failed(code)]);
        assert_eq!(endpoint.replies.len(), written);
        assert_eq!(
            endpoint.connection.ended().code(),
            1006,
            "no Close was received"
        );
    }
}

both_roles!(events_and_pongs_before_a_failure_are_delivered_before_it);
fn events_and_pongs_before_a_failure_are_delivered_before_it(role: Role) {
    for (code, bytes) in faults(role) {
        let mut endpoint = strict(role);
        let before = [peer(role).text("a"), peer(role).ping("b")].concat();
        let received = endpoint.receive([before, bytes].concat());
        assert_eq!(received, [text("a"), ping("b"), Received::Failed(code)]);
        let replies = endpoint.take_replies();
        assert_eq!(replies[0], WireFrame::new(PONG, "b"));
        assert_eq!(replies[1].close_body().map(|body| body.0), Some(code));
        assert_eq!(replies.len(), 2);
    }
}

both_roles!(close_of_a_failure_is_sent_when_there_is_no_room_for_pongs);
fn close_of_a_failure_is_sent_when_there_is_no_room_for_pongs(role: Role) {
    let mut endpoint = Endpoint::new(role, limits(10, 1, 100));
    endpoint.replies = vec![0; 200];
    endpoint.receive(peer(role).ping("waits"));
    let received = endpoint.receive(peer(role).ends(""));
    assert_eq!(received, [Received::Failed(1002)]);
    let replies = frames_of(role, &endpoint.replies[200..]);
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].close_body().map(|body| body.0), Some(1002));
}

both_roles!(failure_names_the_broken_rule_and_its_section);
fn failure_names_the_broken_rule_and_its_section(role: Role) {
    for (_, mut bytes) in faults(role) {
        let mut endpoint = strict(role);
        let mut input = &mut bytes[..];
        let error = endpoint
            .connection
            .receive(&mut input, &mut endpoint.replies)
            .expect_err("a fault");
        let message = error.to_string();
        assert!(message.contains('§'), "{message:?} names no section");
    }
}

// The values that describe the end.

fn code_and_reason<'e>(close: Option<&'e CloseFrame<'_>>) -> Option<(Option<u16>, &'e str)> {
    let code_of = |close: &CloseFrame<'_>| close.code().map(CloseCode::get);
    close.map(|close| (code_of(close), close.reason()))
}

both_roles!(endpoint_that_receives_the_first_close_reports_both_closes);
fn endpoint_that_receives_the_first_close_reports_both_closes(role: Role) {
    for (body, received, sent) in [
        (
            &b"\x0f\xa0enough"[..],
            (Some(4000), "enough"),
            (Some(4000), ""),
        ),
        (b"", (None, ""), (None, "")),
    ] {
        let mut endpoint = open(role);
        endpoint.receive(peer(role).frame(WireFrame::new(CLOSE, body)));
        let ended = endpoint.connection.ended();
        assert_eq!((ended.clean, ended.first_close), (true, Some(Side::Peer)));
        assert_eq!(code_and_reason(ended.received.as_ref()), Some(received));
        assert_eq!(code_and_reason(ended.sent.as_ref()), Some(sent));
        // The end of TCP adds nothing.
        assert_eq!(endpoint.connection.end_of_input(), ended);
        assert_eq!(endpoint.connection.state(), State::Closed);
    }
}

both_roles!(endpoint_that_sends_the_first_close_reports_both_closes);
fn endpoint_that_sends_the_first_close_reports_both_closes(role: Role) {
    let mut endpoint = open(role);
    let close = (CloseCode::GOING_AWAY, "またね");
    let closed = endpoint.connection.close(close, &mut Vec::new());
    assert_eq!(closed, Ok(()));
    let before = endpoint.connection.ended();
    assert_eq!(
        (before.clean, before.first_close),
        (false, Some(Side::Local))
    );
    endpoint.receive(peer(role).frame(WireFrame::new(CLOSE, b"\x03\xe8")));
    let ended = endpoint.connection.ended();
    assert_eq!((ended.clean, ended.first_close), (true, Some(Side::Local)));
    assert_eq!(
        code_and_reason(ended.received.as_ref()),
        Some((Some(1000), ""))
    );
    assert_eq!(
        code_and_reason(ended.sent.as_ref()),
        Some((Some(1001), "またね"))
    );
    assert_eq!(ended.error, None);
}

both_roles!(endpoint_that_fails_the_connection_reports_the_rule_and_its_own_close);
fn endpoint_that_fails_the_connection_reports_the_rule_and_its_own_close(role: Role) {
    let mut endpoint = open(role);
    endpoint.receive(peer(role).frame(WireFrame::new(TEXT, b"\xff")));
    let ended = endpoint.connection.end_of_input();
    assert_eq!((ended.clean, ended.first_close), (false, Some(Side::Local)));
    assert_eq!(ended.error, Some(ProtocolError::TextNotUtf8));
    assert_eq!((ended.code(), ended.received), (1006, None));
    let sent = ended.sent.expect("a Close was sent");
    assert_eq!(sent.code(), Some(CloseCode::INVALID_PAYLOAD));
    assert_eq!(sent.reason(), ProtocolError::TextNotUtf8.to_string());
    assert_eq!(endpoint.connection.state(), State::Failed);
}

both_roles!(connection_is_lost_if_the_input_ends_without_a_close);
fn connection_is_lost_if_the_input_ends_without_a_close(role: Role) {
    let mut endpoint = open(role);
    // In the middle of a message.
    endpoint.receive(&peer(role).text("Hello")[..4]);
    assert!(endpoint.connection.has_unfinished_input());
    let ended = endpoint.connection.end_of_input();
    assert_eq!(ended, Ended::default());
    assert_eq!((ended.code(), ended.reason()), (1006, ""));
    assert_eq!(endpoint.connection.state(), State::Lost);
    assert!(!endpoint.connection.has_unfinished_input());
    let mut output = Vec::new();
    let sent = endpoint.connection.send(Message::Text("late"), &mut output);
    assert_eq!(sent, Err(SendError::NotOpen));
    let closed = endpoint.connection.close(CloseFrame::EMPTY, &mut output);
    assert_eq!(closed, Err(SendError::NotOpen));
    assert!(output.is_empty());
    assert_eq!(endpoint.receive(peer(role).text("late")), []);
    assert_eq!(endpoint.connection.end_of_input(), ended);
}
