//! The two sides of a connection.

/// The side that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A server: the suite connects to it.
    Server,
    /// A client: it connects to the suite.
    Client,
}

impl Peer {
    /// The side of the suite.
    pub(crate) fn other(self) -> Peer {
        match self {
            Peer::Server => Peer::Client,
            Peer::Client => Peer::Server,
        }
    }
}
