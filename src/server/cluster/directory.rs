//! The entries of all nodes, as one node knows them. Without input, output or clock: operations of the log go in, and what the
//! application is told comes out; own changes go in, and messages for the log come out.
//!
//! ```text
//!                load                  the question and two beats are back,
//!   (unloaded) ───────▶ learning ───── and all others have announced ────────▶ following ──▶ left
//!                          ▲                                                     │
//!                          └──────────────────── gap ────────────────────────────┘
//! ```
//!
//! *Own* entries are those that the application wants to hold; *held* ones are those of the log, own ones included. While it is learning,
//! a node publishes no entry, and then it announces all. It announces all again when it is asked to, when the engine has not taken
//! a message of it, and when it was declared gone. An announcement is a stretch of the log, between two marks, in which each entry of
//! the node comes; its other operations may be in between. What the node has held before and does not come is released at the second
//! mark.

use super::event::{ClusterEntry, ClusterEvent};
use super::operation::{Operation, Operations};
use crate::server::backplane::owned::{Loaded, next_of};
use crate::server::backplane::{BackplaneMessage, KeptMessages, NodeId};
use crate::server::history::Position;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Directory {
    me: NodeId,
    phase: Phase,
    /// The place behind the last message of the log. `None`: it is not loaded.
    position: Option<Position>,
    own: BTreeMap<Arc<str>, Arc<[u8]>>,
    own_bytes: usize,
    held: BTreeMap<Arc<str>, Vec<Holder>>,
    nodes: BTreeMap<NodeId, Node>,
    /// Own entries whose values have changed since the last beat: the others learn the last one with the next beat.
    changed: BTreeSet<Arc<str>>,
    /// Operations that are to be published, in their order.
    outbox: VecDeque<Operation>,
    outbox_bytes: usize,
    must_ask: bool,
    must_announce: bool,
    /// Its own announcement is under way, and has come to this key.
    announcing: Option<Option<Arc<str>>>,
    malformed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unloaded,
    Learning {
        /// The question has come back.
        is_asked: bool,
        /// Own beats that have come back since then.
        beats: u32,
    },
    Following,
    Left,
}

/// A node that holds an entry, and its value.
type Holder = (NodeId, Arc<[u8]>);

/// A node that is there.
#[derive(Debug)]
struct Node {
    keys: BTreeSet<Arc<str>>,
    /// It announces its entries: those of before that did not come yet.
    announces: Option<BTreeSet<Arc<str>>>,
    /// It has announced all since this node has asked.
    has_announced: bool,
    /// Beats of this node since its last message.
    silent_beats: u32,
    /// Where its last message was.
    last: Position,
}

/// Something that a node cannot hold or send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    TooLong,
    TooMuch,
}

impl Directory {
    pub(super) fn new(me: NodeId) -> Directory {
        Directory {
            me,
            phase: Phase::Unloaded,
            position: None,
            own: BTreeMap::new(),
            own_bytes: 0,
            held: BTreeMap::new(),
            nodes: BTreeMap::new(),
            changed: BTreeSet::new(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            must_ask: false,
            must_announce: false,
            announcing: None,
            malformed: 0,
        }
    }

    /// The application wants to hold an entry.
    pub(super) fn hold(&mut self, key: &str, value: &[u8]) -> Result<(), Full> {
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err(Full::TooLong);
        }
        let before = self.own.get(key);
        if before.is_some_and(|before| **before == *value) {
            return Ok(());
        }
        let is_new = before.is_none();
        let before_bytes = before.map_or(0, |before| entry_bytes(key, before));
        let bytes = self.own_bytes - before_bytes + entry_bytes(key, value);
        if bytes > OWN_BYTES_MAX {
            return Err(Full::TooMuch);
        }
        self.own_bytes = bytes;
        let (key, value): (Arc<str>, Arc<[u8]>) = (key.into(), value.into());
        self.own.insert(key.clone(), value.clone());
        match self.phase {
            Phase::Following if is_new => self.push_change(Operation::Hold(key, value)),
            Phase::Following => drop(self.changed.insert(key)),
            Phase::Unloaded | Phase::Learning { .. } | Phase::Left => {}
        }
        Ok(())
    }

    /// The application does not want to hold an entry any more.
    pub(super) fn release(&mut self, key: &str) {
        let Some((key, value)) = self.own.remove_entry(key) else {
            return;
        };
        self.own_bytes -= entry_bytes(&key, &value);
        self.changed.remove(&key);
        if self.phase == Phase::Following {
            self.push_change(Operation::Release(key));
        }
    }

