//! The metrics of the backplane: whether its engine can be reached, and what the server has exchanged with it.

use std::fmt;

use yamabiko::server::{BackplaneCounts, ServerHandle};

use super::families::Families;

/// What a server knows of its backplane.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackplaneNumbers {
    pub is_ready: bool,
    pub counts: BackplaneCounts,
}

impl BackplaneNumbers {
    /// `None`: the server has no backplane.
    pub(super) fn read(server: &ServerHandle) -> Option<BackplaneNumbers> {
        Some(BackplaneNumbers {
            is_ready: server.backplane_state()?.is_ready,
            counts: server.backplane_counts()?,
        })
    }

    pub(super) fn encode(&self, families: &mut Families<'_>) -> fmt::Result {
        families.gauge(
            "yamabiko_backplane_ready",
            "1 while the engine of the backplane can be reached",
            f64::from(u8::from(self.is_ready)),
        )?;
        for (name, help, number) in GAUGES {
            families.gauge(name, help, number(&self.counts) as f64)?;
        }
        if let Some(round_trip) = self.counts.engine.round_trip {
            families.gauge(
                "yamabiko_backplane_round_trip_seconds",
                "How long the last message of this server to itself was on its way through the engine",
                round_trip.as_secs_f64(),
            )?;
        }
        for (name, help, number) in TOTALS {
            families.counter(name, help, number(&self.counts))?;
        }
        Ok(())
    }
}

/// A number of the backplane.
type Number = fn(&BackplaneCounts) -> u64;

const GAUGES: [(&str, &str, Number); 4] = [
    (
        "yamabiko_backplane_pending",
        "Messages of this server that the engine has not answered",
        |counts| counts.pending,
    ),
    (
        "yamabiko_backplane_pending_bytes",
        "Bytes of these messages",
        |counts| counts.pending_bytes,
    ),
    (
        "yamabiko_backplane_rooms",
        "Rooms whose messages the engine delivers to this server",
        |counts| counts.rooms,
    ),
    (
        "yamabiko_backplane_nodes",
        "Servers of the cluster, this one included",
        |counts| counts.nodes,
    ),
];

const TOTALS: [(&str, &str, Number); 8] = [
    (
        "yamabiko_backplane_published",
        "Messages of this server that the engine has taken",
        |counts| counts.published,
    ),
    (
        "yamabiko_backplane_refused",
        "Messages of this server that were refused, or whose result is not known",
        |counts| counts.refused,
    ),
    (
        "yamabiko_backplane_delivered",
        "Messages that the engine has delivered",
        |counts| counts.delivered,
    ),
    (
        "yamabiko_backplane_duplicates",
        "Messages that the engine has delivered again, and that were dropped",
        |counts| counts.duplicates,
    ),
    (
        "yamabiko_backplane_gaps",
        "Gaps in rooms, of which the subscribers were told",
        |counts| counts.gaps,
    ),
    (
        "yamabiko_backplane_connections",
        "Connections to the engine that were made",
        |counts| counts.engine.connections,
    ),
    (
        "yamabiko_backplane_reads",
        "Times that messages of a room were missing, and were read from what the engine keeps",
        |counts| counts.engine.reads,
    ),
    (
        "yamabiko_backplane_malformed",
        "Messages of the engine that this version cannot read",
        |counts| counts.engine.malformed,
    ),
];
