//! Subscriptions: which rooms a connection is in, and its cursor in the log of each.
//!
//! Nearly every connection has one subscription or none. That costs two words and nothing on the heap.

use super::log_set::LogId;
use crate::broadcast::SubscriptionId;

/// A connection in a room of its worker: a cursor in the log of the connection's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(super) log: LogId,
    pub(super) id: SubscriptionId,
}

/// All subscriptions of one connection, at most one for each room.
#[derive(Debug, Default)]
pub(crate) enum Subscriptions {
    #[default]
    None,
    One(Subscription),
    #[expect(
        clippy::box_collection,
        reason = "a Vec would make the two others larger"
    )]
    Several(Box<Vec<Subscription>>),
}

impl Subscriptions {
    pub(crate) fn as_slice(&self) -> &[Subscription] {
        match self {
            Subscriptions::None => &[],
            Subscriptions::One(subscription) => std::slice::from_ref(subscription),
            Subscriptions::Several(subscriptions) => subscriptions,
        }
    }

    pub(super) fn add(&mut self, subscription: Subscription) {
        match self {
            Subscriptions::None => *self = Subscriptions::One(subscription),
            Subscriptions::One(first) => {
                *self = Subscriptions::Several(Box::new(vec![*first, subscription]));
            }
            Subscriptions::Several(subscriptions) => subscriptions.push(subscription),
        }
    }

    pub(crate) fn remove(&mut self, subscription: Subscription) {
        match self {
            Subscriptions::One(only) if *only == subscription => *self = Subscriptions::None,
            Subscriptions::Several(subscriptions) => {
                subscriptions.retain(|other| *other != subscription);
            }
            Subscriptions::None | Subscriptions::One(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::SharedLog;

    #[test]
    fn subscriptions_are_listed_until_they_are_removed() {
        let mut shared = SharedLog::new();
        let mut subscription = |log| Subscription {
            log: LogId::new(log),
            id: shared.subscribe(log as u64),
        };
        let (a, b, c) = (subscription(1), subscription(2), subscription(3));
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.as_slice(), []);
        subscriptions.add(a);
        assert_eq!(subscriptions.as_slice(), [a]);
        subscriptions.remove(b);
        subscriptions.add(b);
        subscriptions.add(c);
        subscriptions.remove(a);
        assert_eq!(subscriptions.as_slice(), [b, c]);
        subscriptions.remove(b);
        subscriptions.remove(c);
        assert_eq!(subscriptions.as_slice(), []);
        subscriptions.add(a);
        subscriptions.remove(a);
        assert_eq!(subscriptions.as_slice(), [a; 0]);
    }

    #[test]
    fn one_subscription_is_two_words() {
        assert!(size_of::<Subscriptions>() <= 16);
    }
}
