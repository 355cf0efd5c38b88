//! How many subscribers each broadcast room has.
//!
//! The server's own rooms are divided over its workers; this is the count of all of them, which a connection changes when it
//! begins and when it ends. A room without subscribers is not here, so the number of connections bounds the memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::first_by_name::FirstByName;

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    /// 1 ≤ count
    counts: Mutex<HashMap<Box<str>, usize>>,
}

impl Subscribers {
    /// A connection has subscribed to this room.
    pub(super) fn add(&self, room: &str) {
        let mut counts = self.lock();
        match counts.get_mut(room) {
            Some(count) => *count += 1,
            None => {
                counts.insert(room.into(), 1);
            }
        }
    }

    /// A connection that was added has ended.
    pub(super) fn remove(&self, room: &str) {
        let mut counts = self.lock();
        match counts.get_mut(room) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(room);
            }
        }
    }

    pub(super) fn count(&self, room: &str) -> usize {
        self.lock().get(room).copied().unwrap_or(0)
    }

    /// How many rooms behind `after` there are of those that `sees` accepts, and the first `max` of them.
    pub(super) fn list(
        &self,
        after: &str,
        max: usize,
        sees: impl Fn(&str) -> bool,
    ) -> (usize, Vec<(Box<str>, usize)>) {
        let mut first = FirstByName::new(max);
        for (room, count) in &*self.lock() {
            if **room > *after && sees(room) {
                first.add(room, *count);
            }
        }
        first.finish()
    }

    /// A poisoned lock is used: the steps under it do not panic.
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
}
