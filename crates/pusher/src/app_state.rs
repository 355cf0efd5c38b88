//! All that the server knows of one app: its settings, connections, channels, users and kept events.
//!
//! Shared by all workers. Each part has its own lock; where two are held, the order is: a part of the channels, then the cache.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use yamabiko::server::ConnectionId;

use crate::app::{App, InvalidApp};
use crate::app_cluster::AppCluster;
use crate::cache::Cache;
use crate::channels::Channels;
use crate::counts::{AppCounts, Totals};
use crate::due_counts::DueCounts;
use crate::limits::{Quota, Rate, Supply};
use crate::name::ChannelName;
use crate::signature::Secret;
use crate::socket_id::SocketId;
use crate::users::Users;
use crate::webhooks::Webhooks;

/// One app, as it runs.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) app: App,
    pub(crate) secret: Secret,
    pub(crate) channels: Channels,
    pub(crate) cache: Cache,
    pub(crate) users: Users,
    pub(crate) totals: Totals,
    pub(crate) due_counts: DueCounts,
    pub(crate) webhooks: Webhooks,
    sockets: Mutex<HashMap<SocketId, ConnectionId>>,
    traffic: Mutex<Traffic>,
    room_prefix: String,
    notices_prefix: String,
    cluster: OnceLock<AppCluster>,
}

/// The events of the app, as its limits count them.
#[derive(Debug)]
struct Traffic {
    rate: Option<Rate>,
    quota: Quota,
    lists: Supply,
}

/// Why events are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// So long until they are within the rate.
    Rate(Duration),
    /// The quota of the period is used up.
    Quota,
}

impl AppState {
    /// # Errors
    /// [`InvalidApp::Webhook`]
    pub(crate) fn new(app: App) -> Result<AppState, InvalidApp> {
        let limits = app.app_limits();
        Ok(AppState {
            secret: Secret::new(app.secret()),
            channels: Channels::new(),
            cache: Cache::new(limits.cache_bytes_max),
            users: Users::default(),
            totals: Totals::default(),
            due_counts: DueCounts::default(),
            webhooks: Webhooks::new(app.webhooks()).map_err(InvalidApp::Webhook)?,
            sockets: Mutex::default(),
            traffic: Mutex::new(Traffic {
                rate: limits.events_per_second.map(Rate::new),
                quota: Quota::new(limits),
                lists: Supply::new(limits.list_bytes_per_second),
            }),
            room_prefix: format!("/apps/{}/channels/", app.id()),
            notices_prefix: format!("/apps/{}/notices/", app.id()),
            cluster: OnceLock::new(),
            app,
        })
    }

    /// # Errors
    /// Why this is no name of a channel.
    pub(crate) fn channel_name(&self, name: &str) -> Result<ChannelName, &'static str> {
        ChannelName::parse(name, &self.room_prefix)
    }

    /// The channel of one of the server's rooms.
    pub(crate) fn channel_of<'r>(&self, room: &'r str) -> Option<&'r str> {
        let of_events = room.strip_prefix(&*self.room_prefix);
        of_events.or_else(|| room.strip_prefix(&*self.notices_prefix))
    }

    /// The server's room for what this server tells the subscribers of a channel: members, and how many there are. It is the room of the
    /// channel, if its order is that of this server.
    pub(crate) fn notices_room<'n>(&self, name: &'n ChannelName) -> Cow<'n, str> {
        match self.cluster().is_some() && name.kind().is_shared() {
            true => format!("{}{}", self.notices_prefix, name.as_str()).into(),
            false => name.room().into(),
        }
    }

    /// Whether this server tells the subscribers of a channel something besides its events, in a room of its own.
    pub(crate) fn has_notices(&self, name: &ChannelName) -> bool {
        let is_told = name.kind().has_presence() || self.app.tells_subscription_counts();
        is_told && self.cluster().is_some() && name.kind().is_shared()
    }

    /// The other nodes. `None`: there are none.
    pub(crate) fn cluster(&self) -> Option<&AppCluster> {
        self.cluster.get()
    }

    pub(crate) fn set_cluster(&self, cluster: AppCluster) {
        // Called once.
        let _ = self.cluster.set(cluster);
    }

    /// The server's room of the connections that watch a user.
    pub(crate) fn watched_room(&self, user: &str) -> String {
        format!("/apps/{}/watched/{user}", self.app.id())
    }

    /// A connection has opened. False: there are as many as the app may have.
    pub(crate) fn open(&self, socket_id: SocketId, connection: ConnectionId) -> bool {
        let mut sockets = self.sockets();
        let max = self.app.app_limits().connections_max;
        if max.is_some_and(|max| sockets.len() >= max as usize) {
            return false;
        }
        sockets.insert(socket_id, connection);
        true
    }

    /// An open connection has ended.
    pub(crate) fn close(&self, socket_id: SocketId) {
        self.sockets().remove(&socket_id);
    }

    /// The connection with this socket id.
    pub(crate) fn connection(&self, socket_id: SocketId) -> Option<ConnectionId> {
        self.sockets().get(&socket_id).copied()
    }

    /// Counts events of the HTTP API.
    ///
    /// # Errors
    /// A limit is exceeded, and none is counted.
    pub(crate) fn take_events(&self, events: usize, now: Instant) -> Result<(), Exceeded> {
        let mut traffic = self.traffic();
        let before = traffic.rate;
        let count = u32::try_from(events).unwrap_or(u32::MAX);
        if let Some(rate) = &mut traffic.rate {
            rate.take(count, now).map_err(Exceeded::Rate)?;
        }
        if !traffic.quota.take(events as u64, now) {
            traffic.rate = before;
            return Err(Exceeded::Quota);
        }
        Ok(())
    }

    /// Counts an event of a client. False: the quota of the period is used up.
    pub(crate) fn take_client_event(&self, now: Instant) -> bool {
        self.traffic().quota.take(1, now)
    }

    /// Whether the HTTP API may respond with a list.
    ///
    /// # Errors
    /// How long to wait.
    pub(crate) fn check_lists(&self, now: Instant) -> Result<(), Duration> {
        self.traffic().lists.check(now)
    }

    /// A list has cost so many bytes.
    pub(crate) fn spend_list(&self, bytes: usize, now: Instant) {
        self.traffic().lists.spend(bytes, now);
    }

    pub(crate) fn counts(&self, now: Instant) -> AppCounts {
        let (totals, webhooks) = (&self.totals, self.webhooks.counts());
        AppCounts {
            app: self.app.id().to_owned(),
            connections: self.sockets().len() as u64,
            channels: self.channels.len() as u64,
            messages_in_period: self.traffic().quota.used(now),
            connections_refused: totals.connections_refused.get(),
            subscriptions: totals.subscriptions.get(),
            subscriptions_refused: totals.subscriptions_refused.get(),
            events: totals.events.get(),
            client_events: totals.client_events.get(),
            client_events_refused: totals.client_events_refused.get(),
            requests_refused: totals.requests_refused.get(),
            webhook_events_sent: webhooks.sent,
            webhook_requests_failed: webhooks.requests_failed,
            webhook_events_given_up: webhooks.given_up,
            webhook_events_discarded: webhooks.discarded,
        }
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<SocketId, ConnectionId>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
