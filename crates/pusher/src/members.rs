//! The members of a presence channel: users, each with the number of its connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

/// The users of one presence channel, by id.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
}

#[derive(Debug)]
struct Member {
    /// 1 ≤ connections
    connections: u32,
    /// What the first connection of the user told.
    info: Option<Box<RawValue>>,
}

impl Members {
    /// One more connection of a user. True: its first one.
    pub(crate) fn add(&mut self, id: &Arc<str>, info: Option<&RawValue>) -> bool {
        if let Some(member) = self.by_id.get_mut(id) {
            member.connections += 1;
            return false;
        }
        let member = Member {
            connections: 1,
            info: info.map(ToOwned::to_owned),
        };
        self.by_id.insert(id.clone(), member);
        true
    }

    /// One connection of a user less. True: it was the last one.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(member) = self.by_id.get_mut(id) else {
            return false;
        };
        member.connections -= 1;
        let is_last = member.connections == 0;
        if is_last {
            self.by_id.remove(id);
        }
        is_last
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The id of each user, and what it told about itself.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&RawValue>)> {
        let member = |(id, member)| {
            let (id, member): (&Arc<str>, &Member) = (id, member);
            (&**id, member.info.as_deref())
        };
        self.by_id.iter().map(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_is_a_member_from_the_first_connection_to_the_last() {
        let mut members = Members::default();
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        assert!(members.add(&ann, None));
        assert!(!members.add(&ann, None));
        assert!(members.add(&bob, None));
        assert_eq!(members.len(), 2);
        assert!(!members.remove("ann"));
        assert!(members.contains("ann"));
        assert!(members.remove("ann"));
        assert!(!members.remove("ann"));
        assert_eq!(
            members.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            ["bob"]
        );
    }
}
