//! The channels of one app that have subscribers: how many, and the members of presence channels. Also subscribers of other nodes count,
//! if there are some (`cluster.rs`).
//!
//! The table is divided into parts, each behind a lock. A change is made under the lock of its part, and what follows from it
//! (events for the other subscribers, webhooks) is published under the same lock, so that it has the order of the changes.
//!
//! Cost of a channel without presence: its name, and 48 bytes in the table.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::value::RawValue;
use yamabiko::server::NodeId;

use crate::limits::AppLimits;
use crate::members::{MemberChange, Members};
use crate::name::ChannelName;
use crate::wire::{COUNT_INTERVAL, COUNTED_AT_ONCE_MAX};

#[derive(Debug)]
pub(crate) struct Channels {
    parts: Box<[Mutex<Part>]>,
    hasher: RandomState,
    occupied: AtomicUsize,
}

type Part = HashMap<ChannelName, Channel>;

#[derive(Debug, Default)]
struct Channel {
    /// Subscribers on this server.
    connections: u32,
    /// Other nodes that have subscribers, and how many. There are some, or members, if `connections` is 0.
    nodes: Option<Box<OtherNodes>>,
    members: Option<Box<Members>>,
    /// If its subscribers are told how many they are.
    told: Option<Box<Told>>,
}

/// Other nodes with subscribers of a channel, and how many.
#[derive(Debug, Default)]
struct OtherNodes(Vec<(NodeId, u32)>);

/// When the subscribers of a channel were told how many they are.
#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    /// They will be told again.
    is_due: bool,
}

/// Whether the subscribers are told how many they are, after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountDue {
    No,
    Now,
    /// Not before this time. [`Channels::count_later`] is to be called then.
    At(Instant),
}

/// Who enters a presence channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewMember<'a> {
    pub(crate) id: &'a Arc<str>,
    pub(crate) info: Option<&'a RawValue>,
}

/// A connection has entered a channel.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    /// The name, which shares its memory with the table.
    pub(crate) name: ChannelName,
    /// Subscribers on this server now.
    pub(crate) connections: u32,
    /// Subscribers on all nodes now.
    pub(crate) subscribers: u32,
    /// Of a presence channel: the members now.
    pub(crate) members: Option<&'a Members>,
    /// The user was not a member before.
    pub(crate) is_new_member: bool,
    /// It is the first connection of the user on this server.
    pub(crate) is_first_here: bool,
    pub(crate) count_due: CountDue,
}

/// A connection has left a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Subscribers on this server now.
    pub(crate) connections: u32,
    /// Subscribers on all nodes now; 0: the channel is gone.
    pub(crate) subscribers: u32,
    /// It was the last connection of its user.
    pub(crate) member_is_gone: bool,
    /// It was the last one on this server.
    pub(crate) was_last_here: bool,
    pub(crate) count_due: CountDue,
}

/// Why a connection cannot enter a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Channels,
    Members,
}

/// What the HTTP API tells of a channel, of all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) connections: u32,
    pub(crate) users: usize,
}

impl Channels {
    pub(crate) fn new() -> Channels {
        Channels {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            occupied: AtomicUsize::new(0),
        }
    }

