//! The paths.
//!
//! | path | resource |
//! |---|---|
//! | `/`, `/chat.css`, `/chat.js` … | the page |
//! | `/health` | 200 and `ok`, for monitoring |
//! | `/chat/{room}` | a WebSocket with [`yamabiko.chat.v1`](super::SUBPROTOCOL); a browser is redirected to the page |
//! | `/broadcast/{room}` | a WebSocket: each message is published to all connections unchanged |
//! | `/rooms`, `/rooms/{room}`, `/rooms/{room}/messages` | the HTTP interface: presence, publishing |
//! | any other path | 404, or 400 if it is not valid UTF-8 |
//!
//! Paths are compared after percent-decoding, so `/chat/%61` is `/chat/a` (RFC 3986
//! §6.2.2.2). They are split at their slashes before. A room's name is UTF-8 and cannot contain
//! `/`, so both `%2F` and `/` in it are rejected.

use super::api::Resource;
use super::page::{Asset, asset};
use super::room_name::room_name;
use crate::server::{percent_decode, percent_encode};

/// The resource of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Asset(&'static Asset),
    Health,
    /// The WebSocket of this room of the chat; the name is in its normal form.
    Chat(String),
    /// The WebSocket of this broadcast room, and publishing to it by HTTP.
    Broadcast(String),
    /// The HTTP interface.
    Api(Resource),
    /// The room's name is invalid.
    InvalidRoomName,
    /// The room's name is not percent-encoded UTF-8.
    InvalidEncoding,
    NotFound,
}

impl Route {
    /// The resource of a path without its query.
    pub(super) fn of(path: &str) -> Route {
        let Some((first, rest)) = path.strip_prefix('/').map(split_segment) else {
            return Route::NotFound;
        };
        match (percent_decode(first).as_deref(), rest) {
            (Some("chat"), Some(room)) => Route::into_room(room, Route::Chat),
            (Some("broadcast"), Some(room)) => Route::into_room(room, Route::Broadcast),
            (Some("rooms"), None) => Route::Api(Resource::Rooms),
            (Some("rooms"), Some(rest)) => Route::below_rooms(rest),
            (Some("health"), None) => Route::Health,
            (Some(file), None) => match asset(&format!("/{file}")) {
                Some(asset) => Route::Asset(asset),
                None => Route::NotFound,
            },
            _ => Route::NotFound,
        }
    }

    /// Whether there is a resource.
    pub(super) fn exists(&self) -> bool {
        !self.has_invalid_name() && *self != Route::NotFound
    }

    /// Whether the name of a room is invalid, so that no method helps.
    pub(super) fn has_invalid_name(&self) -> bool {
        matches!(self, Route::InvalidRoomName | Route::InvalidEncoding)
    }

    /// The methods of the resource, as the field Allow lists them.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Route::Api(resource) => resource.methods(),
            Route::Broadcast(_) => ALL_METHODS,
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// `encoded`: the path behind `/rooms/`.
    fn below_rooms(encoded: &str) -> Route {
        let decoded: Option<Vec<_>> = encoded.split('/').map(percent_decode).collect();
        let Some(decoded) = decoded else {
            return Route::InvalidEncoding;
        };
        let segments: Vec<&str> = decoded.iter().map(|segment| &**segment).collect();
        match segments.get(1..) {
            Some([] | ["messages"]) => {}
            _ => return Route::NotFound,
        }
        Resource::of(&segments).map_or(Route::InvalidRoomName, Route::Api)
    }

    fn into_room(encoded: &str, route: impl FnOnce(String) -> Route) -> Route {
        let Some(text) = percent_decode(encoded) else {
            return Route::InvalidEncoding;
        };
        match room_name(&text) {
            Some(name) => route(name.into_owned()),
            None => Route::InvalidRoomName,
        }
    }
}

/// The first segment of a path, and the rest behind its slash.
fn split_segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    }
}

