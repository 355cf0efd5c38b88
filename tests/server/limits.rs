//! Messages of all sizes, whole and fragmented, and each limit: at the limit and one past it
//! (RFC 6455 §5.4, §5.5, §10.4).

#[cfg(target_os = "linux")]
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::time::Duration;
use yamabiko::server::{Accept, Config, HttpLimits, Limits, RefusalReason, RoomLimits};
use yamabiko::websocket::frame::{Opcode, encode};
use yamabiko::websocket::{Connection, Fragment};
use yamabiko_testing::socket::{
    Client, Frame, GET, PAGE, Running, TIMEOUT, config, eventually, frame, upgrade,
    with_1_and_3_workers,
};

const SIZES: [usize; 15] = [
    0, 1, 2, 124, 125, 126, 127, 1_000, 65_535, 65_536, 65_537, 65_550, 131_072, 200_000, 1_048_576,
];

fn bytes_of(size: usize) -> Vec<u8> {
    (0u8..=250).cycle().take(size).collect()
}

/// Text with characters of one to four bytes.
fn text_of(size: usize) -> String {
    let mut text: String = "aé漢𝄞".chars().cycle().take(size).collect();
    while text.len() > size {
        text.pop();
    }
    text.push_str(&"x".repeat(size - text.len()));
    text
}

#[test]
fn messages_of_all_sizes_are_echoed_unchanged() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        for size in SIZES {
            client.send(frame(Opcode::Binary, &bytes_of(size)));
            let binary = Frame::new(Opcode::Binary, bytes_of(size));
            assert!(client.read_frame() == binary, "{size} bytes");
            let text = text_of(size);
            client.text(&text);
            assert!(client.read_text() == text, "{size} bytes of text");
        }
    });
}

#[test]
fn fragmented_messages_are_echoed_whole_and_pings_between_are_answered() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        let mut connection = Connection::client(Limits::default(), || [9, 8, 7, 6]);
        for size in SIZES {
            let text = text_of(size);
            let mut wire = Vec::new();
            let mut pieces = text.as_bytes().chunks(size / 7 + 1).peekable();
            let mut pings = 0;
            loop {
                let piece = pieces.next().unwrap_or_default();
                let last = pieces.peek().is_none();
                let sent = connection.send_fragment(Fragment::text(piece).last_if(last), &mut wire);
                sent.expect("a legal fragment");
                if last {
                    break;
                }
                wire.extend_from_slice(&frame(Opcode::Ping, b"between"));
                pings += 1;
            }
            client.send(&wire);
            for _ in 0..pings {
                let pong = client.read_frame();
                assert_eq!(pong.opcode, Opcode::Pong);
                assert_eq!(pong.payload, b"between");
            }
            assert!(client.read_text() == text, "{size} bytes");
        }
    });
}

#[test]
fn messages_and_control_frames_in_one_packet_are_answered_in_order() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        let mut wire = Vec::new();
        for number in 0..20 {
            wire.extend_from_slice(&frame(Opcode::Text, format!("{number}").as_bytes()));
            wire.extend_from_slice(&frame(Opcode::Ping, &[number]));
            wire.extend_from_slice(&frame(Opcode::Pong, b"unsolicited"));
        }
        client.send(&wire);
        for number in 0..20 {
            assert_eq!(client.read_text(), format!("{number}"));
            let pong = client.read_frame();
            assert_eq!((pong.opcode, pong.payload), (Opcode::Pong, vec![number]));
        }
    });
}

#[test]
fn pings_of_up_to_125_bytes_are_answered_with_their_payload() {
    let server = Running::start(config(1));
    let mut client = Client::open(server.address);
    for size in [0, 1, 124, 125] {
        client.send(frame(Opcode::Ping, &bytes_of(size)));
        assert_eq!(client.read_frame().payload, bytes_of(size));
    }
    client.send(frame(Opcode::Ping, &bytes_of(126)));
    assert_eq!(client.read_close().0, 1002);
}

