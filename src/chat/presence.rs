//! The members of a room as a client reconstructs them.
//!
//! The server's lists and changes contain the revision of the room's names. A change can
//! arrive too early (an earlier one is still under way from another worker) or too late (the
//! list already contains it). So early changes are kept, and all changes are applied in the
//! order of their revisions:
//!
//! ```text
//!   welcome [Aiko, Bo] revision 5      names: Aiko, Bo
//!   joined  Bo         revision 5      already in the list: ignored
//!   left    Aiko       revision 7      6 is missing: kept
//!   joined  Chie       revision 6      names: Aiko, Bo, Chie; then 7: Bo, Chie
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::protocol::ServerMessage;

/// Maximum number of changes that wait for an earlier one. If there are more, the server has
/// lost one; the next list of names corrects this.
const EARLY_CHANGES_MAX: usize = 4096;

/// The names in a room, reconstructed from the messages of the server.
///
/// ```
/// use yamabiko::chat::{Presence, ServerMessage};
///
/// let mut presence = Presence::default();
/// let names = vec!["Aiko".into(), "Bo".into()];
/// presence.apply(&ServerMessage::Names { id: None, names, count: 2, revision: 5 });
/// presence.apply(&ServerMessage::Left { id: None, name: "Aiko".into(), revision: 6, to: None, position: None });
/// assert_eq!(presence.names().collect::<Vec<_>>(), ["Bo"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Presence {
    names: BTreeSet<String>,
    count: usize,
    /// Nothing is applied before the first list.
    revision: Option<u64>,
    /// Changes that arrived early, by revision.
    early: BTreeMap<u64, Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Joined(String),
    Left(String),
}

impl Presence {
    /// Applies a message of the server. Messages without names change nothing.
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
            ServerMessage::Joined { name, revision, .. } => {
                self.keep(*revision, Change::Joined(name.to_string()));
            }
            ServerMessage::Left { name, revision, .. } => {
                self.keep(*revision, Change::Left(name.to_string()));
            }
            _ => {}
        }
        self.catch_up();
    }

    /// The names of the members; fewer than [`count`](Presence::count) if the server's list was
    /// truncated.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The number of members.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The revision of these names; `None` before the first list.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Ignores a list that is older than the known names (a late reply).
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
    use super::super::room::{RoomDirectory, Roster};
    use super::*;
    use proptest::prelude::*;

    fn joined(name: &str, revision: u64) -> ServerMessage<'static> {
        ServerMessage::Joined {
            id: None,
            name: name.to_owned().into(),
            revision,
            was: None,
            position: None,
        }
    }

    fn left(name: &str, revision: u64) -> ServerMessage<'static> {
        ServerMessage::Left {
            id: None,
            name: name.to_owned().into(),
            revision,
            to: None,
            position: None,
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
    fn change_in_the_list_is_ignored_and_an_early_one_waits() {
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
    fn waiting_changes_are_bounded_and_the_next_list_corrects_a_loss() {
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
    fn list_that_is_older_than_the_known_names_is_ignored() {
        assert_eq!(
            after(&[list(&["Aiko"], 5), joined("Bo", 6), list(&["Aiko"], 5)]),
            ["Aiko", "Bo"]
        );
    }

    proptest! {
        /// The server's rooms, three workers that deliver in their own batches, and a reader that
        /// joins at some time: it reconstructs the actual names.
        #[test]
        fn reader_reconstructs_the_names_for_any_interleaving_of_the_workers(
            steps in proptest::collection::vec((0..3usize, 0..6usize, any::<bool>()), 0..60),
            reader_joins_at in 0..60usize,
        ) {
            let rooms = RoomDirectory::default();
            let mut waiting: [Vec<ServerMessage<'static>>; 3] = Default::default();
            let mut reader = None;
            for (step, (worker, number, delivers)) in steps.into_iter().enumerate() {
                if step == reader_joins_at {
                    let own = Name::parse("reader").unwrap();
                    reader = Some(reading(&rooms.join("room", &own).unwrap()));
                }
                let name = Name::parse(&format!("n{number}")).unwrap();
                let change = match rooms.join("room", &name) {
                    Ok(roster) => joined(name.as_str(), roster.revision),
                    Err(_) => left(name.as_str(), rooms.leave_by_name("room", &name).unwrap()),
                };
                waiting[worker].push(change);
                if delivers {
                    deliver(&mut waiting[worker], &mut reader);
                }
            }
            waiting.iter_mut().rev().for_each(|batch| deliver(batch, &mut reader));
            if let Some(presence) = reader {
                let roster = rooms.roster("room").unwrap();
                let actual: Vec<String> = serde_json::from_str(roster.list.json()).unwrap();
                prop_assert_eq!(presence.count(), actual.len());
                prop_assert_eq!(presence.names().collect::<Vec<_>>(), actual);
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
