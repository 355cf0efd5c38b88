//! Which server and which room the user means.
//!
//! | the user writes | the client connects to |
//! |---|---|
//! | `ws://host/chat/tea`, `wss://…` | the same |
//! | `host:8080/tea` | `ws://host:8080/chat/tea` |
//! | `host:8080` | `ws://host:8080/chat/lobby` |
//! | `http://host/#tea`, `http://host/chat/tea` | `ws://host/chat/tea` |
//! | `https://host/talk/#tea` | `wss://host/talk/chat/tea` |
//!
//! An address of the page is the page's own folder and the room behind `#`. An invitation to a private room follows the room: `#tea?INVITATION`.
//! A word without a port and a slash is no address. What is wrong in
//! an address is found by the client.

use yamabiko::server::percent_encode;

/// The room of an address without one.
const ROOM: &str = "lobby";

/// The URI of the WebSocket.
pub(super) fn uri_of(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => of_page("ws", rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => of_page("wss", rest),
        Some(_) => address.to_owned(),
        None if address.contains([':', '/']) => of_host(address),
        None => address.to_owned(),
    }
}

/// The invitation in the address of a page.
pub(super) fn invitation_of(address: &str) -> Option<&str> {
    let (_, fragment) = address.split_once('#')?;
    let (_, invitation) = fragment.split_once('?')?;
    (!invitation.is_empty()).then_some(invitation)
}

/// `rest`: the address of the page, or that of a room, behind its scheme.
fn of_page(scheme: &str, rest: &str) -> String {
    let (page, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let fragment = fragment.split('?').next().unwrap_or_default();
    let is_room = has_room(page);
    let (authority, path) = page.split_once('/').unwrap_or((page, ""));
    // The folder of the page, with the slash behind it.
    let folder = path.rfind('/').map_or("", |end| &path[..=end]);
    match is_room && fragment.is_empty() {
        true => format!("{scheme}://{page}"),
        false => format!("{scheme}://{authority}/{folder}chat/{}", room(fragment)),
    }
}

/// Whether the path is that of a WebSocket.
fn has_room(page: &str) -> bool {
    ["/chat/", "/broadcast/"]
        .iter()
        .any(|path| page.contains(path))
}

/// `HOST`, `HOST/ROOM`, or `HOST/chat/ROOM`.
fn of_host(address: &str) -> String {
    if has_room(address) {
        return format!("ws://{address}");
    }
    let (authority, name) = address.split_once('/').unwrap_or((address, ""));
    format!("ws://{authority}/chat/{}", room(name))
}

/// A room as a segment of a path. The user may have encoded it.
fn room(name: &str) -> String {
    match name {
        "" => ROOM.to_owned(),
        name if name.contains('%') => name.to_owned(),
        name => percent_encode(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_table() {
        for (address, uri) in [
            ("ws://h/chat/tea", "ws://h/chat/tea"),
            ("WSS://h:1/x?y=z", "WSS://h:1/x?y=z"),
            ("h:8080/tea", "ws://h:8080/chat/tea"),
            ("h:8080", "ws://h:8080/chat/lobby"),
            ("h:8080/", "ws://h:8080/chat/lobby"),
            (
                "[::1]:8080/会議室",
                "ws://[::1]:8080/chat/%E4%BC%9A%E8%AD%B0%E5%AE%A4",
            ),
            ("h/chat/tea", "ws://h/chat/tea"),
            ("h/broadcast/news", "ws://h/broadcast/news"),
            ("http://h", "ws://h/chat/lobby"),
            ("http://h/#tea", "ws://h/chat/tea"),
            ("http://h/#tea?1f.ab", "ws://h/chat/tea"),
            ("HTTP://h:8080/#caf%C3%A9", "ws://h:8080/chat/caf%C3%A9"),
            ("https://h/talk/#tea", "wss://h/talk/chat/tea"),
            ("https://h/talk/", "wss://h/talk/chat/lobby"),
            ("https://h/index.html#tea", "wss://h/chat/tea"),
            ("http://h/chat/tea", "ws://h/chat/tea"),
            (
                "https://h/talk/broadcast/news",
                "wss://h/talk/broadcast/news",
            ),
        ] {
            assert_eq!(uri_of(address), uri, "{address}");
        }
    }

    #[test]
    fn invitation_is_behind_the_room_in_the_address_of_a_page() {
        assert_eq!(invitation_of("http://h/#tea?1f.ab"), Some("1f.ab"));
        for address in ["http://h/#tea", "http://h/#tea?", "ws://h/chat/tea?x=1"] {
            assert_eq!(invitation_of(address), None, "{address}");
        }
    }

    #[test]
    fn other_schemes_and_mistakes_are_left_to_the_client() {
        for address in ["ftp://h/", "://", "ws://", "lobby", ""] {
            assert_eq!(uri_of(address), address);
        }
    }
}
