//! What proxies tell of their clients: the PROXY protocol, `Forwarded` and `X-Forwarded-For` (docs/access.md).
//!
//! The named proxy is 127.0.0.3; other clients are 127.0.0.1. An address may have two connections, so that the third one shows
//! which address the server has counted. On Linux: elsewhere 127.0.0.3 is no address of the machine.

use yamabiko_testing::socket::upgrade;

use super::{Behaviour, Settings, with};
use crate::steps::*;

const X_FORWARDED: Settings = &[
    "serve",
    "--workers",
    "1",
    "--proxy",
    "127.0.0.3",
    "--connections-per-address",
    "2",
    "--allow-host",
    "chat.example",
];

const FORWARDED: Settings = &[
    "serve",
    "--workers",
    "1",
    "--proxy",
    "127.0.0.3",
    "--proxy-fields",
    "forwarded",
    "--connections-per-address",
    "2",
    "--allow-host",
    "chat.example",
];

const PROXY_PROTOCOL: Settings = &[
    "serve",
    "--workers",
    "1",
    "--proxy",
    "127.0.0.3",
    "--proxy-fields",
    "none",
    "--proxy-protocol",
    "--connections-per-address",
    "2",
    "--handshake-timeout",
    "2",
];

const GET: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Three WebSockets by these requests: the server counts the third one for the address of the first two.
fn counts_together(
    settings: Settings,
    name: &'static str,
    way: fn(usize) -> Step,
    requests: [Vec<u8>; 3],
) -> Behaviour {
    let [first, second, third] = requests;
    let steps = vec![
        way(0),
        send(first),
        status(101),
        way(1),
        send(second),
        status(101),
        way(2),
        send(third),
        refused(503),
    ];
    with(settings, name, steps)
}

/// Three WebSockets by these requests: the server does not count the third one for the address of the first two.
fn counts_apart(
    settings: Settings,
    name: &'static str,
    way: fn(usize) -> Step,
    requests: [Vec<u8>; 3],
) -> Behaviour {
    let requests = requests.into_iter().enumerate();
    let opened = |(number, request)| group(vec![way(number), send(request), status(101)]);
    with(settings, name, requests.map(opened).collect())
}

/// Requests with these values of a field.
fn with_field(field: &str, values: [&str; 3]) -> [Vec<u8>; 3] {
    values.map(|value| upgrade("/broadcast/a", &format!("{field}: {value}\r\n")).into_bytes())
}

fn x_forwarded_for(values: [&str; 3]) -> [Vec<u8>; 3] {
    with_field("X-Forwarded-For", values)
}

fn forwarded(values: [&str; 3]) -> [Vec<u8>; 3] {
    with_field("Forwarded", values)
}

/// A header of version 1 in front of a request.
fn version_1(header: &str) -> Vec<u8> {
    format!("{header}\r\n{}", upgrade("/broadcast/a", "")).into_bytes()
}

/// A header of version 2 in front of a request.
fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short body");
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes.extend(upgrade("/broadcast/a", "").into_bytes());
    bytes
}

/// From 192.0.2.`last` to 192.0.2.99.
fn ipv4_body(last: u8) -> Vec<u8> {
    vec![192, 0, 2, last, 192, 0, 2, 99, 0x12, 0x34, 0, 80]
}

/// From 2001:db8::`last` to ::.
fn ipv6_body(last: u8) -> Vec<u8> {
    let mut body = vec![0x20, 0x01, 0x0d, 0xb8];
    body.extend([0; 11]);
    body.push(last);
    body.extend([0; 16]);
    body.extend([0x12, 0x34, 0, 80]);
    body
}

/// A proxy that begins in this way is cut off without a response.
fn cuts_off(name: &'static str, bytes: impl AsRef<[u8]>) -> Behaviour {
    let steps = vec![proxy_client(0), send(bytes), end()];
    with(PROXY_PROTOCOL, name, steps)
}

