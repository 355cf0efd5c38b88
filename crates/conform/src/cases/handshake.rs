//! The opening handshake (RFC 6455 §4): the request that a server reads and a client writes,
//! and the response that a server writes and a client reads.

use crate::case::{Case, Depth, Run, Setting, each, named, one};
use crate::frame::Frame;
use crate::http::{Head, Template, key_bytes};
use crate::script::{Expected, HeadRule, Script};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    // The response of a server.
    Case::must("handshake/response-status", "rfc6455-4.2.2-18",
        "The status line of the response is HTTP/1.1 and 101.", |_| response(is_switching)).server(),
    Case::must("handshake/response-upgrade", "rfc6455-4.2.2-19",
        "The response has the field Upgrade with websocket.", |_| response(upgrades)).server(),
    Case::must("handshake/response-connection", "rfc6455-4.2.2-20",
        "The response has the field Connection with Upgrade.", |_| response(connection_upgrades)).server(),
    Case::must("handshake/response-accept", "rfc6455-4.2.2-21",
        "Sec-WebSocket-Accept is the hash of the key.", |_| response_accept()).server(),
    Case::must("handshake/response-without-extensions", "rfc6455-9-02",
        "A response to a request without extensions has none.", |_| response(has_no_extension)).server(),
    Case::must("handshake/unknown-extension", "rfc6455-4.2.2-16",
        "An unknown extension is not accepted, and does no harm.", |_| unknown_extension()).server(),
    Case::must("handshake/response-without-subprotocol", "rfc6455-4.2.2-13",
        "A response to a request without subprotocols has none.", |_| response(has_no_subprotocol)).decides_subprotocols().server(),
    Case::must("handshake/unknown-subprotocol", "rfc6455-4.2.2-11",
        "A subprotocol of the response is one of the request.", |_| unknown_subprotocol()).decides_subprotocols().server(),
    // Requests that a server accepts.
    Case::must("handshake/any-case-of-names", "rfc6455-4.1-46",
        "The names of fields may have letters of any case.", |_| accepts(&NAMES)).server(),
    Case::must("handshake/any-case-of-values", "rfc6455-4.2.1-05",
        "websocket and Upgrade may have letters of any case.", |_| accepts(&VALUES)).server(),
    Case::must("handshake/connection-list", "rfc6455-4.2.1-06",
        "Connection may have other tokens beside Upgrade.", |_| accepts(&CONNECTION_LISTS)).server(),
    Case::must("handshake/unknown-fields", "rfc6455-4.2.1-13",
        "Unknown fields are ignored.", |_| accepts(&UNKNOWN_FIELDS)).server(),
    Case::must("handshake/absolute-form", "rfc9112-3.2.2-01",
        "The target may be an absolute URI.", |_| accepts(&ABSOLUTE_FORM)).server(),
    Case::quality("handshake/white-space", "rfc6455-4.2.1-01",
        "White space around values, or none, makes no difference.", |_| accepts(&WHITE_SPACE)).server(),
    Case::must("handshake/request-cut", "rfc6455-4.2.1-01",
        "A request is understood wherever TCP cuts it.", request_cut).server(),
    Case::quality("handshake/frames-with-request", "rfc6455-4.2.2-25",
        "Frames that come with the request are processed after the response.", |_| frames_with_request()).server(),
    // Requests that a server refuses.
    Case::must("handshake/method", "rfc6455-4.2.1-03", "A method other than GET does not open a WebSocket.", |_| refuses(METHODS))
        .server(),
    Case::must("handshake/http-version", "rfc6455-4.2.1-03", "HTTP/1.0 does not open a WebSocket.", |_| refuses(HTTP_VERSIONS)).server(),
    Case::must("handshake/without-host", "rfc6455-4.2.1-04",
        "A request without Host does not open a WebSocket.", |_| refuses(WITHOUT_HOST)).server(),
    Case::must("handshake/two-hosts", "rfc9112-3.2-01", "A request with two Host fields is refused with 400.", |_| two_hosts()).server(),
    Case::must("handshake/upgrade", "rfc6455-4.2.1-05",
        "A request whose Upgrade lacks websocket does not open one.", |_| refuses(UPGRADES)).server(),
    Case::must("handshake/connection", "rfc6455-4.2.1-06",
        "A request whose Connection lacks Upgrade does not open a WebSocket.", |_| refuses(CONNECTIONS)).server(),
    Case::must("handshake/key", "rfc6455-4.2.1-07",
        "A key that is not Base64 of 16 bytes, or none, does not open a WebSocket.", |_| refuses(KEYS)).server(),
    Case::must("handshake/two-keys", "rfc6455-11.3.1-01", "Two keys do not open a WebSocket.", |_| refuses(TWO_KEYS)).server(),
    Case::must("handshake/version", "rfc6455-4.2.1-08",
        "A version other than 13, or none, does not open a WebSocket.", |_| refuses(VERSIONS)).server(),
    Case::must("handshake/version-of-server", "rfc6455-4.4-01",
        "The refusal of another version names 13 in Sec-WebSocket-Version.", |_| version_of_server()).server(),
    Case::must("handshake/refusal-is-a-response", "rfc6455-4.2.1-02",
        "A refused request is answered by a response of 4xx or 5xx.", |_| refusal_is_a_response()).server(),
    Case::must("handshake/space-before-colon", "rfc9112-5.1-01",
        "White space between a name and its colon is refused with 400.", |_| space_before_colon()).server(),
    Case::quality("handshake/invalid-lines", "rfc6455-4.2.1-02",
        "Lines that are no fields do not open a WebSocket.", |_| refuses(INVALID_LINES)).server(),
    Case::must("handshake/bare-cr", "rfc9112-2.2-01",
        "A CR alone is no end of a line: what follows it is no field.", |_| refuses(BARE_CR)).server(),
    Case::must("handshake/folded-line", "rfc9112-5.2-01",
        "A line that begins with white space is no field of its own.", |_| refuses(FOLDED)).server(),
    // Bodies of requests.
    Case::must("handshake/invalid-content-length", "rfc9112-6.3-05",
        "A request whose Content-Length is no number, or several, is refused with 400.", |_| refused(LENGTHS, &[400])).server(),
    Case::must("handshake/transfer-coding-not-chunked", "rfc9112-6.3-04",
        "A request whose last transfer coding is not chunked is refused with 400 or 501.", |_| refused(CODINGS, &[400, 501])).server(),
    Case::must("handshake/length-and-coding", "rfc9112-6.1-01",
        "A request with Content-Length and Transfer-Encoding opens no WebSocket.", |_| refuses(LENGTH_AND_CODING)).server(),
    Case::must("handshake/body-is-no-frame", "rfc9112-6.3-06",
        "A body of the request is not taken for frames; the request may be refused.", |_| body_is_no_frame()).server(),
    Case::must("handshake/body-is-no-request", "rfc9112-6.3-06",
        "A request in the body of a refused one is not accepted.", |_| body_is_no_request()).server(),
    Case::quality("handshake/endless-head", "rfc6455-10.4-01",
        "A head of a megabyte does not open a WebSocket.", |_| endless_head()).server(),
    Case::quality("handshake/many-fields", "rfc6455-10.4-01",
        "A head of 10,000 fields does not open a WebSocket.", |_| many_fields()).server(),
    // Ends of TCP.
    Case::quality("handshake/fin-inside-request", "rfc6455-7.1.4-03",
        "A request that FIN cuts off opens no WebSocket, and the server ends TCP.", |_| fin_inside_request()).server(),
    Case::quality("handshake/reset", "rfc6455-7.1.4-03",
        "A RST inside the opening handshake leaves the server in service.", |_| reset()).server(),
    // The request of a client.
    Case::must("handshake/request-method", "rfc6455-4.1-19a", "The method of the request is GET.", |_| request(is_get)).client(),
    Case::must("handshake/request-version", "rfc6455-4.1-19b", "The request is HTTP/1.1.", |_| request(is_http_1_1)).client(),
    Case::must("handshake/request-target", "rfc6455-4.1-20", "The target is path and query of the URL.", |_| request(has_target)).client(),
    Case::must("handshake/request-host", "rfc6455-4.1-21", "The request has one Host, with the port.", |_| request(has_host)).client(),
    Case::must("handshake/request-upgrade", "rfc6455-4.1-22b", "Upgrade has websocket.", |_| request(upgrades)).client(),
    Case::must("handshake/request-connection", "rfc6455-4.1-23b", "Connection has Upgrade.", |_| request(connection_upgrades)).client(),
    Case::must("handshake/request-key", "rfc6455-4.1-25", "The key is Base64 of 16 bytes.", |_| request(has_key)).client(),
    Case::must("handshake/request-new-key", "rfc6455-4.1-26", "Each connection has a new key.", |_| new_key()).client(),
    Case::must("handshake/request-websocket-version", "rfc6455-4.1-31", "The version is 13.", |_| request(is_13)).client(),
    Case::must("handshake/request-single-fields", "rfc6455-11.3.1-01",
        "Key and version are in the request once.", |_| request(are_single)).client(),
    Case::must("handshake/nothing-before-response", "rfc6455-4.1-37",
        "The client sends nothing before it has the response.", |_| nothing_before_response()).client(),
    // Responses that a client accepts.
    Case::must("handshake/response-any-case", "rfc6455-4.1-46",
        "Names and values of the response may have letters of any case.", |_| client_accepts(&ANY_CASE)).client(),
    Case::quality("handshake/response-other-forms", "rfc6455-4.1-47",
        "Other reason phrases, white space and further fields make no difference.", |_| client_accepts(&OTHER_FORMS)).client(),
    Case::must("handshake/response-cut", "rfc6455-4.1-47",
        "A response is understood wherever TCP cuts it.", response_cut).client(),
    Case::must("handshake/frames-with-response", "rfc6455-4.1-47",
        "Frames that come with the response are processed.", |_| frames_with_response()).client(),
    Case::must("handshake/response-has-no-body", "rfc9112-6.3-01",
        "A length in the response 101 does not make frames its body; the connection may fail.", |_| response_has_no_body()).client(),
    // Responses that a client refuses.
    Case::must("handshake/status-of-response", "rfc6455-4.1-39",
        "A status other than 101 opens no WebSocket.", |_| client_refuses(STATUSES)).client(),
    Case::must("handshake/upgrade-of-response", "rfc6455-4.1-40",
        "A response whose Upgrade lacks websocket opens none.", |_| client_refuses(RESPONSE_UPGRADES)).client(),
    Case::must("handshake/connection-of-response", "rfc6455-4.1-41",
        "A response whose Connection lacks Upgrade opens no WebSocket.", |_| client_refuses(RESPONSE_CONNECTIONS)).client(),
    Case::must("handshake/accept-of-response", "rfc6455-4.1-42",
        "A response with a wrong Sec-WebSocket-Accept, or none, opens no WebSocket.", |_| client_refuses(ACCEPTS)).client(),
    Case::must("handshake/extension-of-response", "rfc6455-4.1-43",
        "An extension that the client did not offer fails the connection.", |_| client_refuses(EXTENSIONS)).client(),
    Case::must("handshake/subprotocol-of-response", "rfc6455-4.1-44",
        "A subprotocol that the client did not offer fails the connection.", |_| client_refuses(SUBPROTOCOLS)).client(),
    Case::quality("handshake/endless-response", "rfc6455-10.4-01",
        "A response with a head of a megabyte fails the connection.", |_| endless_response()).client(),
    Case::quality("handshake/many-fields-of-response", "rfc6455-10.4-01",
        "A response of 10,000 fields fails the connection.", |_| many_fields_of_response()).client(),
    Case::quality("handshake/fin-inside-response", "rfc6455-7.1.4-03",
        "A response that FIN cuts off opens no WebSocket, and the client ends TCP.", |_| fin_inside_response()).client(),
];

