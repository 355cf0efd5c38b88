//! Whether another request may follow on the same connection (RFC 9112 §9.3).
//!
//! ```text
//!   request                                   after the response       said in the response
//!   HTTP/1.1                                  the connection stays     nothing
//!   HTTP/1.1, Connection: close               it ends                  Connection: close
//!   HTTP/1.0                                  it ends                  Connection: close
//!   HTTP/1.0, Connection: keep-alive          it stays                 Connection: keep-alive
//! ```

use super::token::{is_same, list_elements};
use super::version::HttpVersion;

/// What becomes of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The response is the last one: `Connection: close`.
    Close,
    /// Another request may follow, as is usual in HTTP/1.1.
    Persist,
    /// Another request may follow, and the response has to say so, because the client speaks
    /// HTTP/1.0: `Connection: keep-alive`.
    KeepAlive,
}

impl Persistence {
    pub(super) fn of_request(version: HttpVersion, options: ConnectionOptions) -> Persistence {
        match version {
            _ if options.close => Persistence::Close,
            HttpVersion::Http11 => Persistence::Persist,
            HttpVersion::Http10 if options.keep_alive => Persistence::KeepAlive,
            HttpVersion::Http10 => Persistence::Close,
        }
    }

    /// The option in the Connection field of the response.
    pub(super) fn option(self) -> Option<&'static str> {
        match self {
            Persistence::Close => Some("close"),
            Persistence::Persist => None,
            Persistence::KeepAlive => Some("keep-alive"),
        }
    }
}

/// The options of the Connection fields (RFC 9110 §7.6.1) that are known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    /// The protocol may be changed.
    pub(super) upgrade: bool,
}

impl ConnectionOptions {
    /// A further field.
    pub(super) fn add(&mut self, value: &[u8]) {
        // A browser that asks for a WebSocket sends one of these.
        let keep_alive_and_upgrade = is_same(value, b"keep-alive, upgrade");
        if keep_alive_and_upgrade || is_same(value, b"upgrade") {
            self.keep_alive |= keep_alive_and_upgrade;
            self.upgrade = true;
            return;
        }
        for option in list_elements(value) {
            self.close |= is_same(option, b"close");
            self.keep_alive |= is_same(option, b"keep-alive");
            self.upgrade |= is_same(option, b"upgrade");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persistence_depends_on_the_version_and_the_options() {
        use HttpVersion::{Http10, Http11};
        let table = [
            (Http11, "", Persistence::Persist),
            (Http11, "keep-alive", Persistence::Persist),
            (Http11, "Close", Persistence::Close),
            (Http11, "keep-alive, close", Persistence::Close),
            (Http11, "Upgrade", Persistence::Persist),
            (Http11, "keep-alive, Upgrade", Persistence::Persist),
            (Http11, "Upgrade, close", Persistence::Close),
            (Http10, "Upgrade", Persistence::Close),
            (Http10, "Keep-Alive, Upgrade", Persistence::KeepAlive),
            (Http10, "", Persistence::Close),
            (Http10, "Keep-Alive", Persistence::KeepAlive),
            (Http10, "keep-alive, close", Persistence::Close),
        ];
        for (version, value, expected) in table {
            let mut options = ConnectionOptions::default();
            options.add(value.as_bytes());
            let persistence = Persistence::of_request(version, options);
            assert_eq!(persistence, expected, "{version:?} {value:?}");
            assert_eq!(options.upgrade, value.contains("Upgrade"), "{value:?}");
        }
    }
}
