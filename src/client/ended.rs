//! How a connection has ended.

/// How a connection has ended (RFC 6455 §7.1.4 to §7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether the closing handshake was completed.
    pub clean: bool,
    /// The code of the server's Close; 1005 if it had no code; 1006 if no Close was
    /// received.
    pub code: u16,
    /// The reason in that Close, for a log; may be empty.
    pub reason: String,
    /// Which side sent the first Close.
    pub first_close: FirstClose,
}

/// Which side began the closing handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstClose {
    /// This client: the application closed it, or the server broke a rule.
    Client,
    /// The server.
    Server,
    /// Neither side: TCP was lost.
    Neither,
}

impl Ended {
    /// TCP has ended without a Close.
    pub(super) const LOST: Ended = Ended {
        clean: false,
        code: 1006,
        reason: String::new(),
        first_close: FirstClose::Neither,
    };
}