// ---- servers ----

/// A legal request whose response has this property, and an echo.
fn response(rule: HeadRule) -> Vec<Run> {
    vec![Run::new("", move || accepted(Template::request(), rule))]
}

fn accepted(request: Template, rule: HeadRule) -> Script {
    Script::by_hand()
        .head(request)
        .expect(Expected::Accepted(rule))
        .echo("open")
        .closes()
}

fn response_accept() -> Vec<Run> {
    each(1..=3_u8, |_| {
        Script::by_hand()
            .head(Template::request())
            .expect(Expected::Accepted(any))
            .expect(Expected::Accept)
            .closes()
    })
}

pub(super) fn any(_: &Head) -> Result<(), String> {
    Ok(())
}

fn is_switching(head: &Head) -> Result<(), String> {
    check(head.first.starts_with("HTTP/1.1 101"), || {
        format!("the status line is '{}'", head.first)
    })
}

fn upgrades(head: &Head) -> Result<(), String> {
    check(head.has_token("upgrade", "websocket"), || {
        named_field(head, "upgrade")
    })
}

fn connection_upgrades(head: &Head) -> Result<(), String> {
    check(head.has_token("connection", "upgrade"), || {
        named_field(head, "connection")
    })
}

fn has_no_extension(head: &Head) -> Result<(), String> {
    let name = "sec-websocket-extensions";
    check(head.values(name).is_empty(), || named_field(head, name))
}