#[test]
fn message_one_byte_past_the_limit_is_refused_by_its_header_alone() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            limits: Limits {
                message_bytes_max: 70_000,
                fragments_max: 3,
                ..Limits::default()
            },
            ..config
        });
        let mut client = Client::open(server.address);
        client.send(frame(Opcode::Binary, &bytes_of(70_000)));
        assert!(client.read_frame().payload == bytes_of(70_000));

        let one_past = frame(Opcode::Binary, &bytes_of(70_001));
        client.send(&one_past[..14]);
        assert_eq!(client.read_close().0, 1009);
        client.expect_end();

        // The limit also holds for the sum of all fragments.
        let fragment = |opcode, payload: &[u8], fin| {
            let mut bytes = Vec::new();
            encode(fin, opcode, Some([1, 2, 3, 4]), payload, &mut bytes);
            bytes
        };
        let mut client = Client::open(server.address);
        client.send(fragment(Opcode::Binary, &bytes_of(69_999), false));
        client.send(fragment(Opcode::Continuation, &[1], true));
        assert_eq!(client.read_frame().payload.len(), 70_000);
        client.send(fragment(Opcode::Binary, &bytes_of(70_000), false));
        client.send(&fragment(Opcode::Continuation, &[1], true)[..6]);
        assert_eq!(client.read_close().0, 1009);

        let mut client = Client::open(server.address);
        client.send(fragment(Opcode::Text, b"a", false));
        client.send(fragment(Opcode::Continuation, b"b", false));
        client.send(fragment(Opcode::Continuation, b"c", true));
        assert_eq!(client.read_text(), "abc");
        client.send(fragment(Opcode::Text, b"a", false));
        client.send(fragment(Opcode::Continuation, b"b", false));
        client.send(fragment(Opcode::Continuation, b"c", false));
        client.send(fragment(Opcode::Continuation, b"d", true));
        assert_eq!(client.read_close().0, 1008);
    });
}

/// The status of the response to an opening handshake, and the client if it is a 101.
fn try_to_open(address: SocketAddr) -> (u16, Option<Client>) {
    let mut client = Client::connect(address);
    client.send(upgrade("/", ""));
    let head = client.read_head();
    match head.split(' ').nth(1) {
        Some("101") => (101, Some(client)),
        Some("503") => (503, None),
        _ => panic!("{head}"),
    }
}

/// Opens `count` connections, as many as the limit allows. It waits for connections
/// that the server is still ending.
fn open_all(address: SocketAddr, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    eventually("all connections are open", TIMEOUT, || {
        clients.extend(try_to_open(address).1);
        clients.len() == count
    });
    for _ in 0..3 {
        assert_eq!(try_to_open(address).0, 503, "one past {count}");
    }
    clients
}

#[test]
fn connections_beyond_the_limit_of_the_whole_server_get_503_and_none_waits() {
    for accept in [Accept::PerWorker, Accept::Shared] {
        let server = Running::start(Config {
            accept,
            connections_max: 10,
            ..config(2)
        });
        let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(server.address)).collect();
        for client in &mut clients {
            client.send(upgrade("/", ""));
        }
        let mut opened = Vec::new();
        for mut client in clients {
            if client.peek_head().starts_with("HTTP/1.1 101 ") {
                opened.push(client);
                continue;
            }
            let response = client.read_response();
            response.expect_whole();
            assert_eq!(response.status, 503);
            assert!(response.field("Date").is_some(), "{}", response.head);
            let retry_after = response.field("Retry-After").expect("a Retry-After field");
            assert!(retry_after.parse::<u32>().is_ok(), "{retry_after}");
        }
        assert_eq!(opened.len(), 10);
        eventually("ten refusals are counted", TIMEOUT, || {
            server.handle.metrics().refused == 10
        });
        for client in &mut opened {
            client.read_head();
            client.text("served");
            assert_eq!(client.read_text(), "served");
        }
    }
}

