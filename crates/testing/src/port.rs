//! Ports for programs that cannot choose one themselves, or that are started on the same one again.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

/// A TCP port of the loopback interface that no other test has, also while nothing listens on it.
///
/// A UDP socket of the same number holds the place among the tests of all processes. The system gives none of these ports to
/// a program that asks for any free one, or that connects. So a port that a test has bound and given back by itself is no
/// substitute: the system may give that one to another test at once.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _place: UdpSocket,
}

impl ReservedPort {
    pub fn new() -> ReservedPort {
        // Processes begin at different places.
        let (count, id) = (PORTS.len() as u32, std::process::id());
        let first = id.wrapping_mul(STEP) % count;
        let mut free = (0..count).filter_map(|next| {
            let number = PORTS.start + u16::try_from((first + next) % count).ok()?;
            let place = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            // No other program listens there.
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
            Some(ReservedPort {
                number,
                _place: place,
            })
        });
        free.next().expect("a port is free")
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// The loopback address with this port.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

impl Default for ReservedPort {
    fn default() -> ReservedPort {
        ReservedPort::new()
    }
}

/// Below the ports that systems give to outgoing connections.
const PORTS: Range<u16> = 20_000..30_000;
const STEP: u32 = 101;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reservations_have_different_ports() {
        let ports = [ReservedPort::new(), ReservedPort::new()];
        assert_ne!(ports[0].number(), ports[1].number());
    }

    #[test]
    fn port_of_a_listener_is_not_reserved() {
        let reserved = ReservedPort::new();
        let listener = TcpListener::bind(reserved.address()).expect("nobody listens");
        drop(reserved);
        // One process begins at the same place again.
        assert_ne!(
            ReservedPort::new().address(),
            listener.local_addr().expect("bound")
        );
    }
}