    /// A connection enters a channel. `entered` is called under the lock. `counted_at`: the time, if the subscribers are told how
    /// many they are.
    ///
    /// # Errors
    /// A limit is reached, and nothing has changed.
    pub(crate) fn enter<R>(
        &self,
        name: &ChannelName,
        member: Option<NewMember<'_>>,
        limits: &AppLimits,
        counted_at: Option<Instant>,
        entered: impl FnOnce(Entered<'_>) -> R,
    ) -> Result<R, Full> {
        let mut part = self.part(name.as_str());
        let name = match part.get_key_value(name) {
            Some((name, channel)) => {
                channel.takes_member(member, limits)?;
                name.clone()
            }
            None => {
                Channel::default().takes_member(member, limits)?;
                self.add_channel(limits)?;
                name.clone()
            }
        };
        let channel = part.entry(name.clone()).or_default();
        channel.connections += 1;
        let change = member.map_or(NO_CHANGE, |member| {
            let members = channel.members.get_or_insert_default();
            members.add(member.id, member.info)
        });
        let count_due = channel.count_due(counted_at);
        Ok(entered(Entered {
            name,
            connections: channel.connections,
            subscribers: channel.subscribers(),
            members: channel.members.as_deref(),
            is_new_member: change.of_channel,
            is_first_here: change.on_server,
            count_due,
        }))
    }

    /// A connection leaves a channel that it has entered, as this user. `left` is called under the lock.
    pub(crate) fn leave<R>(
        &self,
        name: &ChannelName,
        user: Option<&str>,
        counted_at: Option<Instant>,
        left: impl FnOnce(Left) -> R,
    ) -> Option<R> {
        let mut part = self.part(name.as_str());
        let Entry::Occupied(mut entry) = part.entry(name.clone()) else {
            return None;
        };
        let channel = entry.get_mut();
        // A channel may be there for the subscribers of other nodes alone.
        channel.connections = channel.connections.checked_sub(1)?;
        let (connections, count_due) = (channel.connections, channel.count_due(counted_at));
        let members = channel.members.as_mut();
        let change = members
            .zip(user)
            .map_or(NO_CHANGE, |(members, user)| members.remove(user));
        let subscribers = channel.subscribers();
        if channel.is_gone() {
            entry.remove();
            self.occupied.fetch_sub(1, Ordering::Relaxed);
        }
        Some(left(Left {
            connections,
            subscribers,
            member_is_gone: change.of_channel,
            was_last_here: change.on_server,
            count_due,
        }))
    }

    /// Another node has so many subscribers of a channel. `counted` is called under the lock, with the number of all.
    pub(crate) fn set_node(
        &self,
        name: &ChannelName,
        node: NodeId,
        connections: u32,
        counted_at: Option<Instant>,
        counted: impl FnOnce(u32, CountDue),
    ) {
        self.change_by_node(name, |channel| {
            let OtherNodes(nodes) = &mut **channel.nodes.get_or_insert_default();
            nodes.retain(|(other, _)| *other != node);
            if connections > 0 {
                nodes.push((node, connections));
            }
            channel.nodes.take_if(|nodes| nodes.0.is_empty());
            let due = channel.count_due(counted_at);
            counted(channel.subscribers(), due);
        });
    }

    /// Another node has connections of a member. `entered` is called under the lock if the user was none before.
    pub(crate) fn add_member_of_node(
        &self,
        name: &ChannelName,
        node: NodeId,
        member: NewMember<'_>,
        entered: impl FnOnce(),
    ) {
        self.change_by_node(name, |channel| {
            let members = channel.members.get_or_insert_default();
            if members.add_node(member.id, member.info, node) && channel.connections > 0 {
                entered();
            }
        });
    }

    /// Another node has no connections of a member any more. `left` is called under the lock if no node has some.
    pub(crate) fn remove_member_of_node(
        &self,
        name: &ChannelName,
        node: NodeId,
        user: &str,
        left: impl FnOnce(),
    ) {
        self.change_by_node(name, |channel| {
            let members = channel.members.as_mut();
            let is_gone = members.is_some_and(|members| members.remove_node(user, node));
            if is_gone && channel.connections > 0 {
                left();
            }
        });
    }

    /// The channel is there from now on, or is gone, if another node has changed that.
    fn change_by_node(&self, name: &ChannelName, change: impl FnOnce(&mut Channel)) {
        let mut part = self.part(name.as_str());
        let was_there = part.contains_key(name);
        let channel = part.entry(name.clone()).or_default();
        change(channel);
        let is_there = !channel.is_gone();
        match (was_there, is_there) {
            (false, true) => {
                self.occupied.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.occupied.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        if !is_there {
            part.remove(name);
        }
    }

    /// The time has come that [`CountDue::At`] named. `count` is called under the lock, with the number of subscribers.
    pub(crate) fn count_later(&self, name: &ChannelName, now: Instant, count: impl FnOnce(u32)) {
        let mut part = self.part(name.as_str());
        let Some(channel) = part.get_mut(name) else {
            return;
        };
        let Some(told) = channel.told.as_mut().filter(|told| told.is_due) else {
            return;
        };
        **told = Told {
            at: Some(now),
            is_due: false,
        };
        count(channel.subscribers());
    }

    /// How many channels have subscribers.
    pub(crate) fn len(&self) -> usize {
        self.occupied.load(Ordering::Relaxed)
    }

    /// `None`: nobody is subscribed to the channel.
    pub(crate) fn occupancy(&self, name: &str) -> Option<Occupancy> {
        let part = self.part(name);
        part.get(name).map(Channel::occupancy)
    }

    /// The ids of a presence channel's members.
    pub(crate) fn user_ids(&self, name: &str) -> Vec<String> {
        let part = self.part(name);
        let members = part.get(name).and_then(|channel| channel.members.as_ref());
        let ids = members.iter().flat_map(|members| members.iter());
        ids.map(|(id, _)| id.to_owned()).collect()
    }

    /// The channels whose names begin like this, in the order of their names. Each part is locked for itself. `None`: their names,
    /// with so many bytes for each, exceed the limit.
    pub(crate) fn list(
        &self,
        prefix: &str,
        bytes_for_each: usize,
        bytes_max: usize,
    ) -> Option<Vec<(ChannelName, Occupancy)>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for part in &self.parts {
            for (name, channel) in &*lock(part) {
                if name.as_str().starts_with(prefix) {
                    bytes += name.as_str().len() + bytes_for_each;
                    if bytes > bytes_max {
                        return None;
                    }
                    found.push((name.clone(), channel.occupancy()));
                }
            }
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Some(found)
    }

    fn part(&self, name: &str) -> MutexGuard<'_, Part> {
        let hash = self.hasher.hash_one(name);
        lock(&self.parts[usize::try_from(hash % PARTS).unwrap_or(0)])
    }

    /// Counts a new channel.
    fn add_channel(&self, limits: &AppLimits) -> Result<(), Full> {
        let max = limits.channels_max.map_or(usize::MAX, |max| max as usize);
        let add = |occupied| (occupied < max).then_some(occupied + 1);
        let added = self
            .occupied
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.map(drop).map_err(|_| Full::Channels)
    }
}

impl Channel {
    /// On all nodes.
    fn subscribers(&self) -> u32 {
        let nodes = self.nodes.iter().flat_map(|nodes| nodes.0.iter());
        let others = nodes.map(|(_, connections)| *connections);
        others.fold(self.connections, u32::saturating_add)
    }

    /// No node has anything of it.
    fn is_gone(&self) -> bool {
        let members = self.members.as_ref();
        let has_members = members.is_some_and(|members| members.len() > 0);
        self.connections == 0 && self.nodes.is_none() && !has_members
    }

    fn takes_member(&self, member: Option<NewMember<'_>>, limits: &AppLimits) -> Result<(), Full> {
        let Some(member) = member else { return Ok(()) };
        let members = self.members.as_ref();
        let (is_member, count) = members.map_or((false, 0), |members| {
            (members.contains(member.id), members.len())
        });
        match is_member || count < limits.presence_members_max as usize {
            true => Ok(()),
            false => Err(Full::Members),
        }
    }

    /// The number of subscribers has changed.
    fn count_due(&mut self, now: Option<Instant>) -> CountDue {
        let Some(now) = now.filter(|_| self.connections > 0) else {
            return CountDue::No;
        };
        let subscribers = self.subscribers();
        let told = self.told.get_or_insert_default();
        let next = told.at.map(|at| at + COUNT_INTERVAL);
        match next.filter(|next| subscribers > COUNTED_AT_ONCE_MAX && *next > now) {
            None => {
                told.at = Some(now);
                CountDue::Now
            }
            Some(_) if told.is_due => CountDue::No,
            Some(next) => {
                told.is_due = true;
                CountDue::At(next)
            }
        }
    }

    fn occupancy(&self) -> Occupancy {
        Occupancy {
            connections: self.subscribers(),
            users: self.members.as_ref().map_or(0, |members| members.len()),
        }
    }
}

/// A poisoned lock is used: the steps under it leave the table whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const PARTS: u64 = 64;

const NO_CHANGE: MemberChange = MemberChange {
    of_channel: false,
    on_server: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text, "/apps/1/channels/").expect("a name")
    }