#[test]
fn connection_limit_counts_open_connections_exactly() {
    const CONNECTIONS: usize = 3;
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            connections_max: CONNECTIONS,
            close_timeout: Duration::from_millis(20),
            ..config
        });
        let address = server.address;
        // All connections end at once, for each kind of ending.
        let mut clients = open_all(address, CONNECTIONS);
        for client in &mut clients {
            client.close(1000, "");
            client.read_close();
        }
        drop(clients);
        for client in open_all(address, CONNECTIONS) {
            client.reset();
        }
        let mut clients = open_all(address, CONNECTIONS);
        for client in &mut clients {
            client.send([0x83, 0x80]);
            assert_eq!(client.read_close().0, 1002);
        }
        drop(clients);
        let mut clients = open_all(address, CONNECTIONS);
        for client in &mut clients {
            client.text("/close 4000 bye");
            client.end_output();
            client.expect_gone();
        }
        drop(open_all(address, CONNECTIONS));
        eventually("the server accepts all connections again", TIMEOUT, || {
            let mut pages: Vec<Client> =
                (0..CONNECTIONS).map(|_| Client::connect(address)).collect();
            pages.iter_mut().all(|page| {
                page.send(GET);
                page.read_response().status == 404
            })
        });
        drop(open_all(address, CONNECTIONS));
    });
}

/// Connects from this loopback address, and returns the status of the response with the client.
#[cfg(target_os = "linux")]
fn open_from(host: u8, server: SocketAddr) -> (u16, Client) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from(([127, 0, 0, host], 0));
    socket.bind(&own.into()).expect("a loopback address");
    socket.connect(&server.into()).expect("the server accepts");
    let mut client = Client::of(socket.into());
    client.send(upgrade("/", ""));
    let head = client.read_head();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), client)
}

#[cfg(target_os = "linux")]
#[test]
fn sixth_connection_of_an_address_gets_503_and_other_addresses_are_served() {
    for (accept, workers) in [
        (Accept::PerWorker, 1),
        (Accept::PerWorker, 3),
        (Accept::Shared, 3),
    ] {
        let server = Running::start(Config {
            accept,
            connections_per_address: NonZeroUsize::new(5),
            ..config(workers)
        });
        let open = |host| open_from(host, server.address);
        for host in [1, 2] {
            let mut clients: Vec<Client> = (0..5)
                .map(|_| {
                    let (status, client) = open(host);
                    assert_eq!(status, 101);
                    client
                })
                .collect();
            for _ in 0..3 {
                assert_eq!(open(host).0, 503, "one past five");
            }
            // A place is free as soon as one of them has ended.
            let mut first = clients.remove(0);
            first.close(1000, "");
            first.read_close();
            drop(first);
            eventually("the sixth is accepted", TIMEOUT, || {
                let (status, client) = open(host);
                clients.extend((status == 101).then_some(client));
                clients.len() == 5
            });
            for client in &mut clients {
                client.text("served");
                assert_eq!(client.read_text(), "served");
            }
        }
        assert!(server.handle.metrics().refused >= 6);
    }
}

#[test]
fn new_connections_beyond_the_rate_get_503_and_open_ones_are_served() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            connections_per_second: NonZeroU32::new(2),
            ..config
        });
        let mut opened = Client::open(server.address);
        let mut refused = 0;
        // More than two in a second, whatever this machine does meanwhile.
        eventually("a connection is refused", TIMEOUT, || {
            refused += usize::from(try_to_open(server.address).0 == 503);
            refused > 0
        });
        opened.text("served");
        assert_eq!(opened.read_text(), "served");
    });
}

#[test]
fn plain_requests_beyond_the_limit_get_503_and_head_requests_get_no_body() {
    let server = Running::start(Config {
        connections_max: 1,
        ..config(1)
    });
    let _opened = Client::open(server.address);
    let mut client = Client::connect(server.address);
    client.send(GET);
    assert_eq!(client.read_response().status, 503);
    let mut client = Client::connect(server.address);
    client.send(GET.replace("GET", "HEAD"));
    let response = client.read_response();
    assert_eq!((response.status, response.body.len()), (503, 0));
}

