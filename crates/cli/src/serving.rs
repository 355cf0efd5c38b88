//! What `serve` and `echo` share: one line when the server is ready, and its end by a signal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use yamabiko::server::{CannotListen, Config, Handler, ListenAddress, ListenAddresses, Server};

use super::monitoring::{Monitored, Monitoring};
use super::output::{NAME_AND_VERSION, in_sentence, print};
use super::signals;

/// Serves until a signal arrives. `offer` and `scheme` are for the first line: `open http://…`.
///
/// # Errors
/// The reason, as text.
pub(super) fn serve(
    config: Config,
    handler: impl Handler,
    offer: &str,
    scheme: &str,
) -> Result<(), String> {
    let monitoring = Monitoring::default();
    let handler = Monitored::new(handler, monitoring.clone());
    let mut server = Server::bind(config, handler).map_err(|error| cannot_listen(&error))?;
    monitoring.watch(server.handle());
    signals::shut_down_on_first(&mut server)?;
    let ready = ready(offer, scheme, server.local_addresses());
    print(&format!("{NAME_AND_VERSION}: {ready}\n"))?;
    server
        .run()
        .map_err(|error| format!("the server failed: {}", in_sentence(&error)))
}

fn cannot_listen(error: &std::io::Error) -> String {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<CannotListen>());
    match cause {
        Some(cause) => {
            let reason = in_sentence(cause.error());
            format!("cannot listen on {}: {reason}", cause.address())
        }
        None => format!("cannot start the server: {}", in_sentence(error)),
    }
}

/// A URL by which a program on this machine can open the server, and all addresses that the server listens on if
/// the URL does not tell them.
fn ready(offer: &str, scheme: &str, addresses: &ListenAddresses) -> String {
    let ip = addresses
        .as_slice()
        .iter()
        .find_map(|address| match address {
            ListenAddress::Ip(address) => Some(*address),
            _ => None,
        });
    let Some(ip) = ip else {
        return format!("listening on {addresses}");
    };
    let opened = to_open(ip);
    match addresses.as_slice() {
        [ListenAddress::Ip(only)] if *only == opened => format!("{offer} {scheme}://{opened}/"),
        _ => format!("{offer} {scheme}://{opened}/ (listening on {addresses})"),
    }
}

/// The address to connect to: the loopback address for a server that listens on all addresses.
fn to_open(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match listening {
        // A link-local address keeps its interface.
        SocketAddr::V6(address) if address.ip() == &ip => listening,
        _ => SocketAddr::new(ip, listening.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(addresses: &[&str]) -> String {
        let parsed = addresses.iter().map(|text| text.parse::<ListenAddress>());
        let addresses: Result<ListenAddresses, _> = parsed.collect();
        ready("open", "http", &addresses.expect("addresses"))
    }

    #[test]
    fn url_can_be_opened_also_when_the_server_listens_on_all_addresses() {
        for (address, expected) in [
            ("192.0.2.1:80", "open http://192.0.2.1:80/"),
            ("[::1]:8080", "open http://[::1]:8080/"),
            (
                "[::]:8080",
                "open http://[::1]:8080/ (listening on [::]:8080)",
            ),
            (
                "0.0.0.0:1",
                "open http://127.0.0.1:1/ (listening on 0.0.0.0:1)",
            ),
            (
                "[::ffff:127.0.0.1]:1",
                "open http://127.0.0.1:1/ (listening on [::ffff:127.0.0.1]:1)",
            ),
            ("unix:/run/x.sock", "listening on unix:/run/x.sock"),
        ] {
            assert_eq!(listening_on(&[address]), expected);
        }
    }

    #[test]
    fn all_addresses_are_named_behind_a_url_of_the_first() {
        let expected =
            "open http://127.0.0.1:80/ (listening on unix:/run/x, 127.0.0.1:80, [::1]:80)";
        let addresses = ["unix:/run/x", "127.0.0.1:80", "[::1]:80"];
        assert_eq!(listening_on(&addresses), expected);
    }
}
