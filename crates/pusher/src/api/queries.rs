//! Questions about channels: which have subscribers, how many, and who.
//!
//! A request of 300 bytes can bring a list of 16 MiB. So lists come out of a supply of the app (`list-bytes-per-second`), which also
//! pays for channels that were only looked at; beyond it there is 429. A list that is longer gets 400: the web server asks for a part
//! of it by `filter_by_prefix`.

use std::time::Instant;

use serde::{Serialize, Serializer};
use yamabiko::server::{Request, Status};

use super::error::ApiError;
use crate::app_state::AppState;
use crate::cache::CachedEvent;
use crate::channels::Occupancy;
use crate::name::{ChannelKind, ChannelName};
use crate::wire::json;

/// What is asked about a channel: `info=user_count,subscription_count,cache`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    user_count: bool,
    subscription_count: bool,
    cache: bool,
}

/// The answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct ChannelInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    occupied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_count: Option<u32>,
    /// `null` inside: nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Option<KeptEvent>>,
}

#[derive(Debug, Serialize)]
struct KeptEvent {
    data: String,
    /// Seconds.
    ttl: u64,
}

#[derive(Serialize)]
struct Channels {
    channels: ListedChannels,
}

/// Channels, and what is told of each.
struct ListedChannels {
    found: Vec<(ChannelName, Occupancy)>,
    info: Attributes,
}

#[derive(Serialize)]
struct Users {
    users: Vec<User>,
}

#[derive(Serialize)]
struct User {
    id: String,
}

/// `GET /channels`
pub(super) fn channels(
    app: &AppState,
    request: &Request<'_>,
    now: Instant,
) -> Result<String, ApiError> {
    let prefix = request.query_value("filter_by_prefix").unwrap_or_default();
    let info = Attributes::asked(app, request)?;
    if info.user_count && !prefix.starts_with(PRESENCE) {
        return Err(ApiError::bad_request(
            "user_count needs a filter_by_prefix that begins with 'presence-'",
        ));
    }
    if info.cache {
        return Err(ApiError::bad_request("cache is told of one channel only"));
    }
    within_supply(app, now, || {
        let found = app.channels.list(&prefix, CHANNEL_BYTES, LIST_BYTES_MAX);
        let found = found.ok_or_else(|| {
            ApiError::bad_request("the list is longer than 16 MiB: use a longer filter_by_prefix")
        })?;
        let channels = ListedChannels { found, info };
        Ok(json(&Channels { channels }))
    })
}

/// A list, if the app may have one.
fn within_supply(
    app: &AppState,
    now: Instant,
    list: impl FnOnce() -> Result<String, ApiError>,
) -> Result<String, ApiError> {
    let reason = "the app asks for too many lists";
    app.check_lists(now)
        .map_err(|wait| ApiError::again(Status::TooManyRequests, reason, wait))?;
    let list = list();
    let bytes = list.as_ref().map_or(0, String::len);
    app.spend_list(bytes + app.channels.len() * LOOK_BYTES, now);
    list
}

/// `GET /channels/{name}`
pub(super) fn channel(
    app: &AppState,
    name: &str,
    request: &Request<'_>,
    now: Instant,
) -> Result<String, ApiError> {
    let name = app.channel_name(name).map_err(ApiError::bad_request)?;
    let info = Attributes::asked(app, request)?;
    let kind = name.kind();
    if info.user_count && !kind.has_presence() {
        return Err(ApiError::bad_request(
            "only a presence channel has a user_count",
        ));
    }
    if info.cache && !kind.has_cache {
        return Err(ApiError::bad_request("only a cache channel has a cache"));
    }
    let occupied = Some(app.channels.occupancy(name.as_str()).is_some());
    let cache = info.cache.then(|| kept_event(app, &name, now));
    Ok(json(&ChannelInfo {
        occupied,
        cache,
        ..ChannelInfo::fitting(app, &name, info)
    }))
}

/// `GET /channels/{name}/users`
pub(super) fn users(app: &AppState, name: &str, now: Instant) -> Result<String, ApiError> {
    let kind = ChannelKind::of(name).map_err(ApiError::bad_request)?;
    if !kind.has_presence() {
        return Err(ApiError::bad_request("only a presence channel has users"));
    }
    within_supply(app, now, || {
        let ids = app.channels.user_ids(name).into_iter();
        Ok(json(&Users {
            users: ids.map(|id| User { id }).collect(),
        }))
    })
}

fn kept_event(app: &AppState, name: &ChannelName, now: Instant) -> Option<KeptEvent> {
    let event = app.cache.lock().get(name.as_str(), now);
    event.map(|CachedEvent { data, ttl, .. }| KeptEvent {
        data: data.as_ref().to_owned(),
        ttl: ttl.as_secs(),
    })
}

impl Serialize for ListedChannels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.found.iter().map(|(name, occupancy)| {
            let (users, connections) = (occupancy.users, occupancy.connections);
            let info = ChannelInfo {
                user_count: self.info.user_count.then_some(users),
                subscription_count: self.info.subscription_count.then_some(connections),
                ..ChannelInfo::default()
            };
            (name.as_str(), info)
        }))
    }
}

impl Attributes {
    /// The attributes that a request asks for.
    fn asked(app: &AppState, request: &Request<'_>) -> Result<Attributes, ApiError> {
        let info = request.query_value("info").unwrap_or_default();
        let is_known = |name: &str| ["", USER_COUNT, SUBSCRIPTION_COUNT, CACHE].contains(&name);
        if let Some(unknown) = info.split(',').find(|name| !is_known(name)) {
            let reason = format!("there is no attribute {unknown:?}");
            return Err(ApiError::bad_request(reason));
        }
        let attributes = Attributes::known(&info);
        if attributes.subscription_count && !app.app.tells_subscription_counts() {
            return Err(ApiError::bad_request(
                "subscription counts are off for this app",
            ));
        }
        Ok(attributes)
    }

    /// The attributes in a list; others are not there.
    pub(super) fn known(info: &str) -> Attributes {
        let has = |name: &str| info.split(',').any(|other| other == name);
        Attributes {
            user_count: has(USER_COUNT),
            subscription_count: has(SUBSCRIPTION_COUNT),
            cache: has(CACHE),
        }
    }
}

impl ChannelInfo {
    /// The counts that fit the channel.
    pub(super) fn fitting(app: &AppState, name: &ChannelName, info: Attributes) -> ChannelInfo {
        let occupancy = app.channels.occupancy(name.as_str()).unwrap_or_default();
        let tells_users = info.user_count && name.kind().has_presence();
        let tells_count = info.subscription_count && app.app.tells_subscription_counts();
        ChannelInfo {
            user_count: tells_users.then_some(occupancy.users),
            subscription_count: tells_count.then_some(occupancy.connections),
            ..ChannelInfo::default()
        }
    }
}

const USER_COUNT: &str = "user_count";
const SUBSCRIPTION_COUNT: &str = "subscription_count";
const CACHE: &str = "cache";
const PRESENCE: &str = "presence-";
/// Of one list.
const LIST_BYTES_MAX: usize = 16 << 20;
/// What a channel has in a list besides its name, at most: `"":{"user_count":…,"subscription_count":…},`
const CHANNEL_BYTES: usize = 72;
/// What it costs to look at a channel that is not in the list.
const LOOK_BYTES: usize = 16;
