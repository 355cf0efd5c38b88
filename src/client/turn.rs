//! One connection at a time to each remote address (RFC 6455 §4.1).
//!
//! While a connection is in the CONNECTING state (TCP connect and opening
//! handshake), every other attempt of this process to the same IP address waits
//! in line, whatever the name or the port. A [`Turn`] is the right to be that
//! one connection; dropping it lets the next in line go.
//!
//! ```text
//! LINES:  192.0.2.1    ─ waiting: 2 ─ condvar      an entry lives as long
//!         2001:db8::7  ─ waiting: 0 ─ condvar      as somebody has the turn
//! ```
//!
//! Costs one lock of a small table for each connection attempt, and nothing
//! afterwards. It ends at the process: two processes do not see each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Every address that a connection of this process is in CONNECTING state to.
static LINES: LazyLock<Mutex<HashMap<IpAddr, Line>>> = LazyLock::new(Mutex::default);

/// The right to connect to one address. At most one exists for each.
#[derive(Debug)]
pub(super) struct Turn {
    address: IpAddr,
}

/// Those who want the same address: one has the turn, `waiting` stand in line.
#[derive(Debug, Default)]
struct Line {
    taken: bool,
    waiting: usize,
    next: Arc<Condvar>,
}

impl Turn {
    /// Waits until no other connection to `address` is being opened; `None` at
    /// the deadline.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If multiple connections to the same IP address are attempted
    //# simultaneously, the client MUST serialize them
    pub(super) fn wait(address: IpAddr, deadline: Instant) -> Option<Turn> {
        // ::ffff:192.0.2.1 is the same host as 192.0.2.1.
        let address = address.to_canonical();
        let mut lines = lines();
        let line = lines.entry(address).or_default();
        if line.taken {
            let next = Arc::clone(&line.next);
            line.waiting += 1;
            lines = in_line(lines, address, &next, deadline);
        }
        take(&mut lines, address)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Entry::Occupied(mut line) = lines().entry(self.address) {
            if line.get().waiting == 0 {
                line.remove();
                return;
            }
            line.get_mut().taken = false;
            line.get().next.notify_one();
        }
    }
}

/// Sleeps until the turn at `address` is free or the deadline has come.
fn in_line<'a>(
    mut lines: MutexGuard<'a, HashMap<IpAddr, Line>>,
    address: IpAddr,
    next: &Condvar,
    deadline: Instant,
) -> MutexGuard<'a, HashMap<IpAddr, Line>> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# the client MUST wait until that connection has been established or for
    //# that connection to have failed.
    lines = next
        .wait_timeout_while(
            lines,
            deadline.saturating_duration_since(Instant::now()),
            |lines| lines.get(&address).is_some_and(|line| line.taken),
        )
        .unwrap_or_else(PoisonError::into_inner)
        .0;
    if let Some(line) = lines.get_mut(&address) {
        line.waiting -= 1;
    }
    lines
}

/// Takes the turn if it is free: also where it became free at the very deadline,
/// so that a wake-up is never lost.
fn take(lines: &mut HashMap<IpAddr, Line>, address: IpAddr) -> Option<Turn> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# There MUST be no more than one connection in a CONNECTING state.
    let line = lines.entry(address).or_default();
    if line.taken {
        return None;
    }
    line.taken = true;
    Some(Turn { address })
}

/// The table holds no half-made state when its lock is released, so a panic
/// elsewhere does not spoil it.
fn lines() -> MutexGuard<'static, HashMap<IpAddr, Line>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    /// Addresses of TEST-NET-2: each test has its own line.
    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(198, 51, 100, last).into()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# There MUST be no more than one connection in a CONNECTING state.
    #[test]
    fn never_two_turns_for_one_address() {
        let inside = AtomicUsize::new(0);
        let turns = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let turn = Turn::wait(address(1), soon()).expect("the line moves on");
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turns.fetch_add(1, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 16 * 50);
        assert!(!lines().contains_key(&address(1)), "the table forgets");
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# the client MUST wait until that connection has been established or for
    //# that connection to have failed.
    #[test]
    fn waits_until_the_turn_before_is_dropped_even_under_another_spelling() {
        let first = Turn::wait(address(2), soon()).expect("nobody is there");
        let mapped = Ipv4Addr::new(198, 51, 100, 2).to_ipv6_mapped();
        assert!(Turn::wait(mapped.into(), Instant::now()).is_none());
        thread::scope(|scope| {
            let second = scope.spawn(|| Turn::wait(mapped.into(), soon()).is_some());
            let waits = || {
                lines()
                    .get(&address(2))
                    .is_some_and(|line| line.waiting > 0)
            };
            while !waits() {
                assert!(!second.is_finished(), "the second one did not wait");
                thread::yield_now();
            }
            drop(first);
            assert!(second.join().expect("no panic"));
        });
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# If multiple connections to the same IP address are attempted
    //# simultaneously, the client MUST serialize them
    #[test]
    fn who_gave_up_waiting_does_not_hold_up_the_line() {
        let first = Turn::wait(address(3), soon()).expect("nobody is there");
        assert!(Turn::wait(address(3), Instant::now() + Duration::from_millis(5)).is_none());
        drop(first);
        assert!(Turn::wait(address(3), Instant::now()).is_some());
        assert!(!lines().contains_key(&address(3)));
    }

    #[test]
    fn other_addresses_do_not_wait() {
        let _one = Turn::wait(address(4), soon()).expect("nobody is there");
        assert!(Turn::wait(address(5), Instant::now()).is_some());
    }
}
