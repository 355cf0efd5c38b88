//! One connection attempt at a time for each remote address (RFC 6455 §4.1).
//!
//! While a connection is in the CONNECTING state (TCP connect and opening handshake),
//! every other attempt of this process to the same IP address waits, whatever the host
//! name or the port. A [`ConnectPermit`] allows one attempt; dropping it lets the next
//! one begin, in the order in which they came.
//!
//! ```text
//! HOSTS:      192.0.2.1    ─ granted: –    ─ waiting: 7, 8    an entry exists while
//!             2001:db8::7  ─ granted: 4    ─ waiting: 6       its permit is taken
//! ```
//!
//! A task waits for a permit by a future, and a thread by the same future and a waker that
//! unparks it: so clients of both kinds wait in one queue, and no executor is blocked.
//!
//! Costs one lock of a small table for each attempt, and nothing afterwards. The rule
//! holds within the process: two processes do not know of each other. This is the one
//! global of the client: the RFC's rule is about all connections of the host.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Each host to which a connection of this process is in the CONNECTING state.
static HOSTS: LazyLock<Mutex<HashMap<RemoteHost, Attempts>>> = LazyLock::new(Mutex::default);

/// Permission to connect to one address: at most one exists in a process for each address. Hold
/// it until the opening handshake has succeeded or failed. For a client on other I/O than that of
/// [`Client`](super::Client), which does so by itself.
///
/// ```
/// use yamabiko::client::ConnectPermit;
///
/// # async fn example() {
/// let address: std::net::IpAddr = "192.0.2.1".parse().expect("an address");
/// let permit = ConnectPermit::acquire(address).await;
/// // TCP, the request, the response.
/// drop(permit);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the next attempt begins when this is dropped"]
pub struct ConnectPermit {
    host: RemoteHost,
}

/// To which host a connection is opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemoteHost {
    /// By its address.
    Address(IpAddr),
    /// By its name in lower case, if a proxy connects in place of the client, so that its address is
    /// not known.
    Name(String),
}

impl From<IpAddr> for RemoteHost {
    fn from(address: IpAddr) -> RemoteHost {
        // ::ffff:192.0.2.1 is the same host as 192.0.2.1.
        RemoteHost::Address(address.to_canonical())
    }
}

impl From<&str> for RemoteHost {
    fn from(name: &str) -> RemoteHost {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# then the client MUST assume for the purposes of this step that each
        //# host name refers to a distinct remote host
        RemoteHost::Name(name.to_ascii_lowercase())
    }
}

/// The attempts to one host: one has the permit, or it was granted and not taken yet; the
/// others wait.
#[derive(Debug, Default)]
struct Attempts {
    /// The number of the waiting attempt that is the next one.
    granted: Option<u64>,
    waiting: VecDeque<(u64, Waker)>,
    last_number: u64,
}

impl ConnectPermit {
    /// Waits, without blocking the thread, until no other connection to this host is being
    /// opened. There is no limit of time: that is for the caller, who drops the future.
    pub fn acquire(host: impl Into<RemoteHost>) -> AcquirePermit {
        AcquirePermit {
            host: host.into(),
            number: None,
        }
    }

    /// Waits until no other connection to this host is being opened; `None`: the deadline
    /// has passed.
    pub(super) fn wait(host: impl Into<RemoteHost>, deadline: Instant) -> Option<ConnectPermit> {
        let mut permit = ConnectPermit::acquire(host);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            let context = &mut Context::from_waker(&waker);
            if let Poll::Ready(permit) = Pin::new(&mut permit).poll(context) {
                return Some(permit);
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return None;
            }
            thread::park_timeout(rest);
        }
    }
}

impl Drop for ConnectPermit {
    fn drop(&mut self) {
        grant_next(&self.host);
    }
}

/// The permit when it is free: [`ConnectPermit::acquire`]. Dropping it gives up the place in the
/// queue.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct AcquirePermit {
    host: RemoteHost,
    /// The place in the queue, if it waits.
    number: Option<u64>,
}

impl Future for AcquirePermit {
    type Output = ConnectPermit;

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If multiple connections to the same IP address are attempted
    //# simultaneously, the client MUST serialize them
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ConnectPermit> {
        let mut hosts = hosts();
        let is_free = match hosts.entry(self.host.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Attempts::default());
                true
            }
            Entry::Occupied(mut attempts) => {
                attempts.get_mut().is_granted(&mut self.number, context)
            }
        };
        if !is_free {
            return Poll::Pending;
        }
        self.number = None;
        let host = self.host.clone();
        Poll::Ready(ConnectPermit { host })
    }
}