fn admits_header(name: &'static str, bytes: Vec<u8>) -> Behaviour {
    let steps = vec![proxy_client(0), send(bytes), status(101)];
    with(PROXY_PROTOCOL, name, steps)
}

/// A request of a proxy with this field gets this status.
fn answers(
    settings: Settings,
    name: &'static str,
    way: fn(usize) -> Step,
    fields: &str,
    code: u16,
) -> Behaviour {
    let request = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    with(settings, name, vec![way(0), send(request), status(code)])
}

pub fn behaviours() -> Vec<Behaviour> {
    if cfg!(not(target_os = "linux")) {
        return Vec::new();
    }
    [
        fields(),
        hosts(),
        protocol_version_1(),
        protocol_version_2(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn fields() -> Vec<Behaviour> {
    vec![
        counts_together(
            X_FORWARDED,
            "address_that_a_named_proxy_tells_counts_for_its_limit",
            proxy_client,
            x_forwarded_for(["192.0.2.1", "192.0.2.1", "192.0.2.1"]),
        ),
        counts_apart(
            X_FORWARDED,
            "clients_of_a_named_proxy_have_a_limit_each",
            proxy_client,
            x_forwarded_for(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ),
        counts_together(
            X_FORWARDED,
            "field_of_a_client_that_is_no_proxy_changes_no_address",
            client,
            x_forwarded_for(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ),
        counts_together(
            X_FORWARDED,
            "addresses_that_a_client_has_invented_before_its_own_do_not_count",
            proxy_client,
            x_forwarded_for(["6.6.6.6, 192.0.2.4", "7.7.7.7, 192.0.2.4", "x, 192.0.2.4"]),
        ),
        counts_together(
            X_FORWARDED,
            "addresses_of_one_network_of_ipv6_count_together",
            proxy_client,
            x_forwarded_for(["2001:db8::1", "[2001:db8::2]:4711", "2001:db8::ffff:3"]),
        ),
        counts_apart(
            X_FORWARDED,
            "networks_of_ipv6_count_apart",
            proxy_client,
            x_forwarded_for(["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"]),
        ),
        counts_apart(
            X_FORWARDED,
            "requests_of_a_named_proxy_without_an_address_have_no_limit",
            proxy_client,
            x_forwarded_for(["unknown", "_hidden", "999.0.0.1"]),
        ),
        counts_together(
            X_FORWARDED,
            "address_of_ipv4_in_ipv6_is_the_address_of_ipv4",
            proxy_client,
            x_forwarded_for(["::ffff:192.0.2.5", "192.0.2.5", "[::ffff:192.0.2.5]:1"]),
        ),
        counts_together(
            X_FORWARDED,
            "forwarded_of_a_client_behind_a_proxy_that_sets_another_field_has_no_effect",
            proxy_client,
            ["for=192.0.2.7", "for=192.0.2.8", "for=192.0.2.9"].map(|value| {
                let fields = format!("X-Forwarded-For: 192.0.2.6\r\nForwarded: {value}\r\n");
                upgrade("/broadcast/a", &fields).into_bytes()
            }),
        ),
        counts_together(
            FORWARDED,
            "address_of_forwarded_counts_for_its_limit",
            proxy_client,
            forwarded([
                "for=192.0.2.1",
                "For=\"192.0.2.1:80\"",
                "for=x, for=192.0.2.1",
            ]),
        ),
        counts_together(
            FORWARDED,
            "forwarded_of_a_client_that_is_no_proxy_changes_no_address",
            client,
            forwarded(["for=192.0.2.1", "for=192.0.2.2", "for=192.0.2.3"]),
        ),
        counts_apart(
            FORWARDED,
            "malformed_forwarded_names_no_address",
            proxy_client,
            forwarded([
                "for=192.0.2.1;for=192.0.2.1",
                "for=\"192.0.2.1",
                "for==192.0.2.1",
            ]),
        ),
        with(
            X_FORWARDED,
            "list_of_thousands_of_addresses_is_read_from_its_end",
            vec![
                proxy_client(0),
                send(upgrade(
                    "/broadcast/a",
                    &format!("X-Forwarded-For: {}192.0.2.9\r\n", "6.6.6.6,".repeat(900)),
                )),
                status(101),
            ],
        ),
    ]
}

fn hosts() -> Vec<Behaviour> {
    let name = "X-Forwarded-Host: chat.example\r\n";
    let other = "X-Forwarded-Host: evil.example\r\n";
    vec![
        answers(
            X_FORWARDED,
            "host_that_a_named_proxy_tells_is_the_one_that_counts",
            proxy_client,
            name,
            200,
        ),
        answers(
            X_FORWARDED,
            "other_host_that_a_named_proxy_tells_gets_421",
            proxy_client,
            other,
            421,
        ),
        answers(
            X_FORWARDED,
            "host_that_a_client_tells_that_is_no_proxy_has_no_effect",
            client,
            other,
            200,
        ),
        answers(
            FORWARDED,
            "other_host_in_forwarded_gets_421",
            proxy_client,
            "Forwarded: for=192.0.2.1;host=evil.example\r\n",
            421,
        ),
        with(
            X_FORWARDED,
            "page_of_the_host_that_a_named_proxy_tells_may_connect",
            vec![
                proxy_client(0),
                send(upgrade(
                    "/chat/a",
                    &format!("{name}Origin: https://chat.example\r\n"),
                )),
                status(101),
            ],
        ),
        with(
            X_FORWARDED,
            "page_of_another_site_cannot_name_itself_as_the_host",
            vec![
                send(upgrade(
                    "/chat/a",
                    "X-Forwarded-Host: evil.example\r\nOrigin: https://evil.example\r\n",
                )),
                refused(403),
            ],
        ),
    ]
}

fn protocol_version_1() -> Vec<Behaviour> {
    let header = "PROXY TCP4 192.0.2.1 192.0.2.99 4711 80";
    vec![
        counts_together(
            PROXY_PROTOCOL,
            "source_of_a_header_of_version_1_counts_for_its_limit",
            proxy_client,
            [header; 3].map(version_1),
        ),
        counts_apart(
            PROXY_PROTOCOL,
            "sources_of_headers_have_a_limit_each",
            proxy_client,
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
                .map(|source| version_1(&format!("PROXY TCP4 {source} 192.0.2.99 1 80"))),
        ),
        admits_header(
            "header_of_ipv6_is_read",
            version_1("PROXY TCP6 2001:db8::1 ::1 4711 80"),
        ),
        admits_header(
            "header_of_an_unknown_client_is_read",
            version_1("PROXY UNKNOWN ffff::1 anything 1 2"),
        ),
        with(
            PROXY_PROTOCOL,
            "header_in_single_bytes_is_read",
            vec![
                proxy_client(0),
                in_single_bytes(format!("{header}\r\n{GET}")),
                status(200),
            ],
        ),
        with(
            PROXY_PROTOCOL,
            "header_of_a_client_that_is_no_proxy_gets_400",
            vec![send(version_1(header)), refused(400)],
        ),
        with(
            PROXY_PROTOCOL,
            "second_header_gets_400",
            vec![
                proxy_client(0),
                send(format!("{header}\r\n{header}\r\n{GET}")),
                refused(400),
            ],
        ),
        cuts_off("proxy_without_a_header_is_cut_off", GET),
        cuts_off(
            "header_with_a_wrong_address_is_cut_off",
            "PROXY TCP4 192.0.2.256 ::1 1 2\r\n",
        ),
        cuts_off(
            "header_with_a_wrong_port_is_cut_off",
            "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
        ),
        cuts_off(
            "header_with_two_spaces_is_cut_off",
            "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        ),
        cuts_off(
            "header_in_lower_case_is_cut_off",
            "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
        ),
        cuts_off(
            "header_with_a_bare_line_feed_is_cut_off",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
        ),
        cuts_off(
            "header_of_108_bytes_is_cut_off",
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)),
        ),
        cuts_off(
            "first_bytes_of_tls_in_place_of_a_header_are_cut_off",
            b"\x16\x03\x01\x02\0\x01",
        ),
        with(
            PROXY_PROTOCOL,
            "header_without_end_is_cut_off",
            vec![
                proxy_client(0),
                send("PROXY UNKNOWN "),
                flood("x", 1 << 20),
                gone(),
            ],
        ),
        with(
            PROXY_PROTOCOL,
            "half_a_header_ends_by_the_handshake_timeout",
            vec![proxy_client(0), send("PROXY TCP4 192.0"), end()],
        ),
        with(
            PROXY_PROTOCOL,
            "proxy_that_resets_inside_a_header_leaves_nothing",
            vec![
                proxy_client(0),
                send("PROXY TCP4 192.0"),
                reset(),
                proxy_client(1),
                send(version_1(header)),
                status(101),
            ],
        ),
    ]
}

fn protocol_version_2() -> Vec<Behaviour> {
    let with_values = |length: usize| {
        let mut body = ipv4_body(3);
        let value = length - body.len() - 3;
        body.push(0xe0);
        body.extend(u16::try_from(value).expect("short").to_be_bytes());
        body.resize(length, 0);
        version_2(0x21, 0x11, &body)
    };
    vec![
        counts_together(
            PROXY_PROTOCOL,
            "source_of_a_header_of_version_2_counts_for_its_limit",
            proxy_client,
            [(); 3].map(|()| version_2(0x21, 0x11, &ipv4_body(1))),
        ),
        counts_together(
            PROXY_PROTOCOL,
            "sources_of_one_network_of_ipv6_count_together",
            proxy_client,
            [1, 2, 3].map(|last| version_2(0x21, 0x21, &ipv6_body(last))),
        ),
        counts_apart(
            PROXY_PROTOCOL,
            "connections_of_the_proxy_itself_have_no_limit",
            proxy_client,
            [(); 3].map(|()| version_2(0x20, 0, &[])),
        ),
        admits_header("further_values_of_a_header_are_skipped", with_values(200)),
        admits_header("header_of_4_kib_is_read", with_values(4096)),
        cuts_off("header_of_more_than_4_kib_is_cut_off", with_values(4097)),
        cuts_off(
            "header_whose_further_value_is_longer_than_itself_is_cut_off",
            version_2(0x21, 0x11, &[ipv4_body(3), vec![0xe0, 0, 2, 0]].concat()),
        ),
        cuts_off(
            "header_of_another_version_is_cut_off",
            version_2(0x31, 0x11, &ipv4_body(1)),
        ),
        cuts_off(
            "header_with_an_unknown_command_is_cut_off",
            version_2(0x22, 0x11, &ipv4_body(1)),
        ),
        cuts_off(
            "header_that_is_too_short_for_its_addresses_is_cut_off",
            version_2(0x21, 0x11, &ipv4_body(1)[..11]),
        ),
        cuts_off(
            "signature_with_a_wrong_byte_is_cut_off",
            b"\r\n\r\n\0\r\nQUIT\r",
        ),
        with(
            PROXY_PROTOCOL,
            "header_of_version_2_in_single_bytes_is_read",
            vec![
                proxy_client(0),
                in_single_bytes(version_2(0x21, 0x21, &ipv6_body(9))),
                status(101),
            ],
        ),
        with(
            PROXY_PROTOCOL,
            "half_a_header_of_version_2_of_a_client_that_vanishes_leaves_nothing",
            vec![
                proxy_client(0),
                send(&version_2(0x21, 0x11, &ipv4_body(1))[..20]),
                hang_up(),
                forgotten(),
            ],
        ),
    ]
}
