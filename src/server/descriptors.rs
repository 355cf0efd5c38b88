//! How many connections the descriptors of the process allow.
//!
//! ```text
//!   soft limit (ulimit -n)
//!   ├──── open at start ────┬──── connections ────┬── refusals ──┬── kept ──┤
//!                            up to `connections_max`  503, /health   files, reactors
//! ```
//!
//! A connection without a descriptor cannot be accepted: it would wait in the kernel without a response. So the server takes fewer connections
//! than it has descriptors, and has some left to tell further clients so, and to answer a monitoring system.
//!
//! The numbers are those of the start. If the program opens more files later than are kept for it, connections can still wait; then
//! the reactor tries again as descriptors become free.

use crate::reactor::free_descriptors;

/// The sockets of the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketLimits {
    pub(super) connections_max: usize,
    /// Of each worker: refused connections that get a response at the same time.
    pub(super) refusals_max: usize,
}

impl SocketLimits {
    /// As the configuration wants it, and the descriptors allow.
    pub(super) fn new(connections_max: usize, workers: usize) -> SocketLimits {
        SocketLimits::within(connections_max, workers, free_descriptors())
    }

    /// The free descriptors with which this configuration stays as it is.
    pub(super) fn descriptors(connections_max: usize, workers: usize) -> usize {
        let of_workers = workers.saturating_mul(REFUSALS_MAX + KEPT_OF_A_WORKER);
        connections_max.saturating_add(of_workers + KEPT)
    }

    /// `free`: descriptors that can be opened, if the system tells.
    fn within(connections_max: usize, workers: usize, free: Option<usize>) -> SocketLimits {
        let Some(free) = free else {
            return SocketLimits {
                connections_max,
                refusals_max: REFUSALS_MAX,
            };
        };
        let sockets = free.saturating_sub(KEPT + KEPT_OF_A_WORKER * workers);
        let refusals_max = (sockets / REFUSED_PART / workers).clamp(1, REFUSALS_MAX);
        let for_connections = sockets.saturating_sub(refusals_max * workers);
        SocketLimits {
            connections_max: connections_max.min(for_connections),
            refusals_max,
        }
    }
}

/// Connections beyond a limit that a worker responds to at a time. It accepts and closes further ones, so that none waits.
const REFUSALS_MAX: usize = 256;
/// Of few descriptors, this part is for refusals.
const REFUSED_PART: usize = 8;
/// Of the process: files of the application, and one connection that is accepted only to be closed.
const KEPT: usize = 8;
/// The descriptors of a reactor, which begins after the count.
const KEPT_OF_A_WORKER: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn within(connections_max: usize, workers: usize, free: usize) -> (usize, usize) {
        let limits = SocketLimits::within(connections_max, workers, Some(free));
        assert!(limits.connections_max + limits.refusals_max * workers <= free);
        (limits.connections_max, limits.refusals_max)
    }

    #[test]
    fn connections_leave_descriptors_for_refusals_and_files() {
        // 1,024 as on most systems, and 10 open: 998 sockets, of which an eighth is for refusals.
        assert_eq!(within(65_536, 2, 1_014), (998 - 2 * 62, 62));
        assert_eq!(within(874, 2, 1_014), (874, 62));
        assert_eq!(within(875, 2, 1_014), (874, 62));
        assert_eq!(within(873, 2, 1_014), (873, 62));
    }

    #[test]
    fn many_descriptors_leave_the_configuration_as_it_is() {
        assert_eq!(within(65_536, 4, 1 << 20), (65_536, REFUSALS_MAX));
        let unlimited = SocketLimits::within(65_536, 4, None);
        assert_eq!(unlimited.connections_max, 65_536);
        assert_eq!(unlimited.refusals_max, REFUSALS_MAX);
    }

    #[test]
    fn needed_descriptors_leave_the_configuration_as_it_is_and_one_less_does_not() {
        for (connections_max, workers) in [(1, 1), (100, 3), (65_536, 2), (1 << 20, 64)] {
            let needed = SocketLimits::descriptors(connections_max, workers);
            let found = within(connections_max, workers, needed);
            assert_eq!(found.0, connections_max);
        }
        // With few connections, fewer refusals need fewer descriptors.
        let needed = SocketLimits::descriptors(65_536, 2);
        assert_eq!(within(65_536, 2, needed), (65_536, REFUSALS_MAX));
        assert_eq!(within(65_536, 2, needed - 1).0, 65_535);
    }

    #[test]
    fn hardly_any_descriptors_leave_no_connection() {
        let limits = SocketLimits::within(65_536, 1, Some(5));
        assert_eq!((limits.connections_max, limits.refusals_max), (0, 1));
    }
}
