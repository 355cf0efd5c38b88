//! Limits of connections that several reactors share: in all, of one address, and in a second.
//!
//! ```text
//!   accept ──▶ acquire ──┬─ open < max            one atomic number
//!                        ├─ of this address       one of 16 maps, each behind a lock
//!                        └─ new in this second    one atomic number
//!   close  ──▶ release      the first two
//! ```
//!
//! They cost nothing between accepting a connection and closing it, and a limit that is not set costs nothing at all. The limit of
//! one address costs 16 bytes for each socket and about 32 for each address.

use super::peer_address::PeerAddress;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The maximum numbers of connections of all reactors that share it: see
/// [`ReactorConfig::connection_limit`](super::ReactorConfig). Clones are the same limit. A
/// connection is counted when it is accepted or adopted, and no longer when its socket is
/// closed.
///
/// ```
/// use std::num::{NonZeroU32, NonZeroUsize};
/// use yamabiko::reactor::ConnectionLimit;
///
/// let limit = ConnectionLimit::new(1000)
///     .per_address(NonZeroUsize::new(20))
///     .per_second(NonZeroU32::new(100));
/// assert_eq!(limit.open(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionLimit {
    max: usize,
    /// 0 ≤ open ≤ max
    open: Arc<AtomicUsize>,
    addresses: Option<Arc<AddressCounts>>,
    except: Option<Except>,
    new: Option<Arc<NewConnections>>,
}

impl ConnectionLimit {
    /// A limit of the open connections in all, without open connections.
    #[must_use]
    pub fn new(max: usize) -> ConnectionLimit {
        ConnectionLimit {
            max,
            open: Arc::default(),
            addresses: None,
            except: None,
            new: None,
        }
    }

    /// Also limits the open connections of each IPv4 address, and of each /64 of IPv6 addresses: that is the least that a
    /// host or a household gets. An IPv4 address that is mapped to IPv6 counts as itself. Connections of a Unix socket have no
    /// address and are not limited by this. To be called before the limit is cloned.
    #[must_use]
    pub fn per_address(mut self, max: Option<NonZeroUsize>) -> ConnectionLimit {
        self.addresses = max.map(|max| Arc::new(AddressCounts::new(max.get())));
        self
    }

    /// No limit for each of these addresses. To be called before the limit is cloned.
    #[must_use]
    pub fn except(
        mut self,
        addresses: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> ConnectionLimit {
        self.except = Some(Except(Arc::new(addresses)));
        self
    }

    /// Also limits the new connections per second; as many may come at once after a pause of a second. To be called before the
    /// limit is cloned.
    #[must_use]
    pub fn per_second(mut self, max: Option<NonZeroU32>) -> ConnectionLimit {
        self.new = max.map(|max| Arc::new(NewConnections::new(max)));
        self
    }

    /// How many connections are counted.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// What counts as the address of this other end.
    fn address_of(&self, peer: PeerAddress) -> Address {
        let except = self.except.as_ref().zip(peer.ip());
        match except.is_some_and(|(except, address)| (except.0)(address)) {
            true => Address::None,
            false => Address::of(peer),
        }
    }

    /// Counts one more connection, if all limits allow it. The count protects no other
    /// memory, so the order of these operations does not matter.
    fn acquire(&self, peer: PeerAddress, now: Timestamp) -> Result<(), LimitReached> {
        let one_more = |open| (open < self.max).then_some(open + 1);
        let counted = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if counted.is_err() {
            return Err(LimitReached::Connections);
        }
        let addresses = self.addresses.as_ref();
        if addresses.is_some_and(|addresses| !addresses.acquire(self.address_of(peer))) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(LimitReached::ConnectionsPerAddress);
        }
        if self.new.as_ref().is_some_and(|new| !new.acquire(now)) {
            self.release(self.address_of(peer));
            return Err(LimitReached::ConnectionsPerSecond);
        }
        Ok(())
    }

    /// A counted connection has ended.
    fn release(&self, address: Address) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(addresses) = &self.addresses {
            addresses.release(address);
        }
    }
}