    fn enter(
        channels: &Channels,
        channel: &str,
        user: Option<&str>,
        limits: &AppLimits,
    ) -> Result<(u32, bool), Full> {
        let id: Option<Arc<str>> = user.map(Into::into);
        let member = id.as_ref().map(|id| NewMember { id, info: None });
        channels.enter(&name(channel), member, limits, None, |entered| {
            (entered.connections, entered.is_new_member)
        })
    }

    #[test]
    fn channel_exists_from_the_first_connection_to_the_last() {
        let (channels, limits) = (Channels::new(), AppLimits::default());
        assert_eq!(enter(&channels, "a", None, &limits), Ok((1, false)));
        assert_eq!(enter(&channels, "a", None, &limits), Ok((2, false)));
        assert_eq!(channels.len(), 1);
        assert_eq!(
            channels.leave(&name("a"), None, None, |left| left.connections),
            Some(1)
        );
        assert_eq!(
            channels.leave(&name("a"), None, None, |left| left.connections),
            Some(0)
        );
        assert_eq!((channels.len(), channels.occupancy("a")), (0, None));
        assert_eq!(
            channels.leave(&name("a"), None, None, |left| left.connections),
            None
        );
    }

    #[test]
    fn users_are_counted_once_and_gone_with_their_last_connection() {
        let (channels, limits) = (Channels::new(), AppLimits::default());
        assert_eq!(
            enter(&channels, "presence-a", Some("u"), &limits),
            Ok((1, true))
        );
        assert_eq!(
            enter(&channels, "presence-a", Some("u"), &limits),
            Ok((2, false))
        );
        let occupancy = channels.occupancy("presence-a").expect("it is occupied");
        assert_eq!((occupancy.connections, occupancy.users), (2, 1));
        assert_eq!(channels.user_ids("presence-a"), ["u"]);
        let leave = || {
            channels.leave(&name("presence-a"), Some("u"), None, |left| {
                left.member_is_gone
            })
        };
        assert_eq!((leave(), leave()), (Some(false), Some(true)));
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let channels = Channels::new();
        let limits = AppLimits {
            channels_max: Some(2),
            presence_members_max: 1,
            ..AppLimits::default()
        };
        assert!(enter(&channels, "presence-a", Some("u"), &limits).is_ok());
        assert_eq!(
            enter(&channels, "presence-a", Some("v"), &limits),
            Err(Full::Members)
        );
        assert!(enter(&channels, "presence-a", Some("u"), &limits).is_ok());
        assert!(enter(&channels, "b", None, &limits).is_ok());
        assert_eq!(enter(&channels, "c", None, &limits), Err(Full::Channels));
        channels.leave(&name("b"), None, None, |_| ());
        assert!(enter(&channels, "c", None, &limits).is_ok());
        assert_eq!(channels.len(), 2);
        let list = |prefix, bytes_max| channels.list(prefix, 1, bytes_max);
        let listed: Vec<_> = list("", 100)
            .expect("within the limit")
            .into_iter()
            .map(|(name, _)| name.as_str().to_owned())
            .collect();
        assert_eq!(listed, ["c", "presence-a"]);
        assert_eq!(list("presence-", 100).map(|found| found.len()), Some(1));
        let bytes = "c".len() + "presence-a".len() + 2;
        assert!(list("", bytes).is_some() && list("", bytes - 1).is_none());
    }

