//! A large binary message is read straight into its own buffer: the same events as those of a
//! caller that reads into a buffer of its own.

use proptest::prelude::*;
use yamabiko_testing::protocol::{
    CloseCode, Endpoint, Event, Fragment, Limits, Message, Received, Role, State, both_roles, open,
    peer,
};

/// Receives all of `wire`, at most `reads` bytes at a time, into the lent buffer where there is
/// one. Returns the events and the number of bytes that were read into lent buffers.
fn receive_lent(endpoint: &mut Endpoint, wire: &[u8], reads: &[usize]) -> (Vec<Received>, usize) {
    let (mut rest, mut lent_bytes, mut events) = (wire, 0, Vec::new());
    let mut sizes = reads.iter().cycle();
    while !rest.is_empty() {
        let size = *sizes.next().expect("there are sizes");
        if let Some(buffer) = endpoint.connection.lend() {
            let room = buffer.capacity() - buffer.len();
            let (read, behind) = rest.split_at(size.min(room).min(rest.len()));
            buffer.extend_from_slice(read);
            (rest, lent_bytes) = (behind, lent_bytes + read.len());
            events.extend(endpoint.connection.filled().map(Received::from));
        } else {
            let (read, behind) = rest.split_at(size.min(rest.len()));
            events.extend(endpoint.receive(read));
            rest = behind;
        }
    }
    (events, lent_bytes)
}

fn sent_by(role: Role, write: impl FnOnce(&mut Endpoint, &mut Vec<u8>)) -> Vec<u8> {
    let other = match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let (mut sender, mut wire) = (open(other), Vec::new());
    write(&mut sender, &mut wire);
    wire
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 3 % 251) as u8).collect()
}

fn large_binary_message_is_mostly_read_where_it_lies(role: Role) {
    let payload = bytes(1_000_000);
    let wire = sent_by(role, |sender, wire| {
        let message = Message::Binary(&payload);
        sender.connection.send(message, wire).unwrap();
        sender.connection.ping(b"behind", wire).unwrap();
    });
    let mut endpoint = open(role);
    let (events, lent_bytes) = receive_lent(&mut endpoint, &wire, &[64 << 10]);
    let ping = Received::Ping(b"behind".to_vec());
    assert!(events == [Received::Binary(payload), ping]);
    assert!(lent_bytes > 900_000, "{lent_bytes}");
}
both_roles!(large_binary_message_is_mostly_read_where_it_lies);

fn nothing_is_lent_between_messages_in_a_control_frame_and_after_the_end(role: Role) {
    let mut endpoint = open(role);
    assert_eq!(endpoint.connection.lend(), None);
    assert!(endpoint.connection.filled().is_none());
    let ping = peer(role).ping("a ping that is cut");
    endpoint.receive(&ping[..ping.len() - 3]);
    assert_eq!(endpoint.connection.lend(), None);
    assert!(endpoint.connection.filled().is_none());
    endpoint.receive(&ping[ping.len() - 3..]);

    let large = peer(role).binary(bytes(100_000));
    endpoint.receive(&large[..40_000]);
    assert!(endpoint.connection.lend().is_some());
    // Our own Close does not end what the peer is sending.
    let mut output = Vec::new();
    let close = (CloseCode::NORMAL, "");
    endpoint.connection.close(close, &mut output).unwrap();
    assert!(endpoint.connection.lend().is_some());
    endpoint.connection.end_of_input();
    assert_eq!(endpoint.connection.state(), State::Lost);
    assert_eq!(endpoint.connection.lend(), None);
    assert!(endpoint.connection.filled().is_none());
}
both_roles!(nothing_is_lent_between_messages_in_a_control_frame_and_after_the_end);

fn nothing_is_lent_for_a_text_or_in_pieces(role: Role) {
    let mut endpoint = open(role);
    let text = peer(role).text("a".repeat(100_000));
    endpoint.receive(&text[..40_000]);
    assert_eq!(endpoint.connection.lend(), None);

    let mut endpoint = open(role);
    let plain = yamabiko::websocket::Connection::server(Limits::default());
    let connection = std::mem::replace(&mut endpoint.connection, plain);
    endpoint.connection = connection.with_pieces();
    let mut large = peer(role).binary(bytes(100_000));
    let event = endpoint
        .connection
        .receive(&mut &mut large[..40_000], &mut endpoint.replies);
    assert!(matches!(event, Ok(Some(Event::Piece(_)))));
    assert_eq!(endpoint.connection.lend(), None);
}
both_roles!(nothing_is_lent_for_a_text_or_in_pieces);

proptest! {
    #[test]
    fn events_are_the_same_with_and_without_lent_buffers(
        messages in prop::collection::vec(
            (prop::collection::vec(prop_oneof![0..300_usize, 0..200_000_usize], 1..4), any::<bool>()),
            1..4,
        ),
        reads in prop::collection::vec(prop_oneof![1..100_usize, 1000..100_000_usize], 1..6),
    ) {
        // A test of bytes that come one at a time takes too long with so many.
        prop_assume!(reads.iter().sum::<usize>() / reads.len() > 500);
        for role in [Role::Server, Role::Client] {
            let wire = sent_by(role, |sender, wire| {
                for (fragments, pings) in &messages {
                    for (number, length) in fragments.iter().enumerate() {
                        let part = bytes(*length);
                        let (part, last) = (Fragment::binary(&part), number + 1 == fragments.len());
                        sender.connection.send_fragment(part.last_if(last), wire).unwrap();
                        if *pings {
                            sender.connection.ping(b"between", wire).unwrap();
                        }
                    }
                }
            });
            let mut whole = open(role);
            let mut lent = open(role);
            let (events, _) = receive_lent(&mut lent, &wire, &reads);
            prop_assert!(events == whole.receive(&wire));
            prop_assert_eq!(&lent.replies, &whole.replies);
        }
    }
}
