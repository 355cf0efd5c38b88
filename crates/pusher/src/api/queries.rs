//! Questions about channels: which have subscribers, how many, and who.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use yamabiko::server::Request;

use super::error::ApiError;
use crate::app_state::AppState;
use crate::cache::CachedEvent;
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
    channels: BTreeMap<String, ChannelInfo>,
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
pub(super) fn channels(app: &AppState, request: &Request<'_>) -> Result<String, ApiError> {
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
    let found = app.channels.list(&prefix).into_iter();
    let channels = found.map(|(name, occupancy)| {
        let info = ChannelInfo {
            user_count: info.user_count.then_some(occupancy.users),
            subscription_count: info.subscription_count.then_some(occupancy.connections),
            ..ChannelInfo::default()
        };
        (name.as_str().to_owned(), info)
    });
    Ok(json(&Channels {
        channels: channels.collect(),
    }))
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
pub(super) fn users(app: &AppState, name: &str) -> Result<String, ApiError> {
    let kind = ChannelKind::of(name).map_err(ApiError::bad_request)?;
    if !kind.has_presence() {
        return Err(ApiError::bad_request("only a presence channel has users"));
    }
    let ids = app.channels.user_ids(name).into_iter();
    Ok(json(&Users {
        users: ids.map(|id| User { id }).collect(),
    }))
}

fn kept_event(app: &AppState, name: &ChannelName, now: Instant) -> Option<KeptEvent> {
    let event = app.cache.lock().get(name.as_str(), now);
    event.map(|CachedEvent { data, ttl, .. }| KeptEvent {
        data: data.as_ref().to_owned(),
        ttl: ttl.as_secs(),
    })
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
