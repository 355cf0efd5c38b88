//! RFC 7692: with every result of the negotiation, both endpoints read each other's messages,
//! however they are cut on the wire, and the messages of a peer that uses everything that was
//! agreed.

use proptest::prelude::*;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool, WindowBits};
use yamabiko_testing::deflate::{
    EAGER, HELLO, HELLO_AGAIN, agreed, agreed_within, compressed, match_of_three, stored,
};
use yamabiko_testing::inflate::inflate_message;
use yamabiko_testing::properties::negotiation::{
    both_ends_agree, client_result, field, offered, request_with, response_with, with_upgrade,
};
use yamabiko_testing::protocol::{
    BINARY, Connection, Endpoint, Fragment, Limits, Message, Received, Role, TEXT, binary, cut,
    decode_all, peer, text, write_response,
};

/// The messages that one endpoint sends.
#[derive(Clone, Debug)]
enum Outgoing {
    Text(String),
    Binary(Vec<u8>),
    /// With a Ping after each piece except the last.
    Fragments(Vec<Vec<u8>>),
    Ping(Vec<u8>),
}

impl Outgoing {
    fn send(&self, endpoint: &mut Endpoint, wire: &mut Vec<u8>) {
        let connection = &mut endpoint.connection;
        let sent = match self {
            Outgoing::Text(text) => connection.send(Message::Text(text), wire),
            Outgoing::Binary(bytes) => connection.send(Message::Binary(bytes), wire),
            Outgoing::Ping(payload) => connection.ping(payload, wire),
            Outgoing::Fragments(pieces) => {
                for (number, piece) in pieces.iter().enumerate() {
                    let last = number + 1 == pieces.len();
                    let piece = Fragment::binary(piece);
                    connection.send_fragment(piece.last_if(last), wire).unwrap();
                    if !last {
                        connection.ping(b"between", wire).unwrap();
                    }
                }
                Ok(())
            }
        };
        sent.unwrap();
    }

    fn received(&self) -> Vec<Received> {
        match self {
            Outgoing::Text(text) => vec![Received::Text(text.clone())],
            Outgoing::Binary(bytes) => vec![Received::Binary(bytes.clone())],
            Outgoing::Ping(payload) => vec![Received::Ping(payload.clone())],
            Outgoing::Fragments(pieces) => {
                let between = Received::Ping(b"between".to_vec());
                let mut received = vec![between; pieces.len() - 1];
                received.push(Received::Binary(pieces.concat()));
                received
            }
        }
    }
}

/// Bytes with many repetitions at short and long distances.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = (any::<u8>(), 1..200_usize, 1..90_u8);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| {
        let runs = pieces.into_iter().map(|(first, times, step)| {
            let byte =
                move |place: usize| first.wrapping_add(((place % 17) as u8).wrapping_mul(step));
            (0..times).map(byte).collect::<Vec<u8>>()
        });
        runs.collect::<Vec<_>>().concat()
    })
}

fn sent() -> impl Strategy<Value = Outgoing> {
    prop_oneof![
        3 => bytes().prop_map(|bytes| Outgoing::Text(bytes.iter().map(|&o| o as char).collect())),
        3 => bytes().prop_map(Outgoing::Binary),
        1 => prop::collection::vec(any::<u8>(), 0..9000).prop_map(Outgoing::Binary),
        1 => prop::collection::vec(bytes(), 1..4).prop_map(Outgoing::Fragments),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Outgoing::Ping),
    ]
}

fn parameters() -> impl Strategy<Value = DeflateParameters> {
    let bits = || (8..=15_u8).prop_map(|bits| WindowBits::new(bits).unwrap());
    (any::<bool>(), any::<bool>(), bits(), bits()).prop_map(
        |(server, client, of_server, of_client)| DeflateParameters {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: of_server,
            client_max_window_bits: of_client,
        },
    )
}

proptest! {
    #[test]
    fn messages_sent_are_received(
        parameters in parameters(),
        sent in prop::collection::vec(sent(), 1..8),
        lengths in prop::collection::vec(any::<u8>(), 0..8),
        level in 1..=9_u8,
        threshold_bytes in prop::sample::select(vec![0, 64, 500]),
        own_takeover: bool,
    ) {
        let config = DeflateConfig {
            server_no_context_takeover: !own_takeover,
            client_no_context_takeover: !own_takeover,
            level,
            threshold_bytes,
            ..DeflateConfig::default()
        };
        for (from, to) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
            let mut sender = Endpoint::new(from, Limits::default());
            let plain = Connection::server(Limits::default());
            let connection = std::mem::replace(&mut sender.connection, plain);
            sender.connection = connection.with_deflate(parameters, &config, &DeflatePool::default());

            let mut wire = Vec::new();
            sent.iter().for_each(|sent| sent.send(&mut sender, &mut wire));
            let expected: Vec<Received> = sent.iter().flat_map(Outgoing::received).collect();
            let mut receiver = agreed_within(to, parameters, Limits::default());
            prop_assert_eq!(receiver.receive(&wire), &expected[..]);
            let mut receiver = agreed_within(to, parameters, Limits::default());
            prop_assert_eq!(receiver.receive_in_pieces(cut(&wire, &lengths)), expected);
        }
    }
}

