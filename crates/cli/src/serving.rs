//! What `serve` and `echo` share: one line when the server is ready, and its end by a signal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use yamabiko::server::{Config, Handler, Server};

use super::output::{say, words};
use super::signals;

/// Serves until a signal comes. `ready` makes the line that says where.
///
/// # Errors
/// What went wrong, in words.
pub(super) fn serve(
    config: Config,
    handler: impl Handler,
    ready: fn(SocketAddr) -> String,
) -> Result<(), String> {
    let listen = config.listen;
    let mut server = Server::bind(config, handler)
        .map_err(|error| format!("cannot listen on {listen}: {}", words(&error)))?;
    signals::shut_down_on_first(&mut server)?;
    say(&ready(server.local_address()))?;
    server
        .run()
        .map_err(|error| format!("the server failed: {}", words(&error)))
}

/// A URL under which this machine can open the server. One that listens on all addresses
/// has none of its own: then it is the loopback address, with the other one behind it.
pub(super) fn url(scheme: &str, listening: SocketAddr) -> String {
    let loopback = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return format!("{scheme}://{listening}/"),
    };
    let address = SocketAddr::new(loopback, listening.port());
    format!("{scheme}://{address}/ (listening on {listening})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_can_be_opened_also_when_the_server_listens_on_all_addresses() {
        for (address, expected) in [
            ("192.0.2.1:80", "http://192.0.2.1:80/"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("[::]:8080", "http://[::1]:8080/ (listening on [::]:8080)"),
            ("0.0.0.0:1", "http://127.0.0.1:1/ (listening on 0.0.0.0:1)"),
        ] {
            assert_eq!(url("http", address.parse().expect("an address")), expected);
        }
    }
}
