//! Who is here, as a client sees it.
//!
//! The server's lists and changes carry the revision of the room's names. A
//! change may come too early (one before it is still on its way from another
//! worker) or too late (the list had it already). So changes are kept until
//! their turn has come, and applied in the order of their revisions:
//!
//! ```text
//!   welcome [Aiko, Bo] revision 5      names: Aiko, Bo
//!   joined  Bo         revision 5      had it already: passed over
//!   left    Aiko       revision 7      6 is missing: kept
//!   joined  Chie       revision 6      names: Aiko, Bo, Chie; then 7: Bo, Chie
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::protocol::ServerMessage;

/// The most changes that wait for one before them. A server that sends more has
/// lost one; the next list of names mends it.
const EARLY_CHANGES_MAX: usize = 4096;

/// The names in a room, put together from what the server says.
///
/// ```
/// use yamabiko::chat::{Presence, ServerMessage};
///
/// let mut presence = Presence::default();
/// let names = vec!["Aiko".into(), "Bo".into()];
/// presence.apply(&ServerMessage::Names { id: None, names, count: 2, revision: 5 });
/// presence.apply(&ServerMessage::Left { id: None, name: "Aiko".into(), revision: 6 });
/// assert_eq!(presence.names().collect::<Vec<_>>(), ["Bo"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Presence {
    names: BTreeSet<String>,
    count: usize,
    /// Nothing is applied before the first list.
    revision: Option<u64>,
    /// Changes that came before their turn, by revision.
    early: BTreeMap<u64, Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Joined(String),
    Left(String),
}

impl Presence {
    /// Takes in a server message; those that tell nothing about names change
    /// nothing.
    pub fn apply(&mut self, message: &ServerMessage<'_>) {
        match message {
            ServerMessage::Welcome {
                names,
                count,
                revision,
                ..
            }
            | ServerMessage::Names {
                names,
                count,
                revision,
                ..
            } => {
                self.start(
                    names.iter().map(|name| name.to_string()).collect(),
                    *count,
                    *revision,
                );
            }
            ServerMessage::Joined { name, revision } => {
                self.keep(*revision, Change::Joined(name.to_string()));
            }
            ServerMessage::Left { name, revision, .. } => {
                self.keep(*revision, Change::Left(name.to_string()));
            }
            _ => {}
        }
        self.catch_up();
    }

    /// Who is here; fewer than [`count`](Presence::count) where the server's
    /// list was cut.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many are here.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The revision of the room's names that this shows; `None` before the
    /// first list.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// A list that is older than what is known (a late answer) is passed over.
    fn start(&mut self, names: BTreeSet<String>, count: usize, revision: u64) {
        if self.revision.is_some_and(|known| known > revision) {
            return;
        }
        self.names = names;
        self.count = count;
        self.revision = Some(revision);
    }

    fn keep(&mut self, revision: u64, change: Change) {
        if self.early.len() < EARLY_CHANGES_MAX {
            self.early.insert(revision, change);
        }
    }

    fn catch_up(&mut self) {
        let Some(mut known) = self.revision else {
            return;
        };
        self.early.retain(|revision, _| *revision > known);
        while let Some(change) = self.early.remove(&(known + 1)) {
            known += 1;
            match change {
                Change::Joined(name) => {
                    self.names.insert(name);
                    self.count += 1;
                }
                Change::Left(name) => {
                    self.names.remove(&name);
                    self.count = self.count.saturating_sub(1);
                }
            }
        }
        self.revision = Some(known);
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::Name;
    use super::super::room::{Rooms, Roster};
    use super::*;
    use proptest::prelude::*;

    fn joined(name: &str, revision: u64) -> ServerMessage<'static> {
        ServerMessage::Joined {
            name: name.to_owned().into(),
            revision,
        }
    }

