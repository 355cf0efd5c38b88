//! Subscribing to channels and leaving them.
//!
//! ```text
//!   pusher:subscribe ──▶ name ──▶ authorisation ──▶ the table of channels, under its lock:
//!                                                     the members, the kept event, a mark in the channel's order
//!   the mark is reached ──▶ subscription_succeeded, the kept event, then the channel's events
//! ```
//!
//! A channel without members and kept events needs no mark: its subscription begins at once.
//!
//! A request of 200 bytes can bring 250 kB: the members of a channel, each with what it tells about itself. It can also make the
//! server tell a thousand other subscribers of a new member, and send requests of webhooks. So the bytes that subscriptions cause
//! come out of a supply of the connection (`subscription-bytes-per-second`). Beyond it, subscriptions are refused with `TooOften`.

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use yamabiko::server::Context;

use crate::app_state::AppState;
use crate::channels::{Entered, Full, Left, NewMember};
use crate::connection::{Connection, Pending, Subscription, send};
use crate::name::{ChannelAccess, ChannelName};
use crate::subscription_counts::{self, counted_at};
use crate::webhooks::{WEBHOOK_REQUEST_BYTES, WebhookEvent, WebhookKind};
use crate::wire::{
    AUTH_ERROR, ChannelData, INVALID_CHANNEL, LIMIT_REACHED, ServerMessage, Subscribe, TOO_OFTEN,
    USER_ID_CHARACTERS_MAX,
};

