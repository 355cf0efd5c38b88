//! What this node tells the other nodes of an app: entries and messages. What it learns from them is in `cluster.rs`.
//!
//! | entry | its value | held by |
//! |---|---|---|
//! | `pusher/{app}/c/{channel}` | the number of subscribers, if the app tells it; else 1 | each node with a subscriber |
//! | `pusher/{app}/m/{channel} {user}` | what the user tells about itself | each node with a connection of the member |
//! | `pusher/{app}/u/{user}` | | each node with a connection of a user who has signed in |

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use yamabiko::server::{Cluster, NodeId, NotHeld};

use crate::app::App;
use crate::channels::{Entered, Left, NewMember};
use crate::name::ChannelName;
use crate::socket_id::SocketId;
use crate::wire::json;

/// The other nodes, for one app.
#[derive(Debug)]
pub(crate) struct AppCluster {
    cluster: Cluster,
    prefix: String,
    tells_counts: bool,
}

/// A message to all nodes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AppMessage<'m> {
    /// The connections of a user end.
    Terminate {
        app: Cow<'m, str>,
        user: Cow<'m, str>,
    },
    /// An event of a cache channel. `data`: it is kept. `except`: the socket id of a connection that does not get it.
    Event {
        app: Cow<'m, str>,
        channel: Cow<'m, str>,
        message: Cow<'m, str>,
        data: Option<Cow<'m, str>>,
        except: Option<Cow<'m, str>>,
    },
    /// An event that one connection does not get, for the node that has the connection.
    Excepting {
        app: Cow<'m, str>,
        channel: Cow<'m, str>,
        message: Cow<'m, str>,
        except: Cow<'m, str>,
    },
}

impl AppCluster {
    pub(crate) fn new(cluster: Cluster, app: &App) -> AppCluster {
        AppCluster {
            cluster,
            prefix: format!("{PREFIX}{}/", app.id()),
            tells_counts: app.tells_subscription_counts(),
        }
    }

    /// This node.
    pub(crate) fn node(&self) -> NodeId {
        self.cluster.node()
    }

    /// Whether another node may have a connection with this id.
    pub(crate) fn others_have(&self, id: SocketId) -> bool {
        let others = |node: &NodeId| *node != self.node() && id.is_of(*node);
        self.cluster.nodes().iter().any(others)
    }

    /// A connection of this node has entered a channel. Called under the lock of the channel, as the next one.
    pub(crate) fn entered(&self, entered: &Entered<'_>, member: Option<NewMember<'_>>) {
        let channel = entered.name.as_str();
        self.set_subscribers(channel, entered.connections, entered.connections == 1);
        if let Some(member) = member.filter(|_| entered.is_first_here) {
            let info = member.info.map_or("", RawValue::get);
            self.hold(&self.member_key(channel, member.id), info.as_bytes());
        }
    }

    /// A connection of this node has left a channel.
    pub(crate) fn left(&self, name: &ChannelName, left: &Left, user: Option<&Arc<str>>) {
        if let Some(user) = user.filter(|_| left.was_last_here) {
            let key = self.member_key(name.as_str(), user);
            self.cluster.release(&key);
        }
        match left.connections {
            0 => self.cluster.release(&self.channel_key(name.as_str())),
            connections => self.set_subscribers(name.as_str(), connections, false),
        }
    }

    fn set_subscribers(&self, channel: &str, connections: u32, is_first: bool) {
        if is_first || self.tells_counts {
            let count = match self.tells_counts {
                true => connections,
                false => 1,
            };
            self.hold(&self.channel_key(channel), count.to_string().as_bytes());
        }
    }

    pub(crate) fn user_is_online(&self, user: &str) {
        self.hold(&self.user_key(user), b"");
    }

    pub(crate) fn user_is_offline(&self, user: &str) {
        self.cluster.release(&self.user_key(user));
    }

    /// # Errors
    /// Too much waits for the engine.
    pub(crate) fn send(&self, message: &AppMessage<'_>) -> Result<(), NotHeld> {
        self.cluster
            .send(format!("{PREFIX}{}", json(message)).as_bytes())
    }

    /// A value that is too long for the cluster is left out. If this node holds too much, the others do not learn it.
    fn hold(&self, key: &str, value: &[u8]) {
        if self.cluster.hold(key, value) == Err(NotHeld::TooLong) {
            let _ = self.cluster.hold(key, b"");
        }
    }

    fn channel_key(&self, channel: &str) -> String {
        format!("{}c/{channel}", self.prefix)
    }

    /// No channel of members has a space in its name.
    fn member_key(&self, channel: &str, user: &str) -> String {
        format!("{}m/{channel} {user}", self.prefix)
    }

    fn user_key(&self, user: &str) -> String {
        format!("{}u/{user}", self.prefix)
    }
}

/// What all keys and messages of apps begin with.
pub(crate) const PREFIX: &str = "pusher/";
