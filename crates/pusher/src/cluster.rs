//! An app on several servers: what this node learns from the others. What it tells them is in `app_cluster.rs`.
//!
//! ```text
//!   subscribing, signing in ─▶ entries of this node ─┐                ┌─▶ the table of channels, the users: other nodes count, too
//!                                                    ├─ Cluster ──────┼─▶ what has changed, to the subscribers of this server
//!   api, client events ─────▶ messages ──────────────┘                └─▶ webhooks, on one node
//! ```
//!
//! Each node has one table with its own subscribers and those of the others. So its subscribers see each change once, in the order in
//! which the node learns it. Webhooks are told of the changes of the cluster: by the node that has caused one, or that has found another
//! one gone.
//!
//! Events of most channels are messages of the engine. Those of cache channels are messages of the cluster: each node
//! keeps a copy of the last one, in the order in which it publishes them to its subscribers. An event that leaves out a connection of
//! another node is published by that node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use yamabiko::server::{ClusterEntry, ClusterEvent, ConnectionId, NodeId, Publisher};

use crate::app_cluster::{AppMessage, PREFIX};
use crate::app_state::AppState;
use crate::channels::NewMember;
use crate::connection::close_frame;
use crate::name::ChannelName;
use crate::socket_id::SocketId;
use crate::subscription_counts::{changed_by_node, counted_at};
use crate::webhooks::{Teller, WebhookEvent, WebhookKind};
use crate::wire::{ServerMessage, UNAUTHORIZED};