    fn left(name: &str, revision: u64) -> ServerMessage<'static> {
        ServerMessage::Left {
            id: None,
            name: name.to_owned().into(),
            revision,
        }
    }

    fn list(names: &[&str], revision: u64) -> ServerMessage<'static> {
        let names: Vec<_> = names.iter().map(|name| name.to_string().into()).collect();
        ServerMessage::Names {
            id: None,
            count: names.len(),
            names,
            revision,
        }
    }

    fn after(messages: &[ServerMessage<'_>]) -> Vec<String> {
        let mut presence = Presence::default();
        messages.iter().for_each(|message| presence.apply(message));
        presence.names().map(str::to_owned).collect()
    }

    #[test]
    fn change_before_the_first_list_waits_for_it() {
        assert_eq!(
            after(&[joined("Chie", 6), joined("Bo", 5), list(&["Aiko", "Bo"], 5)]),
            ["Aiko", "Bo", "Chie"]
        );
    }

    #[test]
    fn change_that_the_list_had_is_passed_over_and_an_early_one_waits() {
        let messages = [
            list(&["Aiko", "Bo"], 5),
            joined("Bo", 5),
            left("Aiko", 7),
            joined("Chie", 6),
        ];
        assert_eq!(after(&messages[..3]), ["Aiko", "Bo"]);
        assert_eq!(after(&messages), ["Bo", "Chie"]);
    }

    #[test]
    fn changes_that_wait_are_bounded_and_the_next_list_mends_what_was_lost() {
        let mut presence = Presence::default();
        presence.apply(&list(&[], 0));
        for revision in (2..).take(EARLY_CHANGES_MAX + 1) {
            presence.apply(&joined("x", revision));
        }
        assert_eq!(presence.early.len(), EARLY_CHANGES_MAX);
        presence.apply(&list(&["Aiko"], 10_000));
        assert!(presence.early.is_empty());
        assert_eq!(presence.names().collect::<Vec<_>>(), ["Aiko"]);
    }

    #[test]
    fn list_that_is_older_than_what_is_known_is_passed_over() {
        assert_eq!(
            after(&[list(&["Aiko"], 5), joined("Bo", 6), list(&["Aiko"], 5)]),
            ["Aiko", "Bo"]
        );
    }

    proptest! {
        /// The server's rooms, three workers that hand over in batches of their
        /// own, and a reader that has joined at some moment: what it reads adds
        /// up to what is so.
        #[test]
        fn reader_is_right_however_the_workers_are_interleaved(
            steps in proptest::collection::vec((0..3usize, 0..6usize, any::<bool>()), 0..60),
            reader_joins_at in 0..60usize,
        ) {
            let rooms = Rooms::default();
            let mut waiting: [Vec<ServerMessage<'static>>; 3] = Default::default();
            let mut reader = None;
            for (step, (worker, who, hand_over)) in steps.into_iter().enumerate() {
                if step == reader_joins_at {
                    let own = Name::parse("reader").unwrap();
                    reader = Some(reading(&rooms.join("room", &own).unwrap()));
                }
                let name = Name::parse(&format!("n{who}")).unwrap();
                let change = match rooms.join("room", &name) {
                    Ok(roster) => joined(name.as_str(), roster.revision),
                    Err(_) => left(name.as_str(), rooms.leave("room", &name).unwrap()),
                };
                waiting[worker].push(change);
                if hand_over {
                    deliver(&mut waiting[worker], &mut reader);
                }
            }
            waiting.iter_mut().rev().for_each(|batch| deliver(batch, &mut reader));
            if let Some(presence) = reader {
                let roster = rooms.roster("room").unwrap();
                let truth: Vec<String> = serde_json::from_str(roster.list.json()).unwrap();
                prop_assert_eq!(presence.count(), truth.len());
                prop_assert_eq!(presence.names().collect::<Vec<_>>(), truth);
                prop_assert!(presence.early.is_empty());
            }
        }
    }

    fn reading(roster: &Roster) -> Presence {
        let mut presence = Presence::default();
        let names: Vec<&str> = serde_json::from_str(roster.list.json()).unwrap();
        presence.apply(&list(&names, roster.revision));
        presence
    }

    fn deliver(batch: &mut Vec<ServerMessage<'static>>, reader: &mut Option<Presence>) {
        for message in batch.drain(..) {
            if let Some(presence) = reader {
                presence.apply(&message);
            }
        }
    }
}