// ── With the handshake ──────────────────────────────────────────────────────

/// The configuration of an endpoint without demands.
const NO_DEMANDS: DeflateConfig = DeflateConfig {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    ..EAGER
};

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

/// The response of a server to this offer, and its connection.
fn server_offered(offers: &str, config: &DeflateConfig) -> (String, Endpoint) {
    let request = request_with(offers);
    let answered = with_upgrade(request.as_bytes(), |upgrade| {
        let chosen = upgrade.choose_deflate(config).unwrap();
        let mut head = Vec::new();
        let written = write_response(upgrade, None, Some(&chosen), &mut head);
        assert_eq!(written, Ok(()));
        (field(&head).unwrap(), agreed(Role::Server, chosen))
    });
    answered.unwrap()
}

/// The offer of a client that receives this response, and its connection.
fn client_with_response(response: &str, config: DeflateConfig) -> (String, Endpoint) {
    let taken = client_result(Some(config), &response_with(response)).unwrap();
    (offered(config), agreed(Role::Client, taken.unwrap()))
}

/// The second message refers to the first, and the third to the second.
fn reads_with_context_takeover(mut endpoint: Endpoint) {
    for payload in [HELLO, HELLO_AGAIN, HELLO_AGAIN] {
        let wire = peer(endpoint.role).frame(compressed(TEXT, payload));
        assert_eq!(endpoint.receive(wire), [text("Hello")]);
    }
}

/// A match may reach as far as the window: within the message, and into earlier messages, even
/// with a plain message between them.
fn reads_within_a_window_of(bits: u8, mut endpoint: Endpoint) {
    let bytes: Vec<u8> = (0..window(bits).window_bytes() as u32)
        .map(|i| (i.wrapping_mul(i) >> 9) as u8)
        .collect();
    let peer = peer(endpoint.role);
    let far = match_of_three(1 << bits);
    let message = stored(&bytes);
    let whole = [&message[..message.len() - 1], &far].concat();
    let wire = peer.frame(compressed(BINARY, whole));
    let received = [&bytes[..], &bytes[..3]].concat();
    assert_eq!(endpoint.receive(wire), [binary(&received)]);

    let (first, second) = bytes.split_at(100);
    for message in [first, second] {
        endpoint.receive(peer.frame(compressed(BINARY, stored(message))));
        endpoint.receive(peer.text("plain"));
    }
    let wire = peer.frame(compressed(BINARY, far));
    assert_eq!(endpoint.receive(wire), [binary(&bytes[..3])]);
}