#[test]
fn full_server_answers_what_the_application_answers_at_any_time() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            connections_max: 1,
            ..config
        });
        let mut opened = Client::open(server.address);
        let respond = |request: &[&str]| {
            let mut client = Client::connect(server.address);
            for part in request {
                client.send(part);
            }
            let response = client.read_response();
            (response.status, response.body.len())
        };
        let health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for _ in 0..3 {
            // It ends the connection, though the client does not ask for that.
            assert_eq!(respond(&[health]), (200, PAGE.len()));
        }
        assert_eq!(respond(&[&health[..20], &health[20..]]), (200, PAGE.len()));
        assert_eq!(respond(&[&health.replace("GET", "HEAD")]), (200, 0));
        // A request with a body, an upgrade, another path, and no request at all.
        let with_body = health.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(respond(&[&with_body]).0, 503);
        assert_eq!(respond(&[&upgrade("/health", "")]).0, 503);
        assert_eq!(respond(&[GET]).0, 503);
        assert_eq!(respond(&["no request\r\n\r\n"]).0, 503);
        opened.text("served");
        assert_eq!(opened.read_text(), "served");
        let metrics = server.handle.metrics();
        assert_eq!((metrics.accepted, metrics.opened), (1, 1));
        eventually("requests are counted", TIMEOUT, || {
            let metrics = server.handle.metrics();
            metrics.refused == 9 && metrics.requests == 5
        });
    });
}

#[test]
fn connection_beyond_the_limit_that_requests_nothing_is_closed_after_the_handshake_timeout() {
    let server = Running::start(Config {
        connections_max: 0,
        handshake_timeout: Duration::from_millis(20),
        ..config(1)
    });
    Client::connect(server.address).expect_end();
}

/// As many as the server responds to at a time on one worker.
const REFUSALS: usize = 256;

/// A full server, with an open connection and as many refused ones as get a response, which have sent this.
fn with_all_places_taken(sent: &[u8]) -> (Running, Client, Vec<Client>) {
    let server = Running::start(Config {
        connections_max: 1,
        ..config(1)
    });
    let opened = Client::open(server.address);
    let mut refused: Vec<Client> = (0..REFUSALS)
        .map(|_| Client::connect(server.address))
        .collect();
    refused.iter_mut().for_each(|client| client.send(sent));
    eventually("all are refused and read", TIMEOUT, || {
        let metrics = server.handle.metrics();
        metrics.refused == REFUSALS as u64
            && metrics.received_bytes >= (REFUSALS * sent.len()) as u64
    });
    (server, opened, refused)
}

