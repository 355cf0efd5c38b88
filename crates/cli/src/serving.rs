//! What `serve` and `echo` share: one line when the server is ready, and its end by a signal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use yamabiko::server::{Config, Handler, Server};

use super::output::{in_sentence, print};
use super::signals;

/// Serves until a signal arrives. `ready` makes the line with the address.
///
/// # Errors
/// The reason, as text.
pub(super) fn serve(
    config: Config,
    handler: impl Handler,
    ready: fn(SocketAddr) -> String,
) -> Result<(), String> {
    let listen = config.listen;
    let mut server = Server::bind(config, handler)
        .map_err(|error| format!("cannot listen on {listen}: {}", in_sentence(&error)))?;
    signals::shut_down_on_first(&mut server)?;
    print(&ready(server.local_address()))?;
    server
        .run()
        .map_err(|error| format!("the server failed: {}", in_sentence(&error)))
}

/// A URL by which this machine can open the server. For a server that listens on all
/// addresses it is the loopback address, followed by the address it listens on.
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
