//! Publishing events: one to up to 100 channels, or a batch of up to 10.
//!
//! All of a request is checked before anything is published. Then its events take their places in the order of their channels at
//! once, all or none; the response does not wait for the subscribers.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use yamabiko::server::{ConnectionId, Message, Publication, Publisher, Request, Status};

use super::error::ApiError;
use super::queries::{Attributes, ChannelInfo};
use crate::app_cluster::{AppCluster, AppMessage};
use crate::app_state::{AppState, Exceeded};
use crate::name::ChannelName;
use crate::socket_id::SocketId;
use crate::wire::{
    CHANNELS_OF_EVENT_MAX, EVENT_NAME_CHARACTERS_MAX, EVENTS_OF_BATCH_MAX, EncodedEvent, Object,
    json,
};

/// An event, as it is sent. What is missing is found later, to be named.
#[derive(Deserialize)]
struct SentEvent {
    name: Option<String>,
    data: Option<String>,
    channel: Option<String>,
    channels: Option<Vec<String>>,
    socket_id: Option<String>,
    info: Option<String>,
}

#[derive(Deserialize)]
struct SentBatch {
    batch: Option<Vec<Object<SentEvent>>>,
}

/// An event that can be published.
struct Event {
    encoded: EncodedEvent,
    data: String,
    /// Each once.
    channels: Vec<ChannelName>,
    except: Option<Excepted>,
    info: Option<Attributes>,
}

/// A connection that does not get an event.
#[derive(Clone, Copy)]
enum Excepted {
    Here(SocketId, ConnectionId),
    OfOtherNode(SocketId),
}

#[derive(Serialize)]
struct Channels<'a> {
    channels: BTreeMap<&'a str, ChannelInfo>,
}

#[derive(Serialize)]
struct Batch {
    batch: Vec<ChannelInfo>,
}

/// `POST /events`
pub(super) fn event(
    app: &AppState,
    request: &Request<'_>,
    publisher: &Publisher,
    now: Instant,
) -> Result<String, ApiError> {
    let event = check(app, parse(request)?)?;
    publish(app, std::slice::from_ref(&event), publisher, now)?;
    let Some(info) = event.info else {
        return Ok(EMPTY.to_owned());
    };
    let info_of = |name: &ChannelName| ChannelInfo::fitting(app, name, info);
    let channels = event.channels.iter();
    Ok(json(&Channels {
        channels: channels
            .map(|name| (name.as_str(), info_of(name)))
            .collect(),
    }))
}

/// `POST /batch_events`
pub(super) fn batch(
    app: &AppState,
    request: &Request<'_>,
    publisher: &Publisher,
    now: Instant,
) -> Result<String, ApiError> {
    let sent: SentBatch = parse(request)?;
    let sent = sent
        .batch
        .ok_or_else(|| ApiError::bad_request("'batch' is missing"))?;
    if sent.len() > EVENTS_OF_BATCH_MAX {
        return Err(ApiError::bad_request("a batch has at most 10 events"));
    }
    if sent.iter().any(|Object(event)| event.channels.is_some()) {
        return Err(ApiError::bad_request(
            "an event of a batch has one 'channel'",
        ));
    }
    let events = sent.into_iter().map(|Object(sent)| check(app, sent));
    let events: Vec<Event> = events.collect::<Result<_, _>>()?;
    publish(app, &events, publisher, now)?;
    if events.iter().all(|event| event.info.is_none()) {
        return Ok(EMPTY.to_owned());
    }
    let info_of = |event: &Event| {
        let name = event.channels.first().zip(event.info);
        name.map_or_else(ChannelInfo::default, |(name, info)| {
            ChannelInfo::fitting(app, name, info)
        })
    };
    Ok(json(&Batch {
        batch: events.iter().map(info_of).collect(),
    }))
}

/// The channels and the bytes of data of an event that could be published.
#[cfg(feature = "internals")]
pub(crate) fn checked_event(
    app: &AppState,
    request: &Request<'_>,
) -> Result<(usize, usize), ApiError> {
    let event = check(app, parse(request)?)?;
    Ok((event.channels.len(), event.data.len()))
}

