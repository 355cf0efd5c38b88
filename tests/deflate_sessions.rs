//! RFC 7692: whatever two ends have agreed on, they understand each other, however the
//! wire cuts what they say.

mod common;

use common::deflate::agreed_within;
use common::{Endpoint, Fragment, Limits, Message, Received, Role, cut};
use proptest::prelude::*;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, WindowBits};

/// What one end says.
#[derive(Clone, Debug)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    /// With a Ping behind each piece but the last.
    Fragments(Vec<Vec<u8>>),
    Ping(Vec<u8>),
}

impl Said {
    fn say(&self, endpoint: &mut Endpoint, wire: &mut Vec<u8>) {
        let connection = &mut endpoint.connection;
        let sent = match self {
            Said::Text(text) => connection.send(Message::Text(text), wire),
            Said::Binary(bytes) => connection.send(Message::Binary(bytes), wire),
            Said::Ping(payload) => connection.send(Message::Ping(payload), wire),
            Said::Fragments(pieces) => {
                for (number, piece) in pieces.iter().enumerate() {
                    let last = number + 1 == pieces.len();
                    let piece = Fragment::Binary(piece);
                    connection.send_fragment(piece, last, wire).unwrap();
                    if !last {
                        connection.send(Message::Ping(b"between"), wire).unwrap();
                    }
                }
                Ok(())
            }
        };
        sent.unwrap();
    }

    fn heard(&self) -> Vec<Received> {
        match self {
            Said::Text(text) => vec![Received::Text(text.clone())],
            Said::Binary(bytes) => vec![Received::Binary(bytes.clone())],
            Said::Ping(payload) => vec![Received::Ping(payload.clone())],
            Said::Fragments(pieces) => {
                let between = Received::Ping(b"between".to_vec());
                let mut heard = vec![between; pieces.len() - 1];
                heard.push(Received::Binary(pieces.concat()));
                heard
            }
        }
    }
}

/// Octets with much that comes again, from near and from far.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = (any::<u8>(), 1..200_usize, 1..90_u8);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| {
        let runs = pieces.into_iter().map(|(first, times, step)| {
            let octet =
                move |place: usize| first.wrapping_add(((place % 17) as u8).wrapping_mul(step));
            (0..times).map(octet).collect::<Vec<u8>>()
        });
        runs.collect::<Vec<_>>().concat()
    })
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => octets().prop_map(|octets| Said::Text(octets.iter().map(|&o| o as char).collect())),
        3 => octets().prop_map(Said::Binary),
        1 => prop::collection::vec(any::<u8>(), 0..9000).prop_map(Said::Binary),
        1 => prop::collection::vec(octets(), 1..4).prop_map(Said::Fragments),
        1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Said::Ping),
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
    fn what_is_said_is_heard(
        parameters in parameters(),
        said in prop::collection::vec(said(), 1..8),
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
            let mut speaker = Endpoint::new(from, Limits::default());
            let plain = common::Connection::server(Limits::default());
            let connection = std::mem::replace(&mut speaker.connection, plain);
            speaker.connection = connection.with_deflate(parameters, &config);

            let mut wire = Vec::new();
            said.iter().for_each(|said| said.say(&mut speaker, &mut wire));
            let expected: Vec<Received> = said.iter().flat_map(Said::heard).collect();
            let mut listener = agreed_within(to, parameters, Limits::default());
            prop_assert_eq!(listener.receive(&wire), &expected[..]);
            let mut listener = agreed_within(to, parameters, Limits::default());
            prop_assert_eq!(listener.receive_in_pieces(cut(&wire, &lengths)), expected);
        }
    }
}
