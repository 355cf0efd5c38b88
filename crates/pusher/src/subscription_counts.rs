//! Telling the subscribers of a channel how many they are, if the app wants that.
//!
//! Up to 100 subscribers are told of each change at once. More are told every five seconds at most, the last number in any case.
//! Members of presence channels are not told, because they know each other.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use yamabiko::server::{Context, Publisher};

use crate::app_state::AppState;
use crate::channels::CountDue;
use crate::name::ChannelName;
use crate::webhooks::{WEBHOOK_REQUEST_BYTES, WebhookEvent, WebhookKind};
use crate::wire::ServerMessage;

/// Starts the thread of an app that tells numbers of subscribers, for those that are told later. It ends with the app.
///
/// # Errors
/// The system has no thread.
pub(crate) fn start(app: &Arc<AppState>, publisher: Publisher) -> io::Result<()> {
    if !app.app.tells_subscription_counts() {
        return Ok(());
    }
    let state = Arc::downgrade(app);
    app.due_counts.start(move |channel| {
        let Some(app) = state.upgrade() else { return };
        app.channels.count_later(channel, Instant::now(), |count| {
            let message = ServerMessage::subscription_count(channel.as_str(), count);
            report(&app, channel, count);
            // If the server is behind, the next change tells the number.
            let _ = publisher.publish(&app.notices_room(channel), &message);
        });
    })
}

/// The time, if the subscribers of this channel are told how many they are.
pub(crate) fn counted_at(app: &AppState, channel: &ChannelName) -> Option<Instant> {
    let is_told = app.app.tells_subscription_counts() && !channel.kind().has_presence();
    is_told.then(Instant::now)
}

/// The number of subscribers has changed by one of this server. Called under the channel's lock. Returns the bytes that it causes.
pub(crate) fn changed(
    app: &AppState,
    channel: &ChannelName,
    subscribers: u32,
    due: CountDue,
    context: &mut Context<'_>,
) -> usize {
    match due {
        CountDue::No => 0,
        CountDue::Now => {
            let message = ServerMessage::subscription_count(channel.as_str(), subscribers);
            context.publish_ordered(&app.notices_room(channel), &message);
            message.len() * subscribers as usize + report(app, channel, subscribers)
        }
        CountDue::At(at) => {
            app.due_counts.add(channel.clone(), at);
            0
        }
    }
}

/// The number of subscribers has changed by one of another node, which tells the webhooks. Returns what is to be published here. Called
/// under the channel's lock.
pub(crate) fn changed_by_node(
    app: &AppState,
    channel: &ChannelName,
    subscribers: u32,
    due: CountDue,
) -> Option<String> {
    match due {
        CountDue::No => None,
        CountDue::Now => Some(ServerMessage::subscription_count(
            channel.as_str(),
            subscribers,
        )),
        CountDue::At(at) => {
            app.due_counts.add(channel.clone(), at);
            None
        }
    }
}

/// Tells the webhooks. Returns the bytes that it causes.
fn report(app: &AppState, channel: &ChannelName, subscription_count: u32) -> usize {
    let requests = app.webhooks.report(WebhookKind::SubscriptionCount, || {
        WebhookEvent::SubscriptionCount {
            channel: channel.as_str().into(),
            subscription_count,
        }
    });
    requests * WEBHOOK_REQUEST_BYTES
}
