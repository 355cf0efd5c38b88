//! Tests of TLS without sockets: sessions of both roles, and of rustls' buffered interface as the other one.
//! [`tests/README.md`](../README.md) is the index.

use rustls::version::{TLS12, TLS13};
use rustls::{ServerConnection, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::sync::Arc;
use yamabiko::tls::{ClientTls, InvalidCertificate, ServerTls, Session, State};
use yamabiko_testing::tls::Authority;

/// One end of a connection.
struct End {
    session: Session,
    /// What has come and is not consumed.
    input: Vec<u8>,
    /// What is to be sent.
    output: Vec<u8>,
    opened: Vec<u8>,
    state: State,
}

impl End {
    fn new(session: Session) -> End {
        End {
            session,
            input: Vec::new(),
            output: Vec::new(),
            opened: Vec::new(),
            state: State::Open,
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let opened = &mut self.opened;
        let mut open = |bytes: &[u8]| opened.extend_from_slice(bytes);
        let received = self
            .session
            .receive(&mut self.input, &mut open, &mut self.output);
        self.input.drain(..received.consumed_bytes);
        if self.state == State::Open {
            self.state = received.state;
        }
    }

    fn seal(&mut self, bytes: &[u8]) {
        self.session
            .seal(&mut self.input, bytes, &mut self.output)
            .expect("it is open");
    }

    fn close(&mut self) {
        self.session.close(&mut self.input, &mut self.output);
    }
}

/// Carries bytes, at most `piece` at a time, until neither has more to send.
fn carry(one: &mut End, other: &mut End, piece: usize) {
    while !(one.output.is_empty() && other.output.is_empty()) {
        for piece in std::mem::take(&mut one.output).chunks(piece) {
            other.receive(piece);
        }
        for piece in std::mem::take(&mut other.output).chunks(piece) {
            one.receive(piece);
        }
    }
}

/// The two ends of a connection to this name, before a byte was sent.
fn ends(tls: &ServerTls, client: &ClientTls, name: &str) -> (End, End) {
    let mut client = End::new(client.session(name).expect("a name"));
    client.receive(b"");
    (client, End::new(tls.session()))
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::authorities(authority.pem().as_bytes()).expect("an authority")
}

/// The error of the client in a handshake with a server, whose own is returned, too.
fn failures(tls: &ServerTls, client: &ClientTls, name: &str) -> (State, State) {
    let (mut client, mut server) = ends(tls, client, name);
    carry(&mut client, &mut server, usize::MAX);
    assert!(!client.session.is_established());
    (client.state, server.state)
}

fn is_certificate(state: &State) -> bool {
    matches!(state, State::Failed(error) if error.is_certificate())
}

#[test]
fn both_ends_open_what_the_other_has_sealed_however_the_bytes_are_cut() {
    let authority = Authority::new();
    let (tls, trusting) = (authority.localhost(), trusting(&authority));
    for piece in [1, 2, 3, 5, 7, 100, 1000, usize::MAX] {
        let (mut client, mut server) = ends(&tls, &trusting, "localhost");
        carry(&mut client, &mut server, piece);
        assert!(client.session.is_established() && server.session.is_established());
        client.seal(b"from the client");
        server.seal(b"from the server");
        server.seal(b", twice");
        carry(&mut client, &mut server, piece);
        assert_eq!(server.opened, b"from the client");
        assert_eq!(client.opened, b"from the server, twice");
        // Nothing is left between records.
        assert!(client.input.is_empty() && server.input.is_empty());
        assert_eq!((&client.state, &server.state), (&State::Open, &State::Open));
        client.close();
        client.close();
        carry(&mut client, &mut server, piece);
        assert_eq!(server.state, State::PeerClosed);
        // The other direction is still open.
        server.seal(b", and last");
        server.close();
        carry(&mut client, &mut server, piece);
        assert!(client.opened.ends_with(b", and last"));
        assert_eq!(client.state, State::PeerClosed);
    }
}

#[test]
fn bytes_take_as_few_records_as_hold_them() {
    let authority = Authority::new();
    let (mut client, mut server) = ends(&authority.localhost(), &trusting(&authority), "localhost");
    carry(&mut client, &mut server, usize::MAX);
    for (bytes, records) in [(0, 0), (1, 1), (16 << 10, 1), ((16 << 10) + 1, 2)] {
        server.seal(&vec![7; bytes]);
        assert_eq!(server.output.len(), bytes + records * 22, "{bytes}");
        carry(&mut client, &mut server, usize::MAX);
    }
}

#[test]
fn nothing_can_be_sealed_before_the_handshake_or_after_the_end() {
    let authority = Authority::new();
    let (mut client, mut server) = ends(&authority.localhost(), &trusting(&authority), "localhost");
    let mut output = Vec::new();
    assert!(client.session.seal(&mut [], b"early", &mut output).is_err());
    assert!(server.session.seal(&mut [], b"early", &mut output).is_err());
    // There is nothing to close either.
    server.session.close(&mut [], &mut output);
    assert!(output.is_empty());
    carry(&mut client, &mut server, usize::MAX);
    client.close();
    server.close();
    carry(&mut client, &mut server, usize::MAX);
    assert!(client.session.seal(&mut [], b"late", &mut output).is_err());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# Clients MUST use the Server Name Indication extension in the TLS
//# handshake
#[test]
fn client_names_the_host_and_gets_its_certificate() {
    let authority = Authority::new();
    let names = ["localhost", "one.example", "two.example"];
    let certificates = names.map(|name| authority.issue(&[name]).loaded());
    let tls = ServerTls::new(certificates.to_vec()).expect("certificates");
    for name in names {
        let (mut client, mut server) = ends(&tls, &trusting(&authority), name);
        let hello = client.output.clone();
        let named = hello.windows(name.len()).any(|at| at == name.as_bytes());
        assert!(named);
        carry(&mut client, &mut server, usize::MAX);
        assert!(client.session.is_established(), "{name}");
    }
    // An address is no name for the extension; the certificate is checked for it.
    let tls = authority.issue(&["127.0.0.1", "::1"]).server();
    for name in ["127.0.0.1", "[::1]", "::1"] {
        let (mut client, mut server) = ends(&tls, &trusting(&authority), name);
        carry(&mut client, &mut server, usize::MAX);
        assert!(client.session.is_established(), "{name}");
    }
    assert!(trusting(&authority).session("no name").is_err());
}

#[test]
fn client_refuses_a_certificate_of_another_name_authority_or_time() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let trusting = trusting(&authority);
    for (tls, name) in [
        (authority.localhost(), "other.example"),
        (stranger.localhost(), "localhost"),
        (
            authority.issue_expired(&["localhost"]).server(),
            "localhost",
        ),
    ] {
        let (client, server) = failures(&tls, &trusting, name);
        assert!(is_certificate(&client), "{client:?}");
        // The alert tells the server.
        assert!(matches!(server, State::Failed(_)), "{server:?}");
        let (mut client, mut server) = ends(&tls, &ClientTls::insecure().unwrap(), name);
        carry(&mut client, &mut server, usize::MAX);
        assert!(client.session.is_established());
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
//= type=test
//# To achieve reasonable levels of protection, clients should use
//# only Strong TLS algorithms.
#[test]
fn client_offers_authenticated_encryption_with_forward_secrecy_alone() {
    let authority = Authority::new();
    let (client, _) = ends(&authority.localhost(), &trusting(&authority), "localhost");
    // Record (5 bytes), message (4), version (2), random (32), session id.
    let after_random = &client.output[5 + 4 + 2 + 32..];
    let (id_bytes, rest) = after_random.split_first().expect("a session id");
    let rest = &rest[usize::from(*id_bytes)..];
    let (length, suites) = rest.split_first_chunk::<2>().expect("cipher suites");
    let suites = &suites[..usize::from(u16::from_be_bytes(*length))];
    // Those of TLS 1.3, ECDHE with AES-GCM or ChaCha20-Poly1305, and the signal that renegotiation is not spoken.
    let strong = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9, 0x00ff,
    ];
    for suite in suites.chunks(2) {
        let suite = u16::from_be_bytes([suite[0], suite[1]]);
        assert!(strong.contains(&suite), "{suite:#06x}");
    }
}

#[test]
fn request_of_plain_http_is_told_from_tls_by_its_first_byte() {
    let authority = Authority::new();
    let mut server = End::new(authority.localhost().session());
    server.receive(b"");
    assert_eq!(server.state, State::Open);
    server.receive(b"G");
    assert_eq!(
        (server.state, &*server.input),
        (State::PlainHttp, &b"G"[..])
    );
    let mut server = End::new(authority.localhost().session());
    server.receive(b"\x16\x03\x01");
    assert_eq!((server.state, server.input.len()), (State::Open, 3));
    let mut server = End::new(authority.localhost().session());
    server.receive(&[0x80; 100]);
    assert!(matches!(server.state, State::Failed(_)));
}

#[test]
fn broken_record_fails_the_session_and_its_bytes_are_consumed() {
    let authority = Authority::new();
    for role in 0..2 {
        let (mut client, mut server) =
            ends(&authority.localhost(), &trusting(&authority), "localhost");
        carry(&mut client, &mut server, usize::MAX);
        let (from, to) = match role {
            0 => (&mut client, &mut server),
            _ => (&mut server, &mut client),
        };
        from.seal(b"sealed");
        let mut sealed = std::mem::take(&mut from.output);
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        to.receive(&sealed);
        assert!(matches!(to.state, State::Failed(_)));
        assert!(to.opened.is_empty() && to.input.is_empty());
        // The alert.
        assert!(!to.output.is_empty());
        let alert = std::mem::take(&mut to.output);
        from.receive(&alert);
        let State::Failed(error) = &from.state else {
            panic!("{:?}", from.state);
        };
        assert!(error.to_string().starts_with("TLS: "), "{error}");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_an_error() {
    let authority = Authority::new().pem();
    let cut = &authority[..authority.len() / 2];
    for text in ["", "no PEM", cut] {
        let error = ClientTls::authorities(text.as_bytes()).expect_err("wrong");
        assert!(matches!(error, InvalidCertificate::Chain(_)), "{error:?}");
    }
}

/// A server by rustls' buffered interface.
fn rustls_server(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
) -> ServerConnection {
    let config = authority.rustls_server(&["localhost"], &[version]);
    ServerConnection::new(Arc::new(config)).expect("a server")
}

#[test]
fn client_speaks_both_versions_and_resumes() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let trusting = trusting(&authority);
        let config = Arc::new(authority.rustls_server(&["localhost"], &[version]));
        for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
            let mut server = ServerConnection::new(config.clone()).expect("a server");
            let mut client = End::new(trusting.session("localhost").expect("a name"));
            client.receive(b"");
            converse(&mut client, &mut server);
            assert_eq!(server.protocol_version(), Some(version.version));
            assert_eq!(server.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(server.handshake_kind(), Some(expected));
            client.seal(b"question");
            server.writer().write_all(b"answer").expect("room");
            converse(&mut client, &mut server);
            assert_eq!(client.opened, b"answer");
            let mut question = [0; 8];
            server.reader().read_exact(&mut question).expect("it came");
            assert_eq!(&question, b"question");
        }
    }
}

#[test]
fn keys_are_updated_when_the_peer_asks_for_it() {
    let authority = Authority::new();
    let mut server = rustls_server(&authority, &TLS13);
    let mut client = End::new(trusting(&authority).session("localhost").expect("a name"));
    client.receive(b"");
    converse(&mut client, &mut server);
    for number in 0..3 {
        server.refresh_traffic_keys().expect("it is open");
        server.writer().write_all(b"new keys").expect("room");
        converse(&mut client, &mut server);
        client.seal(b"new keys, too");
        converse(&mut client, &mut server);
        let mut text = [0; 13];
        server.reader().read_exact(&mut text).expect("it came");
        assert_eq!(client.opened.len(), 8 * (number + 1));
    }
}

/// A ticket that comes in several records is put together by rustls, in the bytes that are not consumed.
#[test]
fn session_seals_while_a_message_of_the_handshake_has_come_in_part() {
    let authority = Authority::new();
    let mut config = authority.rustls_server(&["localhost"], &[&TLS13]);
    config.max_fragment_size = Some(40);
    let mut server = ServerConnection::new(Arc::new(config)).expect("a server");
    let mut client = End::new(trusting(&authority).session("localhost").expect("a name"));
    client.receive(b"");
    let mut sealed = 0;
    loop {
        let from_server = answer(&mut server, &std::mem::take(&mut client.output));
        if from_server.is_empty() {
            break;
        }
        for byte in from_server.chunks(1) {
            client.receive(byte);
            if client.session.is_established() {
                client.seal(b"x");
                sealed += 1;
            }
        }
    }
    assert!(sealed > 100, "{sealed}");
    let mut text = vec![0; sealed];
    server.reader().read_exact(&mut text).expect("it came");
    server.writer().write_all(b"open").expect("room");
    converse(&mut client, &mut server);
    assert_eq!(client.opened, b"open");
}

/// What rustls sends when it has received these bytes.
fn answer(server: &mut ServerConnection, mut bytes: &[u8]) -> Vec<u8> {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).expect("room");
        server.process_new_packets().expect("no error");
    }
    let mut answer = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut answer).expect("memory");
    }
    answer
}

/// Carries bytes between a session and rustls until neither has more to send.
fn converse(client: &mut End, server: &mut ServerConnection) {
    loop {
        let from_client = std::mem::take(&mut client.output);
        let from_server = answer(server, &from_client);
        if from_client.is_empty() && from_server.is_empty() {
            return;
        }
        client.receive(&from_server);
    }
}