    /// A message of the application.
    pub(super) fn send(&mut self, payload: &[u8]) -> Result<(), Full> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Full::TooLong);
        }
        let operation = Operation::Message(payload.into());
        if self.outbox_bytes + operation.bytes() > OUTBOX_BYTES_MAX {
            return Err(Full::TooMuch);
        }
        self.push(operation);
        Ok(())
    }

    /// The time of a beat has come. False: there is none before the log is loaded.
    pub(super) fn beat(&mut self) -> bool {
        if matches!(self.phase, Phase::Unloaded | Phase::Left) {
            return false;
        }
        self.push(Operation::Beat);
        for key in std::mem::take(&mut self.changed) {
            if let Some(value) = self.own.get(&key) {
                self.push_change(Operation::Hold(key, value.clone()));
            }
        }
        true
    }

    /// The engine has not taken a message of this node, or it is not known whether it has.
    pub(super) fn refused(&mut self) {
        match self.phase {
            Phase::Learning { is_asked, .. } => self.must_ask |= !is_asked,
            Phase::Following => self.must_announce = true,
            Phase::Unloaded | Phase::Left => {}
        }
    }

    /// This node ends: nothing more follows.
    pub(super) fn leave(&mut self) {
        let others = self.nodes.iter().filter(|(id, _)| **id != self.me);
        let mut there = others.filter(|(_, node)| node.silent_beats < SILENT_BEATS);
        let heir = there.next().map_or(self.me, |(id, _)| *id);
        if self.phase != Phase::Unloaded {
            self.push(Operation::Leave(heir));
        }
        self.phase = Phase::Left;
    }

    /// The next message for the log.
    pub(super) fn next_message(&mut self) -> Option<Vec<u8>> {
        if self.phase == Phase::Unloaded {
            return None;
        }
        let mut all = Vec::new();
        if std::mem::take(&mut self.must_ask) {
            all.push(Operation::Ask);
        }
        let mut bytes = 0;
        while bytes < MESSAGE_BYTES {
            let Some(operation) = self.next_operation() else {
                break;
            };
            bytes += operation.bytes();
            all.push(operation);
        }
        let from = self.me;
        (!all.is_empty()).then(|| Operations { from, all }.encode())
    }

    fn next_operation(&mut self) -> Option<Operation> {
        if let Some(operation) = self.outbox.pop_front() {
            self.outbox_bytes -= operation.bytes();
            return Some(operation);
        }
        if self.phase != Phase::Following {
            return None;
        }
        if std::mem::take(&mut self.must_announce) {
            self.announcing = Some(None);
            return Some(Operation::AnnounceBegins);
        }
        let announced = self.announcing.take()?;
        let behind = match &announced {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Unbounded,
        };
        match self.own.range((behind, Bound::Unbounded)).next() {
            Some((key, value)) => {
                self.announcing = Some(Some(key.clone()));
                Some(Operation::Hold(key.clone(), value.clone()))
            }
            None => Some(Operation::AnnounceEnds),
        }
    }

    /// An entry has changed. If too much waits, all are announced later instead.
    fn push_change(&mut self, operation: Operation) {
        if self.outbox_bytes + operation.bytes() > OUTBOX_BYTES_MAX {
            self.forget_changes();
            self.must_announce = true;
            return;
        }
        self.push(operation);
    }

    fn push(&mut self, operation: Operation) {
        self.outbox_bytes += operation.bytes();
        self.outbox.push_back(operation);
    }

    /// What is not published yet of entries does not count any more.
    fn forget_changes(&mut self) {
        self.outbox
            .retain(|operation| matches!(operation, Operation::Message(_)));
        self.outbox_bytes = self.outbox.iter().map(Operation::bytes).sum();
        self.announcing = None;
        self.changed.clear();
    }

    /// How many nodes hold an entry with this key.
    pub(super) fn holders(&self, key: &str) -> usize {
        self.held.get(key).map_or(0, Vec::len)
    }

    /// The entries whose keys begin like this, in the order of their keys.
    pub(super) fn entries(&self, prefix: &str) -> impl Iterator<Item = ClusterEntry> {
        let from = self
            .held
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let found = from.take_while(move |(key, _)| key.starts_with(prefix));
        found.flat_map(|(key, holders)| {
            let entry = |(node, value): &Holder| entry(key, *node, value);
            holders.iter().map(entry)
        })
    }

    /// The nodes that are there, this one included if its log has it.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// Messages that this version cannot read.
    pub(super) fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Whether it knows what the others hold.
    pub(super) fn is_following(&self) -> bool {
        self.phase == Phase::Following
    }
}

