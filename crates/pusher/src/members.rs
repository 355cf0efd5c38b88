//! The members of a presence channel: users, each with the number of its connections here and the other nodes that have some.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use yamabiko::server::NodeId;

/// The users of one presence channel, by id.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
}

#[derive(Debug)]
struct Member {
    /// On this server.
    connections: u32,
    /// Other nodes that have connections of the user. There are some if `connections` is 0.
    nodes: Vec<NodeId>,
    /// What the first connection of the user told.
    info: Option<Box<RawValue>>,
}

/// What has changed with a connection of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberChange {
    /// The user has become a member, or is none any more.
    pub(crate) of_channel: bool,
    /// It is the first connection of the user on this server, or was the last one.
    pub(crate) on_server: bool,
}

impl Members {
    /// One more connection of a user.
    pub(crate) fn add(&mut self, id: &Arc<str>, info: Option<&RawValue>) -> MemberChange {
        let of_channel = !self.contains(id);
        let member = self.member(id, info);
        member.connections += 1;
        MemberChange {
            of_channel,
            on_server: member.connections == 1,
        }
    }

    /// One connection of a user less.
    pub(crate) fn remove(&mut self, id: &str) -> MemberChange {
        let mut on_server = false;
        if let Some(member) = self.by_id.get_mut(id) {
            on_server = member.connections == 1;
            member.connections = member.connections.saturating_sub(1);
        }
        MemberChange {
            of_channel: self.remove_if_gone(id),
            on_server,
        }
    }

    /// Another node has connections of a user. True: the user has become a member.
    pub(crate) fn add_node(
        &mut self,
        id: &Arc<str>,
        info: Option<&RawValue>,
        node: NodeId,
    ) -> bool {
        let is_new = !self.contains(id);
        let member = self.member(id, info);
        if !member.nodes.contains(&node) {
            member.nodes.push(node);
        }
        is_new
    }

    /// Another node has no connection of a user any more. True: the user is no member any more.
    pub(crate) fn remove_node(&mut self, id: &str, node: NodeId) -> bool {
        if let Some(member) = self.by_id.get_mut(id) {
            member.nodes.retain(|other| *other != node);
        }
        self.remove_if_gone(id)
    }

    fn member(&mut self, id: &Arc<str>, info: Option<&RawValue>) -> &mut Member {
        self.by_id.entry(id.clone()).or_insert_with(|| Member {
            connections: 0,
            nodes: Vec::new(),
            info: info.map(ToOwned::to_owned),
        })
    }

    fn remove_if_gone(&mut self, id: &str) -> bool {
        let is_gone = |member: &Member| member.connections == 0 && member.nodes.is_empty();
        let is_gone = self.by_id.get(id).is_some_and(is_gone);
        is_gone && self.by_id.remove(id).is_some()
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
    use yamabiko::server::NodeConnection;

    #[test]
    fn user_is_a_member_from_the_first_connection_to_the_last() {
        let mut members = Members::default();
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        assert!(members.add(&ann, None).of_channel);
        assert!(!members.add(&ann, None).of_channel);
        assert!(members.add(&bob, None).of_channel);
        assert_eq!(members.len(), 2);
        assert!(!members.remove("ann").of_channel);
        assert!(members.contains("ann"));
        assert!(members.remove("ann").of_channel);
        assert!(!members.remove("ann").of_channel);
        assert_eq!(
            members.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            ["bob"]
        );
    }

    #[test]
    fn user_of_several_nodes_is_one_member_until_the_last_of_them_has_none() {
        let mut members = Members::default();
        let ann: Arc<str> = "ann".into();
        let nodes: Vec<NodeId> = ["1-0-0", "2-0-0"].map(node).into();
        assert!(members.add_node(&ann, None, nodes[0]));
        assert!(!members.add_node(&ann, None, nodes[0]), "again");
        let here = members.add(&ann, None);
        assert_eq!((here.of_channel, here.on_server), (false, true));
        assert!(!members.add_node(&ann, None, nodes[1]));
        assert_eq!(members.len(), 1);
        assert!(!members.remove_node("ann", nodes[0]));
        let here = members.remove("ann");
        assert_eq!((here.of_channel, here.on_server), (false, true));
        assert!(members.remove_node("ann", nodes[1]));
        assert!(!members.remove_node("ann", nodes[1]));
        assert_eq!(members.len(), 0);
    }

    fn node(text: &str) -> NodeId {
        let connection: NodeConnection = text.parse().expect("a connection");
        connection.node()
    }
}