fn has_no_subprotocol(head: &Head) -> Result<(), String> {
    let name = "sec-websocket-protocol";
    check(head.values(name).is_empty(), || named_field(head, name))
}

pub(super) fn check(is_kept: bool, violation: impl FnOnce() -> String) -> Result<(), String> {
    if is_kept { Ok(()) } else { Err(violation()) }
}

pub(super) fn named_field(head: &Head, name: &str) -> String {
    match head.values(name).as_slice() {
        [] => format!("there is no field {name}"),
        values => format!("the field {name} is '{}'", values.join(", ")),
    }
}

fn unknown_extension() -> Vec<Run> {
    each(
        [
            "x-unknown",
            "x-unknown; a; b=1",
            "x-one, x-two; quoted=\"token\"",
        ],
        |offer| {
            let request = Template::request().set("Sec-WebSocket-Extensions", offer);
            accepted(request, has_no_extension)
        },
    )
}

fn unknown_subprotocol() -> Vec<Run> {
    each(["x-first, x-second", "x-first"], |offer| {
        let request = Template::request().set("Sec-WebSocket-Protocol", offer);
        Script::by_hand()
            .head(request)
            .expect(Expected::Accepted(is_of_the_offer))
    })
}

fn is_of_the_offer(head: &Head) -> Result<(), String> {
    let values = head.values("sec-websocket-protocol");
    let is_offered = matches!(values.as_slice(), [] | ["x-first"] | ["x-second"]);
    check(is_offered, || named_field(head, "sec-websocket-protocol"))
}