/// All methods of all resources.
pub(super) const ALL_METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// The address of the page of this room, relative to the room's own: a proxy may have put a folder in front. The name is in its
/// normal form.
pub(super) fn page_of_room(room: &str) -> String {
    format!("../#{}", percent_encode(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(room: &str) -> Route {
        Route::Chat(room.to_owned())
    }

    #[test]
    fn paths_are_routed_as_in_the_table() {
        assert_eq!(Route::of("/"), Route::Asset(asset("/").unwrap()));
        assert_eq!(Route::of("/health"), Route::Health);
        assert_eq!(Route::of("/chat/lobby"), chat("lobby"));
        assert_eq!(
            Route::of("/broadcast/ticks-1_a.b"),
            Route::Broadcast("ticks-1_a.b".to_owned())
        );
    }

    #[test]
    fn percent_encoding_does_not_change_the_resource() {
        for path in ["/chat/%61b", "/chat/%61%62", "/%63hat/ab", "/chat/a%62"] {
            assert_eq!(Route::of(path), chat("ab"), "{path}");
        }
        assert_eq!(Route::of("/chat%2Ejs"), Route::of("/chat.js"));
        assert_eq!(Route::of("/%68ealth"), Route::Health);
        for path in ["/chat/caf%C3%A9", "/chat/caf%c3%a9", "/chat/cafe%CC%81"] {
            assert_eq!(Route::of(path), chat("café"), "{path}");
        }
        assert_eq!(
            Route::of("/broadcast/%E4%BC%9A%E8%AD%B0%E5%AE%A4"),
            Route::Broadcast("会議室".to_owned())
        );
    }

    #[test]
    fn invalid_room_name_is_distinguished_from_invalid_encoding() {
        let too_long = format!("/chat/{}", "x".repeat(65));
        for path in [
            "/chat/",
            "/chat/a/b",
            "/chat/a%2Fb",
            "/chat/a b",
            "/chat/a%20b",
            "/broadcast/",
            "/chat/..",
            "/chat/%2e%2E",
            "/chat/%2561",
            "/chat/%00",
            &too_long,
        ] {
            assert_eq!(Route::of(path), Route::InvalidRoomName, "{path}");
        }
        for path in [
            "/chat/%",
            "/chat/a%6",
            "/chat/%zz",
            "/chat/%+1",
            "/chat/%é",
            "/chat/%FF",
            "/chat/%C0%AF",
            "/chat/%ED%A0%80",
            "/broadcast/%E4%BC",
        ] {
            assert_eq!(Route::of(path), Route::InvalidEncoding, "{path}");
        }
    }

    #[test]
    fn interface_is_below_rooms() {
        let room = |name: &str| Route::Api(Resource::Room(name.to_owned()));
        assert_eq!(Route::of("/rooms"), Route::Api(Resource::Rooms));
        assert_eq!(Route::of("/rooms/caf%C3%A9"), room("café"));
        let messages = Resource::Messages("lobby".to_owned());
        assert_eq!(Route::of("/rooms/lobby/messages"), Route::Api(messages));
        for path in ["/rooms/", "/rooms/a%20b", "/rooms/a%2Fb/messages"] {
            assert_eq!(Route::of(path), Route::InvalidRoomName, "{path}");
        }
        for path in ["/roomsx", "/rooms/a/b", "/rooms/a/messages/", "/Rooms"] {
            assert_eq!(Route::of(path), Route::NotFound, "{path}");
        }
        assert_eq!(Route::of("/rooms/%FF"), Route::InvalidEncoding);
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in ["", "*", "/x", "/chat", "/Chat/a", "/chat%2Fa", "/%", "/%zz"] {
            assert_eq!(Route::of(path), Route::NotFound, "{path}");
        }
    }

    #[test]
    fn address_of_the_page_is_routed_back_to_the_room() {
        for room in ["lobby", "A-Z_0.9", "会議室", "café"] {
            let address = page_of_room(room);
            assert!(address.is_ascii());
            let encoded = address.strip_prefix("../#").unwrap();
            assert_eq!(Route::of(&format!("/chat/{encoded}")), chat(room));
        }
        assert_eq!(page_of_room("é"), "../#%C3%A9");
    }
}
