//! From the opening handshake to the connection, in both roles: the connection does what was
//! agreed, also if another HTTP stack reads and writes the heads.

use yamabiko::websocket::deflate::{DeflateConfig, DeflatePool, WindowBits};
use yamabiko::websocket::handshake::{
    AcceptOptions, Accepted, ClientHandshake, ClientHandshakeError, Established, HeadLimits,
    HttpVersion, InvalidField, NotOffered, OwnedRequest, Refusal, RequestReader, Response, Status,
    Upgrade, WebSocketUri,
};
use yamabiko::websocket::{Connection, Event, Limits, Message};

fn handshake() -> ClientHandshake {
    let uri = WebSocketUri::parse("ws://server.example.com/chat?room=1").expect("a URI");
    ClientHandshake::new(&uri, *b"the sample nonce")
        .subprotocol("chat")
        .expect("a token")
}

/// The results of both endpoints for a handshake in bytes.
fn open(mut client: ClientHandshake, options: AcceptOptions<'_>) -> (Accepted, Established) {
    let mut request = Vec::new();
    client.write_request(&mut request);
    let mut reader = RequestReader::new(HeadLimits::default());
    let (head, _) = reader.read(&request).expect("valid").expect("whole");
    let accepted = Upgrade::check(&head).expect("valid").accept(options);
    let accepted = accepted.expect("it is offered");
    let mut response = Vec::new();
    accepted.write_response(&mut response);
    let established = client.receive(&response).expect("valid").expect("whole");
    assert_eq!(established.head_bytes, response.len());
    (accepted, established)
}

fn connections(accepted: &Accepted, established: &Established) -> [Connection; 2] {
    let server = accepted.connection(Limits::default());
    let client = established.connection(Limits::default(), || [1, 2, 3, 4]);
    [server, client]
}

/// Sends a long message of zeros. Returns its bytes on the wire.
fn exchange(sender: &mut Connection, receiver: &mut Connection) -> usize {
    let (mut wire, mut replies) = (Vec::new(), Vec::new());
    let sent = sender.send(Message::Binary(&[0; 1000]), &mut wire);
    assert_eq!(sent, Ok(()));
    let wire_bytes = wire.len();
    let received = receiver.receive(&mut &mut wire[..], &mut replies);
    assert_eq!(received, Ok(Some(Event::Binary(vec![0; 1000].into()))));
    wire_bytes
}

#[test]
fn both_connections_have_the_agreed_compression() {
    let small = DeflateConfig {
        server_max_window_bits: WindowBits::MIN,
        ..DeflateConfig::default()
    };
    for config in [DeflateConfig::default(), small] {
        let options = AcceptOptions::default().deflate(config);
        let client = handshake().deflate(DeflateConfig::default());
        let (accepted, established) = open(client, options);
        assert_eq!(accepted.deflate(), established.deflate.as_ref());
        let [mut server, mut client] = connections(&accepted, &established);
        assert!(exchange(&mut client, &mut server) < 50);
        // A window of 8 bits compresses short messages only.
        let is_compressed = exchange(&mut server, &mut client) < 50;
        assert_eq!(is_compressed, config == DeflateConfig::default());
    }
}

#[test]
fn neither_connection_compresses_unless_both_endpoints_enable_it() {
    let config = DeflateConfig::default();
    let offers = [handshake(), handshake().deflate(config)];
    let options = [
        AcceptOptions::default().deflate(config),
        AcceptOptions::default(),
    ];
    for (client, options) in offers.into_iter().zip(options) {
        let (accepted, established) = open(client, options);
        assert_eq!((accepted.deflate(), established.deflate), (None, None));
        let [mut server, mut client] = connections(&accepted, &established);
        assert!(exchange(&mut client, &mut server) > 1000);
        assert!(exchange(&mut server, &mut client) > 1000);
    }
}

#[test]
fn server_that_only_inflates_sends_plain_messages() {
    let (config, pool) = (DeflateConfig::default(), DeflatePool::default());
    let options = AcceptOptions::default().inflate_only(config);
    let client = handshake().deflate(config).deflate_pool(&pool);
    let (accepted, established) = open(client, options.deflate_pool(&pool));
    assert!(accepted.deflate().is_some());
    let [mut server, mut client] = connections(&accepted, &established);
    assert!(exchange(&mut client, &mut server) < 50);
    assert!(exchange(&mut server, &mut client) > 1000);
}

#[test]
fn server_chooses_the_first_subprotocol_that_is_offered_or_none() {
    let table: [(&[&str], _); 3] = [
        (&["mqtt", "chat"], Some("chat")),
        (&["mqtt"], None),
        (&[], None),
    ];
    for (supported, chosen) in table {
        let options = AcceptOptions::default().subprotocols(supported);
        let (accepted, established) = open(handshake(), options);
        assert_eq!(accepted.subprotocol(), chosen);
        assert_eq!(established.subprotocol.as_deref(), chosen);
    }
}

