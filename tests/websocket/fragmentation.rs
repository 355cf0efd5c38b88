//! Fragmentation (RFC 6455 §5.4), and the limits on the size of a message and on the number of
//! its fragments (§10.4). Every rule is checked as server and as client.

use yamabiko_testing::protocol::*;

// ── Messages in fragments ───────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Clients and servers MUST support receiving both fragmented and unfragmented messages.
both_roles!(receives_fragmented_and_unfragmented_messages);
fn receives_fragmented_and_unfragmented_messages(role: Role) {
    let peer = peer(role);
    let bytes = [
        peer.text("whole"),
        peer.text_begins("two "),
        peer.ends("parts"),
        peer.binary("whole"),
        peer.binary_begins("th"),
        peer.goes_on("r"),
        peer.ends("ee"),
    ];
    let events = [
        text("whole"),
        text("two parts"),
        binary("whole"),
        binary("three"),
    ];
    assert_eq!(open(role).receive(bytes.concat()), events);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# a single larger message whose payload is equal to the concatenation of the payloads of the
//# fragments in order
both_roles!(message_is_the_concatenation_of_its_fragments);
fn message_is_the_concatenation_of_its_fragments(role: Role) {
    let peer = peer(role);
    let whole = "ab\u{e9}\u{20ac}\u{1f600}cd";
    for length in 1..=whole.len() {
        let chunks: Vec<_> = whole.as_bytes().chunks(length).collect();
        let (last, before) = chunks.split_last().unwrap();
        let mut bytes = peer.text_begins("");
        bytes.extend(before.iter().flat_map(|chunk| peer.goes_on(chunk)));
        bytes.extend(peer.ends(last));
        assert_eq!(open(role).receive(bytes), [text(whole)]);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# senders and receivers must not depend on the presence of specific frame boundaries.
both_roles!(empty_fragments_change_nothing);
fn empty_fragments_change_nothing(role: Role) {
    let peer = peer(role);
    let empty = [peer.text_begins(""), peer.goes_on(""), peer.ends("")];
    assert_eq!(open(role).receive(empty.concat()), [text("")]);
    let bytes = [
        peer.binary_begins(""),
        peer.goes_on("a"),
        peer.goes_on(""),
        peer.goes_on("b"),
        peer.ends(""),
    ];
    assert_eq!(open(role).receive(bytes.concat()), [binary("ab")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# An unfragmented message consists of a single frame with the FIN bit set (Section 5.2) and an
//# opcode other than 0.
both_roles!(unfragmented_message_is_sent_in_one_frame_with_fin);
fn unfragmented_message_is_sent_in_one_frame_with_fin(role: Role) {
    let frame = sent(&mut open(role), Message::Text("one"));
    assert_eq!(frame, WireFrame::new(TEXT, "one"));
    let frame = sent(&mut open(role), Message::Binary(b"one"));
    assert_eq!(frame, WireFrame::new(BINARY, "one"));
}

/// The frames that `send_fragment` writes for a message in these parts.
fn sent_in_fragments(role: Role, parts: &[Fragment<'_>]) -> Vec<WireFrame> {
    let mut connection = open(role).connection;
    let mut output = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        assert_eq!(
            connection.send_fragment(part.last_if(last), &mut output),
            Ok(())
        );
    }
    frames_of(role, &output)
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# A fragmented message consists of a single frame with the FIN bit clear and an opcode other
//# than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and
//# terminated by a single frame with the FIN bit set and an opcode of 0.
both_roles!(fragmented_message_is_sent_in_the_form_of_its_grammar);
fn fragmented_message_is_sent_in_the_form_of_its_grammar(role: Role) {
    let parts = [b"a", b"b", b"c"].map(|part| Fragment::text(part));
    let frames = [
        WireFrame::new(TEXT, "a").unfinished(),
        WireFrame::new(CONTINUATION, "b").unfinished(),
        WireFrame::new(CONTINUATION, "c"),
    ];
    assert_eq!(sent_in_fragments(role, &parts), frames);

    let parts = [b"a", b"b"].map(|part| Fragment::binary(part));
    let frames = [
        WireFrame::new(BINARY, "a").unfinished(),
        WireFrame::new(CONTINUATION, "b"),
    ];
    assert_eq!(sent_in_fragments(role, &parts), frames);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//# The first fragment MAY also be the final fragment.
both_roles!(first_fragment_may_be_the_last);
fn first_fragment_may_be_the_last(role: Role) {
    let frames = sent_in_fragments(role, &[Fragment::text(b"only")]);
    assert_eq!(frames, [WireFrame::new(TEXT, "only")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# A sender MAY create fragments of any size for non-control messages.
both_roles!(fragments_may_have_any_size);
fn fragments_may_have_any_size(role: Role) {
    let sizes = [0, 1, 125, 126, 65_535, 65_536];
    let payloads = sizes.map(|size| vec![b'f'; size]);
    let parts = payloads.each_ref().map(|part| Fragment::binary(part));
    let frames = sent_in_fragments(role, &parts);
    let lengths: Vec<_> = frames.iter().map(|frame| frame.payload.len()).collect();
    assert_eq!(lengths, sizes);

    let bytes: Vec<u8> = frames
        .into_iter()
        .flat_map(|frame| peer(role).frame(frame))
        .collect();
    assert_eq!(open(role).receive(bytes), [binary(payloads.concat())]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Message fragments MUST be delivered to the recipient in the order sent by the sender.
both_roles!(fragments_keep_their_order);
fn fragments_keep_their_order(role: Role) {
    let peer = peer(role);
    let digits: Vec<_> = (0..100).map(|i| format!("{i:02}")).collect();
    let mut bytes = peer.text_begins("");
    bytes.extend(digits.iter().flat_map(|digits| peer.goes_on(digits)));
    bytes.extend(peer.ends(""));
    assert_eq!(open(role).receive(bytes), [text(digits.concat())]);
}

// ── Misplaced frames ────────────────────────────────────────────────────────

both_roles!(fails_connection_on_a_continuation_of_nothing);
fn fails_connection_on_a_continuation_of_nothing(role: Role) {
    let peer = peer(role);
    fails_with(1002, role, peer.ends(""));
    fails_with(1002, role, peer.ends("a"));
    fails_with(1002, role, peer.goes_on("a"));
}

both_roles!(fails_connection_on_a_continuation_after_a_whole_message);
fn fails_connection_on_a_continuation_after_a_whole_message(role: Role) {
    let peer = peer(role);
    let whole = [peer.text("a"), peer.ends("b")].concat();
    fails_after(&[text("a")], 1002, open(role), whole);
    let fragmented = [peer.text_begins("a"), peer.ends("b"), peer.ends("c")].concat();
    fails_after(&[text("ab")], 1002, open(role), fragmented);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# The fragments of one message MUST NOT be interleaved between the fragments of another message
both_roles!(fails_connection_on_a_new_message_inside_a_message);
fn fails_connection_on_a_new_message_inside_a_message(role: Role) {
    let peer = peer(role);
    for first in [peer.text_begins("a"), peer.binary_begins("a")] {
        for second in [
            peer.text("b"),
            peer.binary("b"),
            peer.text_begins("b"),
            peer.binary_begins(""),
        ] {
            fails_with(1002, role, [&first[..], &second].concat());
        }
    }
}

both_roles!(application_cannot_send_a_message_inside_a_message);
fn application_cannot_send_a_message_inside_a_message(role: Role) {
    let mut connection = open(role).connection;
    let mut output = Vec::new();
    let first = connection.send_fragment(Fragment::text(b"a"), &mut output);
    assert_eq!(first, Ok(()));
    let written = output.len();
    for message in [Message::Text("b"), Message::Binary(b"b")] {
        assert!(connection.send(message, &mut output).is_err());
    }
    let other_type = connection.send_fragment(Fragment::binary(b"b").last(), &mut output);
    assert!(other_type.is_err());
    assert_eq!(output.len(), written, "what is refused leaves no bytes");

    let last = connection.send_fragment(Fragment::text(b"c").last(), &mut output);
    assert_eq!(last, Ok(()));
    let frames = [
        WireFrame::new(TEXT, "a").unfinished(),
        WireFrame::new(CONTINUATION, "c"),
    ];
    assert_eq!(frames_of(role, &output), frames);
}

// ── Control frames between fragments ────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# An endpoint MUST be capable of handling control frames in the middle of a fragmented message.
both_roles!(answers_pings_between_fragments);
fn answers_pings_between_fragments(role: Role) {
    let peer = peer(role);
    let bytes = [
        peer.text_begins("one "),
        peer.ping("1"),
        peer.goes_on("two "),
        peer.pong("unsolicited"),
        peer.ping("2"),
        peer.ends("three"),
    ];
    let mut endpoint = open(role);
    let events = [
        ping("1"),
        pong("unsolicited"),
        ping("2"),
        text("one two three"),
    ];
    assert_eq!(endpoint.receive(bytes.concat()), events);
    let pongs = [WireFrame::new(PONG, "1"), WireFrame::new(PONG, "2")];
    assert_eq!(endpoint.take_replies(), pongs);
}

both_roles!(answers_a_ping_before_the_message_around_it_ends);
fn answers_a_ping_before_the_message_around_it_ends(role: Role) {
    let mut endpoint = open(role);
    let bytes = [peer(role).text_begins("a"), peer(role).ping("now")];
    assert_eq!(endpoint.receive(bytes.concat()), [ping("now")]);
    assert_eq!(endpoint.take_replies(), [WireFrame::new(PONG, "now")]);
    assert_eq!(endpoint.receive(peer(role).ends("b")), [text("ab")]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# MAY be injected in the middle of a fragmented message.
both_roles!(application_may_ping_between_its_fragments);
fn application_may_ping_between_its_fragments(role: Role) {
    let mut connection = open(role).connection;
    let mut output = Vec::new();
    let send = [
        connection.send_fragment(Fragment::text(b"a"), &mut output),
        connection.ping(b"?", &mut output),
        connection.pong(b"!", &mut output),
        connection.send_fragment(Fragment::text(b"b").last(), &mut output),
    ];
    assert_eq!(send, [Ok(()); 4]);
    let frames = [
        WireFrame::new(TEXT, "a").unfinished(),
        WireFrame::new(PING, "?"),
        WireFrame::new(PONG, "!"),
        WireFrame::new(CONTINUATION, "b"),
    ];
    assert_eq!(frames_of(role, &output), frames);
}

both_roles!(close_between_fragments_ends_the_unfinished_message);
fn close_between_fragments_ends_the_unfinished_message(role: Role) {
    let peer = peer(role);
    let mut endpoint = open(role);
    let bytes = [
        peer.text_begins("never "),
        peer.close(1001, "bye"),
        peer.ends("received"),
    ];
    assert_eq!(endpoint.receive(bytes.concat()), [close(1001, "bye")]);
    let replies = endpoint.take_replies();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].close_body().map(|body| body.0), Some(1001));
    assert_eq!(endpoint.connection.state(), State::Closed);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//# Control frames themselves MUST NOT be fragmented.
both_roles!(fails_connection_on_a_fragmented_control_frame);
fn fails_connection_on_a_fragmented_control_frame(role: Role) {
    for opcode in [CLOSE, PING, PONG] {
        let frame = WireFrame::new(opcode, b"").unfinished();
        fails_with(1002, role, peer(role).frame(frame));
        let frame = WireFrame::new(opcode, b"\x03\xe8").unfinished();
        fails_with(1002, role, peer(role).frame(frame.clone()));

        let mut in_a_message = open(role);
        assert_eq!(in_a_message.receive(peer(role).text_begins("a")), []);
        fails_after(&[], 1002, in_a_message, peer(role).frame(frame));
    }
}

// ── Limits (§10.4) ──────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//# MUST protect themselves against exceeding those limits.
both_roles!(message_may_have_as_many_bytes_as_the_limit_and_not_one_more);
fn message_may_have_as_many_bytes_as_the_limit_and_not_one_more(role: Role) {
    let peer = peer(role);
    let endpoint = || Endpoint::new(role, limits(1000, 10, 1000));
    assert_eq!(
        endpoint().receive(peer.text([b'x'; 1000])),
        [text("x".repeat(1000))]
    );
    fails_after(&[], 1009, endpoint(), peer.text([b'x'; 1001]));
    fails_after(&[], 1009, endpoint(), peer.binary([b'x'; 1001]));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# 1009 indicates that an endpoint is terminating the connection because it has received a message
//# that is too big for it to process.
both_roles!(message_too_big_is_refused_by_its_header_alone);
fn message_too_big_is_refused_by_its_header_alone(role: Role) {
    let endpoint = || Endpoint::new(role, limits(1000, 10, 1000));
    for opcode in [TEXT, BINARY] {
        for frame in [
            WireFrame::new(opcode, b""),
            WireFrame::new(opcode, b"").unfinished(),
        ] {
            let header = peer(role).header(frame, 1001);
            fails_after(&[], 1009, endpoint(), header);
        }
        let at_the_limit = peer(role).header(WireFrame::new(opcode, b""), 1000);
        assert_eq!(endpoint().receive(at_the_limit), []);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//# Such an implementation SHOULD impose a limit on frame sizes and the total message size after
//# reassembly from multiple frames.
both_roles!(limit_on_a_message_counts_all_its_fragments);
fn limit_on_a_message_counts_all_its_fragments(role: Role) {
    let peer = peer(role);
    let endpoint = || Endpoint::new(role, limits(1000, 10, 1000));
    let begins = [peer.binary_begins([1; 600]), peer.goes_on([2; 300])].concat();
    let whole = [&begins[..], &peer.ends([3; 100])].concat();
    let data = [&[1; 600][..], &[2; 300], &[3; 100]].concat();
    assert_eq!(endpoint().receive(whole), [binary(data)]);

    let one_past = peer.header(WireFrame::new(CONTINUATION, b""), 101);
    fails_after(&[], 1009, endpoint(), [&begins[..], &one_past].concat());
    // Also if the sum of the fragments' lengths exceeds 64 bits.
    let huge = peer.header(WireFrame::new(CONTINUATION, b""), i64::MAX as u64);
    fails_after(&[], 1009, endpoint(), [&begins[..], &huge].concat());
}

both_roles!(limit_is_for_one_message_and_not_for_the_connection);
fn limit_is_for_one_message_and_not_for_the_connection(role: Role) {
    let peer = peer(role);
    let mut endpoint = Endpoint::new(role, limits(10, 2, 1000));
    for _ in 0..100 {
        assert_eq!(endpoint.receive(peer.binary([0; 10])), [binary([0; 10])]);
        let fragments = [peer.text_begins("12345"), peer.ends("67890")];
        assert_eq!(endpoint.receive(fragments.concat()), [text("1234567890")]);
    }
}

both_roles!(limit_on_messages_does_not_apply_to_control_frames);
fn limit_on_messages_does_not_apply_to_control_frames(role: Role) {
    let mut endpoint = Endpoint::new(role, limits(0, 1, 1000));
    let payload = [b'p'; 125];
    assert_eq!(endpoint.receive(peer(role).ping(payload)), [ping(payload)]);
    assert_eq!(endpoint.receive(peer(role).text("")), [text("")]);
    fails_after(&[], 1009, endpoint, peer(role).text("a"));
}

both_roles!(message_may_have_as_many_fragments_as_the_limit_and_not_one_more);
fn message_may_have_as_many_fragments_as_the_limit_and_not_one_more(role: Role) {
    let peer = peer(role);
    let endpoint = || Endpoint::new(role, limits(1000, 4, 1000));
    let three = [peer.text_begins("1"), peer.goes_on("2"), peer.goes_on("3")].concat();
    let four = [&three[..], &peer.ends("4")].concat();
    assert_eq!(endpoint().receive(four), [text("1234")]);

    let four = [&three[..], &peer.goes_on("4")].concat();
    for fifth in [peer.ends("5"), peer.goes_on(""), peer.ends("")] {
        fails_after(&[], 1008, endpoint(), [&four[..], &fifth].concat());
    }
}

both_roles!(default_limits_accept_a_mebibyte_in_65_537_fragments);
fn default_limits_accept_a_mebibyte_in_65_537_fragments(role: Role) {
    // The Autobahn suite sends such messages (9.3.1, 9.4.1), but with more bytes.
    let part = [b'f'; 16];
    let mut bytes = peer(role).binary_begins(part);
    bytes.extend(peer(role).goes_on(part).repeat(65_535));
    bytes.extend(peer(role).ends(""));
    let received = open(role).receive(bytes);
    assert_eq!(received, [binary(part.repeat(65_536))]);
}

both_roles!(control_frames_are_not_counted_as_fragments);
fn control_frames_are_not_counted_as_fragments(role: Role) {
    let peer = peer(role);
    let mut endpoint = Endpoint::new(role, limits(1000, 2, 1000));
    assert_eq!(endpoint.receive(peer.text_begins("a")), []);
    for _ in 0..10 {
        assert_eq!(endpoint.receive(peer.pong("")), [pong("")]);
    }
    assert_eq!(endpoint.receive(peer.ends("b")), [text("ab")]);
}

both_roles!(claimed_length_allocates_nothing);
fn claimed_length_allocates_nothing(role: Role) {
    // The limit allows this length, but memory is allocated only for bytes that have arrived:
    // an allocation of a quarter of the address space would abort this test.
    let quarter = (usize::MAX / 4 + 1) as u64;
    let mut endpoint = Endpoint::new(role, limits(usize::MAX, u32::MAX, 0));
    let frame = WireFrame::new(BINARY, b"").unfinished();
    assert_eq!(endpoint.receive(peer(role).header(frame, quarter)), []);
    assert_eq!(endpoint.receive(b"a few bytes"), []);
    assert_eq!(endpoint.connection.state(), State::Open);

    let mut split = Endpoint::new(role, limits(usize::MAX, u32::MAX, 0));
    assert_eq!(split.receive(peer(role).binary_begins("some bytes")), []);
    let frame = WireFrame::new(CONTINUATION, b"");
    assert_eq!(split.receive(peer(role).header(frame, quarter)), []);
    assert_eq!(split.receive(b"more"), []);

    let header = peer(role).header(WireFrame::new(BINARY, b""), quarter);
    fails_with(1009, role, header);
}
