//! What is served under which path.
//!
//! | path | what |
//! |---|---|
//! | `/`, `/chat.css`, `/chat.js` … | the page |
//! | `/health` | 200 and `ok`, for whoever watches the server |
//! | `/chat/{room}` | a WebSocket that speaks [`yamabiko.chat.v1`](super::SUBPROTOCOL); a browser that opens it is led to the page |
//! | `/broadcast/{room}` | a WebSocket: every message goes to everyone, as it is |
//! | anything else | 404, or 400 if it is no text |
//!
//! Paths are compared after percent-decoding, so that `/chat/%61` is `/chat/a`
//! (RFC 3986 §6.2.2.2): first what is unreserved, which never changes what a
//! path means, then the rest of a room's name, which is UTF-8. A room's name
//! cannot hold a `/`, so that `%2F` is told from `/` only to refuse both.

use std::borrow::Cow;

use super::page::{Asset, asset};
use super::room_name::room_name;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Asset(&'static Asset),
    Health,
    /// A WebSocket into this room of the chat; the name is in its normal form.
    Chat(String),
    /// A WebSocket into this room of bare messages.
    Broadcast(String),
    /// Where a room's name should be, there is something else.
    NoRoomName,
    /// Where a room's name should be, there is no percent-encoded UTF-8.
    NoText,
    Nothing,
}

impl Route {
    /// Of a path without its query.
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
            _ => Route::Nothing,
        }
    }

    fn into_room(encoded: &str, route: impl FnOnce(String) -> Route) -> Route {
        let Some(text) = percent_decode(encoded) else {
            return Route::NoText;
        };
        match room_name(&text) {
            Some(name) => route(name.into_owned()),
            None => Route::NoRoomName,
        }
    }
}

/// The address of the page with this room, whose name is in its normal form.
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

/// Takes the encoding off the characters that need none; all else stays.
fn decode_unreserved(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, encoded)) = rest.split_once('%') {
        decoded.push_str(before);
        match octet(encoded).filter(|octet| is_unreserved(*octet)) {
            Some(octet) => {
                decoded.push(char::from(octet));
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

/// `None` for a `%` without two hexadecimal digits, and for what is not UTF-8
/// then: overlong forms, surrogates, Latin-1.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut pieces = text.split('%');
    let mut octets = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        octets.push(octet(piece)?);
        octets.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(octets).ok().map(Cow::Owned)
}

/// Of the two hexadecimal digits behind a `%`.
fn octet(digits: &str) -> Option<u8> {
    let digits = digits.get(..2)?;
    // A sign would be read as part of the number.
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
    fn paths_lead_where_the_table_says() {
        assert_eq!(Route::of("/"), Route::Asset(asset("/").unwrap()));
        assert_eq!(Route::of("/health"), Route::Health);
        assert_eq!(Route::of("/chat/lobby"), chat("lobby"));
        assert_eq!(
            Route::of("/broadcast/ticks-1_a.b"),
            Route::Broadcast("ticks-1_a.b".to_owned())
        );
    }

    #[test]
    fn encoding_makes_no_other_resource() {
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
    fn what_names_no_room_is_told_from_what_is_no_text() {
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
            assert_eq!(Route::of(path), Route::NoRoomName, "{path}");
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
            assert_eq!(Route::of(path), Route::NoText, "{path}");
        }
    }

    #[test]
    fn anything_else_leads_nowhere() {
        for path in ["", "*", "/x", "/chat", "/Chat/a", "/chat%2Fa", "/%", "/%zz"] {
            assert_eq!(Route::of(path), Route::Nothing, "{path}");
        }
    }

    #[test]
    fn address_of_the_page_leads_back_to_the_room() {
        for room in ["lobby", "A-Z_0.9", "会議室", "café"] {
            let address = page_of_room(room);
            assert!(address.is_ascii());
            let encoded = address.strip_prefix("/#").unwrap();
            assert_eq!(Route::of(&format!("/chat/{encoded}")), chat(room));
        }
        assert_eq!(page_of_room("é"), "/#%C3%A9");
    }
}
