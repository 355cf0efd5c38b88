//! The opening handshake over sockets: requests in pieces, frames in the packet of a request,
//! origins and subprotocols (RFC 6455 §4.2, §10.2).

use std::net::SocketAddr;
use yamabiko::server::{Config, Origins};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    self, Client, Report, Response, Running, frame, upgrade, with_1_and_3_workers,
};

/// The response to a handshake for `path` with further field lines.
fn refusal(address: SocketAddr, path: &str, fields: &str) -> Response {
    let mut client = Client::connect(address);
    client.send(upgrade(path, fields));
    let response = client.read_response();
    response.expect_whole();
    response
}

/// The head of the 101 response to a handshake.
fn acceptance(address: SocketAddr, path: &str, fields: &str) -> String {
    let mut client = Client::connect(address);
    client.send(upgrade(path, fields));
    let head = client.read_head();
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    head
}

#[test]
fn server_accepts_the_handshake_of_section_1_3() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let head = acceptance(server.address, "/", "");
        assert!(head.contains("\r\nUpgrade: websocket\r\n"));
        assert!(head.contains("\r\nConnection: Upgrade\r\n"));
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!head.contains("Sec-WebSocket-Protocol"));
        assert!(matches!(server.next_report(), Report::Opened(_)));
    });
}

#[test]
fn server_reads_a_handshake_and_a_frame_that_come_byte_by_byte() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::connect(server.address);
        let mut bytes = upgrade("/", "").into_bytes();
        bytes.extend_from_slice(&frame(Opcode::Text, b"Hello"));
        for byte in bytes {
            client.send([byte]);
        }
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_text(), "Hello");
    });
}

#[test]
fn server_reads_frames_that_come_in_one_packet_with_the_head() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::connect(server.address);
        let mut bytes = upgrade("/", "").into_bytes();
        bytes.extend_from_slice(&frame(Opcode::Text, b"early"));
        bytes.extend_from_slice(&frame(Opcode::Ping, b"bird"));
        bytes.extend_from_slice(&frame(Opcode::Text, b"half")[..6]);
        client.send(&bytes);
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_text(), "early");
        assert_eq!(client.read_frame().opcode, Opcode::Pong);
        client.send(&frame(Opcode::Text, b"half")[6..]);
        assert_eq!(client.read_text(), "half");
    });
}

#[test]
fn server_reads_a_request_in_two_parts_with_frames_after_the_second() {
    let server = Running::start(socket::config(1));
    let mut bytes = upgrade("/", "").into_bytes();
    bytes.extend_from_slice(&frame(Opcode::Binary, &[7; 70_000]));
    for cut in [1, 40, bytes.len() - 70_020] {
        let mut client = Client::connect(server.address);
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_frame().payload, [7; 70_000]);
    }
}

#[test]
fn response_101_is_written_before_messages_sent_from_opened() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut client = Client::connect(server.address).upgraded("/announced/hall");
        assert_eq!(client.read_text(), "welcome");
        assert_eq!(client.read_text(), "someone has joined");

        // Also if the packet of the request contains the client's Close.
        let mut client = Client::connect(server.address);
        let mut bytes = upgrade("/announced/hall", "").into_bytes();
        bytes.extend_from_slice(&frame(Opcode::Close, &1000u16.to_be_bytes()));
        client.send(&bytes);
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_text(), "welcome");
        if workers == 1 {
            assert_eq!(client.read_text(), "someone has joined");
            assert_eq!(client.read_close().0, 1000);
        } else {
            // If another worker owns the room, the message may arrive after the Close.
            assert_eq!(client.read_until_close().0, 1000);
        }
        client.expect_end();
    });
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the server does not wish to accept this connection, it MUST return an
//# appropriate HTTP error code (e.g., 403 Forbidden) and abort the WebSocket
//# handshake described in this section.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
//# If the origin indicated is unacceptable to the server, then it SHOULD
//# respond to the WebSocket handshake with a reply containing HTTP 403
//# Forbidden status code.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
//# Servers that are not intended to process input from any web page but only
//# for certain sites SHOULD verify the |Origin| field is an origin they
//# expect.
#[test]
fn server_admits_only_pages_of_its_own_host() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        for origin in ["http://localhost", "https://LOCALHOST"] {
            acceptance(server.address, "/", &format!("Origin: {origin}\r\n"));
        }
        for origin in ["https://evil.example", "http://localhost:81", "null"] {
            let response = refusal(server.address, "/", &format!("Origin: {origin}\r\n"));
            assert_eq!(response.status, 403, "{origin}");
        }
    });
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# A connection attempt lacking this header field SHOULD NOT be interpreted
//# as coming from a browser client.
#[test]
fn server_admits_clients_without_an_origin() {
    let server = Running::start(socket::config(1));
    acceptance(server.address, "/", "");
}

#[test]
fn server_admits_pages_of_listed_origins() {
    let server = Running::start(Config {
        origins: Origins::same_host_and(["https://app.example"]).expect("an origin"),
        ..socket::config(1)
    });
    for origin in ["https://app.example", "http://localhost"] {
        acceptance(server.address, "/", &format!("Origin: {origin}\r\n"));
    }
    let other = refusal(server.address, "/", "Origin: http://app.example\r\n");
    assert_eq!(other.status, 403);
}

#[test]
fn server_admits_pages_of_any_origin_if_configured() {
    let server = Running::start(Config {
        origins: Origins::Any,
        ..socket::config(1)
    });
    for origin in ["https://evil.example", "null"] {
        acceptance(server.address, "/", &format!("Origin: {origin}\r\n"));
    }
}

#[test]
fn application_chooses_among_the_offered_subprotocols() {
    let server = Running::start(socket::config(1));
    let offer = "Sec-WebSocket-Protocol: chat, superchat\r\n";
    let head = acceptance(server.address, "/subprotocols", offer);
    assert!(
        head.contains("\r\nSec-WebSocket-Protocol: superchat\r\n"),
        "{head}"
    );

    let unknown = "Sec-WebSocket-Protocol: telepathy\r\n";
    for fields in ["", unknown] {
        let head = acceptance(server.address, "/subprotocols", fields);
        assert!(!head.contains("Sec-WebSocket-Protocol"), "{head}");
    }
}

#[test]
fn server_answers_500_if_the_application_chooses_a_subprotocol_not_offered() {
    let server = Running::start(socket::config(1));
    let offers = ["", "Sec-WebSocket-Protocol: chat\r\n"];
    for fields in offers {
        assert_eq!(refusal(server.address, "/unoffered", fields).status, 500);
    }
}

#[test]
fn handler_is_not_called_for_connections_that_did_not_open() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        refusal(server.address, "/unoffered", "");
        refusal(server.address, "/elsewhere", "");
        Client::connect(server.address).send("GET / HTTP/1.1\r\nHost:");
        assert_eq!(server.remaining_reports(), []);
    });
}
