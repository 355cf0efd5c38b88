//! Tokens: who may open a WebSocket, what the handler learns of it, and the end of the connection with its token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use yamabiko::server::{
    Admission, Config, Context, Handler, Message, Refusal, Request, Response, Status, Upgrade,
};
use yamabiko::tokens::{TokenError, Tokens};
use yamabiko_testing::socket::{
    Client, LOOP_TIMEOUT, Running, eventually, in_time, upgrade, with_1_and_3_workers,
};

const SECRET: &[u8] = b"a secret of at least 32 random bytes";
const SHARED: &str = "Tr6vZ1q8yXw0sB4k";

/// Sends the name of the client and its rights in the room of the path. A POST is answered by the same.
struct Rights;

fn rights(grant: Option<&yamabiko::tokens::Grant>, room: &str) -> String {
    match grant {
        None => "nobody".to_owned(),
        Some(grant) => format!(
            "{} publish={} subscribe={}",
            grant.subject().unwrap_or("?"),
            grant.may_publish(room),
            grant.may_subscribe(room)
        ),
    }
}

impl Handler for Rights {
    type Session = String;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<String>, Refusal> {
        let subprotocol = request.choose_subprotocol(&["chat"]);
        let rights = rights(request.grant(), request.path());
        Ok(Admission::new(rights).subprotocol(subprotocol))
    }

    fn opened(&self, rights: &mut String, context: &mut Context<'_>) {
        let _ = context.send(&*rights);
    }

    fn message(&self, _: &mut String, message: Message<'_>, context: &mut Context<'_>) {
        let _ = context.send(message);
    }

    fn http(&self, request: &Request<'_>) -> Response {
        if request.path() == "/health" {
            return Response::text(Status::Ok, "ok");
        }
        match request.grant() {
            Ok(grant) if grant.may_publish(request.path()) => {
                Response::text(Status::Accepted, rights(Some(&grant), request.path()))
            }
            Ok(_) => Refusal::from(TokenError::NotAllowed).to_response(),
            Err(error) => Refusal::from(error).to_response(),
        }
    }
}

fn tokens() -> Tokens {
    let tokens = Tokens::new().leeway(Duration::ZERO);
    let tokens = tokens.hs256_secret(SECRET).expect("a long secret");
    tokens.shared_keys(SHARED).expect("a key")
}

fn start(config: Config, tokens: Tokens) -> Running {
    let (_sender, reports) = channel();
    let tokens = Some(tokens);
    Running::start_with(Config { tokens, ..config }, Rights, reports)
}

/// A token with these further claims that expires so many seconds after now.
fn jwt(seconds: i64, claims: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    let expires = now.as_secs_f64() + seconds as f64;
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!("{{\"exp\":{expires}{claims}}}");
    let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&claims));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length");
    let mac = mac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// The first message of a WebSocket that this request opens, and the head of the response.
fn open(server: &Running, target: &str, fields: &str) -> (String, String) {
    let mut client = Client::connect(server.address);
    client.send(upgrade(target, fields));
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (client.read_text(), head)
}

/// A WebSocket whose token expires in a second, with these bytes behind its request. Tries again if the token has
/// expired before the request was read, which can happen on a busy machine.
fn open_for_a_second(server: &Running, behind: &[u8]) -> Client {
    in_time("an opening handshake", || {
        let mut client = Client::connect(server.address);
        let fields = format!("Authorization: Bearer {}\r\n", jwt(1, ""));
        client.send([upgrade("/a", &fields).as_bytes(), behind].concat());
        let head = client.read_head();
        head.starts_with("HTTP/1.1 101 ").then_some(client)
    })
}

/// The response that refuses this request.
fn refused(server: &Running, target: &str, fields: &str) -> yamabiko_testing::socket::Response {
    let mut client = Client::connect(server.address);
    client.send(upgrade(target, fields));
    client.read_response()
}