/// The window of this parameter in a response; the default if the parameter is absent.
fn agreed_window(response: &str, parameter: &str) -> u8 {
    let mut parameters = response.split("; ");
    let value = parameters.find_map(|one| one.strip_prefix(parameter)?.strip_prefix('='));
    value.map_or(15, |digits| digits.parse().unwrap())
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//= type=test
//# The LZ77 window size of the server must not be less than the LZ77
//# window size of the client.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//= type=test
//# Absence of this extension parameter in an extension negotiation
//# response indicates that the server can receive messages compressed
//# using an LZ77 sliding window of up to 32,768 bytes.
#[test]
fn server_reads_every_message_that_its_response_allows() {
    for bits in 8..=15 {
        let config = DeflateConfig {
            client_max_window_bits: window(bits),
            ..NO_DEMANDS
        };
        let table = [
            ("permessage-deflate; client_max_window_bits", bits),
            ("permessage-deflate; client_max_window_bits=15", bits),
            ("permessage-deflate; client_max_window_bits=8", 8),
            // The response must not limit the window of this client, so it uses the largest.
            ("permessage-deflate", 15),
        ];
        for (offer, expected) in table {
            let (response, server) = server_offered(offer, &config);
            assert_eq!(agreed_window(&response, "client_max_window_bits"), expected);
            reads_within_a_window_of(expected, server);
        }
    }
    let (response, _) = server_offered("permessage-deflate; client_max_window_bits", &NO_DEMANDS);
    assert_eq!(response, "permessage-deflate");
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//= type=test
//# Absence of this parameter in an extension negotiation offer indicates
//# that the client can receive messages compressed using an LZ77 sliding
//# window of up to 32,768 bytes.
#[test]
fn client_reads_every_message_that_its_offer_allows() {
    let (offer, client) = client_with_response("permessage-deflate", NO_DEMANDS);
    assert!(!offer.contains("server_max_window_bits"), "{offer}");
    reads_within_a_window_of(15, client);
    for bits in 8..15 {
        let config = DeflateConfig {
            server_max_window_bits: window(bits),
            ..NO_DEMANDS
        };
        let response = format!("permessage-deflate; server_max_window_bits={bits}");
        let (offer, client) = client_with_response(&response, config);
        assert_eq!(agreed_window(&offer, "server_max_window_bits"), bits);
        reads_within_a_window_of(bits, client);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//= type=test
//# Absence of this extension parameter in an extension negotiation offer
//# indicates that the client can decompress a message that the server
//# built using context takeover.
#[test]
fn client_that_does_not_exclude_context_takeover_reads_with_it() {
    for client_no_context_takeover in [false, true] {
        let config = DeflateConfig {
            client_no_context_takeover,
            ..NO_DEMANDS
        };
        let (offer, client) = client_with_response("permessage-deflate", config);
        assert!(!offer.contains("server_no_context_takeover"), "{offer}");
        reads_with_context_takeover(client);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//= type=test
//# Absence of this extension parameter in an extension negotiation
//# response indicates that the server can decompress messages built by
//# the client using context takeover.
#[test]
fn server_that_does_not_exclude_context_takeover_reads_with_it() {
    for offer in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits",
    ] {
        let (response, server) = server_offered(offer, &NO_DEMANDS);
        assert!(
            !response.contains("client_no_context_takeover"),
            "{response}"
        );
        reads_with_context_takeover(server);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//= type=test
//# both endpoints MUST use the algorithm described in Section 6
//# and the message payload transformation (compressing and
//# decompressing) procedure of the PMCE configured with the "agreed
//# parameters" returned by the server to exchange messages.
#[test]
fn both_endpoints_apply_the_parameters_of_the_servers_response() {
    let configs = || {
        (0..4).flat_map(|flags| {
            [8, 9, 12, 15].map(|bits| DeflateConfig {
                server_no_context_takeover: flags & 1 != 0,
                client_no_context_takeover: flags & 2 != 0,
                server_max_window_bits: window(bits),
                client_max_window_bits: window(23 - bits),
                ..NO_DEMANDS
            })
        })
    };
    for (server, client) in configs().flat_map(|server| configs().map(move |one| (server, one))) {
        let parameters = both_ends_agree(&server, &client);
        let [mut server, mut client] =
            [Role::Server, Role::Client].map(|role| agreed(role, parameters));
        let (no_context_takeover, bits) = (
            parameters.server_no_context_takeover,
            parameters.server_max_window_bits,
        );
        converse(&mut server, &mut client, no_context_takeover, bits);
        let (no_context_takeover, bits) = (
            parameters.client_no_context_takeover,
            parameters.client_max_window_bits,
        );
        converse(&mut client, &mut server, no_context_takeover, bits);
    }
}

/// The messages of one endpoint obey the agreed bounds, and the other endpoint receives them.
fn converse(from: &mut Endpoint, to: &mut Endpoint, no_context_takeover: bool, bits: WindowBits) {
    let mut earlier = Vec::new();
    for length in [150, 250, 150, 9000, 40] {
        let content: String = (0..length)
            .map(|i| format!("{:x} ", i * i % 4001))
            .collect();
        let content = &content[..length];
        let mut wire = Vec::new();
        let sent = from.connection.send(Message::Text(content), &mut wire);
        assert_eq!(sent, Ok(()));
        let [frame] = &decode_all(&wire)[..] else {
            panic!("one message is one frame");
        };
        if frame.rsv == 0b100 {
            let before = if no_context_takeover {
                &[]
            } else {
                &earlier[..]
            };
            let inflated = inflate_message(before, &frame.payload);
            assert_eq!(inflated.bytes, content.as_bytes());
            assert!(inflated.distance_max <= bits.window_bytes());
            earlier.extend(content.as_bytes());
        }
        assert_eq!(to.receive(wire), [text(content)]);
    }
    assert!(!earlier.is_empty(), "some were compressed");
}