fn parse<'r, T: Deserialize<'r>>(request: &Request<'r>) -> Result<T, ApiError> {
    let parsed = serde_json::from_slice(request.body());
    parsed
        .map(|Object(value)| value)
        .map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
}

fn check(app: &AppState, sent: SentEvent) -> Result<Event, ApiError> {
    let missing = |name: &str| ApiError::bad_request(format!("'{name}' is missing"));
    let name = sent.name.ok_or_else(|| missing("name"))?;
    if name.is_empty() || name.chars().count() > EVENT_NAME_CHARACTERS_MAX {
        return Err(ApiError::bad_request(
            "the name of an event has 1 to 200 characters",
        ));
    }
    let data = sent.data.ok_or_else(|| missing("data"))?;
    let bytes_max = app.app.app_limits().event_bytes_max;
    if data.len() > bytes_max {
        let reason = format!("the data of an event have at most {bytes_max} bytes");
        return Err(ApiError::new(Status::ContentTooLarge, reason));
    }
    let channels = match (sent.channels, sent.channel) {
        (Some(channels), None) => channels,
        (None, Some(channel)) => vec![channel],
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "an event has 'channel' or 'channels', not both",
            ));
        }
        (None, None) => return Err(missing("channels")),
    };
    Ok(Event {
        encoded: EncodedEvent::new(&name, &data),
        data,
        channels: names(app, &channels)?,
        except: sent.socket_id.map_or(Ok(None), |id| except(app, &id))?,
        info: sent.info.map(|info| Attributes::known(&info)),
    })
}