#[test]
fn websocket_is_opened_with_a_token_in_each_place_and_refused_without_one() {
    with_1_and_3_workers(|config| {
        let server = start(config, tokens());
        let token = jwt(60, r#","sub":"aki","publish":"/a","subscribe":["/*"]"#);
        for (target, fields) in [
            (
                "/a".to_owned(),
                format!("Authorization: Bearer {token}\r\n"),
            ),
            (
                "/a".to_owned(),
                format!("Cookie: b=c; yamabiko_token={token}\r\n"),
            ),
            (
                "/a".to_owned(),
                format!("Sec-WebSocket-Protocol: chat, yamabiko.token.{token}\r\n"),
            ),
            (format!("/a?access_token={token}"), String::new()),
        ] {
            let (rights, _) = open(&server, &target, &fields);
            assert_eq!(rights, "aki publish=true subscribe=true", "{fields}");
        }
        let fields = format!("Authorization: Bearer {token}\r\n");
        let (rights, _) = open(&server, "/b", &fields);
        assert_eq!(rights, "aki publish=false subscribe=true");
        let refusal = refused(&server, "/a", "");
        assert_eq!(refusal.status, 401);
        assert_eq!(refusal.field("WWW-Authenticate"), Some("Bearer"));
    });
}

#[test]
fn shared_key_opens_a_websocket_and_a_guessed_one_does_not() {
    let server = start(yamabiko_testing::socket::config(1), tokens());
    let fields = format!("Authorization: Bearer {SHARED}\r\n");
    assert_eq!(
        open(&server, "/a", &fields).0,
        "? publish=true subscribe=true"
    );
    for guess in ["Tr6vZ1q8yXw0sB4", "Tr6vZ1q8yXw0sB4kk", "TR6VZ1Q8YXW0SB4K"] {
        let refusal = refused(&server, "/a", &format!("Authorization: Bearer {guess}\r\n"));
        assert_eq!(refusal.status, 401, "{guess}");
        let challenge = refusal.field("WWW-Authenticate").expect("a challenge");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(!refusal.head.contains(guess) && !challenge.contains(guess));
    }
}

#[test]
fn wrong_tokens_are_refused_with_the_status_of_the_fault() {
    let server = start(yamabiko_testing::socket::config(1), tokens());
    let valid = jwt(60, "");
    let expired = jwt(-1, "");
    let early = jwt(60, ",\"nbf\":99999999999");
    let other_audience = jwt(60, ",\"aud\":\"another\"");
    let unsigned = valid.rsplit_once('.').expect("three parts").0;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let huge = "x".repeat(5000);
    for (fields, status, reason) in [
        (bearer(&expired), 401, "expired"),
        (bearer(&early), 401, "not valid yet"),
        (bearer(&other_audience), 401, "another audience"),
        (bearer(&format!("{unsigned}.")), 401, "no key"),
        (bearer(&huge), 401, "4096 bytes"),
        (
            "Authorization: Bearer\r\n".to_owned(),
            400,
            "no readable token",
        ),
        (format!("{0}{0}", bearer(&valid)), 400, "two tokens"),
        (
            format!("{}Cookie: yamabiko_token={valid}\r\n", bearer(&valid)),
            400,
            "another one in the cookie",
        ),
    ] {
        let refusal = refused(&server, "/a", &fields);
        let body = String::from_utf8(refusal.body).expect("UTF-8");
        assert_eq!(refusal.status, status, "{body}");
        assert!(body.contains(reason), "{body}");
        assert!(!refusal.head.contains(&valid) && !body.contains(&valid));
    }
    let target = format!("/a?access_token={valid}");
    assert_eq!(refused(&server, &target, &bearer(&valid)).status, 400);
    let mut client = Client::connect(server.address);
    let request = upgrade("/a", "Authorization: Bearer \u{1}\r\n");
    client.send(request.replace('\u{1}', "\u{e9}"));
    assert_eq!(client.read_response().status, 400);
}

#[test]
fn response_never_selects_the_subprotocol_that_is_the_token() {
    let server = start(yamabiko_testing::socket::config(1), tokens());
    let selected = |offered: &str| {
        let fields = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let (_, head) = open(&server, "/a", &fields);
        assert!(!head.contains(SHARED), "{head}");
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        line.map(str::to_owned)
    };
    let token = format!("yamabiko.token.{SHARED}");
    assert_eq!(selected(&format!("{token}, chat")).as_deref(), Some("chat"));
    assert_eq!(
        selected(&format!("yamabiko.token, {token}")).as_deref(),
        Some("yamabiko.token")
    );
    assert_eq!(selected(&token), None);
}

#[test]
fn connection_is_closed_with_3000_when_its_token_expires() {
    with_1_and_3_workers(|config| {
        let server = start(config, tokens());
        let mut without_end = Client::connect(server.address);
        without_end.send(upgrade(
            "/a",
            &format!("Authorization: Bearer {SHARED}\r\n"),
        ));
        assert!(without_end.read_head().starts_with("HTTP/1.1 101 "));
        without_end.read_text();

        let mut client = open_for_a_second(&server, b"");
        client.read_text();
        assert_eq!(client.read_close(), (3000, "the token has expired".into()));
        client.close(3000, "");
        client.expect_end();
        eventually("the connection has ended", LOOP_TIMEOUT, || {
            let metrics = server.handle.metrics();
            metrics.opened - metrics.closed == 1
        });
        without_end.text("still here");
        assert_eq!(without_end.read_text(), "still here");
        // The slot of the ended connection is free of its end.
        let mut next = Client::connect(server.address);
        next.send(upgrade(
            "/a",
            &format!("Authorization: Bearer {SHARED}\r\n"),
        ));
        assert!(next.read_head().starts_with("HTTP/1.1 101 "));
        next.read_text();
        next.text("and here");
        assert_eq!(next.read_text(), "and here");
    });
}

#[test]
fn expiry_closes_a_connection_that_is_busy_and_one_that_is_not_read() {
    let config = Config {
        // Longer than the test may stand between two of its steps.
        close_timeout: Duration::from_secs(1),
        ..yamabiko_testing::socket::config(1)
    };
    let server = start(config, tokens());
    // Half a message, for which the server waits.
    let mut silent = open_for_a_second(&server, b"\x81\x85\x37\xfa\x21\x3d\x7f");
    let mut busy = open_for_a_second(&server, b"");
    busy.read_text();
    let deadline = std::time::Instant::now() + LOOP_TIMEOUT;
    loop {
        busy.text("more");
        let frame = busy.read_frame();
        if frame.opcode == yamabiko::websocket::frame::Opcode::Close {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no Close");
    }
    assert_eq!(silent.read_until_close().0, 3000);
    silent.expect_gone();
}

#[test]
fn optional_tokens_admit_a_client_without_one_and_refuse_a_wrong_one() {
    let server = start(yamabiko_testing::socket::config(1), tokens().optional(true));
    assert_eq!(open(&server, "/a", "").0, "nobody");
    let wrong = "Authorization: Bearer wrong\r\n";
    assert_eq!(refused(&server, "/a", wrong).status, 401);
}

#[test]
fn origin_is_checked_also_with_a_token() {
    let server = start(yamabiko_testing::socket::config(1), tokens());
    let fields = format!("Cookie: yamabiko_token={SHARED}\r\nOrigin: https://evil.example\r\n");
    assert_eq!(refused(&server, "/a", &fields).status, 403);
}

#[test]
fn plain_request_is_checked_when_the_handler_asks_for_its_grant() {
    let server = start(yamabiko_testing::socket::config(1), tokens());
    let ask = |target: &str, fields: &str| {
        let mut client = Client::connect(server.address);
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: 0\r\n{fields}\r\n"
        ));
        client.read_response().status
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let script = jwt(60, r#","publish":["/a"]"#);
    assert_eq!(ask("/a", &bearer(&script)), 202);
    assert_eq!(ask("/b", &bearer(&script)), 403);
    assert_eq!(ask("/a", &bearer(SHARED)), 202);
    assert_eq!(ask("/a", ""), 401);
    assert_eq!(ask("/a", &bearer("wrong")), 401);
    // A page with an old cookie still gets what needs no token.
    assert_eq!(ask("/health", "Cookie: yamabiko_token=old\r\n"), 200);
    let (_sender, reports) = channel();
    let without = Running::start_with(yamabiko_testing::socket::config(1), Rights, reports);
    let mut client = Client::connect(without.address);
    client.send(format!(
        "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
        bearer(SHARED)
    ));
    assert_eq!(client.read_response().status, 401);
}