/// What an entry is of.
enum Subject<'k> {
    Channel(&'k str),
    Member(&'k str, &'k str),
    User(&'k str),
}

/// The cluster has changed, or a node has sent a message. `publisher`: one that [insists](Publisher::insisting), so what is published under the
/// lock of what has changed is not lost, and comes in the order of the changes.
pub(crate) fn event(
    apps: &HashMap<String, Arc<AppState>>,
    publisher: &Publisher,
    event: &ClusterEvent,
) {
    match event {
        ClusterEvent::Held {
            entry,
            before,
            is_teller,
            ..
        } => {
            let Some((app, subject)) = subject(apps, &entry.key) else {
                return;
            };
            if is_of_other_node(app, entry.node) {
                held(app, &subject, entry, before.is_none(), publisher);
            }
            if event.is_first() {
                report_first(app, &subject, teller(*is_teller));
            }
        }
        ClusterEvent::Released {
            entry, is_teller, ..
        } => {
            let Some((app, subject)) = subject(apps, &entry.key) else {
                return;
            };
            if is_of_other_node(app, entry.node) {
                released(app, &subject, entry.node, publisher);
            }
            if event.is_last() {
                report_last(app, &subject, teller(*is_teller));
            }
        }
        ClusterEvent::Message { from, payload } => {
            let text = str::from_utf8(payload).ok();
            let json = text.and_then(|text| text.strip_prefix(PREFIX));
            let message = json.and_then(|json| serde_json::from_str(json).ok());
            if let Some(message) = message {
                received(apps, *from, message, publisher);
            }
        }
        _ => {}
    }
}

fn teller(is_this_node: bool) -> Teller {
    match is_this_node {
        true => Teller::This,
        false => Teller::OtherNode,
    }
}

/// Before the app has its cluster, this node has nothing there.
fn is_of_other_node(app: &AppState, node: NodeId) -> bool {
    app.cluster().is_none_or(|cluster| cluster.node() != node)
}

fn subject<'a, 'k>(
    apps: &'a HashMap<String, Arc<AppState>>,
    key: &'k str,
) -> Option<(&'a Arc<AppState>, Subject<'k>)> {
    let (app, rest) = key.strip_prefix(PREFIX)?.split_once('/')?;
    let (kind, rest) = rest.split_once('/')?;
    let subject = match kind {
        "c" => Subject::Channel(rest),
        "m" => rest
            .split_once(' ')
            .map(|(channel, user)| Subject::Member(channel, user))?,
        "u" => Subject::User(rest),
        _ => return None,
    };
    Some((apps.get(app)?, subject))
}

/// Another node holds an entry. `is_new`: it has not held it before.
fn held(
    app: &Arc<AppState>,
    subject: &Subject<'_>,
    entry: &ClusterEntry,
    is_new: bool,
    publisher: &Publisher,
) {
    match *subject {
        Subject::Channel(channel) => {
            let count = str::from_utf8(&entry.value).ok();
            let count = count.and_then(|count| count.parse().ok()).unwrap_or(1);
            set_node(app, channel, entry.node, count, publisher);
        }
        Subject::Member(channel, user) if is_new => {
            let Ok(name) = app.channel_name(channel) else {
                return;
            };
            let info: Option<&RawValue> = serde_json::from_slice(&entry.value).ok();
            let id: Arc<str> = user.into();
            let member = NewMember { id: &id, info };
            app.channels
                .add_member_of_node(&name, entry.node, member, || {
                    let message = ServerMessage::member_added(channel, &id, info);
                    tell(publisher, &app.notices_room(&name), &message);
                });
        }
        Subject::User(user) if is_new => {
            let id: Arc<str> = user.into();
            let mut online = app.users.lock();
            if online.add_node(&id, entry.node) {
                let message = ServerMessage::watchlist(true, &[user]);
                tell(publisher, &app.watched_room(user), &message);
            }
        }
        Subject::Member(..) | Subject::User(_) => {}
    }
}

/// Another node does not hold an entry any more.
fn released(app: &Arc<AppState>, subject: &Subject<'_>, node: NodeId, publisher: &Publisher) {
    match *subject {
        Subject::Channel(channel) => set_node(app, channel, node, 0, publisher),
        Subject::Member(channel, user) => {
            let Ok(name) = app.channel_name(channel) else {
                return;
            };
            app.channels.remove_member_of_node(&name, node, user, || {
                let message = ServerMessage::member_removed(channel, user);
                tell(publisher, &app.notices_room(&name), &message);
            });
        }
        Subject::User(user) => {
            let id: Arc<str> = user.into();
            let mut online = app.users.lock();
            if online.remove_node(&id, node) {
                let message = ServerMessage::watchlist(false, &[user]);
                tell(publisher, &app.watched_room(user), &message);
            }
        }
    }
}

fn set_node(app: &Arc<AppState>, channel: &str, node: NodeId, count: u32, publisher: &Publisher) {
    let Ok(name) = app.channel_name(channel) else {
        return;
    };
    let counted_at = counted_at(app, &name);
    app.channels
        .set_node(&name, node, count, counted_at, |subscribers, due| {
            if let Some(message) = changed_by_node(app, &name, subscribers, due) {
                tell(publisher, &app.notices_room(&name), &message);
            }
        });
}

/// The first node has subscribers of a channel, or a member.
fn report_first(app: &AppState, subject: &Subject<'_>, teller: Teller) {
    match *subject {
        Subject::Channel(channel) => {
            let event = || WebhookEvent::ChannelOccupied {
                channel: channel.into(),
            };
            app.webhooks
                .report_by(teller, WebhookKind::ChannelOccupied, event);
        }
        Subject::Member(channel, user) => {
            let event = || WebhookEvent::MemberAdded {
                channel: channel.into(),
                user_id: user.into(),
            };
            app.webhooks
                .report_by(teller, WebhookKind::MemberAdded, event);
        }
        Subject::User(_) => {}
    }
}

/// The last node has no subscribers of a channel any more, or no connection of a member.
fn report_last(app: &AppState, subject: &Subject<'_>, teller: Teller) {
    match *subject {
        Subject::Channel(channel) => {
            let event = || WebhookEvent::ChannelVacated {
                channel: channel.into(),
            };
            app.webhooks
                .report_by(teller, WebhookKind::ChannelVacated, event);
        }
        Subject::Member(channel, user) => {
            let event = || WebhookEvent::MemberRemoved {
                channel: channel.into(),
                user_id: user.into(),
            };
            app.webhooks
                .report_by(teller, WebhookKind::MemberRemoved, event);
        }
        Subject::User(_) => {}
    }
}

fn received(
    apps: &HashMap<String, Arc<AppState>>,
    from: NodeId,
    message: AppMessage<'_>,
    publisher: &Publisher,
) {
    match message {
        AppMessage::Terminate { app, user } => {
            let Some(app) = apps.get(&*app) else { return };
            // The node that was asked has done it already.
            if is_of_other_node(app, from) {
                terminate(app, &user, publisher);
            }
        }
        AppMessage::Event {
            app,
            channel,
            message,
            data,
            except,
        } => {
            let Some(app) = apps.get(&*app) else { return };
            let Ok(name) = app.channel_name(&channel) else {
                return;
            };
            let except = except.and_then(|id| id.parse().ok());
            let except = except.and_then(|id| app.connection(id));
            // Held from the publication on: no subscription comes between it and the kept event.
            let mut kept = app.cache.lock();
            let is_published = publish(publisher, &name, &message, except);
            if let (true, Some(data)) = (is_published, &data) {
                kept.keep(&channel, &message, data, Instant::now());
            }
        }
        AppMessage::Excepting {
            app,
            channel,
            message,
            except,
        } => {
            let Some(app) = apps.get(&*app) else { return };
            let (name, id) = (app.channel_name(&channel), except.parse::<SocketId>());
            let (Ok(name), Ok(id), Some(cluster)) = (name, id, app.cluster()) else {
                return;
            };
            if !id.is_of(cluster.node()) {
                return;
            }
            publish(publisher, &name, &message, app.connection(id));
        }
    }
}

/// False: it is a channel of the engine, which is behind.
fn publish(
    publisher: &Publisher,
    name: &ChannelName,
    message: &str,
    except: Option<ConnectionId>,
) -> bool {
    let published = match except {
        Some(except) => publisher.publish_except(name.room(), message, except),
        None => publisher.publish(name.room(), message),
    };
    published.is_ok()
}

/// Closes all connections of this server that have signed in as the user. False: a worker is behind.
pub(crate) fn terminate(app: &AppState, user: &str, publisher: &Publisher) -> bool {
    let close = close_frame(
        UNAUTHORIZED,
        "the application has ended this user's connections",
    );
    let connections = app.users.connections(user);
    let mut closed = connections
        .into_iter()
        .map(|connection| publisher.close(connection, close.clone()));
    closed.all(|closed| closed.is_ok())
}

/// Tells the subscribers of a room of another node. A publisher that insists fails only in rooms of the engine, and these are none.
fn tell(publisher: &Publisher, room: &str, message: &str) {
    let _ = publisher.publish(room, message);
}