// The log.
impl Directory {
    /// The engine has told where the log is.
    pub(super) fn loaded(&mut self, kept: &KeptMessages) -> Vec<ClusterEvent> {
        let Some(position) = self.position else {
            self.position = Some(kept.head);
            self.learn();
            return Vec::new();
        };
        let Loaded::Next { from, gap } = next_of(position, kept) else {
            return Vec::new();
        };
        if let Some(gap) = gap {
            self.gap(gap);
        }
        let begin = kept
            .head
            .offset()
            .saturating_sub(kept.messages.len() as u64);
        let first = Position::new(kept.head.epoch(), begin).plus(from as u64 + 1);
        self.delivered(first, kept.messages.get(from..).unwrap_or_default())
    }

    /// The engine has delivered messages, the first one at this place.
    pub(super) fn delivered(
        &mut self,
        first: Position,
        messages: &[BackplaneMessage],
    ) -> Vec<ClusterEvent> {
        let mut events = Vec::new();
        for (message, index) in messages.iter().zip(0..) {
            let Some(position) = self.position else {
                break;
            };
            let at = first.plus(index);
            if at.epoch() == position.epoch() && at.offset() <= position.offset() {
                continue;
            }
            if at != position.plus(1) {
                self.learn();
            }
            self.position = Some(at);
            match Operations::decode(message.payload()) {
                Ok(operations) => self.apply(at, operations, &mut events),
                Err(_) => self.malformed += 1,
            }
        }
        events
    }

    /// Messages are missing in front of this place.
    pub(super) fn gap(&mut self, position: Position) {
        if self.position.is_some_and(|before| before != position) {
            self.position = Some(position);
            self.learn();
        }
    }