#[test]
fn further_fields_of_the_response_reach_the_client_as_text() {
    let options = AcceptOptions::default()
        .field("Set-Cookie", "a=山; HttpOnly")
        .and_then(|options| options.field("Set-Cookie", "b=2"))
        .and_then(|options| options.field("X-Greeting", "山彦"))
        .expect("valid fields");
    let (_, established) = open(handshake(), options);
    let fields = established.fields.as_fields();
    assert_eq!(fields.text("set-cookie"), Some("a=山; HttpOnly"));
    assert_eq!(fields.get_all("Set-Cookie").last(), Some(&b"b=2"[..]));
    assert!(format!("{established:?}").contains("X-Greeting: 山彦"));
}

#[test]
fn field_of_the_handshake_itself_or_with_a_line_end_is_refused() {
    let table = [
        ("Upgrade", "h2c", InvalidField::Reserved),
        ("connection", "close", InvalidField::Reserved),
        ("Content-Length", "0", InvalidField::Reserved),
        ("sec-websocket-protocol", "chat", InvalidField::Reserved),
        ("a b", "c", InvalidField::Name),
        ("a", "b\r\nc: d", InvalidField::Value),
    ];
    for (name, value, error) in table {
        let refused = AcceptOptions::default().field(name, value).map(drop);
        assert_eq!(refused, Err(error), "{name}");
    }
}

#[test]
fn choice_that_was_not_offered_is_an_error_and_a_500() {
    let mut request = Vec::new();
    handshake().write_request(&mut request);
    let mut reader = RequestReader::new(HeadLimits::default());
    let (head, _) = reader.read(&request).expect("valid").expect("whole");
    let upgrade = Upgrade::check(&head).expect("valid");
    let refused = upgrade.accept(AcceptOptions::default().subprotocol(Some("mqtt")));
    let error = refused.map(drop).expect_err("it is not offered");
    assert_eq!(error, NotOffered::Subprotocol);
    assert_eq!(Refusal::from(error).status(), Status::InternalServerError);
}

#[test]
fn heads_that_another_stack_reads_and_writes_lead_to_the_same_connections() {
    let client = handshake().deflate(DeflateConfig::default());
    let sent: Vec<_> = client.fields().collect();
    let fields = sent.iter().map(|(name, value)| (*name, value.as_bytes()));
    let target = client.resource_name();
    let request = OwnedRequest::new("GET", target, HttpVersion::Http11, fields);
    let request = request.expect("valid fields");
    let head = request.head().expect("valid");
    assert_eq!((head.path(), head.query()), ("/chat", Some("room=1")));
    let options = AcceptOptions::default()
        .subprotocols(&["chat"])
        .deflate(DeflateConfig::default());
    let accepted = Upgrade::check(&head).expect("valid").accept(options);
    let accepted = accepted.expect("it is offered");

    let answered: Vec<_> = accepted.fields().collect();
    let fields = answered
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    let established = client.receive_head(101, HttpVersion::Http11, fields);
    let established = established.expect("valid");
    assert_eq!(established.subprotocol.as_deref(), Some("chat"));
    assert_eq!(established.head_bytes, 0);
    let [mut server, mut client] = connections(&accepted, &established);
    assert!(exchange(&mut client, &mut server) < 50);
    assert!(exchange(&mut server, &mut client) < 50);
}

#[test]
fn parts_that_could_not_be_a_request_are_refused() {
    let table = [
        ("GET", "/ HTTP/1.1\r\nHost: b\r\nX: ", "host", "a"),
        ("GET", "/ /", "host", "a"),
        ("G T", "/", "host", "a"),
        ("GET", "/", "host", "a\r\nb: c"),
        ("GET", "/", "host\r\nx", "a"),
        ("GET", "/", "x", "a"),
    ];
    for (method, target, name, value) in table {
        let fields = [(name, value.as_bytes())];
        let request = OwnedRequest::new(method, target, HttpVersion::Http11, fields);
        let refused = request.and_then(|request| request.head().map(drop));
        let status = refused.map_err(|refusal| refusal.status());
        assert_eq!(status, Err(Status::BadRequest), "{method} {target} {name}");
    }
}

#[test]
fn response_of_another_stack_is_checked_as_bytes_are() {
    let check = |status, version, fields: &[(&str, &str)]| {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (*name, value.as_bytes()));
        handshake().receive_head(status, version, fields).map(drop)
    };
    let valid = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    assert_eq!(check(101, HttpVersion::Http11, &valid), Ok(()));
    let old = check(101, HttpVersion::Http10, &valid);
    assert_eq!(old, Err(ClientHandshakeError::OldHttpVersion));
    let missing = check(101, HttpVersion::Http11, &valid[..2]);
    assert_eq!(missing, Err(ClientHandshakeError::MissingAccept));
    let other = check(403, HttpVersion::Http11, &[("retry-after", "5")]);
    let Err(ClientHandshakeError::NotSwitched(response)) = other else {
        panic!("403 is not 101: {other:?}");
    };
    assert_eq!(
        (response.status, response.text("Retry-After")),
        (403, Some("5"))
    );
}

