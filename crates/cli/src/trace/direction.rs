//! Which way bytes go.

/// Seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Received,
}

impl Direction {
    /// In a recording.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Direction::Sent => "sent",
            Direction::Received => "received",
        }
    }

    pub(super) fn of(name: &str) -> Option<Direction> {
        let both = [Direction::Sent, Direction::Received];
        both.into_iter().find(|direction| direction.name() == name)
    }

    /// On a line of output.
    pub(super) const fn arrow(self) -> &'static str {
        match self {
            Direction::Sent => "→",
            Direction::Received => "←",
        }
    }
}