    /// Something may be missing.
    fn learn(&mut self) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Learning {
            is_asked: false,
            beats: 0,
        };
        self.must_ask = true;
        self.forget_changes();
        for node in self.nodes.values_mut() {
            node.announces = None;
            node.has_announced = false;
        }
    }

    fn apply(&mut self, at: Position, operations: Operations, events: &mut Vec<ClusterEvent>) {
        let Operations { from, all } = operations;
        self.node(from, at).silent_beats = 0;
        for operation in all {
            match operation {
                Operation::Beat if from == self.me => self.beat_returned(),
                Operation::Beat => {}
                Operation::Ask if from == self.me => self.ask_returned(),
                Operation::Ask => self.must_announce |= self.phase == Phase::Following,
                Operation::Hold(key, value) => {
                    let node = self.node(from, at);
                    if let Some(missing) = &mut node.announces {
                        missing.remove(&key);
                    }
                    events.extend(self.set(from, key, value));
                }
                Operation::Release(key) => {
                    let is_teller = from == self.me;
                    events.extend(self.remove(from, &key, is_teller));
                }
                Operation::AnnounceBegins => {
                    let node = self.node(from, at);
                    node.announces = Some(node.keys.clone());
                }
                Operation::AnnounceEnds => self.announced(from, at, events),
                Operation::Gone(node, last) => self.gone(node, last, from == self.me, events),
                Operation::Leave(heir) => self.remove_node(from, heir == self.me, events),
                Operation::Message(payload) => {
                    events.push(ClusterEvent::Message { from, payload });
                }
            }
        }
    }

    /// The node that a message has come from.
    fn node(&mut self, from: NodeId, at: Position) -> &mut Node {
        let node = self.nodes.entry(from).or_insert_with(|| Node {
            keys: BTreeSet::new(),
            announces: None,
            has_announced: false,
            silent_beats: 0,
            last: at,
        });
        node.last = at;
        node
    }

    fn ask_returned(&mut self) {
        if let Phase::Learning { is_asked, .. } = &mut self.phase {
            *is_asked = true;
        }
    }

    fn beat_returned(&mut self) {
        for (id, node) in &mut self.nodes {
            if *id != self.me {
                node.silent_beats += 1;
            }
        }
        match &mut self.phase {
            Phase::Learning { is_asked, beats } => {
                *beats += u32::from(*is_asked);
                let beats = *beats;
                let others = self.nodes.iter().filter(|(id, _)| **id != self.me);
                let mut there = others.filter(|(_, node)| node.silent_beats < SILENT_BEATS);
                let knows_all = there.all(|(_, node)| node.has_announced);
                if beats >= LEARNING_BEATS_MAX || (knows_all && beats >= LEARNING_BEATS_MIN) {
                    self.phase = Phase::Following;
                    self.must_announce = true;
                }
            }
            Phase::Following => self.declare_gone(),
            Phase::Unloaded | Phase::Left => {}
        }
    }

    /// Declares nodes gone of which nothing has come for long enough. The first node, by its id, does it first, and others a beat later each.
    fn declare_gone(&mut self) {
        let there = |node: &&Node| node.silent_beats < SILENT_BEATS;
        let before = self.nodes.range(..self.me).map(|(_, node)| node);
        let rank = before.filter(there).count().min(RANK_MAX);
        let beats = SILENT_BEATS + u32::try_from(rank).unwrap_or(u32::MAX);
        let is_gone = |(_, node): &(&NodeId, &Node)| node.silent_beats >= beats;
        let gone = self.nodes.iter().filter(is_gone);
        let gone: Vec<_> = gone
            .map(|(id, node)| Operation::Gone(*id, node.last))
            .collect();
        gone.into_iter().for_each(|operation| self.push(operation));
    }

    fn announced(&mut self, from: NodeId, at: Position, events: &mut Vec<ClusterEvent>) {
        let is_asked = !matches!(
            self.phase,
            Phase::Learning {
                is_asked: false,
                ..
            }
        );
        let node = self.node(from, at);
        let Some(missing) = node.announces.take() else {
            return;
        };
        node.has_announced |= is_asked;
        for key in missing {
            events.extend(self.remove(from, &key, from == self.me));
        }
    }

    fn gone(
        &mut self,
        id: NodeId,
        last: Position,
        is_teller: bool,
        events: &mut Vec<ClusterEvent>,
    ) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        // It may have come back since then.
        if node.last.epoch() != last.epoch() || node.last.offset() > last.offset() {
            return;
        }
        self.remove_node(id, is_teller, events);
        if id == self.me && self.phase == Phase::Following {
            self.must_announce = true;
        }
    }

    fn remove_node(&mut self, id: NodeId, is_teller: bool, events: &mut Vec<ClusterEvent>) {
        let keys = self.nodes.remove(&id).map(|node| node.keys);
        for key in keys.unwrap_or_default() {
            events.extend(self.remove(id, &key, is_teller));
        }
    }

    fn set(&mut self, from: NodeId, key: Arc<str>, value: Arc<[u8]>) -> Option<ClusterEvent> {
        let key = match self.held.get_key_value(&key) {
            Some((same, _)) => same.clone(),
            None => key,
        };
        let holders = self.held.entry(key.clone()).or_default();
        let before = match holders.iter_mut().find(|(node, _)| *node == from) {
            Some((_, before)) if *before == value => return None,
            Some((_, before)) => Some(std::mem::replace(before, value.clone())),
            None => {
                holders.push((from, value.clone()));
                None
            }
        };
        let holders = holders.len();
        if let Some(node) = self.nodes.get_mut(&from) {
            node.keys.insert(key.clone());
        }
        Some(ClusterEvent::Held {
            entry: entry(&key, from, &value),
            before,
            holders,
            is_teller: from == self.me,
        })
    }

    fn remove(&mut self, from: NodeId, key: &Arc<str>, is_teller: bool) -> Option<ClusterEvent> {
        let holders = self.held.get_mut(key)?;
        let at = holders.iter().position(|(node, _)| *node == from)?;
        let (_, value) = holders.remove(at);
        let holders = holders.len();
        if holders == 0 {
            self.held.remove(key);
        }
        if let Some(node) = self.nodes.get_mut(&from) {
            node.keys.remove(key);
            if let Some(missing) = &mut node.announces {
                missing.remove(key);
            }
        }
        Some(ClusterEvent::Released {
            entry: entry(key, from, &value),
            holders,
            is_teller,
        })
    }
}

fn entry(key: &Arc<str>, node: NodeId, value: &Arc<[u8]>) -> ClusterEntry {
    ClusterEntry {
        key: key.clone(),
        node,
        value: value.clone(),
    }
}

/// What an entry takes, about.
fn entry_bytes(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

pub(super) const KEY_BYTES_MAX: usize = 1024;
pub(super) const VALUE_BYTES_MAX: usize = 64 << 10;
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Of the entries that one node holds.
pub(super) const OWN_BYTES_MAX: usize = 64 << 20;
const ENTRY_BYTES: usize = 64;
/// Of what waits to be published.
pub(super) const OUTBOX_BYTES_MAX: usize = 4 << 20;
/// A message has no further operation beyond this.
const MESSAGE_BYTES: usize = 64 << 10;
/// Own beats that come back without anything of a node between them: then it is gone.
pub(super) const SILENT_BEATS: u32 = 10;
/// So many beats later at most, the last node declares it.
const RANK_MAX: usize = 5;
/// Beats until a node follows: so that the others' answers can come, and not for longer if one does not answer.
const LEARNING_BEATS_MIN: u32 = 2;
const LEARNING_BEATS_MAX: u32 = 5;

#[cfg(test)]
mod tests;