/// A label and the change of a legal head.
pub(super) type Change = (&'static str, fn(Template) -> Template);

const NAMES: [Change; 2] = [
    ("lower case", |head| {
        head.each_line(|line| with_name(line, |name| name.to_lowercase()))
    }),
    ("upper case", |head| {
        head.each_line(|line| with_name(line, |name| name.to_uppercase()))
    }),
];

fn with_name(line: &str, change: fn(&str) -> String) -> String {
    match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", change(name)),
        None => line.to_owned(),
    }
}

const VALUES: [Change; 4] = [
    ("WebSocket", |head| head.set("Upgrade", "WebSocket")),
    ("WEBSOCKET", |head| head.set("Upgrade", "WEBSOCKET")),
    ("upgrade", |head| head.set("Connection", "upgrade")),
    ("UPGRADE", |head| head.set("Connection", "UPGRADE")),
];

const CONNECTION_LISTS: [Change; 4] = [
    ("before", |head| {
        head.set("Connection", "Upgrade, keep-alive")
    }),
    ("behind", |head| {
        head.set("Connection", "keep-alive, Upgrade")
    }),
    ("without space", |head| {
        head.set("Connection", "keep-alive,Upgrade")
    }),
    ("two fields", |head| {
        head.set("Connection", "keep-alive")
            .line("Connection: Upgrade")
    }),
];

const UNKNOWN_FIELDS: [Change; 4] = [
    ("a field", |head| {
        head.line("X-Unknown: anything, at all; even=\"this\"")
    }),
    ("an empty field", |head| head.line("X-Unknown:")),
    ("a Sec-WebSocket field", |head| {
        head.line("Sec-WebSocket-Unknown: a")
    }),
    ("a cookie", |head| head.line("Cookie: a=b; c=\"d\"")),
];

const ABSOLUTE_FORM: [Change; 1] = [("absolute", |head| {
    head.first("GET {scheme}://{host}{target} HTTP/1.1")
})];

const WHITE_SPACE: [Change; 3] = [
    ("none", |head| {
        head.each_line(|line| line.replacen(": ", ":", 1))
    }),
    ("several", |head| {
        head.each_line(|line| line.replacen(": ", ":  \t ", 1))
    }),
    ("behind", |head| head.each_line(|line| format!("{line} \t"))),
];

/// Changed requests that are accepted.
fn accepts(changes: &[Change]) -> Vec<Run> {
    named(changes.iter().copied(), |change| {
        accepted(change(Template::request()), any)
    })
}

fn request_cut(setting: &Setting) -> Vec<Run> {
    let step = if setting.depth == Depth::Quick { 7 } else { 1 };
    let cuts = each((1..180_usize).step_by(step), |&bytes| {
        Script::by_hand()
            .head_cut(bytes, Template::request())
            .expect(Expected::Accepted(any))
            .echo("open")
            .closes()
    });
    let bytes = named([("byte by byte", ())], |()| {
        Script::by_hand()
            .head_pieces(1, Template::request())
            .expect(Expected::Accepted(any))
            .echo("open")
            .closes()
    });
    cuts.into_iter().chain(bytes).collect()
}

fn frames_with_request() -> Vec<Run> {
    one(|| {
        Script::by_hand()
            .head_with(
                Template::request(),
                [Frame::text("early"), Frame::ping("p")],
            )
            .expect(Expected::AcceptedUnless(
                "the server refuses clients that do not wait",
            ))
            .text("early")
            .pong("p")
            .closes()
    })
}

pub(super) type Changes = &'static [Change];

const METHODS: Changes = &[
    ("POST", |head| {
        head.first("POST {target} HTTP/1.1")
            .line("Content-Length: 0")
    }),
    ("PUT", |head| {
        head.first("PUT {target} HTTP/1.1")
            .line("Content-Length: 0")
    }),
    ("HEAD", |head| head.first("HEAD {target} HTTP/1.1")),
    ("OPTIONS", |head| head.first("OPTIONS {target} HTTP/1.1")),
    ("DELETE", |head| head.first("DELETE {target} HTTP/1.1")),
    ("get", |head| head.first("get {target} HTTP/1.1")),
];