impl Drop for AcquirePermit {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut hosts = hosts();
        let Some(attempts) = hosts.get_mut(&self.host) else {
            return;
        };
        attempts.waiting.retain(|(waiting, _)| *waiting != number);
        let was_granted = attempts.granted == Some(number);
        drop(hosts);
        if was_granted {
            grant_next(&self.host);
        }
    }
}

impl Attempts {
    /// Whether the permit was granted to the attempt with this number; otherwise it waits.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# the client MUST wait until that connection has been established or for
    //# that connection to have failed.
    fn is_granted(&mut self, number: &mut Option<u64>, context: &Context<'_>) -> bool {
        let waker = context.waker().clone();
        let Some(number) = *number else {
            self.last_number += 1;
            *number = Some(self.last_number);
            self.waiting.push_back((self.last_number, waker));
            return false;
        };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# There MUST be no more than one connection in a CONNECTING state.
        if self.granted == Some(number) {
            self.granted = None;
            return true;
        }
        let place = self.waiting.iter_mut().find(|(place, _)| *place == number);
        if let Some((_, kept)) = place {
            *kept = waker;
        }
        false
    }
}

/// The permit for this host is free: it is granted to the next attempt.
fn grant_next(host: &RemoteHost) {
    let mut hosts = hosts();
    let Entry::Occupied(mut attempts) = hosts.entry(host.clone()) else {
        return;
    };
    let Some((number, waker)) = attempts.get_mut().waiting.pop_front() else {
        attempts.remove();
        return;
    };
    attempts.get_mut().granted = Some(number);
    drop(hosts);
    waker.wake();
}

/// A poisoned lock is used: the table is consistent whenever its lock is released.
fn hosts() -> MutexGuard<'static, HashMap<RemoteHost, Attempts>> {
    HOSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

// Also obeyed by `is_granted`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# instead the client SHOULD limit the total number of simultaneous pending
//# connections to a reasonably low number

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
            !hosts().contains_key(&address(1).into()),
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
        assert!(ConnectPermit::wait(IpAddr::from(mapped), Instant::now()).is_none());
        thread::scope(|scope| {
            let second =
                scope.spawn(|| ConnectPermit::wait(IpAddr::from(mapped), soon()).is_some());
            let waits = || {
                hosts()
                    .get(&address(2).into())
                    .is_some_and(|attempts| !attempts.waiting.is_empty())
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
        assert!(!hosts().contains_key(&address(3).into()));
    }

    #[test]
    fn attempts_to_other_addresses_do_not_wait() {
        let _one = ConnectPermit::wait(address(4), soon()).expect("the permit is free");
        assert!(ConnectPermit::wait(address(5), Instant::now()).is_some());
    }

    #[test]
    fn attempts_get_the_permit_in_the_order_in_which_they_came() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut poll = |permit: &mut AcquirePermit| Pin::new(permit).poll(context);
        let mut attempts: Vec<_> = (0..4).map(|_| ConnectPermit::acquire(address(6))).collect();
        let first = poll(&mut attempts[0]);
        assert!(
            attempts[1..]
                .iter_mut()
                .all(|attempt| poll(attempt).is_pending())
        );
        drop(first);
        assert!(poll(&mut attempts[2]).is_pending(), "it is not its turn");
        let second = poll(&mut attempts[1]);
        assert!(second.is_ready());
        drop(attempts.remove(2)); // gives up its place
        drop(second);
        assert!(poll(&mut attempts[2]).is_ready());
    }

    #[test]
    fn future_that_is_dropped_with_a_permit_passes_it_on() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut poll = |permit: &mut AcquirePermit| Pin::new(permit).poll(context);
        let [mut first, mut second, mut third] =
            [(); 3].map(|()| ConnectPermit::acquire(address(7)));
        let permit = poll(&mut first);
        assert!(poll(&mut second).is_pending() && poll(&mut third).is_pending());
        drop(permit); // granted to the second one
        drop(second);
        assert!(poll(&mut third).is_ready());
        drop(third);
        assert!(!hosts().contains_key(&address(7).into()));
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# then the client MUST assume for the purposes of this step that each
    //# host name refers to a distinct remote host
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# instead the client SHOULD limit the total number of simultaneous pending
    //# connections to a reasonably low number
    #[test]
    fn each_name_behind_a_proxy_is_a_host_of_its_own_with_one_attempt_at_a_time() {
        let _one = ConnectPermit::wait("one.example", soon()).expect("the permit is free");
        assert!(ConnectPermit::wait("two.example", Instant::now()).is_some());
        assert!(ConnectPermit::wait("One.Example", Instant::now()).is_none());
    }
}
