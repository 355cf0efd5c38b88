//! Events of clients for the other subscribers of a channel.
//!
//! The name begins with `client-`; the channel is private or presence, and the sender is subscribed to it. The data are passed on as
//! they came. On a presence channel the event names the user who sent it.

use std::sync::Arc;
use std::time::Instant;

use yamabiko::server::Context;

use crate::app_cluster::AppMessage;
use crate::connection::{Connection, send};
use crate::name::{ChannelAccess, ChannelName};
use crate::webhooks::{WebhookEvent, WebhookKind};
use crate::wire::{
    CLIENT_EVENT, CLIENT_EVENT_REFUSED, ClientMessage, EVENT_NAME_CHARACTERS_MAX, ServerMessage,
};

/// Why an event is not passed on. The connection stays open.
struct Refused {
    reason: &'static str,
    code: Option<u16>,
}

/// Where an event goes.
struct Target {
    name: ChannelName,
    /// On a presence channel: the user who sends it.
    user: Option<Arc<str>>,
}

/// Publishes an event, or tells its sender why not.
pub(crate) fn publish(
    connection: &mut Connection,
    message: &ClientMessage<'_>,
    now: Instant,
    context: &mut Context<'_>,
) {
    let channel = message.channel.as_deref();
    let target = check(connection, message)
        .and_then(|()| target(connection, channel.unwrap_or_default()))
        .and_then(|target| take(connection, now).map(|()| target));
    match target {
        Ok(Target { name, user }) => {
            let json = ServerMessage::client_event(
                &message.event,
                name.as_str(),
                message.data,
                user.as_deref(),
            );
            publish_event(connection, &name, &json, context);
            report(connection, message, &name, user);
            connection.app.totals.client_events.add(1);
        }
        Err(Refused { reason, code }) => {
            connection.app.totals.client_events_refused.add(1);
            send(context, &ServerMessage::error(reason, code, channel));
        }
    }
}

/// All subscribers but this connection get the event.
fn publish_event(
    connection: &Connection,
    name: &ChannelName,
    json: &str,
    context: &mut Context<'_>,
) {
    let cluster = connection.app.cluster();
    let Some(cluster) = cluster.filter(|_| !name.kind().is_shared()) else {
        return context.publish_except(name.room(), json);
    };
    let sent = cluster.send(&AppMessage::Event {
        app: connection.app.app.id().into(),
        channel: name.as_str().into(),
        message: json.into(),
        data: None,
        except: Some(connection.socket_id.to_string().into()),
    });
    if sent.is_err() {
        let reason = "the event was not published: the cluster is behind";
        send(
            context,
            &ServerMessage::error(reason, None, Some(name.as_str())),
        );
    }
}

/// Tells the webhooks.
fn report(
    connection: &Connection,
    message: &ClientMessage<'_>,
    name: &ChannelName,
    user: Option<Arc<str>>,
) {
    let webhooks = &connection.app.webhooks;
    webhooks.report(WebhookKind::ClientEvent, || WebhookEvent::ClientEvent {
        channel: name.as_str().into(),
        event: (&*message.event).into(),
        data: message.data_text().into(),
        socket_id: connection.socket_id.to_string().into(),
        user_id: user,
    });
}

/// The rules for every event.
fn check(connection: &Connection, message: &ClientMessage<'_>) -> Result<(), Refused> {
    let app = &connection.app.app;
    if !message.event.starts_with(CLIENT_EVENT) {
        return Err(Refused::rule(
            "clients may send events that begin with 'client-' only",
        ));
    }
    if !app.allows_client_events() {
        return Err(Refused::rule("this app does not allow events of clients"));
    }
    if message.event.chars().count() > EVENT_NAME_CHARACTERS_MAX {
        return Err(Refused::rule(
            "the name of an event has at most 200 characters",
        ));
    }
    let data_bytes = message.data.map_or(0, |data| data.get().len());
    match data_bytes <= app.app_limits().event_bytes_max {
        true => Ok(()),
        false => Err(Refused::rule("the data of the event are too long")),
    }
}

/// The channel, if the connection may send events to it.
fn target(connection: &Connection, channel: &str) -> Result<Target, Refused> {
    let subscription = connection.subscriptions.get_key_value(channel);
    let subscription = subscription.filter(|(_, subscription)| subscription.pending.is_none());
    let Some((name, subscription)) = subscription else {
        return Err(Refused::rule(
            "the connection is not subscribed to the channel",
        ));
    };
    match name.kind().access {
        ChannelAccess::Private | ChannelAccess::Presence => Ok(Target {
            name: name.clone(),
            user: subscription.member.clone(),
        }),
        _ => Err(Refused::rule(
            "clients may send events to private and presence channels only",
        )),
    }
}

/// The rate of the connection and the quota of the app.
fn take(connection: &mut Connection, now: Instant) -> Result<(), Refused> {
    if connection.client_events.take(1, now).is_err() {
        return Err(Refused::limit("this connection sends too many events"));
    }
    match connection.app.take_client_event(now) {
        true => Ok(()),
        false => Err(Refused::limit(
            "the app has used up the messages of its period",
        )),
    }
}

impl Refused {
    fn rule(reason: &'static str) -> Refused {
        Refused { reason, code: None }
    }

    fn limit(reason: &'static str) -> Refused {
        Refused {
            reason,
            code: Some(CLIENT_EVENT_REFUSED),
        }
    }
}