/// Why a subscription is refused. The connection stays open.
struct Refused {
    kind: (&'static str, u16),
    reason: &'static str,
}

/// Who subscribes to a presence channel.
struct Member {
    id: Arc<str>,
    info: Option<Box<RawValue>>,
}

/// `pusher:subscribe`
pub(crate) fn subscribe(
    connection: &mut Connection,
    request: &Subscribe,
    now: Instant,
    context: &mut Context<'_>,
) {
    let channel = request.channel.as_str();
    if connection.subscriptions.contains_key(channel) {
        let reason = "this connection is subscribed to the channel already";
        return send(context, &ServerMessage::error(reason, None, Some(channel)));
    }
    let prepared = check_supply(connection, now).and_then(|()| prepare(connection, request));
    let begun = prepared.and_then(|(name, member)| begin(connection, &name, member, now, context));
    if let Err(Refused { kind, reason }) = begun {
        let (kind, status) = kind;
        context.refuse_join();
        connection.app.totals.subscriptions_refused.add(1);
        send(
            context,
            &ServerMessage::subscription_error(channel, kind, reason, status),
        );
    }
}

/// Whether what the connection's subscriptions have caused leaves room for another one.
fn check_supply(connection: &Connection, now: Instant) -> Result<(), Refused> {
    let reason = "the subscriptions of this connection bring too many bytes";
    let checked = connection.subscription_bytes.check(now);
    checked.map_err(|_| Refused::new(TOO_OFTEN, reason))
}

/// Checks a subscription without changing anything.
fn prepare(
    connection: &Connection,
    request: &Subscribe,
) -> Result<(ChannelName, Option<Member>), Refused> {
    let name = connection.app.channel_name(&request.channel);
    let name = name.map_err(|reason| Refused::new(INVALID_CHANNEL, reason))?;
    let member = authorise(connection, &name, request)?;
    let max = connection.app.app.app_limits().channels_per_connection_max;
    if connection.subscriptions.len() >= max as usize {
        return Err(Refused::new(
            LIMIT_REACHED,
            "this connection has too many channels",
        ));
    }
    Ok((name, member))
}

/// Whether the connection may subscribe, and as which member.
fn authorise(
    connection: &Connection,
    name: &ChannelName,
    request: &Subscribe,
) -> Result<Option<Member>, Refused> {
    match name.kind().access {
        ChannelAccess::Public => Ok(None),
        ChannelAccess::Private => {
            check_signature(connection, name, request)?;
            Ok(None)
        }
        ChannelAccess::Presence => {
            check_signature(connection, name, request)?;
            member(connection, request.channel_data.as_deref()).map(Some)
        }
        ChannelAccess::User => {
            let user = connection.user.as_ref().map(|user| &*user.id);
            match user.is_some() && user == name.user() {
                true => Ok(None),
                false => Err(Refused::new(
                    AUTH_ERROR,
                    "only a connection of this user that has signed in may subscribe",
                )),
            }
        }
    }
}

fn check_signature(
    connection: &Connection,
    name: &ChannelName,
    request: &Subscribe,
) -> Result<(), Refused> {
    let app = &connection.app;
    let auth = request.auth.as_deref().unwrap_or_default();
    let signed = format!("{}:{}", connection.socket_id, name.as_str());
    let is_valid = match &request.channel_data {
        Some(data) => app
            .secret
            .verify_authorisation(auth, app.app.key(), &[&signed, ":", data]),
        None => app
            .secret
            .verify_authorisation(auth, app.app.key(), &[&signed]),
    };
    match is_valid {
        true => Ok(()),
        false => Err(Refused::new(
            AUTH_ERROR,
            "the signature is not that of this connection, channel and channel data",
        )),
    }
}

/// The member that the channel data name, or else the user who has signed in.
fn member(connection: &Connection, channel_data: Option<&str>) -> Result<Member, Refused> {
    let Some(json) = channel_data else {
        let user = connection.user.as_ref();
        let user = user.ok_or_else(|| {
            Refused::new(
                AUTH_ERROR,
                "a presence channel needs channel data or a signed-in user",
            )
        })?;
        return Member::new(connection, &user.id, user.info.as_deref());
    };
    let invalid = || {
        Refused::new(
            AUTH_ERROR,
            "the channel data have no user_id, or are no JSON",
        )
    };
    let data = ChannelData::parse(json).ok_or_else(invalid)?;
    let id = data.user_id().ok_or_else(invalid)?;
    Member::new(connection, &id, data.user_info)
}

/// Enters the channel.
fn begin(
    connection: &mut Connection,
    name: &ChannelName,
    member: Option<Member>,
    now: Instant,
    context: &mut Context<'_>,
) -> Result<(), Refused> {
    let mark = connection.next_mark();
    let app = connection.app.clone();
    let kind = name.kind();
    let new_member = member.as_ref().map(|member| NewMember {
        id: &member.id,
        info: member.info.as_deref(),
    });
    let limits = app.app.app_limits();
    let (name, messages, caused) = app.channels.enter(
        name,
        new_member,
        limits,
        counted_at(&app, name),
        |entered| {
            let (channel, notices) = (entered.name.as_str(), app.notices_room(&entered.name));
            let mut messages = Vec::new();
            let mut caused = 0;
            match entered.members {
                Some(members) => {
                    messages.push(ServerMessage::presence_succeeded(channel, members.iter()));
                }
                None => messages.push(ServerMessage::subscription_succeeded(channel)),
            }
            if let Some(member) = new_member.filter(|_| entered.is_new_member) {
                let added = ServerMessage::member_added(channel, member.id, member.info);
                context.publish_ordered(&notices, &added);
                caused += added.len() * entered.subscribers as usize;
            }
            let member = new_member.filter(|_| entered.is_new_member);
            caused += report_entered(&app, &entered, member.map(|member| member.id));
            if let Some(cluster) = app.cluster() {
                cluster.entered(&entered, new_member);
            }
            // Held until the mark is set: no event comes between the kept one and the mark.
            let mut kept = kind.has_cache.then(|| app.cache.lock());
            if let Some(kept) = &mut kept {
                messages.push(match kept.get(channel, now) {
                    Some(event) => event.message.to_string(),
                    None => {
                        app.webhooks
                            .report(WebhookKind::CacheMiss, || WebhookEvent::CacheMiss {
                                channel: channel.into(),
                            });
                        ServerMessage::cache_miss(channel)
                    }
                });
            }
            if kind.has_cache || kind.has_presence() {
                context.mark_order(&notices, mark);
            }
            drop(kept);
            caused += subscription_counts::changed(
                &app,
                &entered.name,
                entered.subscribers,
                entered.count_due,
                context,
            );
            caused += messages.iter().map(String::len).sum::<usize>();
            (entered.name, messages, caused)
        },
    )?;
    app.totals.subscriptions.add(1);
    connection.subscription_bytes.spend(caused, now);
    let pending = match kind.has_cache || kind.has_presence() {
        true => Some(Box::new(Pending { mark, messages })),
        false => {
            start(&app, &name, &messages, context);
            None
        }
    };
    let member = member.map(|member| member.id);
    connection
        .subscriptions
        .insert(name, Subscription { member, pending });
    Ok(())
}

/// Tells the webhooks that a connection has entered a channel, unless the cluster does. `user`: a new member. Returns the bytes that it causes.
fn report_entered(app: &AppState, entered: &Entered<'_>, user: Option<&Arc<str>>) -> usize {
    if app.cluster().is_some() {
        return 0;
    }
    let channel = || Arc::<str>::from(entered.name.as_str());
    let mut requests = 0;
    if entered.connections == 1 {
        requests += app.webhooks.report(WebhookKind::ChannelOccupied, || {
            WebhookEvent::ChannelOccupied { channel: channel() }
        });
    }
    if let Some(user) = user {
        let event = || WebhookEvent::MemberAdded {
            channel: channel(),
            user_id: user.clone(),
        };
        requests += app.webhooks.report(WebhookKind::MemberAdded, event);
    }
    requests * WEBHOOK_REQUEST_BYTES
}

/// Tells the webhooks that a connection has left a channel, unless the cluster does. `user`: a member that is gone. Returns the bytes that it causes.
fn report_left(app: &AppState, name: &ChannelName, left: &Left, user: Option<&Arc<str>>) -> usize {
    if app.cluster().is_some() {
        return 0;
    }
    let channel = || Arc::<str>::from(name.as_str());
    let mut requests = 0;
    if let Some(user) = user {
        let event = || WebhookEvent::MemberRemoved {
            channel: channel(),
            user_id: user.clone(),
        };
        requests += app.webhooks.report(WebhookKind::MemberRemoved, event);
    }
    if left.connections == 0 {
        requests += app.webhooks.report(WebhookKind::ChannelVacated, || {
            WebhookEvent::ChannelVacated { channel: channel() }
        });
    }
    requests * WEBHOOK_REQUEST_BYTES
}

/// The channel's messages in front of a mark have come: the subscription begins for the client, unless it has ended meanwhile.
pub(crate) fn order_reached(
    connection: &mut Connection,
    room: &str,
    mark: u64,
    context: &mut Context<'_>,
) {
    let app = connection.app.clone();
    let Some(channel) = app.channel_of(room) else {
        return;
    };
    let Some((name, subscription)) = find(connection, channel) else {
        return;
    };
    let pending = subscription.pending.take_if(|pending| pending.mark == mark);
    if let Some(pending) = pending {
        start(&app, &name, &pending.messages, context);
    }
}

fn find<'c>(
    connection: &'c mut Connection,
    channel: &str,
) -> Option<(ChannelName, &'c mut Subscription)> {
    let (name, _) = connection.subscriptions.get_key_value(channel)?;
    let name = name.clone();
    let subscription = connection.subscriptions.get_mut(channel)?;
    Some((name, subscription))
}

