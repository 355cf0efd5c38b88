//! What is served under which path.
//!
//! | path | what |
//! |---|---|
//! | `/`, `/chat.css`, `/chat.js` … | the page |
//! | `/health` | 200 and `ok`, for whoever watches the server |
//! | `/chat/{room}` | a WebSocket that speaks [`yamabiko.chat.v1`](super::SUBPROTOCOL) |
//! | `/broadcast/{room}` | a WebSocket: every message goes to everyone, as it is |
//! | anything else | 404 |

use super::page::{Asset, asset};
use super::room::is_room_name;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Asset(&'static Asset),
    Health,
    /// A WebSocket into this room of the chat.
    Chat(&'a str),
    /// A WebSocket into this room of bare messages.
    Broadcast(&'a str),
    Nothing,
}

impl<'a> Route<'a> {
    /// Of a path without its query.
    pub(super) fn of(path: &'a str) -> Route<'a> {
        let room = |prefix| path.strip_prefix(prefix).filter(|room| is_room_name(room));
        if let Some(asset) = asset(path) {
            return Route::Asset(asset);
        }
        if let Some(room) = room("/chat/") {
            return Route::Chat(room);
        }
        if let Some(room) = room("/broadcast/") {
            return Route::Broadcast(room);
        }
        match path {
            "/health" => Route::Health,
            _ => Route::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_the_table_says() {
        assert_eq!(Route::of("/"), Route::Asset(asset("/").unwrap()));
        assert_eq!(Route::of("/health"), Route::Health);
        assert_eq!(Route::of("/chat/lobby"), Route::Chat("lobby"));
        assert_eq!(
            Route::of("/broadcast/ticks-1_a.b"),
            Route::Broadcast("ticks-1_a.b")
        );
    }

    #[test]
    fn anything_else_leads_nowhere() {
        let too_long = format!("/chat/{}", "x".repeat(65));
        let paths = [
            "",
            "*",
            "/x",
            "/chat",
            "/chat/",
            "/chat/a/b",
            "/chat/a b",
            "/chat/%61",
            "/broadcast/",
            "/Chat/a",
            "/chat/..",
            &too_long,
        ];
        for path in paths {
            assert_eq!(Route::of(path), Route::Nothing, "{path}");
        }
    }
}
