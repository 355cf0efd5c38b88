//! How connections have ended: by the end that closed, and its close code.

use crate::websocket::{CloseFrame, Ended, Side};
use std::fmt;

/// Which end of a connection closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The client sent the first Close.
    Client,
    /// The server sent the first Close.
    Server,
    /// TCP ended before either end had sent a Close.
    Neither,
}

impl ClosedBy {
    /// All of them.
    pub const ALL: [ClosedBy; 3] = [ClosedBy::Client, ClosedBy::Server, ClosedBy::Neither];

    /// Who closed a connection of a server.
    pub fn of(ended: &Ended) -> ClosedBy {
        match ended.first_close {
            Some(Side::Peer) => ClosedBy::Client,
            Some(Side::Local) => ClosedBy::Server,
            None => ClosedBy::Neither,
        }
    }

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            ClosedBy::Client => "client",
            ClosedBy::Server => "server",
            ClosedBy::Neither => "neither",
        }
    }
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first Close of a connection. `None`: there was none.
pub(super) fn first_close(ended: &Ended) -> Option<&CloseFrame<'static>> {
    match ended.first_close? {
        Side::Peer => ended.received.as_ref(),
        Side::Local => ended.sent.as_ref(),
    }
}

/// The code of the first Close: 1005 if it has none, 1006 if there was no Close.
pub(super) fn code_of(ended: &Ended) -> u16 {
    match (ended.first_close, first_close(ended)) {
        (None, _) => 1006,
        (Some(_), close) => close
            .and_then(CloseFrame::code)
            .map_or(1005, |code| code.get()),
    }
}

/// The place of an end in a table of counts. Codes of applications and of the future share one place for each end, so that clients
/// cannot add places.
pub(super) fn place(ended: &Ended) -> usize {
    let by = ClosedBy::of(ended) as usize;
    let code = code_of(ended);
    let code = CODES.iter().position(|other| *other == code);
    by * CODES_OF_EACH + code.unwrap_or(CODES.len())
}

/// The end and the code of a place. No code: all others.
pub(super) fn at(place: usize) -> (ClosedBy, Option<u16>) {
    let by = ClosedBy::ALL[place / CODES_OF_EACH];
    (by, CODES.get(place % CODES_OF_EACH).copied())
}

/// The codes that are counted by themselves: those of RFC 6455 §7.4.1, and of the registry that RFC 6455 has begun.
const CODES: [u16; 15] = [
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3003,
];

const CODES_OF_EACH: usize = CODES.len() + 1;

/// The places of all ends and codes.
pub(super) const PLACES: usize = 3 * CODES_OF_EACH;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{Connection, Limits};

    /// The end of a connection whose client has sent these bytes.
    fn ended(bytes: &[u8]) -> Ended {
        let mut server = Connection::server(Limits::default());
        let mut bytes = bytes.to_vec();
        let _ = server.receive(&mut &mut bytes[..], &mut Vec::new());
        server.ended()
    }

    #[test]
    fn end_is_counted_by_the_end_that_closed_and_its_code() {
        let closed = ended(b"\x88\x82\0\0\0\0\x03\xe9");
        assert_eq!(at(place(&closed)), (ClosedBy::Client, Some(1001)));
        let empty = ended(b"\x88\x80\0\0\0\0");
        assert_eq!(at(place(&empty)), (ClosedBy::Client, Some(1005)));
        let broken = ended(b"\x81\x00");
        assert_eq!(at(place(&broken)), (ClosedBy::Server, Some(1002)));
        let lost = Ended::default();
        assert_eq!(at(place(&lost)), (ClosedBy::Neither, Some(1006)));
    }

    #[test]
    fn codes_of_applications_share_one_place() {
        let one = ended(b"\x88\x82\0\0\0\0\x0f\xa0"); // 4000
        let other = ended(b"\x88\x82\0\0\0\0\x0f\xa1");
        assert_eq!(place(&one), place(&other));
        assert_eq!(at(place(&one)), (ClosedBy::Client, None));
        assert!((0..PLACES).all(|index| at(index).0.name() != ""));
    }
}