/// Which part of a [`ConnectionLimit`] a connection was beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitReached {
    /// Of the open connections in all.
    Connections,
    /// Of the open connections of its address: [`ConnectionLimit::per_address`].
    ConnectionsPerAddress,
    /// Of the new connections per second: [`ConnectionLimit::per_second`].
    ConnectionsPerSecond,
}

/// One reactor's connections that a limit counts, by the slot of the socket.
#[derive(Debug)]
pub(super) struct CountedConnections {
    limit: Option<ConnectionLimit>,
    /// Empty if the limit does not count addresses.
    addresses: Vec<Address>,
}

impl CountedConnections {
    pub(super) fn new(limit: Option<ConnectionLimit>) -> CountedConnections {
        CountedConnections {
            limit,
            addresses: Vec::new(),
        }
    }

    /// Counts one more connection, if the limit allows it, or if there is none.
    pub(super) fn acquire(&self, peer: PeerAddress, now: Timestamp) -> Result<(), LimitReached> {
        match &self.limit {
            Some(limit) => limit.acquire(peer, now),
            None => Ok(()),
        }
    }

    /// A counted connection got no socket.
    pub(super) fn release(&self, peer: PeerAddress) {
        if let Some(limit) = &self.limit {
            limit.release(limit.address_of(peer));
        }
    }

    /// A counted connection has this slot now.
    pub(super) fn opened(&mut self, slot: usize, peer: PeerAddress) {
        let Some(limit) = self
            .limit
            .as_ref()
            .filter(|limit| limit.addresses.is_some())
        else {
            return;
        };
        if self.addresses.len() <= slot {
            self.addresses.resize(slot + 1, Address::None);
        }
        self.addresses[slot] = limit.address_of(peer);
    }

    /// The connection in this slot is one of this other end. False: its address has its maximum already, and the
    /// connection counts as before.
    pub(super) fn count_for(&mut self, slot: usize, peer: PeerAddress) -> bool {
        let Some(limit) = &self.limit else {
            return true;
        };
        let (Some(counts), Some(counted)) = (&limit.addresses, self.addresses.get_mut(slot)) else {
            return true;
        };
        let address = limit.address_of(peer);
        if address != *counted {
            if !counts.acquire(address) {
                return false;
            }
            counts.release(*counted);
            *counted = address;
        }
        true
    }

    /// The counted connection in this slot has ended.
    pub(super) fn closed(&self, slot: usize) {
        if let Some(limit) = &self.limit {
            let address = self.addresses.get(slot).copied();
            limit.release(address.unwrap_or(Address::None));
        }
    }
}

/// How many descriptors the process can open besides those that are open now: its soft limit (`ulimit -n`) less their number.
/// `None`: there is no limit, or the system does not tell.
///
/// Cost: it lists the open descriptors.
#[must_use]
pub fn free_descriptors() -> Option<usize> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        let limit = usize::try_from(getrlimit(Resource::Nofile).current?).ok()?;
        // The list itself has one.
        let open = std::fs::read_dir("/dev/fd").ok()?.count().saturating_sub(1);
        Some(limit.saturating_sub(open))
    }
    #[cfg(not(unix))]
    None
}

/// Addresses without a limit of their own.
#[derive(Clone)]
struct Except(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl fmt::Debug for Except {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Except")
    }
}

/// What counts as one address: an IPv4 address, or a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    V4(u32),
    V6(u64),
    /// Of a Unix socket, or not known because addresses are not counted.
    None,
}

impl Address {
    fn of(peer: PeerAddress) -> Address {
        match peer.ip().map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Address::V4(address.to_bits()),
            Some(IpAddr::V6(address)) => Address::V6((address.to_bits() >> 64) as u64),
            None => Address::None,
        }
    }
}

/// How many connections each address has open.
#[derive(Debug)]
struct AddressCounts {
    max: usize,
    /// An attacker cannot choose addresses that fall into one shard, or into one bucket of its map.
    hasher: RandomState,
    /// 1 ≤ count ≤ max; an address without connections is not here.
    shards: [Mutex<HashMap<Address, usize>>; SHARDS],
}