const HTTP_VERSIONS: Changes = &[("HTTP/1.0", |head| head.first("GET {target} HTTP/1.0"))];

const WITHOUT_HOST: Changes = &[("no Host", |head| head.without("Host"))];

const UPGRADES: Changes = &[
    ("none", |head| head.without("Upgrade")),
    ("empty", |head| head.set("Upgrade", "")),
    ("h2c", |head| head.set("Upgrade", "h2c")),
    ("websockets", |head| head.set("Upgrade", "websockets")),
];

const CONNECTIONS: Changes = &[
    ("none", |head| head.without("Connection")),
    ("empty", |head| head.set("Connection", "")),
    ("keep-alive", |head| head.set("Connection", "keep-alive")),
    ("Upgraded", |head| head.set("Connection", "Upgraded")),
];

const KEYS: Changes = &[
    ("none", |head| head.without("Sec-WebSocket-Key")),
    ("empty", |head| head.set("Sec-WebSocket-Key", "")),
    ("15 bytes", |head| {
        head.set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA")
    }),
    ("17 bytes", |head| {
        head.set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA=")
    }),
    ("not Base64", |head| {
        head.set("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!==")
    }),
    ("without padding", |head| {
        head.set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA")
    }),
];

const TWO_KEYS: Changes = &[
    ("different", |head| {
        head.line("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    }),
    ("the same", |head| head.line("Sec-WebSocket-Key: {key}")),
];

const VERSIONS: Changes = &[
    ("none", |head| head.without("Sec-WebSocket-Version")),
    ("empty", |head| head.set("Sec-WebSocket-Version", "")),
    ("0", |head| head.set("Sec-WebSocket-Version", "0")),
    ("8", |head| head.set("Sec-WebSocket-Version", "8")),
    ("12", |head| head.set("Sec-WebSocket-Version", "12")),
    ("14", |head| head.set("Sec-WebSocket-Version", "14")),
    ("131", |head| head.set("Sec-WebSocket-Version", "131")),
    ("1 3", |head| head.set("Sec-WebSocket-Version", "1 3")),
];

const INVALID_LINES: Changes = &[
    ("no colon", |head| head.line("nonsense")),
    ("no name", |head| head.line(": value")),
    ("NUL in a value", |head| head.line("X-Unknown: a\0b")),
    ("a space in a name", |head| head.line("X Unknown: a")),
    ("no target", |head| head.first("GET HTTP/1.1")),
    ("two spaces", |head| head.first("GET  {target}  HTTP/1.1")),
    ("another protocol", |head| {
        head.first("GET {target} HTCPCP/1.1")
    }),
];

const BARE_CR: Changes = &[
    ("Connection", |head| {
        head.replace("Connection", "X-Unknown: a\rConnection: Upgrade")
    }),
    ("Upgrade", |head| {
        head.replace("Upgrade", "X-Unknown: a\rUpgrade: websocket")
    }),
];

const FOLDED: Changes = &[
    ("Connection", |head| {
        head.replace("Connection", "X-Unknown: a\r\n Connection: Upgrade")
    }),
    ("Upgrade", |head| {
        head.replace("Upgrade", "X-Unknown: a\r\n\tUpgrade: websocket")
    }),
];

const LENGTHS: Changes = &[
    ("5, 6", |head| {
        head.line("Content-Length: 5, 6").body("hello")
    }),
    ("-1", |head| head.line("Content-Length: -1")),
    ("+5", |head| head.line("Content-Length: +5").body("hello")),
    ("5x", |head| head.line("Content-Length: 5x").body("hello")),
    ("0x5", |head| head.line("Content-Length: 0x5").body("hello")),
    ("two fields", |head| {
        head.line("Content-Length: 5")
            .line("Content-Length: 6")
            .body("hello")
    }),
];

const CODINGS: Changes = &[
    ("gzip", |head| head.line("Transfer-Encoding: gzip")),
    ("chunked, gzip", |head| {
        head.line("Transfer-Encoding: chunked, gzip")
            .body("0\r\n\r\n")
    }),
    ("xchunked", |head| {
        head.line("Transfer-Encoding: xchunked").body("0\r\n\r\n")
    }),
];

const LENGTH_AND_CODING: Changes = &[
    ("length first", |head| {
        head.line("Content-Length: 5")
            .line("Transfer-Encoding: chunked")
            .body("0\r\n\r\n")
    }),
    ("coding first", |head| {
        head.line("Transfer-Encoding: chunked")
            .line("Content-Length: 5")
            .body("0\r\n\r\n")
    }),
];

fn refused(changes: Changes, statuses: &'static [u16]) -> Vec<Run> {
    let run = |&(label, change): &Change| {
        Run::new(label, move || {
            Script::by_hand()
                .head(change(Template::request()))
                .expect(Expected::Refused(statuses, any))
        })
    };
    changes.iter().map(run).collect()
}

fn body_is_no_frame() -> Vec<Run> {
    const BODIES: Changes = &[
        ("Content-Length", |head| {
            head.line("Content-Length: {length}").body(smuggled())
        }),
        ("chunked", |head| {
            let body = smuggled();
            let size = format!("{:x}\r\n", body.len()).into_bytes();
            let chunks = [size.as_slice(), &body, b"\r\n0\r\n\r\n"].concat();
            head.line("Transfer-Encoding: chunked").body(chunks)
        }),
    ];
    named(BODIES.iter().copied(), |change| {
        Script::by_hand()
            .head(change(Template::request()))
            .expect(Expected::AcceptedOrRefused)
            .echo("open")
            .closes()
    })
}

/// A whole frame.
fn smuggled() -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::text("smuggled").encode(true, [0xF1, 0xF2, 0xF3, 0xF4], &mut bytes);
    bytes
}

fn body_is_no_request() -> Vec<Run> {
    const REFUSED: Changes = &[
        ("after another version", |head| {
            head.set("Sec-WebSocket-Version", "12")
        }),
        ("after no key", |head| head.without("Sec-WebSocket-Key")),
        ("after no upgrade", |head| {
            head.without("Upgrade").without("Connection")
        }),
    ];
    const INNER: &str = "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n";
    named(REFUSED.iter().copied(), |change| {
        let request = change(Template::request());
        Script::by_hand()
            .head(request.line("Content-Length: {length}").body(INNER))
            .expect(Expected::NothingAccepted)
    })
}

/// Changed requests that open no WebSocket.
fn refuses(changes: &[Change]) -> Vec<Run> {
    named(changes.iter().copied(), |change| {
        Script::by_hand()
            .head(change(Template::request()))
            .expect(Expected::NotAccepted)
    })
}

fn two_hosts() -> Vec<Run> {
    named([("different", "other"), ("the same", "{host}")], |host| {
        let request = Template::request().line(format!("Host: {host}"));
        Script::by_hand()
            .head(request)
            .expect(Expected::Refused(&[400], any))
    })
}

fn space_before_colon() -> Vec<Run> {
    named(
        [
            ("Upgrade", "Upgrade"),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key"),
        ],
        |name| {
            let line = match *name {
                "Upgrade" => "Upgrade : websocket",
                _ => "Sec-WebSocket-Key : {key}",
            };
            let request = Template::request().replace(name, line);
            Script::by_hand()
                .head(request)
                .expect(Expected::Refused(&[400], any))
        },
    )
}

fn version_of_server() -> Vec<Run> {
    each(["12", "14", "255"], |version| {
        let request = Template::request().set("Sec-WebSocket-Version", version);
        Script::by_hand()
            .head(request)
            .expect(Expected::Refused(&[], names_13))
    })
}

fn names_13(head: &Head) -> Result<(), String> {
    let name = "sec-websocket-version";
    check(head.has_token(name, "13"), || named_field(head, name))
}

fn refusal_is_a_response() -> Vec<Run> {
    let changes = [UPGRADES, CONNECTIONS, KEYS, VERSIONS, WITHOUT_HOST];
    // A request without Upgrade may be one for a page.
    let is_for_websocket = |(label, _): &Change| !matches!(*label, "none" | "empty" | "keep-alive");
    let changes = changes.concat().into_iter().filter(is_for_websocket);
    named(
        changes.filter(|(label, _)| !matches!(*label, "h2c" | "websockets" | "Upgraded")),
        |change| {
            let request = change(Template::request());
            Script::by_hand()
                .head(request)
                .expect(Expected::Refused(&[], any))
        },
    )
}

const ENDLESS: [Change; 3] = [
    ("1,000 fields", |head| {
        let line = format!("X-Unknown: {}", "a".repeat(1000));
        (0..1000).fold(head, |head, _| head.line(&line))
    }),
    ("one value", |head| {
        head.line(format!("X-Unknown: {}", "a".repeat(1_000_000)))
    }),
    ("one name", |head| {
        head.line(format!("X-{}: a", "a".repeat(1_000_000)))
    }),
];

fn endless_head() -> Vec<Run> {
    const TARGET: Change = ("the target", |head| {
        head.first(&format!("GET /{} HTTP/1.1", "a".repeat(1_000_000)))
    });
    let mut runs = refuses(&[ENDLESS.as_slice(), &[TARGET]].concat());
    runs.push(Run::new("no end", || {
        let begun = format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(1_000_000));
        let script = Script::by_hand().bytes(begun, "the beginning of a request");
        script.expect(Expected::NotAccepted)
    }));
    runs
}

fn with_many_fields(head: Template) -> Template {
    (0..10_000).fold(head, |head, _| head.line("A: b"))
}

fn many_fields() -> Vec<Run> {
    refuses(&[("", with_many_fields)])
}

/// The beginning of a request, up to a field.
const BEGUN_REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnec";

fn fin_inside_request() -> Vec<Run> {
    each(["no byte", "a request line", "a field"], |place| {
        let script = match *place {
            "no byte" => Script::by_hand(),
            "a request line" => Script::by_hand().bytes("GET / HT", "the beginning of a request"),
            _ => Script::by_hand().bytes(BEGUN_REQUEST, "the beginning of a request"),
        };
        let script = script.end_sending().expect(Expected::NotAccepted);
        script.expect(Expected::End)
    })
}

fn reset() -> Vec<Run> {
    each(["no byte", "a field", "whole request"], |place| {
        let script = match *place {
            "no byte" => Script::by_hand(),
            "a field" => Script::by_hand().bytes(BEGUN_REQUEST, "the beginning of a request"),
            _ => Script::by_hand().head(Template::request()),
        };
        script.reset().expect(Expected::FreshConnection)
    })
}

// ---- clients ----

/// A request with this property; the connection is opened as usual.
fn request(rule: HeadRule) -> Vec<Run> {
    vec![Run::new("", move || {
        Script::new()
            .expect(Expected::Request(rule))
            .echo("open")
            .closes()
    })]
}

fn is_get(head: &Head) -> Result<(), String> {
    check(head.first.starts_with("GET "), || {
        format!("the request line is '{}'", head.first)
    })
}

fn is_http_1_1(head: &Head) -> Result<(), String> {
    check(head.first.ends_with(" HTTP/1.1"), || {
        format!("the request line is '{}'", head.first)
    })
}

fn has_target(head: &Head) -> Result<(), String> {
    let target = head.target().unwrap_or_default();
    let path = target
        .strip_prefix("http://")
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = path.unwrap_or(target);
    check(
        path.starts_with("/runCase?case=") && !path.contains('#'),
        || format!("the request line is '{}'", head.first),
    )
}

fn has_host(head: &Head) -> Result<(), String> {
    let hosts = head.values("host");
    let has_port = hosts.first().and_then(|host| host.rsplit_once(':'));
    let is_port =
        has_port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    check(hosts.len() == 1 && is_port, || named_field(head, "host"))
}

fn has_key(head: &Head) -> Result<(), String> {
    let name = "sec-websocket-key";
    let keys = head.values(name);
    let bytes = keys.first().and_then(|key| key_bytes(key));
    check(bytes.is_some_and(|bytes| bytes.len() == 16), || {
        named_field(head, name)
    })
}

fn is_13(head: &Head) -> Result<(), String> {
    let name = "sec-websocket-version";
    check(head.values(name) == ["13"], || named_field(head, name))
}

fn are_single(head: &Head) -> Result<(), String> {
    let mut names = ["sec-websocket-key", "sec-websocket-version", "host"].into_iter();
    match names.find(|name| head.values(name).len() != 1) {
        None => Ok(()),
        Some(name) => Err(format!("{name} is there {} times", head.values(name).len())),
    }
}

fn new_key() -> Vec<Run> {
    each(1..=3_u8, |_| {
        Script::new().expect(Expected::NewKey).echo("open").closes()
    })
}

fn nothing_before_response() -> Vec<Run> {
    one(|| {
        Script::by_hand()
            .expect(Expected::Quiet)
            .head(Template::response())
            .echo("open")
            .closes()
    })
}

const ANY_CASE: [Change; 4] = [
    ("names in lower case", NAMES[0].1),
    ("names in upper case", NAMES[1].1),
    ("WebSocket", |head| head.set("Upgrade", "WebSocket")),
    ("upgrade", |head| head.set("Connection", "upgrade")),
];

const OTHER_FORMS: [Change; 6] = [
    ("another reason phrase", |head| {
        head.first("HTTP/1.1 101 Web Socket Protocol Handshake")
    }),
    ("no reason phrase", |head| head.first("HTTP/1.1 101 ")),
    ("no white space", WHITE_SPACE[0].1),
    ("much white space", WHITE_SPACE[1].1),
    ("further fields", |head| {
        head.line("Server: suite")
            .line("X-Unknown: a\"b")
            .line("Date:")
    }),
    ("a list", |head| {
        head.set("Connection", "keep-alive, Upgrade")
    }),
];

/// Changed responses that open a WebSocket.
fn client_accepts(changes: &[Change]) -> Vec<Run> {
    named(changes.iter().copied(), |change| {
        Script::by_hand()
            .head(change(Template::response()))
            .echo("open")
            .closes()
    })
}

fn response_has_no_body() -> Vec<Run> {
    const LENGTHS: Changes = &[
        ("Content-Length", |head| head.line("Content-Length: 7")),
        ("chunked", |head| head.line("Transfer-Encoding: chunked")),
    ];
    named(LENGTHS.iter().copied(), |change| {
        Script::by_hand()
            .head_with(change(Template::response()), [Frame::text("early")])
            .expect(Expected::MessageOrFailure {
                is_binary: false,
                payload: b"early".to_vec(),
            })
    })
}

fn response_cut(setting: &Setting) -> Vec<Run> {
    let step = if setting.depth == Depth::Quick { 7 } else { 1 };
    let cuts = each((1..129_usize).step_by(step), |&bytes| {
        Script::by_hand()
            .head_cut(bytes, Template::response())
            .echo("open")
            .closes()
    });
    let bytes = named([("byte by byte", ())], |()| {
        Script::by_hand()
            .head_pieces(1, Template::response())
            .echo("open")
            .closes()
    });
    cuts.into_iter().chain(bytes).collect()
}

fn frames_with_response() -> Vec<Run> {
    one(|| {
        Script::by_hand()
            .head_with(
                Template::response(),
                [Frame::text("early"), Frame::ping("p")],
            )
            .text("early")
            .pong("p")
            .closes()
    })
}

const STATUSES: Changes = &[
    ("200", |head| head.first("HTTP/1.1 200 OK")),
    ("201", |head| head.first("HTTP/1.1 201 Created")),
    ("304", |head| head.first("HTTP/1.1 304 Not Modified")),
    ("400", |head| head.first("HTTP/1.1 400 Bad Request")),
    ("404", |head| head.first("HTTP/1.1 404 Not Found")),
    ("426", |head| head.first("HTTP/1.1 426 Upgrade Required")),
    ("500", |head| {
        head.first("HTTP/1.1 500 Internal Server Error")
    }),
    ("1010", |head| {
        head.first("HTTP/1.1 1010 Switching Protocols")
    }),
];

const RESPONSE_UPGRADES: Changes = &[
    ("none", |head| head.without("Upgrade")),
    ("empty", |head| head.set("Upgrade", "")),
    ("h2c", |head| head.set("Upgrade", "h2c")),
    ("websockets", |head| head.set("Upgrade", "websockets")),
];

const RESPONSE_CONNECTIONS: Changes = &[
    ("none", |head| head.without("Connection")),
    ("empty", |head| head.set("Connection", "")),
    ("close", |head| head.set("Connection", "close")),
];

const ACCEPTS: Changes = &[
    ("none", |head| head.without("Sec-WebSocket-Accept")),
    ("empty", |head| head.set("Sec-WebSocket-Accept", "")),
    ("of another key", |head| {
        head.set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }),
    ("the key", |head| head.set("Sec-WebSocket-Accept", "{key}")),
    ("with more behind", |head| {
        head.set("Sec-WebSocket-Accept", "{accept}x")
    }),
];

const EXTENSIONS: Changes = &[
    ("x-unknown", |head| {
        head.line("Sec-WebSocket-Extensions: x-unknown")
    }),
    ("with a parameter", |head| {
        head.line("Sec-WebSocket-Extensions: x-unknown; a=1")
    }),
];

const SUBPROTOCOLS: Changes = &[("x-unknown", |head| {
    head.line("Sec-WebSocket-Protocol: x-unknown")
})];

/// Changed responses that open no WebSocket: the message behind them is not echoed.
fn client_refuses(changes: Changes) -> Vec<Run> {
    named(changes.iter().copied(), |change| {
        let response = change(Template::response()).line("Content-Length: 0");
        Script::by_hand()
            .head_with(response, [Frame::text("open?")])
            .fails(&[])
    })
}

fn endless_response() -> Vec<Run> {
    let mut runs = named(ENDLESS, |change| {
        Script::by_hand()
            .head_with(change(Template::response()), [Frame::text("open?")])
            .fails(&[])
    });
    runs.push(Run::new("no end", || {
        let value = "a".repeat(1_000_000);
        let begun = format!("HTTP/1.1 101 Switching Protocols\r\nX: {value}");
        let script = Script::by_hand().bytes(begun, "the beginning of a response");
        script.fails(&[])
    }));
    runs
}

fn many_fields_of_response() -> Vec<Run> {
    one(|| {
        let response = with_many_fields(Template::response());
        Script::by_hand()
            .head_with(response, [Frame::text("open?")])
            .fails(&[])
    })
}

fn fin_inside_response() -> Vec<Run> {
    const BEGUN: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnec";
    each(["no byte", "a field"], |place| {
        let script = match *place {
            "no byte" => Script::by_hand(),
            _ => Script::by_hand().bytes(BEGUN, "the beginning of a response"),
        };
        script.end_sending().expect(Expected::End)
    })
}
