//! The paths.
//!
//! | path | resource |
//! |---|---|
//! | `/`, `/chat.css`, `/chat.js` … | the page |
//! | `/health` | 200 and `ok`, for monitoring |
//! | `/chat/{room}` | a WebSocket with [`yamabiko.chat.v1`](super::SUBPROTOCOL); a browser is redirected to the page |
//! | `/broadcast/{room}` | a WebSocket: each message is published to all connections unchanged |
//! | any other path | 404, or 400 if it is not valid UTF-8 |
//!
//! Paths are compared after percent-decoding, so `/chat/%61` is `/chat/a` (RFC 3986
//! §6.2.2.2). Unreserved characters are decoded first, which never changes the meaning of a
//! path; then the rest of a room's name, which is UTF-8. A room's name cannot contain `/`, so
//! both `%2F` and `/` in it are rejected.

use std::borrow::Cow;

use super::page::{Asset, asset};
use super::room_name::room_name;

/// The resource of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Asset(&'static Asset),
    Health,
    /// The WebSocket of this room of the chat; the name is in its normal form.
    Chat(String),
    /// The WebSocket of this broadcast room.
    Broadcast(String),
    /// The room's name is invalid.
    InvalidRoomName,
    /// The room's name is not percent-encoded UTF-8.
    InvalidEncoding,
    NotFound,
}

impl Route {
    /// The resource of a path without its query.
    pub(super) fn of(path: &str) -> Route {
        let path = decode_unreserved(path);
        if let Some(asset) = asset(&path) {
            return Route::Asset(asset);
        }
        if let Some(room) = path.strip_prefix("/chat/") {
            return Route::into_room(room, Route::Chat);
        }
        if let Some(room) = path.strip_prefix("/broadcast/") {
            return Route::into_room(room, Route::Broadcast);
        }
        match &*path {
            "/health" => Route::Health,
            _ => Route::NotFound,
        }
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

/// The address of the page of this room. The name is in its normal form.
pub(super) fn page_of_room(room: &str) -> String {
    let mut address = String::from("/#");
    for byte in room.bytes() {
        if is_unreserved(byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}

/// Decodes the unreserved characters only.
fn decode_unreserved(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, encoded)) = rest.split_once('%') {
        decoded.push_str(before);
        match hexadecimal_byte(encoded).filter(|byte| is_unreserved(*byte)) {
            Some(byte) => {
                decoded.push(char::from(byte));
                rest = &encoded[2..];
            }
            None => {
                decoded.push('%');
                rest = encoded;
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// `None` for a `%` without two hexadecimal digits, and if the result is not UTF-8: overlong
/// forms, surrogates, Latin-1.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(hexadecimal_byte(piece)?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The byte of the two hexadecimal digits after a `%`.
fn hexadecimal_byte(digits: &str) -> Option<u8> {
    let digits = digits.get(..2)?;
    // `from_str_radix` also accepts a sign.
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hexadecimal
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
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
            let encoded = address.strip_prefix("/#").unwrap();
            assert_eq!(Route::of(&format!("/chat/{encoded}")), chat(room));
        }
        assert_eq!(page_of_room("é"), "/#%C3%A9");
    }
}
