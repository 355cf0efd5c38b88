//! Redis behind TLS.

use yamabiko_redis::{RedisBackplane, RedisSettings};
use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::socket::{TIMEOUT, eventually};
use yamabiko_testing::tls::{Authority, Folder};

use crate::node::Node;

#[test]
fn redis_is_reached_by_tls_if_its_certificate_is_of_a_known_authority() {
    let files = Folder::new("redis");
    files.write("ca.pem", &files.authority.pem());
    let reserved = ReservedPort::new();
    let port = reserved.number();
    let (port_text, certificate) = (port.to_string(), files.file("localhost.pem"));
    let (key, ca) = (files.file("localhost.key"), files.file("ca.pem"));
    let options = [
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_redis) = Redis::start(&options) else {
        return;
    };
    let settings = |authority: &Authority| RedisSettings {
        authorities: Some(authority.pem()),
        ..RedisSettings::new(format!("rediss://localhost:{port}").parse().expect("a URL"))
    };
    let node = Node::start_with(settings(&files.authority), 1);
    node.is_ready();
    node.client("hall").publish("first");
    let stranger = Node::start_with(settings(&Authority::new()), 1);
    eventually("the reason is told", TIMEOUT, || {
        let state = stranger
            .server
            .handle
            .backplane_state()
            .expect("a backplane");
        !state.is_ready && state.reason.unwrap_or_default().contains("certificate")
    });
}

#[test]
fn authorities_that_are_none_or_without_tls_are_refused_at_the_start() {
    for (url, authorities) in [
        ("redis://localhost", Authority::new().pem()),
        (
            "rediss://localhost",
            "-----BEGIN CERTIFICATE-----\n!".to_owned(),
        ),
    ] {
        let settings = RedisSettings {
            authorities: Some(authorities),
            ..RedisSettings::new(url.parse().expect("a URL"))
        };
        assert!(RedisBackplane::new(settings).is_err(), "{url}");
    }
}
