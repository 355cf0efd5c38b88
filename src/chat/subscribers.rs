//! How many subscribers each broadcast room has, in a cluster on all nodes.
//!
//! The server's own rooms are divided over its workers; this is the count of all of them, which a connection changes when it
//! begins and when it ends. A room without any is not here, so the number of connections bounds the memory.
//!
//! In a cluster each node holds an entry for each room with its count, and knows those of the others.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::server::{Cluster, ClusterEvent, NodeId};

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    counts: Mutex<BTreeMap<Box<str>, Count>>,
    /// Not set: there is one node.
    cluster: OnceLock<Cluster>,
}

/// 1 ≤ all of them
#[derive(Debug, Default)]
struct Count {
    here: usize,
    others: Vec<(NodeId, usize)>,
}

impl Subscribers {
    /// There are other nodes.
    pub(super) fn set_cluster(&self, cluster: Cluster) {
        // Called once.
        let _ = self.cluster.set(cluster);
    }

    /// A connection has subscribed to this room.
    pub(super) fn add(&self, room: &str) {
        self.change(room, |count| count.here += 1);
    }

    /// A connection that was added has ended.
    pub(super) fn remove(&self, room: &str) {
        self.change(room, |count| count.here = count.here.saturating_sub(1));
    }

    /// The other nodes learn the changes of this one in their order.
    fn change(&self, room: &str, change: impl FnOnce(&mut Count)) {
        let mut counts = self.lock();
        let (before, here) = update(&mut counts, room, change);
        if let Some(cluster) = self.cluster.get().filter(|_| before != here) {
            let key = format!("{KEY_PREFIX}{room}");
            match here {
                0 => cluster.release(&key),
                // If this node holds too much, the others do not learn it.
                _ => drop(cluster.hold(&key, here.to_string().as_bytes())),
            }
        }
    }

    /// Another node may have another count.
    pub(super) fn cluster_event(&self, event: &ClusterEvent) {
        let (entry, others) = match event {
            ClusterEvent::Held { entry, .. } => {
                let number = str::from_utf8(&entry.value).ok();
                (entry, number.and_then(|number| number.parse().ok()))
            }
            ClusterEvent::Released { entry, .. } => (entry, None),
            _ => return,
        };
        let Some(room) = entry.key.strip_prefix(KEY_PREFIX) else {
            return;
        };
        // Before the cluster is set, this node has nothing there.
        if self.cluster.get().map(Cluster::node) == Some(entry.node) {
            return;
        }
        update(&mut self.lock(), room, |count| {
            count.others.retain(|(node, _)| *node != entry.node);
            let others = others.map(|others| (entry.node, others));
            count.others.extend(others);
        });
    }

    pub(super) fn count(&self, room: &str) -> usize {
        self.lock().get(room).map_or(0, Count::all)
    }

    /// How many rooms behind `after` there are of those that `sees` accepts, and the first `max` of them.
    pub(super) fn list(
        &self,
        after: &str,
        max: usize,
        sees: impl Fn(&str) -> bool,
    ) -> (usize, Vec<(Box<str>, usize)>) {
        let counts = self.lock();
        let rooms = counts.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let mut rooms = rooms.filter(|(room, _)| sees(room));
        let first = rooms.by_ref().take(max);
        let first: Vec<_> = first
            .map(|(room, count)| (room.clone(), count.all()))
            .collect();
        (first.len() + rooms.count(), first)
    }

    /// A poisoned lock is used: the steps under it do not panic.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn all(&self) -> usize {
        let others = self.others.iter().map(|(_, count)| *count);
        others.fold(self.here, usize::saturating_add)
    }
}

/// The keys of the entries begin with it.
const KEY_PREFIX: &str = "broadcast/";

/// Changes the count of a room, which is there as long as it is not zero. Returns that of this node, before and after.
fn update(
    counts: &mut BTreeMap<Box<str>, Count>,
    room: &str,
    change: impl FnOnce(&mut Count),
) -> (usize, usize) {
    if let Some(count) = counts.get_mut(room) {
        let before = count.here;
        change(count);
        let (here, all) = (count.here, count.all());
        if all == 0 {
            counts.remove(room);
        }
        return (before, here);
    }
    let mut count = Count::default();
    change(&mut count);
    let here = count.here;
    if count.all() > 0 {
        counts.insert(room.into(), count);
    }
    (0, here)
}

#[cfg(test)]
mod tests {
    use super::super::api::ROOMS_LISTED_MAX;
    use super::*;

    #[test]
    fn room_is_counted_while_it_has_subscribers() {
        let subscribers = Subscribers::default();
        for room in ["b", "a", "b"] {
            subscribers.add(room);
        }
        assert_eq!((subscribers.count("a"), subscribers.count("b")), (1, 2));
        subscribers.remove("b");
        subscribers.remove("a");
        assert_eq!((subscribers.count("a"), subscribers.count("b")), (0, 1));
        assert_eq!(subscribers.lock().len(), 1);
        // A room that is not there stays so.
        subscribers.remove("c");
        assert_eq!(subscribers.lock().len(), 1);
    }

    #[test]
    fn rooms_are_listed_in_the_order_of_their_names_from_a_name_on() {
        let subscribers = Subscribers::default();
        for room in ["d", "b", "a", "c", "b", "hidden"] {
            subscribers.add(room);
        }
        let list = |after, max| subscribers.list(after, max, |room| room != "hidden");
        let named = |rooms: &[(&str, usize)]| -> Vec<(Box<str>, usize)> {
            rooms
                .iter()
                .map(|(room, count)| ((*room).into(), *count))
                .collect()
        };
        assert_eq!(list("", 2), (4, named(&[("a", 1), ("b", 2)])));
        assert_eq!(list("b", 9), (2, named(&[("c", 1), ("d", 1)])));
        assert_eq!(list("d", 9), (0, named(&[])));
        assert_eq!(list("", 0), (4, named(&[])));
    }

    #[test]
    fn page_has_1000_rooms_and_the_next_page_the_one_behind_them() {
        for (rooms, of_pages) in [(1000, [1000, 0]), (1001, [1000, 1])] {
            let subscribers = Subscribers::default();
            (0..rooms).for_each(|room| subscribers.add(&format!("{room:04}")));
            let mut after = String::new();
            let mut left = rooms;
            for of_page in of_pages {
                let (total, page) = subscribers.list(&after, ROOMS_LISTED_MAX, |_| true);
                assert_eq!((total, page.len()), (left, of_page), "of {rooms}");
                after = page.last().map_or(after, |(room, _)| room.to_string());
                left -= of_page;
            }
        }
    }
}
