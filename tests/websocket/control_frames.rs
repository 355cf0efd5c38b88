//! Control frames (RFC 6455 §5.5): their form, Ping and Pong. The tests of Close are in
//! `closing.rs`. Every rule is checked as server and as client.

use yamabiko_testing::protocol::*;

// ── Form (§5.5) ─────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
//# All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.
both_roles!(fails_connection_on_a_control_frame_over_125_bytes);
fn fails_connection_on_a_control_frame_over_125_bytes(role: Role) {
    for opcode in [CLOSE, PING, PONG] {
        for length in [126, 127, 65_535, 65_536, i64::MAX as u64] {
            // The header alone is refused, before the payload arrives.
            let header = peer(role).header(WireFrame::new(opcode, b""), length);
            fails_with(1002, role, header);
        }
    }
}

both_roles!(accepts_control_frames_of_up_to_125_bytes);
fn accepts_control_frames_of_up_to_125_bytes(role: Role) {
    for length in [0, 1, 124, 125] {
        let payload = vec![b'c'; length];
        let received = open(role).receive(peer(role).ping(&payload));
        assert_eq!(received, [ping(&payload)]);
        let received = open(role).receive(peer(role).pong(&payload));
        assert_eq!(received, [pong(&payload)]);
    }
    let reason = "r".repeat(123);
    let received = open(role).receive(peer(role).close(1000, &reason));
    assert_eq!(received, [close(1000, &reason)]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
//# All control frames MUST have a payload length of 125 bytes or less
both_roles!(application_cannot_send_a_control_frame_over_125_bytes);
fn application_cannot_send_a_control_frame_over_125_bytes(role: Role) {
    let mut endpoint = open(role);
    let longest = [0; 125];
    let frame = sent_by(&mut endpoint, |to, output| to.ping(&longest, output));
    assert_eq!(frame, WireFrame::new(PING, longest));
    let frame = sent_by(&mut endpoint, |to, output| to.pong(&longest, output));
    assert_eq!(frame, WireFrame::new(PONG, longest));

    let mut output = Vec::new();
    let connection = &mut endpoint.connection;
    let too_long = Err(SendError::ControlPayloadTooLong);
    assert_eq!(connection.ping(&[0; 126], &mut output), too_long);
    assert_eq!(connection.pong(&[0; 126], &mut output), too_long);
    let too_long = "r".repeat(124);
    let too_long = (CloseCode::NORMAL, &too_long);
    assert!(endpoint.connection.close(too_long, &mut output).is_err());
    assert_eq!(output, b"", "what is refused leaves no bytes");
    assert_eq!(endpoint.connection.state(), State::Open);

    let longest = "r".repeat(123);
    let closed = endpoint
        .connection
        .close((CloseCode::NORMAL, &longest), &mut output);
    assert_eq!(closed, Ok(()));
    assert_eq!(frames_of(role, &output)[0].payload.len(), 125);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//# If a control frame (Section 5.5) is received, the frame MUST be handled as defined by
//# Section 5.5.
both_roles!(handles_each_control_frame_however_the_input_is_cut);
fn handles_each_control_frame_however_the_input_is_cut(role: Role) {
    let peer = peer(role);
    let bytes = [
        peer.ping("ping"),
        peer.pong("pong"),
        peer.ping(""),
        peer.close(1000, "close"),
    ]
    .concat();
    let events = [ping("ping"), pong("pong"), ping(""), close(1000, "close")];
    for length in 1..=bytes.len() {
        let mut endpoint = open(role);
        let received = endpoint.receive_in_pieces(bytes.chunks(length));
        assert_eq!(received, events);
        let replies = endpoint.take_replies();
        let pongs = [WireFrame::new(PONG, "ping"), WireFrame::new(PONG, "")];
        assert_eq!(replies[..2], pongs);
        assert_eq!(replies[2].opcode, CLOSE);
        assert_eq!(replies.len(), 3);
    }
}

// ── Ping (§5.5.2) ───────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
//# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response
both_roles!(answers_a_ping_with_a_pong);
fn answers_a_ping_with_a_pong(role: Role) {
    let mut endpoint = open(role);
    assert_eq!(endpoint.receive(peer(role).ping("")), [ping("")]);
    assert_eq!(endpoint.take_replies(), [WireFrame::new(PONG, "")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# must have identical "Application data" as found in the message body of the Ping frame being
//# replied to.
both_roles!(pong_has_the_application_data_of_its_ping);
fn pong_has_the_application_data_of_its_ping(role: Role) {
    // A Ping may have any bytes: here every value of a byte, which is not UTF-8.
    let all: Vec<u8> = (0..=255).collect();
    for payload in all.chunks(125) {
        let mut endpoint = open(role);
        assert_eq!(endpoint.receive(peer(role).ping(payload)), [ping(payload)]);
        assert_eq!(endpoint.take_replies(), [WireFrame::new(PONG, payload)]);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
//# It SHOULD respond with Pong frame as soon as is practical.
both_roles!(pong_is_written_by_the_call_that_returns_the_ping);
fn pong_is_written_by_the_call_that_returns_the_ping(role: Role) {
    let mut endpoint = open(role);
    let mut bytes = [peer(role).ping("first"), peer(role).text("after")].concat();
    let mut input = &mut bytes[..];
    let event = endpoint
        .connection
        .receive(&mut input, &mut endpoint.replies);
    assert_eq!(event, Ok(Some(Event::Ping(b"first"[..].into()))));
    assert_eq!(endpoint.take_replies(), [WireFrame::new(PONG, "first")]);
}

both_roles!(every_ping_has_its_own_pong_while_there_is_room);
fn every_ping_has_its_own_pong_while_there_is_room(role: Role) {
    let mut endpoint = open(role);
    let payloads: Vec<_> = (0..100).map(|i| format!("ping {i}")).collect();
    let bytes: Vec<u8> = payloads.iter().flat_map(|p| peer(role).ping(p)).collect();
    assert_eq!(endpoint.receive(bytes).len(), payloads.len());
    let pongs: Vec<_> = payloads.iter().map(|p| WireFrame::new(PONG, p)).collect();
    assert_eq!(endpoint.take_replies(), pongs);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame.
both_roles!(unsent_pongs_are_bounded_and_the_newest_ping_is_answered_later);
fn unsent_pongs_are_bounded_and_the_newest_ping_is_answered_later(role: Role) {
    let bound = 1000;
    let mut endpoint = Endpoint::new(role, limits(1000, 4, bound));
    let payloads: Vec<_> = (0..10_000).map(|i| format!("ping number {i}")).collect();
    for payload in &payloads {
        assert_eq!(endpoint.receive(peer(role).ping(payload)), [ping(payload)]);
    }
    assert!(endpoint.replies.len() <= bound);
    let answered = endpoint.take_replies();
    let pongs = payloads.iter().map(|p| WireFrame::new(PONG, p));
    let pongs: Vec<_> = pongs.take(answered.len()).collect();
    assert_eq!(answered, pongs, "the first ones, in order");

    endpoint.connection.resume_replies(&mut endpoint.replies);
    let newest = WireFrame::new(PONG, "ping number 9999");
    assert_eq!(endpoint.take_replies(), [newest]);
    endpoint.connection.resume_replies(&mut endpoint.replies);
    assert_eq!(endpoint.replies, b"", "answered once");

    assert_eq!(endpoint.receive(peer(role).ping("next")), [ping("next")]);
    assert_eq!(endpoint.take_replies(), [WireFrame::new(PONG, "next")]);
}

both_roles!(unsent_pongs_may_fill_their_bound_and_not_exceed_it);
fn unsent_pongs_may_fill_their_bound_and_not_exceed_it(role: Role) {
    let pong_bytes = match role {
        Role::Server => 2 + 5,
        Role::Client => 2 + 4 + 5,
    };
    let bound = 100;
    let mut fits = Endpoint::new(role, limits(1000, 4, bound));
    fits.replies = vec![0; bound - pong_bytes]; // what the caller has not yet sent
    assert_eq!(fits.receive(peer(role).ping("Hello")), [ping("Hello")]);
    assert_eq!(fits.replies.len(), bound);

    let mut one_past = Endpoint::new(role, limits(1000, 4, bound));
    one_past.replies = vec![0; bound - pong_bytes + 1];
    let held = one_past.replies.len();
    assert_eq!(one_past.receive(peer(role).ping("Hello")), [ping("Hello")]);
    one_past.connection.resume_replies(&mut one_past.replies);
    assert_eq!(one_past.replies.len(), held, "there is no room yet");

    one_past.replies.clear();
    one_past.connection.resume_replies(&mut one_past.replies);
    assert_eq!(one_past.take_replies(), [WireFrame::new(PONG, "Hello")]);
}

both_roles!(ping_that_is_answered_at_once_replaces_a_waiting_one);
fn ping_that_is_answered_at_once_replaces_a_waiting_one(role: Role) {
    let mut endpoint = Endpoint::new(role, limits(1000, 4, 200));
    endpoint.replies = vec![0; 150];
    let bytes = [peer(role).ping([b'x'; 100]), peer(role).ping("newest")];
    endpoint.receive(bytes.concat());
    let mut pongs = frames_of(role, &endpoint.replies.split_off(150));

    // The older Ping must not be answered after the newer one.
    endpoint.replies.clear();
    endpoint.connection.resume_replies(&mut endpoint.replies);
    pongs.extend(endpoint.take_replies());
    assert_eq!(pongs, [WireFrame::new(PONG, "newest")]);
}

both_roles!(one_pong_is_written_even_if_it_exceeds_the_bound);
fn one_pong_is_written_even_if_it_exceeds_the_bound(role: Role) {
    // §5.5.2 requires a Pong with any bound.
    let mut endpoint = Endpoint::new(role, limits(1000, 4, 0));
    assert_eq!(endpoint.receive(peer(role).ping("Hello")), [ping("Hello")]);
    let mut pongs = endpoint.take_replies();
    endpoint.connection.resume_replies(&mut endpoint.replies);
    pongs.extend(endpoint.take_replies());
    assert_eq!(pongs, [WireFrame::new(PONG, "Hello")]);
}

both_roles!(close_is_answered_even_without_room_for_pongs);
fn close_is_answered_even_without_room_for_pongs(role: Role) {
    let mut endpoint = Endpoint::new(role, limits(1000, 4, 100));
    let held = vec![0; 200];
    endpoint.replies.clone_from(&held);
    let bytes = [peer(role).ping("waits"), peer(role).close(1001, "")].concat();
    assert_eq!(endpoint.receive(bytes), [ping("waits"), close(1001, "")]);
    let replies = frames_of(role, &endpoint.replies[held.len()..]);
    let answer = replies.last().and_then(WireFrame::close_body);
    assert_eq!(answer, Some((1001, String::new())));

    endpoint.replies.clear();
    endpoint.connection.resume_replies(&mut endpoint.replies);
    assert_eq!(endpoint.replies, b"", "no Pong may follow the Close");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
//# An endpoint MAY send a Ping frame any time after the connection is established
both_roles!(application_may_ping_at_once);
fn application_may_ping_at_once(role: Role) {
    let frame = sent_by(&mut open(role), |to, output| {
        to.ping(b"are you there?", output)
    });
    assert_eq!(frame, WireFrame::new(PING, "are you there?"));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
//# an endpoint MUST send a Pong frame in response, unless it already received a Close frame.
both_roles!(answers_no_ping_after_the_peers_close);
fn answers_no_ping_after_the_peers_close(role: Role) {
    let mut endpoint = open(role);
    let bytes = [peer(role).close(1000, ""), peer(role).ping("late")].concat();
    assert_eq!(endpoint.receive(bytes), [close(1000, "")]);
    let replies = endpoint.take_replies();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].opcode, CLOSE);
}

// ── Pong (§5.5.3) ───────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# A response to an unsolicited Pong frame is not expected.
both_roles!(answers_no_pong);
fn answers_no_pong(role: Role) {
    let mut endpoint = open(role);
    assert_eq!(endpoint.receive(peer(role).pong("")), [pong("")]);
    assert_eq!(endpoint.receive(peer(role).pong("data")), [pong("data")]);
    assert_eq!(endpoint.replies, b"");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//# A Pong frame MAY be sent unsolicited.
both_roles!(application_may_send_an_unsolicited_pong);
fn application_may_send_an_unsolicited_pong(role: Role) {
    let frame = sent_by(&mut open(role), |to, output| to.pong(b"alive", output));
    assert_eq!(frame, WireFrame::new(PONG, "alive"));
}
