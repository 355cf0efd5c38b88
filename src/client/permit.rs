//! One connection attempt at a time for each remote address (RFC 6455 §4.1).
//!
//! While a connection is in the CONNECTING state (TCP connect and opening handshake),
//! every other attempt of this process to the same IP address waits, whatever the host
//! name or the port. A [`ConnectPermit`] allows one attempt; dropping it lets the next
//! one begin.
//!
//! ```text
//! ADDRESSES:  192.0.2.1    ─ waiting: 2 ─ condvar      an entry exists while
//!             2001:db8::7  ─ waiting: 0 ─ condvar      its permit is taken
//! ```
//!
//! Costs one lock of a small table for each attempt, and nothing afterwards. The rule
//! holds within the process: two processes do not know of each other. This is the one
//! global of the client: the RFC's rule is about all connections of the host.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Each address to which a connection of this process is in the CONNECTING state.
static ADDRESSES: LazyLock<Mutex<HashMap<IpAddr, Attempts>>> = LazyLock::new(Mutex::default);

/// Permission to connect to one address. At most one exists for each address.
#[derive(Debug)]
pub(super) struct ConnectPermit {
    address: IpAddr,
}

/// The attempts to one address: one has the permit, `waiting` wait for it.
#[derive(Debug, Default)]
struct Attempts {
    taken: bool,
    waiting: usize,
    next: Arc<Condvar>,
}

impl ConnectPermit {
    /// Waits until no other connection to `address` is being opened; `None`: the deadline
    /// has passed.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If multiple connections to the same IP address are attempted
    //# simultaneously, the client MUST serialize them
    pub(super) fn wait(address: IpAddr, deadline: Instant) -> Option<ConnectPermit> {
        // ::ffff:192.0.2.1 is the same host as 192.0.2.1.
        let address = address.to_canonical();
        let mut addresses = addresses();
        let attempts = addresses.entry(address).or_default();
        if attempts.taken {
            let next = Arc::clone(&attempts.next);
            attempts.waiting += 1;
            addresses = wait_for_permit(addresses, address, &next, deadline);
        }
        take(&mut addresses, address)
    }
}

impl Drop for ConnectPermit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut attempts) = addresses().entry(self.address) {
            if attempts.get().waiting == 0 {
                attempts.remove();
                return;
            }
            attempts.get_mut().taken = false;
            attempts.get().next.notify_one();
        }
    }
}

/// Sleeps until the permit for `address` is free or the deadline has passed.
fn wait_for_permit<'a>(
    mut addresses: MutexGuard<'a, HashMap<IpAddr, Attempts>>,
    address: IpAddr,
    next: &Condvar,
    deadline: Instant,
) -> MutexGuard<'a, HashMap<IpAddr, Attempts>> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# the client MUST wait until that connection has been established or for
    //# that connection to have failed.
    addresses = next
        .wait_timeout_while(
            addresses,
            deadline.saturating_duration_since(Instant::now()),
            |addresses| {
                addresses
                    .get(&address)
                    .is_some_and(|attempts| attempts.taken)
            },
        )
        .unwrap_or_else(PoisonError::into_inner)
        .0;
    if let Some(attempts) = addresses.get_mut(&address) {
        attempts.waiting -= 1;
    }
    addresses
}

/// Takes the permit if it is free. It is also taken if it became free at the deadline, so
/// that no wake-up is lost.
fn take(addresses: &mut HashMap<IpAddr, Attempts>, address: IpAddr) -> Option<ConnectPermit> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# There MUST be no more than one connection in a CONNECTING state.
    let attempts = addresses.entry(address).or_default();
    if attempts.taken {
        return None;
    }
    attempts.taken = true;
    Some(ConnectPermit { address })
}

/// A poisoned lock is used: the table is consistent whenever its lock is released.
fn addresses() -> MutexGuard<'static, HashMap<IpAddr, Attempts>> {
    ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    /// Addresses of TEST-NET-2, one for each test.
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
    fn two_permits_for_one_address_never_exist() {
        let inside = AtomicUsize::new(0);
        let permits = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let permit = ConnectPermit::wait(address(1), soon())
                            .expect("the permit becomes free");
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        permits.fetch_add(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(permits.into_inner(), 16 * 50);
        assert!(
            !addresses().contains_key(&address(1)),
            "the entry is removed"
        );
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# the client MUST wait until that connection has been established or for
    //# that connection to have failed.
    #[test]
    fn attempt_waits_for_the_permit_also_for_the_mapped_form_of_the_address() {
        let first = ConnectPermit::wait(address(2), soon()).expect("the permit is free");
        let mapped = Ipv4Addr::new(198, 51, 100, 2).to_ipv6_mapped();
        assert!(ConnectPermit::wait(mapped.into(), Instant::now()).is_none());
        thread::scope(|scope| {
            let second = scope.spawn(|| ConnectPermit::wait(mapped.into(), soon()).is_some());
            let waits = || {
                addresses()
                    .get(&address(2))
                    .is_some_and(|attempts| attempts.waiting > 0)
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
    fn attempt_that_stopped_waiting_does_not_block_the_next_one() {
        let first = ConnectPermit::wait(address(3), soon()).expect("the permit is free");
        assert!(
            ConnectPermit::wait(address(3), Instant::now() + Duration::from_millis(5)).is_none()
        );
        drop(first);
        assert!(ConnectPermit::wait(address(3), Instant::now()).is_some());
        assert!(!addresses().contains_key(&address(3)));
    }

    #[test]
    fn attempts_to_other_addresses_do_not_wait() {
        let _one = ConnectPermit::wait(address(4), soon()).expect("the permit is free");
        assert!(ConnectPermit::wait(address(5), Instant::now()).is_some());
    }
}