    #[test]
    fn number_of_up_to_100_subscribers_is_told_at_once_and_of_more_every_five_seconds() {
        let (channels, limits) = (Channels::new(), AppLimits::default());
        let start = Instant::now();
        let enter = |now| {
            let due = |entered: Entered<'_>| entered.count_due;
            let entered = channels.enter(&name("a"), None, &limits, Some(now), due);
            entered.expect("there is room")
        };
        let leave = |now| {
            let due = |left: Left| left.count_due;
            channels.leave(&name("a"), None, Some(now), due)
        };
        for _ in 0..100 {
            assert_eq!(enter(start), CountDue::Now);
        }
        let next = start + COUNT_INTERVAL;
        assert_eq!(enter(start), CountDue::At(next));
        assert_eq!(enter(start), CountDue::No, "it is due already");
        assert_eq!(leave(start), Some(CountDue::No));
        let mut counted = None;
        channels.count_later(&name("a"), next, |count| counted = Some(count));
        assert_eq!(counted, Some(101));
        channels.count_later(&name("a"), next, |_| panic!("it is not due"));
        assert_eq!(enter(next + COUNT_INTERVAL), CountDue::Now);
        leave(start);
        leave(start);
        assert_eq!(leave(start), Some(CountDue::Now), "99");
    }
}