/// The status of the response to a request on a new connection.
fn status_of(address: SocketAddr, request: &str) -> u16 {
    let mut client = Client::connect(address);
    client.send(request);
    client.read_response().status
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn concurrent_refusals_are_limited_and_one_more_closes_the_oldest_silent_one() {
    let (server, mut opened, mut silent) = with_all_places_taken(b"");
    assert_eq!(status_of(server.address, HEALTH), 200);
    let mut oldest = silent.remove(0);
    oldest.expect_gone();
    // Those at the limit get their response and end.
    for client in &mut silent {
        client.send(GET);
        assert_eq!(client.read_response().status, 503);
    }
    opened.text("served");
    assert_eq!(opened.read_text(), "served");
}

#[test]
fn refused_clients_that_send_a_part_of_a_request_do_not_keep_their_places() {
    let (server, _opened, mut refused) = with_all_places_taken(&GET.as_bytes()[..5]);
    // None of the newcomers goes before an older one, though they have sent less.
    let mut newcomers: Vec<Client> = (0..3).map(|_| Client::connect(server.address)).collect();
    for client in &mut newcomers {
        client.send(HEALTH);
        assert_eq!(client.read_response().status, 200);
    }
    refused[..3].iter_mut().for_each(Client::expect_gone);
    for client in &mut refused[3..] {
        client.send(&GET[5..]);
        assert_eq!(client.read_response().status, 503);
    }
}

#[test]
fn refused_clients_that_keep_their_answered_connections_do_not_keep_their_places() {
    let (server, _opened, mut refused) = with_all_places_taken(GET.as_bytes());
    for client in &mut refused {
        assert_eq!(client.read_response().status, 503);
    }
    assert_eq!(status_of(server.address, HEALTH), 200);
}

#[test]
fn full_server_gives_the_place_of_a_client_without_a_request_to_a_new_one() {
    for accept in [Accept::PerWorker, Accept::Shared] {
        let server = Running::start(Config {
            accept,
            connections_max: 3,
            // An eighth of it is the time that each client has in any case.
            handshake_timeout: Duration::from_secs(2),
            http: HttpLimits {
                idle_timeout: Duration::from_secs(600),
                ..HttpLimits::default()
            },
            ..config(1)
        });
        let mut opened = Client::open(server.address);
        let mut idle = Client::connect(server.address);
        idle.send(GET.replace("Connection: close\r\n", ""));
        assert_eq!(idle.read_one_response(false).status, 404);
        let mut uploading = Client::connect(server.address);
        uploading.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234");
        eventually("the upload has begun", TIMEOUT, || {
            server.handle.metrics().accepted == 3
        });
        let mut newcomer = None;
        eventually("a new client is served", TIMEOUT, || {
            newcomer = try_to_open(server.address).1;
            newcomer.is_some()
        });
        idle.expect_gone();
        let replaced = |server: &Running| {
            let metrics = server.handle.metrics();
            let mut refusals = metrics.refusals();
            refusals.find(|(reason, _)| *reason == RefusalReason::Replaced)
        };
        assert_eq!(replaced(&server), Some((RefusalReason::Replaced, 1)));
        // Clients that have sent a request, or have a WebSocket, keep their places.
        assert_eq!(try_to_open(server.address).0, 503);
        uploading.send("56789");
        assert_ne!(uploading.read_one_response(false).status, 503);
        for client in [&mut opened, newcomer.as_mut().expect("a client")] {
            client.text("served");
            assert_eq!(client.read_text(), "served");
        }
    }
}

#[test]
fn silent_clients_keep_their_places_for_an_eighth_of_the_handshake_timeout_and_not_longer() {
    // The second one ends them by themselves only when this test has failed.
    for (handshake_timeout, keep) in [(3600, true), (40, false)] {
        let server = Running::start(Config {
            connections_max: 4,
            handshake_timeout: Duration::from_secs(handshake_timeout),
            ..config(1)
        });
        let mut silent: Vec<Client> = (0..4).map(|_| Client::connect(server.address)).collect();
        silent[3].send(&GET.as_bytes()[..5]);
        eventually("the server is full", TIMEOUT, || {
            server.handle.metrics().accepted == 4
        });
        assert_eq!(try_to_open(server.address).0, 503);
        if keep {
            continue;
        }
        let mut opened = Vec::new();
        eventually("new clients are served", TIMEOUT, || {
            opened.extend(try_to_open(server.address).1);
            opened.len() == 4
        });
        silent.iter_mut().for_each(Client::expect_gone);
    }
}

#[test]
fn connection_beyond_a_limit_of_rooms_is_closed_and_at_it_is_not() {
    with_1_and_3_workers(|config| {
        let rooms = RoomLimits {
            rooms_max: NonZeroUsize::new(3),
            members_max: NonZeroUsize::new(2),
            of_connection_max: 2,
        };
        let server = Running::start(Config { rooms, ..config });
        let [mut one, mut two] = [(); 2].map(|()| Client::open(server.address));
        for client in [&mut one, &mut two] {
            client.join("hall");
            client.join("garden");
            // It is in the room.
            client.join("hall");
        }
        let refused = |room: &str, code: u16, reason: &str| {
            let mut client = Client::open(server.address);
            client.join("attic");
            client.text(&format!("/join {room}"));
            assert_eq!(client.read_close(), (code, reason.to_owned()));
            client.close(code, "");
            client.expect_end();
        };
        refused("hall", 1013, "the room is full");
        refused("cellar", 1013, "the server has too many rooms");
        two.text("/join attic");
        let reason = "this connection is in too many rooms".to_owned();
        assert_eq!(two.read_close(), (1008, reason));
        two.close(1008, "");
        two.expect_end();
        // Its places are free, and the others are as before.
        let mut three = Client::open(server.address);
        three.join("hall");
        three.join("garden");
        one.text("/publish hall still here");
        for client in [&mut one, &mut three] {
            assert_eq!(client.read_text(), "still here");
        }
    });
}
