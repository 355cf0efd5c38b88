//! The rooms that one connection is in: nearly always none or one, so that it
//! costs two words and nothing on the heap.

use crate::broadcast::SubscriptionId;

/// A connection's subscription in one room of its worker: in the lane of its variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The lane's index in the worker's table.
    pub(super) lane: u32,
    pub(super) subscription: SubscriptionId,
}

/// All places of one connection, each room once.
#[derive(Debug, Default)]
pub(super) enum Places {
    #[default]
    None,
    One(Place),
    #[expect(
        clippy::box_collection,
        reason = "a Vec would make the two others larger"
    )]
    Several(Box<Vec<Place>>),
}

impl Places {
    pub(super) fn as_slice(&self) -> &[Place] {
        match self {
            Places::None => &[],
            Places::One(place) => std::slice::from_ref(place),
            Places::Several(places) => places,
        }
    }

    pub(super) fn push(&mut self, place: Place) {
        match self {
            Places::None => *self = Places::One(place),
            Places::One(first) => *self = Places::Several(Box::new(vec![*first, place])),
            Places::Several(places) => places.push(place),
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        match self {
            Places::One(only) if *only == place => *self = Places::None,
            Places::Several(places) => places.retain(|other| *other != place),
            Places::None | Places::One(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::Room;

    #[test]
    fn places_come_and_go() {
        let mut room = Room::new();
        let mut place = |lane| Place {
            lane,
            subscription: room.subscribe(u64::from(lane)),
        };
        let (a, b, c) = (place(1), place(2), place(3));
        let mut places = Places::default();
        assert_eq!(places.as_slice(), []);
        places.push(a);
        assert_eq!(places.as_slice(), [a]);
        places.remove(b);
        places.push(b);
        places.push(c);
        places.remove(a);
        assert_eq!(places.as_slice(), [b, c]);
        places.remove(b);
        places.remove(c);
        assert_eq!(places.as_slice(), []);
        places.push(a);
        places.remove(a);
        assert_eq!(places.as_slice(), [a; 0]);
    }

    #[test]
    fn one_place_is_two_words() {
        assert!(size_of::<Places>() <= 16);
    }
}