/// The client gets these messages, and then those of the channel.
fn start(app: &AppState, name: &ChannelName, messages: &[String], context: &mut Context<'_>) {
    context.join(name.room());
    if app.has_notices(name) {
        context.join(&app.notices_room(name));
    }
    messages.iter().for_each(|message| send(context, message));
}

/// `pusher:unsubscribe`
pub(crate) fn unsubscribe(
    connection: &mut Connection,
    channel: &str,
    now: Instant,
    context: &mut Context<'_>,
) {
    if let Some((name, subscription)) = connection.subscriptions.remove_entry(channel) {
        context.leave(name.room());
        if connection.app.has_notices(&name) {
            context.leave(&connection.app.notices_room(&name));
        }
        let caused = leave(&connection.app, &name, &subscription, context);
        connection.subscription_bytes.spend(caused, now);
    }
}

/// The connection has ended.
pub(crate) fn leave_all(connection: &mut Connection, context: &mut Context<'_>) {
    for (name, subscription) in connection.subscriptions.drain() {
        leave(&connection.app, &name, &subscription, context);
    }
}

/// Returns the bytes that it causes.
fn leave(
    app: &Arc<AppState>,
    name: &ChannelName,
    subscription: &Subscription,
    context: &mut Context<'_>,
) -> usize {
    let user = subscription.member.as_ref();
    let counted_at = counted_at(app, name);
    let caused = app
        .channels
        .leave(name, user.map(|user| &**user), counted_at, |left| {
            let gone = user.filter(|_| left.member_is_gone);
            let mut caused = report_left(app, name, &left, gone);
            if let Some(user) = gone {
                let removed = ServerMessage::member_removed(name.as_str(), user);
                context.publish_ordered(&app.notices_room(name), &removed);
                caused += removed.len() * left.subscribers as usize;
            }
            if let Some(cluster) = app.cluster() {
                cluster.left(name, &left, user);
            }
            let (count, due) = (left.subscribers, left.count_due);
            caused + subscription_counts::changed(app, name, count, due, context)
        });
    caused.unwrap_or(0)
}

impl Member {
    fn new(connection: &Connection, id: &str, info: Option<&RawValue>) -> Result<Member, Refused> {
        if id.is_empty() || id.chars().count() > USER_ID_CHARACTERS_MAX {
            return Err(Refused::new(
                AUTH_ERROR,
                "a user_id has 1 to 128 characters",
            ));
        }
        let bytes_max = connection.app.app.app_limits().user_info_bytes_max;
        if info.is_some_and(|info| info.get().len() > bytes_max) {
            return Err(Refused::new(LIMIT_REACHED, "the user_info is too long"));
        }
        Ok(Member {
            id: id.into(),
            info: info.map(ToOwned::to_owned),
        })
    }
}

impl Refused {
    fn new(kind: (&'static str, u16), reason: &'static str) -> Refused {
        Refused { kind, reason }
    }
}

impl From<Full> for Refused {
    fn from(full: Full) -> Refused {
        Refused::new(
            LIMIT_REACHED,
            match full {
                Full::Channels => "the app has too many channels",
                Full::Members => "the channel has too many members",
            },
        )
    }
}