#[cfg(feature = "http")]
mod with_the_crate_http {
    use super::*;
    use yamabiko::http::Origins;

    #[test]
    fn page_of_another_origin_is_refused() {
        let mut request = handshake().to_http();
        let mut status = |origin: &str| {
            let origin = origin.parse().expect("a value");
            request.headers_mut().insert("origin", origin);
            let origins = Origins::same_host_and(["https://*.example.org"]).expect("a pattern");
            let accepted = Upgrade::accept_http(&request, &origins, AcceptOptions::default());
            accepted.map_or_else(|refusal| refusal.status().code(), |_| 101)
        };
        let own = format!(
            "http://{}",
            handshake().to_http().headers()["host"].to_str().unwrap()
        );
        for (origin, expected) in [
            (&*own, 101),
            ("https://a.example.org", 101),
            ("https://evil.example", 403),
            ("null", 403),
        ] {
            assert_eq!(status(origin), expected, "{origin}");
        }
    }

    #[test]
    fn request_and_response_lead_to_the_same_connections() {
        let client = handshake().deflate(DeflateConfig::default());
        let request = client.to_http();
        assert_eq!(request.uri(), "/chat?room=1");
        let options = AcceptOptions::default()
            .subprotocols(&["chat"])
            .deflate(DeflateConfig::default())
            .field("X-Text", "山")
            .expect("a valid field");
        let accepted = Upgrade::accept_http(&request, &Origins::SameHost, options).expect("valid");
        let established = client.receive_http(&accepted.to_http()).expect("valid");
        assert_eq!(established.subprotocol.as_deref(), Some("chat"));
        assert_eq!(established.fields.as_fields().text("x-text"), Some("山"));
        let [mut server, mut client] = connections(&accepted, &established);
        assert!(exchange(&mut client, &mut server) < 50);
        assert!(exchange(&mut server, &mut client) < 50);
    }

    #[test]
    fn request_that_is_no_handshake_is_refused_with_the_status() {
        let valid = handshake().to_http();
        let refused = |change: fn(&mut http::Request<()>)| {
            let mut request = valid.clone();
            change(&mut request);
            let refused =
                Upgrade::accept_http(&request, &Origins::SameHost, AcceptOptions::default());
            refused.map(drop).expect_err("it is no handshake").to_http()
        };
        let newer = refused(|request| *request.version_mut() = http::Version::HTTP_2);
        assert_eq!(newer.status(), 505);
        let posted = refused(|request| *request.method_mut() = http::Method::POST);
        assert_eq!(
            (posted.status(), &posted.headers()["allow"]),
            (405.try_into().unwrap(), &"GET, HEAD".try_into().unwrap())
        );
        let older = refused(|request| {
            request
                .headers_mut()
                .insert("sec-websocket-version", 8.into());
        });
        assert_eq!(older.status(), 426);
        assert_eq!(older.headers()["sec-websocket-version"], "13");
        assert!(!older.headers().contains_key("connection"));
    }
}

#[test]
fn debug_hides_credentials_and_shows_keys_as_text() {
    let uri = WebSocketUri::parse("ws://server.example.com/chat").expect("a URI");
    let client = ClientHandshake::new(&uri, *b"the sample nonce")
        .field("Authorization", "Bearer 51d2")
        .and_then(|client| client.field("Accept-Language", "ja"))
        .expect("valid fields");
    let shown = format!("{client:?}");
    assert!(!shown.contains("51d2"), "{shown}");
    for text in [
        "dGhlIHNhbXBsZSBub25jZQ==",
        "Accept-Language: ja",
        "Authorization: [hidden]",
    ] {
        assert!(shown.contains(text), "{shown}");
    }
    let options = AcceptOptions::default().field("Set-Cookie", "session=51d2");
    let options = options.expect("a valid field");
    assert!(format!("{options:?}").contains("Set-Cookie: [hidden]"));
    let fields = [
        ("host", &b"server.example.com"[..]),
        ("upgrade", b"websocket"),
        ("connection", b"Upgrade"),
        ("cookie", b"session=51d2"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", b"13"),
    ];
    let request = OwnedRequest::new("GET", "/chat", HttpVersion::Http11, fields).expect("valid");
    let upgrade = Upgrade::check(&request.head().expect("valid")).expect("a handshake");
    let accepted = upgrade.accept(options).expect("nothing is chosen");
    let response = Response::new(Status::Ok).field("Set-Cookie", "session=51d2");
    for shown in [
        format!("{request:?}"),
        format!("{upgrade:?}"),
        format!("{accepted:?}"),
        format!("{response:?}"),
    ] {
        assert!(!shown.contains("51d2"), "{shown}");
    }
    assert!(format!("{accepted:?}").contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}