/// The channels, each once.
fn names(app: &AppState, channels: &[String]) -> Result<Vec<ChannelName>, ApiError> {
    if channels.is_empty() || channels.len() > CHANNELS_OF_EVENT_MAX {
        return Err(ApiError::bad_request("an event has 1 to 100 channels"));
    }
    let mut names: Vec<ChannelName> = Vec::with_capacity(channels.len());
    for channel in channels {
        let name = app.channel_name(channel).map_err(ApiError::bad_request)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The connection with this socket id. One that has ended gets nothing anyway.
fn except(app: &AppState, socket_id: &str) -> Result<Option<Excepted>, ApiError> {
    match socket_id.parse::<SocketId>() {
        Ok(socket_id) => Ok(match (app.connection(socket_id), app.cluster()) {
            (Some(connection), _) => Some(Excepted::Here(socket_id, connection)),
            (None, Some(cluster)) if cluster.others_have(socket_id) => {
                Some(Excepted::OfOtherNode(socket_id))
            }
            _ => None,
        }),
        Err(_) => Err(ApiError::bad_request(
            "'socket_id' is not of the form digits.digits",
        )),
    }
}

fn publish(
    app: &AppState,
    events: &[Event],
    publisher: &Publisher,
    now: Instant,
) -> Result<(), ApiError> {
    let targets = events
        .iter()
        .flat_map(|event| event.channels.iter().map(move |name| (event, name)));
    let messages: Vec<_> = targets
        .map(|(event, name)| (event, name, event.encoded.on(name.as_str())))
        .collect();
    app.take_events(messages.len(), now).map_err(exceeded)?;
    if let Some(cluster) = app.cluster() {
        publish_in_cluster(app, cluster, &messages, publisher)?;
        app.totals.events.add(messages.len());
        return Ok(());
    }
    let publications = messages.iter().map(publication);
    let has_cache = |name: &ChannelName| name.kind().has_cache;
    let needs_cache = messages.iter().any(|(_, name, _)| has_cache(name));
    // Held from the publication on: no subscription comes between it and the kept event.
    let mut kept = needs_cache.then(|| app.cache.lock());
    publisher
        .publish_all(publications)
        .map_err(|_| ApiError::overloaded())?;
    if let Some(kept) = &mut kept {
        for (event, name, message) in messages.iter().filter(|(_, name, _)| has_cache(name)) {
            kept.keep(name.as_str(), message, &event.data, now);
        }
    }
    app.totals.events.add(messages.len());
    Ok(())
}

/// An event on one of its channels, as a message.
type Target<'e> = (&'e Event, &'e ChannelName, String);

fn publication<'e>((event, name, message): &'e Target<'e>) -> Publication<'e> {
    Publication {
        room: name.room(),
        message: Message::Text(message),
        except: match event.except {
            Some(Excepted::Here(_, connection)) => Some(connection),
            Some(Excepted::OfOtherNode(_)) | None => None,
        },
    }
}

/// All messages of the engine, or none; those of cache channels, and those that leave out a connection of another node, go by the
/// cluster. A failure may leave some of these published.
fn publish_in_cluster(
    app: &AppState,
    cluster: &AppCluster,
    messages: &[Target<'_>],
    publisher: &Publisher,
) -> Result<(), ApiError> {
    let (of_engine, of_cluster): (Vec<_>, Vec<_>) =
        messages.iter().partition(|(event, name, _)| {
            name.kind().is_shared() && !matches!(event.except, Some(Excepted::OfOtherNode(_)))
        });
    publisher
        .publish_all(of_engine.into_iter().map(publication))
        .map_err(|_| ApiError::overloaded())?;
    for (event, name, message) in of_cluster {
        let except = match event.except {
            Some(Excepted::Here(id, _) | Excepted::OfOtherNode(id)) => Some(id.to_string()),
            None => None,
        };
        let (app, channel) = (app.app.id().into(), name.as_str().into());
        let message = match except {
            Some(except) if name.kind().is_shared() => AppMessage::Excepting {
                app,
                channel,
                message: message.into(),
                except: except.into(),
            },
            except => AppMessage::Event {
                app,
                channel,
                message: message.into(),
                data: Some((&*event.data).into()),
                except: except.map(Into::into),
            },
        };
        cluster.send(&message).map_err(|_| ApiError::overloaded())?;
    }
    Ok(())
}

fn exceeded(exceeded: Exceeded) -> ApiError {
    match exceeded {
        Exceeded::Rate(wait) => {
            let reason = "the app publishes too many events per second";
            ApiError::again(Status::TooManyRequests, reason, wait)
        }
        Exceeded::Quota => ApiError::new(
            Status::Forbidden,
            "the app has used up the messages of its period",
        ),
    }
}

const EMPTY: &str = "{}";

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::http::{HttpVersion, OwnedRequest};

    /// What it allocates to read an event with this much data for so many channels, in bytes.
    fn bytes_to_read(app: &AppState, data_bytes: usize, channels: usize) -> u64 {
        let channels: Vec<String> = (0..channels).map(|number| format!("c{number}")).collect();
        let data = "\"".repeat(data_bytes);
        let event = serde_json::json!({"name": "e", "data": data, "channels": channels});
        let body = event.to_string();
        let target = ("POST", "/apps/1/events");
        let fields = [("host", &b"localhost"[..])];
        let request = OwnedRequest::new(target.0, target.1, HttpVersion::Http11, fields);
        let request = request.expect("a request");
        let head = request.head().expect("a head");
        let request = Request::new(head, body.as_bytes(), ([127, 0, 0, 1], 1).into());
        let count = allocation_counter::measure(|| {
            let event = check(app, parse(&request).expect("an event")).expect("it is valid");
            assert_eq!(event.channels.len(), channels.len());
        });
        count.bytes_total
    }

    #[test]
    fn event_for_100_channels_is_parsed_and_encoded_once() {
        let app = AppState::new("1:key:secret".parse().expect("an app")).expect("no webhook");
        let one = bytes_to_read(&app, 10_000, 1);
        assert!(one > 2 * 10_000, "{one}");
        let hundred = bytes_to_read(&app, 10_000, 100);
        let names = bytes_to_read(&app, 1, 100);
        assert!(hundred < one + names, "{hundred}, {one} and {names}");
    }
}