impl AddressCounts {
    fn new(max: usize) -> AddressCounts {
        AddressCounts {
            max,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Connections without an address have no limit here.
    fn acquire(&self, address: Address) -> bool {
        if address == Address::None {
            return true;
        }
        self.with_shard(address, |counts| {
            let count = counts.entry(address).or_insert(0);
            // It has one already if it is at the limit, which is at least 1.
            let is_within = *count < self.max;
            *count += usize::from(is_within);
            is_within
        })
    }

    fn release(&self, address: Address) {
        if address == Address::None {
            return;
        }
        self.with_shard(address, |counts| {
            if let Entry::Occupied(mut count) = counts.entry(address) {
                match count.get() {
                    0 | 1 => drop(count.remove()),
                    _ => *count.get_mut() -= 1,
                }
            }
        });
    }

    fn with_shard<R>(
        &self,
        address: Address,
        run: impl FnOnce(&mut HashMap<Address, usize>) -> R,
    ) -> R {
        let shard = self.hasher.hash_one(address) as usize % SHARDS;
        let shard = self.shards[shard].lock();
        run(&mut shard.unwrap_or_else(PoisonError::into_inner))
    }
}

/// The new connections in a second, as the time up to which the allowed ones are used (the generic cell rate algorithm).
#[derive(Debug)]
struct NewConnections {
    /// Nanoseconds for one connection.
    interval: u64,
    used_until: AtomicU64,
}

impl NewConnections {
    fn new(per_second: NonZeroU32) -> NewConnections {
        NewConnections {
            interval: SECOND.div_ceil(per_second.get().into()),
            used_until: AtomicU64::new(0),
        }
    }

    /// `now`: of the reactor. The clocks of reactors that were made together differ by the time that it took to make them.
    fn acquire(&self, now: Timestamp) -> bool {
        let now = Duration::from_millis(now.0).as_nanos();
        // A second's worth has passed before the server began.
        let now = u64::try_from(now)
            .unwrap_or(u64::MAX)
            .saturating_add(SECOND);
        let one_more = |used_until: u64| {
            let next = used_until.max(now - SECOND).checked_add(self.interval)?;
            (next <= now).then_some(next)
        };
        let used_until = &self.used_until;
        used_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }
}

/// Locks that many workers seldom want at the same time.
const SHARDS: usize = 16;

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    const NOW: Timestamp = Timestamp(7);

    fn peer(address: &str) -> PeerAddress {
        SocketAddr::new(address.parse().unwrap(), 1).into()
    }

    fn acquire(limit: &ConnectionLimit, address: &str) -> bool {
        limit.acquire(peer(address), NOW).is_ok()
    }

    #[test]
    fn limit_counts_up_to_its_maximum_and_down_once_for_each_connection() {
        let limit = ConnectionLimit::new(2);
        let same = limit.clone();
        assert!(acquire(&limit, "::1") && acquire(&same, "::1"));
        assert!(!acquire(&limit, "::1") && !acquire(&same, "::1"));
        same.release(Address::None);
        assert_eq!(limit.open(), 1);
        assert!(acquire(&limit, "::1") && !acquire(&limit, "::1"));
        assert!(!acquire(&ConnectionLimit::new(0), "::1"));
    }

    #[cfg(unix)]
    #[test]
    fn open_files_leave_fewer_free_descriptors() {
        yamabiko_testing::descriptors::raise_limit();
        // Other tests open and close files meanwhile, but not so many.
        let before = free_descriptors().expect("a limit");
        let file = || std::fs::File::open("/dev/null").unwrap();
        let files: Vec<_> = (0..500).map(|_| file()).collect();
        let with_files = free_descriptors().expect("a limit");
        assert!(with_files + 250 < before, "{before}, {with_files}");
        drop(files);
        assert!(free_descriptors().expect("a limit") > with_files + 250);
    }

    #[test]
    fn threads_together_do_not_exceed_the_limit() {
        let limit = ConnectionLimit::new(1000).per_address(NonZeroUsize::new(900));
        let acquired: usize = std::thread::scope(|scope| {
            let acquire_all = || (0..1000).filter(|_| acquire(&limit, "192.0.2.1")).count();
            let threads = [(); 3].map(|()| scope.spawn(acquire_all));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!((acquired, limit.open()), (900, 900));
    }

    #[test]
    fn address_has_its_maximum_and_one_more_is_refused_while_others_have_their_own() {
        let limit = ConnectionLimit::new(100).per_address(NonZeroUsize::new(2));
        for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] {
            assert!(acquire(&limit, address) && acquire(&limit, address));
            assert!(!acquire(&limit, address), "{address}");
        }
        assert_eq!(limit.open(), 8);
        limit.release(Address::of(peer("192.0.2.1")));
        assert!(acquire(&limit, "192.0.2.1") && !acquire(&limit, "192.0.2.1"));
        assert!(!acquire(&limit, "192.0.2.2"));
    }

    #[test]
    fn connections_of_a_unix_socket_have_no_address_to_count_and_count_in_all() {
        let limit = ConnectionLimit::new(3).per_address(NonZeroUsize::new(1));
        let acquire = || limit.acquire(PeerAddress::Unix, NOW).is_ok();
        assert!(acquire() && acquire() && acquire() && !acquire());
        limit.release(Address::of(PeerAddress::Unix));
        assert!(acquire() && !acquire());
    }

    #[test]
    fn excepted_address_has_no_maximum_and_its_connection_can_count_for_another_address() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let limit = ConnectionLimit::new(100).per_address(NonZeroUsize::new(1));
        let limit = limit.except(move |address| address == proxy);
        let mut counted = CountedConnections::new(Some(limit.clone()));
        for slot in 0..3 {
            assert!(counted.acquire(peer("10.0.0.1"), NOW).is_ok());
            counted.opened(slot, peer("10.0.0.1"));
        }
        assert!(counted.count_for(0, peer("192.0.2.1")));
        assert!(counted.count_for(0, peer("192.0.2.1")));
        assert!(!counted.count_for(1, peer("192.0.2.1")));
        assert!(counted.acquire(peer("192.0.2.1"), NOW).is_err());
        assert!(counted.count_for(1, peer("192.0.2.2")));
        counted.closed(0);
        assert!(counted.count_for(2, peer("192.0.2.1")));
        counted.closed(1);
        counted.closed(2);
        assert_eq!(limit.open(), 0);
        assert!(acquire(&limit, "192.0.2.1") && acquire(&limit, "192.0.2.2"));
    }

    #[test]
    fn addresses_of_a_64_bit_prefix_are_one_and_a_mapped_ipv4_address_is_itself() {
        let limit = ConnectionLimit::new(100).per_address(NonZeroUsize::new(2));
        assert!(acquire(&limit, "2001:db8::1") && acquire(&limit, "2001:db8::ffff:0:0:2"));
        assert!(!acquire(&limit, "2001:db8::3"));
        assert!(acquire(&limit, "2001:db8:0:1::3"));
        assert!(acquire(&limit, "192.0.2.1") && acquire(&limit, "::ffff:192.0.2.1"));
        assert!(!acquire(&limit, "::ffff:192.0.2.1") && !acquire(&limit, "192.0.2.1"));
        assert!(acquire(&limit, "::ffff:192.0.2.2"));
    }

    #[test]
    fn address_without_connections_costs_nothing() {
        let counts = AddressCounts::new(1);
        let held = |counts: &AddressCounts| -> usize {
            let shards = counts.shards.iter();
            shards.map(|shard| shard.lock().unwrap().len()).sum()
        };
        for number in 0..1000 {
            assert!(counts.acquire(Address::V4(number)));
            assert!(!counts.acquire(Address::V4(number)));
        }
        assert_eq!(held(&counts), 1000);
        (0..1000).for_each(|number| counts.release(Address::V4(number)));
        assert_eq!(held(&counts), 0);
    }

    #[test]
    fn new_connections_have_a_second_of_their_rate_at_once_and_then_an_interval_each() {
        let limit = ConnectionLimit::new(100).per_second(NonZeroU32::new(4));
        let at = |millis| limit.acquire(peer("::1"), Timestamp(millis)).is_ok();
        for _ in 0..4 {
            assert!(at(0));
        }
        assert!(!at(0) && !at(249));
        assert!(at(250) && !at(250) && !at(499));
        assert!(at(500));
        // After a pause there are four again, and not more.
        for _ in 0..4 {
            assert!(at(90_000));
        }
        assert!(!at(90_000));
        // A refused connection is not open.
        assert_eq!(limit.open(), 10);
    }
}
