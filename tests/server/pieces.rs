//! Messages that the server receives in pieces: `Admission::pieces`, `Handler::piece`.

use yamabiko::server::{
    Admission, CloseCode, Config, Context, DeflateConfig, Handler, Limits, Message, Piece, Refusal,
    Upgrade,
};
use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
use yamabiko::websocket::frame::{Opcode, encode};
use yamabiko::websocket::{Connection, Fragment};
use yamabiko_testing::socket::{Client, TestServer, config, frame, with_1_and_3_workers};

/// Counts bytes. A text "close" in a piece closes the connection.
struct Uploads;

/// The pieces of the message so far, their bytes, and the longest of them.
#[derive(Default)]
struct Upload {
    pieces: usize,
    bytes: usize,
    longest: usize,
}

impl Handler for Uploads {
    type Session = Upload;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Upload>, Refusal> {
        let admission = Admission::new(Upload::default());
        Ok(match request.request().path() {
            "/whole" => admission,
            _ => admission.pieces(Limits {
                message_bytes_max: 4 << 20,
                inflate_ratio_max: u32::MAX,
                ..Limits::default()
            }),
        })
    }

    fn message(&self, _: &mut Upload, message: Message<'_>, context: &mut Context<'_>) {
        send(context, &format!("whole: {}", message.as_bytes().len()));
    }

    fn piece(&self, upload: &mut Upload, piece: &Piece<'_>, context: &mut Context<'_>) {
        assert_eq!(piece.is_first(), upload.pieces == 0);
        upload.pieces += 1;
        upload.bytes += piece.as_bytes().len();
        upload.longest = upload.longest.max(piece.as_bytes().len());
        if piece.as_text() == Some("close") {
            context.close((CloseCode::NORMAL, "enough"));
        }
        if piece.is_last() {
            assert!(upload.longest <= 64 << 10);
            send(context, &format!("in pieces: {}", upload.bytes));
            *upload = Upload::default();
        }
    }
}

fn send(context: &mut Context<'_>, text: &str) {
    let sent = context.send(Message::Text(text));
    sent.expect("the write queue takes a short text");
}

#[test]
fn message_of_any_length_is_received_in_pieces() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(config, Uploads);
        let mut client = Client::open(server.address);
        for bytes in [0, 1, 65_536, 1 << 20, 4 << 20] {
            client.send(frame(Opcode::Binary, &vec![7; bytes]));
            assert_eq!(client.read_text(), format!("in pieces: {bytes}"));
        }
        client.close(1000, "");
        assert_eq!(client.read_frame().opcode, Opcode::Close);
        client.expect_end();
        assert_eq!(
            server.handle.metrics().received,
            5,
            "messages, and not pieces"
        );
    });
}

#[test]
fn fragments_and_pings_between_them_are_received_in_pieces() {
    let server = TestServer::start(config(1), Uploads);
    let mut client = Client::open(server.address);
    let mut connection = Connection::client(Limits::default(), || [9, 8, 7, 6]);
    let mut wire = Vec::new();
    let text = "山彦".repeat(100_000);
    for part in text.as_bytes().chunks(50_001) {
        let part = Fragment::text(part);
        connection.send_fragment(part, &mut wire).unwrap();
        connection.ping(b"between", &mut wire).unwrap();
    }
    connection
        .send_fragment(Fragment::text(b"").last(), &mut wire)
        .unwrap();
    client.send(wire);
    for _ in 0..text.len().div_ceil(50_001) {
        assert_eq!(client.read_frame().opcode, Opcode::Pong);
    }
    assert_eq!(client.read_text(), format!("in pieces: {}", text.len()));
}

#[test]
fn limits_of_pieces_do_not_change_those_of_other_connections() {
    let server = TestServer::start(config(1), Uploads);
    for (path, bytes, code) in [
        ("/", (4 << 20) + 1, 1009_u16),
        ("/whole", (1 << 20) + 1, 1009),
    ] {
        let mut client = Client::connect(server.address).upgraded(path);
        client.send(frame(Opcode::Binary, b"few"));
        let kind = if path == "/" { "in pieces" } else { "whole" };
        assert_eq!(client.read_text(), format!("{kind}: 3"));
        // The header is enough.
        let mut header = Vec::new();
        encode(
            true,
            Opcode::Binary,
            Some([0; 4]),
            &vec![0; bytes],
            &mut header,
        );
        client.send(&header[..14]);
        let close = client.read_frame();
        assert_eq!(close.opcode, Opcode::Close);
        assert_eq!(close.payload[..2], code.to_be_bytes());
    }
}

#[test]
fn handler_that_closes_gets_no_further_piece() {
    let server = TestServer::start(config(1), Uploads);
    let mut client = Client::open(server.address);
    let mut wire = Vec::new();
    encode(false, Opcode::Text, Some([0; 4]), b"close", &mut wire);
    encode(true, Opcode::Continuation, Some([0; 4]), b"late", &mut wire);
    client.send(wire);
    let close = client.read_frame();
    assert_eq!(
        (close.opcode, &close.payload[2..]),
        (Opcode::Close, &b"enough"[..])
    );
    client.close(1000, "");
    client.expect_end();
}

#[test]
fn compressed_message_is_received_in_pieces_of_a_block() {
    let config = Config {
        deflate: Some(DeflateConfig::default()),
        ..config(1)
    };
    let server = TestServer::start(config, Uploads);
    let mut client = Client::connect(server.address).offering("permessage-deflate");
    let agreed = DeflateParameters {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..DeflateParameters::default()
    };
    let deflate = DeflateConfig::default();
    let mut connection = Connection::client(Limits::default(), || [0; 4]);
    connection = connection.with_deflate(agreed, &deflate, &DeflatePool::default());
    for bytes in [4 << 20, 1000, 4 << 20] {
        let (zeros, mut wire) = (vec![0; bytes], Vec::new());
        connection.send(Message::Binary(&zeros), &mut wire).unwrap();
        assert!(wire.len() < bytes / 10);
        client.send(wire);
        assert_eq!(client.read_text(), format!("in pieces: {bytes}"));
    }
    let (zeros, mut wire) = (vec![0; (4 << 20) + 1], Vec::new());
    connection.send(Message::Binary(&zeros), &mut wire).unwrap();
    client.send(wire);
    let close = client.read_frame();
    assert_eq!(close.payload[..2], 1009_u16.to_be_bytes());
}
