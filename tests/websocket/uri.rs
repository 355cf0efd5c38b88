//! `ws:` and `wss:` URIs (RFC 6455 §3, §11.1).

use proptest::prelude::*;
use yamabiko::websocket::handshake::{
    ClientHandshake, UriError, WebSocketUri, hide_credentials, percent_encode,
};

//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//= type=test
//# The "resource-name" (also known as /resource name/ in Section 4.1) can be
//# constructed by concatenating the following:
//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//= type=test
//# if the scheme component matches "wss" case-insensitively.
//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//= type=test
//# the default for "ws" is port 80, while the default for "wss" is port 443.
#[test]
fn uri_is_a_secure_flag_a_host_a_port_and_a_resource_name() {
    let table = [
        ("ws://example.com", false, "example.com", 80, "/"),
        ("wss://example.com", true, "example.com", 443, "/"),
        ("WS://EXAMPLE.com/Chat", false, "example.com", 80, "/Chat"),
        ("wSs://example.com:8443/", true, "example.com", 8443, "/"),
        ("ws://example.com:/a", false, "example.com", 80, "/a"),
        (
            "ws://example.com:0080/a/b",
            false,
            "example.com",
            80,
            "/a/b",
        ),
        ("ws://example.com?a=b", false, "example.com", 80, "/?a=b"),
        ("ws://example.com/?", false, "example.com", 80, "/?"),
        (
            "ws://example.com/a?b?c/d:@e",
            false,
            "example.com",
            80,
            "/a?b?c/d:@e",
        ),
        (
            "ws://example.com//a;b=c,d",
            false,
            "example.com",
            80,
            "//a;b=c,d",
        ),
        (
            "ws://example.com/%7e%2F%23",
            false,
            "example.com",
            80,
            "/%7e%2F%23",
        ),
        ("ws://192.0.2.1:65535/", false, "192.0.2.1", 65535, "/"),
        ("wss://[2001:DB8::1]/a", true, "[2001:db8::1]", 443, "/a"),
        (
            "ws://[::ffff:192.0.2.1]:1",
            false,
            "[::ffff:192.0.2.1]",
            1,
            "/",
        ),
        (
            "ws://xn--caf-dma.example/",
            false,
            "xn--caf-dma.example",
            80,
            "/",
        ),
    ];
    for (text, secure, host, port, resource_name) in table {
        let uri = WebSocketUri::parse(text).expect(text);
        assert_eq!(uri.secure(), secure, "{text}");
        assert_eq!((uri.host(), uri.port()), (host, port), "{text}");
        assert_eq!(uri.resource_name(), resource_name, "{text}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If any of the components are invalid, the client MUST _Fail the WebSocket
//# Connection_ and abort these steps.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# (/host/, /port/, /resource name/, and /secure/ flag) MUST be valid according
//# to the specification of WebSocket URIs
#[test]
fn uri_with_an_invalid_part_is_refused() {
    let table = [
        ("", UriError::Scheme),
        ("example.com/chat", UriError::Scheme),
        ("ws:example.com", UriError::Scheme),
        ("ws:/example.com", UriError::Scheme),
        (" ws://example.com", UriError::Scheme),
        ("http://example.com", UriError::Scheme),
        ("wsss://example.com", UriError::Scheme),
        ("/a?ws://example.com", UriError::Scheme),
        ("ws://", UriError::Host),
        ("ws:///chat", UriError::Host),
        ("ws://:80/", UriError::Host),
        ("ws://a b/", UriError::Host),
        ("ws://a\\b/", UriError::Host),
        ("ws://a%/", UriError::Host),
        ("ws://[::1/", UriError::Host),
        ("ws://[::1]x/", UriError::Host),
        ("ws://[fe80::1%25eth0]/", UriError::Host),
        ("ws://[example.com]/", UriError::Host),
        ("ws://example.com:x/", UriError::Port),
        ("ws://example.com:0/", UriError::Port),
        ("ws://example.com:+80/", UriError::Port),
        ("ws://example.com:65536/", UriError::Port),
        ("ws://example.com:80:80/", UriError::Port),
        ("ws://user@example.com/", UriError::UserInformation),
        ("ws://user:secret@example.com/", UriError::UserInformation),
        ("ws://example.com/a b", UriError::Character),
        ("ws://example.com/a\r\nb", UriError::Character),
        ("ws://example.com/a\"b", UriError::Character),
        ("ws://example.com/a<b>", UriError::Character),
        ("ws://example.com/?a=<b>", UriError::Character),
        ("ws://example.com/?a b", UriError::Character),
        ("ws://example.com/?a=\"b\"", UriError::Character),
        ("ws://example.com/?a\tb", UriError::Character),
        ("ws://example.com/?a\u{7f}b", UriError::Character),
        ("ws://example.com/a\\b", UriError::Character),
        ("ws://example.com/?%[", UriError::Character),
        ("ws://example.com/?100%", UriError::Character),
        ("ws://example.com/%", UriError::Character),
        ("ws://example.com/%4", UriError::Character),
        ("ws://example.com/%4g", UriError::Character),
        ("ws://caf\u{e9}.example/", UriError::NotAscii),
        ("ws://example.com/caf\u{e9}", UriError::NotAscii),
    ];
    for (text, error) in table {
        assert_eq!(WebSocketUri::parse(text), Err(error), "{text:?}");
        assert!(!error.to_string().is_empty());
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//= type=test
//# Fragment identifiers are meaningless in the context of WebSocket URIs and
//# MUST NOT be used on these URIs.
#[test]
fn uri_with_a_fragment_is_refused() {
    for text in ["ws://a/#", "ws://a/b#c", "ws://a#b", "ws://a/?b#c"] {
        assert_eq!(WebSocketUri::parse(text), Err(UriError::Fragment), "{text}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//= type=test
//# the character "#", when not indicating the start of a fragment, MUST be
//# escaped as %23.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.1
//= type=test
//# Characters in other components that are excluded by the syntax defined above
//# MUST be converted from Unicode to ASCII
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.2
//= type=test
//# Characters in other components that are excluded by the syntax defined above
//# MUST be converted from Unicode to ASCII
#[test]
fn any_text_can_be_encoded_as_part_of_a_uri() {
    let table = [
        ("room #1", "room%20%231"),
        ("caf\u{e9}", "caf%C3%A9"),
        ("\u{5c71}\u{5f66}", "%E5%B1%B1%E5%BD%A6"),
        ("a-b._~9", "a-b._~9"),
        ("a/b?c=d&e%", "a%2Fb%3Fc%3Dd%26e%25"),
    ];
    for (text, encoded) in table {
        assert_eq!(percent_encode(text), encoded);
        let uri = WebSocketUri::parse(&format!("wss://a/{encoded}?{encoded}")).expect(encoded);
        assert_eq!(uri.resource_name(), format!("/{encoded}?{encoded}"));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.1
//= type=test
//# Characters in the host component that are excluded by the syntax defined
//# above MUST be converted from Unicode to ASCII
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.2
//= type=test
//# Characters in the host component that are excluded by the syntax defined
//# above MUST be converted from Unicode to ASCII
#[test]
fn uri_with_a_host_in_unicode_is_refused_until_it_is_converted() {
    for scheme in ["ws", "wss"] {
        let unicode = format!("{scheme}://caf\u{e9}.example/");
        assert_eq!(WebSocketUri::parse(&unicode), Err(UriError::NotAscii));
        let converted = format!("{scheme}://xn--caf-dma.example/");
        assert!(WebSocketUri::parse(&converted).is_ok());
    }
}

/// Browsers accept these characters, and RFC 3986 does not. The client sends them encoded.
#[test]
fn characters_that_browsers_accept_are_percent_encoded() {
    let table = [
        ("/?a[]=1", "/?a%5B%5D=1"),
        ("/?a=1|2", "/?a=1%7C2"),
        ("?a=^`{}", "/?a=%5E%60%7B%7D"),
        ("/?a=b\\c", "/?a=b%5Cc"),
        ("/a[1]|{b}^`c", "/a%5B1%5D%7C%7Bb%7D%5E%60c"),
        ("/a%5B?%7c", "/a%5B?%7c"),
        ("/?a='b'", "/?a='b'"),
    ];
    for (text, resource_name) in table {
        let uri = WebSocketUri::parse(&format!("ws://example.com{text}")).expect(text);
        assert_eq!(uri.resource_name(), resource_name);
        let again = WebSocketUri::parse(&uri.to_string());
        assert_eq!(again.as_ref(), Ok(&uri), "it is encoded once");
        let mut request = Vec::new();
        ClientHandshake::new(&uri, *b"the sample nonce").write_request(&mut request);
        let line = format!("GET {resource_name} HTTP/1.1\r\n");
        assert!(request.starts_with(line.as_bytes()));
    }
}

#[test]
fn uri_is_displayed_in_its_shortest_form() {
    let table = [
        ("WS://A:80", "ws://a/", "a"),
        ("wss://a:443?b", "wss://a/?b", "a"),
        ("ws://a:443/b", "ws://a:443/b", "a:443"),
        ("wss://[::1]:80", "wss://[::1]:80/", "[::1]:80"),
    ];
    for (text, shown, authority) in table {
        let uri: WebSocketUri = text.parse().expect(text);
        assert_eq!(uri.to_string(), shown);
        assert_eq!(uri.authority(), authority);
    }
}

// URIs of any allowed parts, and the same with one character changed.

/// `reg-name`, or an address in brackets.
fn any_host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9.!$&'()*+,;=_~-]{1,12}",
        1 => "[a-z]{0,3}%[0-9a-fA-F]{2}[a-z]{0,3}",
        1 => any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        1 => any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
    ]
}

/// Nothing, or a path, or a query, or both.
fn any_resource() -> impl Strategy<Value = String> {
    let path = "(/([a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[0-9a-fA-F]{2}){0,12})?";
    let query = "([?]([a-z0-9=&?/:@]|%[0-9A-F]{2}){0,8})?";
    (path, query).prop_map(|(path, query)| path + &query)
}

/// The scheme in any case, the host, the port if it is written, and the rest.
fn any_parts() -> impl Strategy<Value = (String, String, Option<u16>, String)> {
    let port = proptest::option::of(1..=u16::MAX);
    ("[wW][sS]{1,2}", any_host(), port, any_resource())
}

fn written((scheme, host, port, resource): &(String, String, Option<u16>, String)) -> String {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{resource}")
}

/// Whether RFC 6455 §3 allows this text, by the grammar of RFC 3986 and with the characters that
/// browsers also accept. It is simpler than the parser, because it returns no parts and no
/// reason.
fn is_allowed(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, resource) = rest.split_at(end);
    let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
    let port_at = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(port_at);
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && consists_of(host, "!$&'()*+,;="),
    };
    ["ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str())
        && is_host
        && is_port(port)
        && consists_of(path, "!$&'()*+,;=:@/[]^`{|}")
        && consists_of(query, "!$&'()*+,;=:@/[]^`{|}?\\")
}

/// Whether the text has only unreserved characters, percent-encoded bytes, and these.
fn consists_of(text: &str, others: &str) -> bool {
    let mut pieces = text.split('%');
    let is_plain = |piece: &str| {
        piece
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c) || others.contains(c))
    };
    let begins_with_two_digits =
        |piece: &str| piece.len() >= 2 && piece.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    pieces.next().is_some_and(is_plain)
        && pieces.all(|piece| begins_with_two_digits(piece) && is_plain(piece))
}

/// Any character; a delimiter of the syntax is more frequent than others.
fn any_character() -> impl Strategy<Value = char> {
    let marks: Vec<char> = ":/?#%@[]|\\ 0z".chars().collect();
    prop_oneof![any::<char>(), prop::sample::select(marks)]
}

/// Whether the text is empty, a colon, or a colon and a number from 1 to 65535.
fn is_port(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    let number = digits.bytes().try_fold(0_u32, |number, digit| {
        let digit = char::from(digit).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit))
    });
    digits.is_empty() || number.is_some_and(|number| (1..=65_535).contains(&number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn uri_is_parsed_into_the_parts_that_it_was_written_from(parts in any_parts()) {
        let uri = WebSocketUri::parse(&written(&parts)).expect("the parts are allowed");
        let (scheme, host, port, resource) = parts;
        let secure = scheme.len() == 3;
        prop_assert_eq!(uri.secure(), secure);
        prop_assert_eq!(uri.host(), host.to_ascii_lowercase());
        prop_assert_eq!(uri.port(), port.unwrap_or(if secure { 443 } else { 80 }));
        let slash = if resource.starts_with('/') { "" } else { "/" };
        prop_assert_eq!(uri.resource_name(), format!("{slash}{resource}"));
    }

    #[test]
    fn written_uri_is_parsed_as_the_same_uri(parts in any_parts()) {
        let uri = WebSocketUri::parse(&written(&parts)).expect("the parts are allowed");
        prop_assert_eq!(WebSocketUri::parse(&uri.to_string()), Ok(uri.clone()));
        // It fits into one line of a request.
        let mut output = Vec::new();
        ClientHandshake::new(&uri, [7; 16]).write_request(&mut output);
        let text = String::from_utf8(output).expect("ASCII");
        let line = format!("GET {} HTTP/1.1\r\nHost: ", uri.resource_name());
        prop_assert!(text.starts_with(&line));
        prop_assert_eq!(text.matches("\r\n").count(), 7);
    }

    #[test]
    fn text_is_accepted_exactly_if_it_is_allowed(
        parts in any_parts(),
        at in any::<prop::sample::Index>(),
        character in any_character(),
        replaces in any::<bool>(),
    ) {
        let mut characters: Vec<char> = written(&parts).chars().collect();
        let at = at.index(characters.len());
        if replaces {
            characters[at] = character;
        } else {
            characters.insert(at, character);
        }
        let text: String = characters.into_iter().collect();
        prop_assert_eq!(WebSocketUri::parse(&text).is_ok(), is_allowed(&text), "{:?}", text);
    }

    #[test]
    fn any_text_is_accepted_exactly_if_it_is_allowed(
        start in prop::sample::select(vec!["", "ws://", "wss://a:", "ws://[", "ws://a/"]),
        rest in ".{0,30}",
    ) {
        let text = format!("{start}{rest}");
        prop_assert_eq!(WebSocketUri::parse(&text).is_ok(), is_allowed(&text), "{:?}", text);
    }
}

#[test]
fn credentials_of_a_uri_are_not_printed_also_if_it_cannot_be_parsed() {
    for (uri, expected) in [
        (
            "ws://h/?access_token=51d2&a",
            "ws://h/?access_token=[hidden]&a",
        ),
        ("wss://u:51d2@h/a", "wss://[hidden]@h/a"),
        ("ws://u@51d2@h:1?a", "ws://[hidden]@h:1?a"),
        (
            "ws://h h/?access_token=51d2#f",
            "ws://h h/?access_token=[hidden]",
        ),
        ("51d2@h", "[hidden]@h"),
        ("ws://h/a@b?c@d", "ws://h/a@b?c@d"),
        ("", ""),
    ] {
        assert_eq!(hide_credentials(uri), expected);
    }
}
