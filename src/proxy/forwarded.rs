//! `X-Forwarded-For` and `X-Forwarded-Host`, and `Forwarded` (RFC 7239).
//!
//! ```text
//!   X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.0.0.2
//!                    invented     the client    a named proxy    ◀── read from here
//!
//!   Forwarded: for=203.0.113.9, for="[2001:db8::1]:4711";host=chat.example;proto=https
//! ```

use crate::http::Fields;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What the proxies tell of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedRequest<'a> {
    /// The address of the client. `None`: no proxy names one.
    pub client: Option<SocketAddr>,
    /// The host that the client has asked for. `None`: as in the request.
    pub host: Option<Cow<'a, str>>,
}

pub(super) fn x_forwarded<'a>(
    fields: Fields<'a>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> ForwardedRequest<'a> {
    let addresses: Vec<&[u8]> = fields.list("X-Forwarded-For").collect();
    let addresses = addresses.iter().rev().map(|bytes| text(bytes));
    let host = fields.list("X-Forwarded-Host").last().and_then(text);
    ForwardedRequest {
        client: client(addresses, is_proxy),
        host: host.map(Cow::Borrowed),
    }
}

pub(super) fn forwarded<'a>(
    fields: Fields<'a>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> ForwardedRequest<'a> {
    let mut elements = Vec::new();
    for value in fields.get_all("Forwarded") {
        // What cannot be read ends the list: it cannot be told whose word it is.
        match text(value).and_then(Elements::read) {
            Some(more) => elements.extend(more.0),
            None => elements.clear(),
        }
    }
    let addresses = elements
        .iter()
        .rev()
        .map(|element| element.r#for.as_deref());
    let client = client(addresses, is_proxy);
    let mut hosts = elements
        .into_iter()
        .rev()
        .filter_map(|element| element.host);
    ForwardedRequest {
        client,
        host: hosts.next(),
    }
}

/// The address of the client in a list that is read from its end. The list ends at what is no address: `unknown`, a name that
/// hides one, or nonsense.
fn client<'t>(
    addresses: impl Iterator<Item = Option<&'t str>>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<SocketAddr> {
    let mut last = None;
    for text in addresses {
        let Some(address) = text.and_then(address) else {
            return last;
        };
        last = Some(address);
        if !is_proxy(address.ip()) {
            return last;
        }
    }
    last
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. Port 0: none is known.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let ip = match bare {
        Some(bare) => IpAddr::V6(bare.parse::<Ipv6Addr>().ok()?),
        None => text.parse().ok()?,
    };
    Some(SocketAddr::new(ip, 0))
}

fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

/// What one proxy has written.
#[derive(Default)]
struct Element<'a> {
    r#for: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
}

struct Elements<'a>(Vec<Element<'a>>);

impl<'a> Elements<'a> {
    /// `None`: the value is not of this form (RFC 7239 §4).
    fn read(value: &'a str) -> Option<Elements<'a>> {
        let mut elements = Vec::new();
        let mut element = Element::default();
        let mut rest = value;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if !rest.starts_with([';', ',']) && !rest.is_empty() {
                let (name, behind) = rest.split_once('=')?;
                let (value, behind) = read_value(behind)?;
                let place = match name {
                    name if name.eq_ignore_ascii_case("for") => Some(&mut element.r#for),
                    name if name.eq_ignore_ascii_case("host") => Some(&mut element.host),
                    _ => None,
                };
                // A parameter stands once in an element.
                if place.is_some_and(|place| place.replace(value).is_some()) {
                    return None;
                }
                rest = behind.trim_start_matches([' ', '\t']);
            }
            match rest.as_bytes().first() {
                Some(b';') => {}
                Some(b',') => elements.push(core::mem::take(&mut element)),
                None => {
                    elements.push(element);
                    return Some(Elements(elements));
                }
                Some(_) => return None,
            }
            rest = &rest[1..];
        }
    }
}

/// A token, or a quoted string, and what follows it.
fn read_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t', '"']).unwrap_or(text.len());
        let (value, behind) = text.split_at(end);
        return (!value.is_empty()).then_some((Cow::Borrowed(value), behind));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{ForwardedFields, Proxies};
    use super::*;
    use crate::http::{HttpVersion, OwnedRequest};

    fn proxies(fields: ForwardedFields) -> Proxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
        Proxies::new(networks).fields(fields)
    }

    /// The client and the host that a request of 10.0.0.1 with these fields tells.
    fn read(kind: ForwardedFields, fields: &[(&str, &[u8])]) -> (Option<String>, Option<String>) {
        read_from("10.0.0.1", kind, fields)
    }

    fn read_from(
        peer: &str,
        kind: ForwardedFields,
        fields: &[(&str, &[u8])],
    ) -> (Option<String>, Option<String>) {
        let host = [("Host", &b"inner"[..])];
        let fields = host.into_iter().chain(fields.iter().copied());
        let request = OwnedRequest::new("GET", "/", HttpVersion::Http11, fields).unwrap();
        let head = request.head().unwrap();
        let told = proxies(kind).read(&head, Some(peer.parse().unwrap()));
        let client = told.client.map(|address| format!("{address}"));
        (client, told.host.map(Cow::into_owned))
    }

    #[test]
    fn client_is_the_last_address_that_is_no_named_proxy() {
        for (value, client) in [
            ("198.51.100.7", Some("198.51.100.7:0")),
            ("198.51.100.7:4711", Some("198.51.100.7:4711")),
            ("203.0.113.9, 198.51.100.7", Some("198.51.100.7:0")),
            (
                "203.0.113.9, 198.51.100.7, 10.0.0.2,10.0.0.3",
                Some("198.51.100.7:0"),
            ),
            ("2001:db8::1", Some("[2001:db8::1]:0")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]:80")),
            ("198.51.100.7, 2001:db8:1::2", Some("198.51.100.7:0")),
            // Only proxies: the first of them has begun the request.
            ("10.0.0.9, 10.0.0.2", Some("10.0.0.9:0")),
            // What stands before something unreadable is nobody's word.
            ("198.51.100.7, unknown", None),
            ("198.51.100.7, nonsense, 10.0.0.2", Some("10.0.0.2:0")),
            ("", None),
            (",,", None),
            ("198.51.100.7:99999", None),
            ("::ffff:10.0.0.2", Some("[::ffff:10.0.0.2]:0")),
        ] {
            let (found, _) = read(
                ForwardedFields::XForwarded,
                &[("X-Forwarded-For", value.as_bytes())],
            );
            assert_eq!(found.as_deref(), client, "{value}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = [
            ("X-Forwarded-For", &b"203.0.113.9"[..]),
            ("x-forwarded-for", b"198.51.100.7, 10.0.0.2"),
            ("X-Forwarded-Host", b"evil.example, chat.example"),
        ];
        let told = read(ForwardedFields::XForwarded, &fields);
        assert_eq!(
            told,
            (Some("198.51.100.7:0".into()), Some("chat.example".into()))
        );
    }

    #[test]
    fn fields_of_other_addresses_and_other_fields_are_not_believed() {
        let x = [
            ("X-Forwarded-For", &b"198.51.100.7"[..]),
            ("X-Forwarded-Host", b"a"),
        ];
        let forwarded = [("Forwarded", &b"for=198.51.100.7;host=a"[..])];
        let nothing = (None, None);
        assert_eq!(
            read_from("192.0.2.1", ForwardedFields::XForwarded, &x),
            nothing
        );
        assert_eq!(
            read_from("192.0.2.1", ForwardedFields::Forwarded, &forwarded),
            nothing
        );
        assert_eq!(read(ForwardedFields::Forwarded, &x), nothing);
        assert_eq!(read(ForwardedFields::XForwarded, &forwarded), nothing);
        assert_eq!(read(ForwardedFields::None, &x), nothing);
    }

    // RFC 7239 §4, §6.
    #[test]
    fn forwarded_is_read_with_quotes_parameters_and_any_case() {
        for (value, client, host) in [
            ("for=198.51.100.7", Some("198.51.100.7:0"), None),
            (
                "For=\"[2001:db8::1]:4711\"",
                Some("[2001:db8::1]:4711"),
                None,
            ),
            (
                "for=198.51.100.7;proto=https;by=203.0.113.43;HOST=chat.example",
                Some("198.51.100.7:0"),
                Some("chat.example"),
            ),
            (
                "for=203.0.113.9;host=evil, for=198.51.100.7;host=\"chat.example:8443\" , for=10.0.0.2",
                Some("198.51.100.7:0"),
                Some("chat.example:8443"),
            ),
            ("for=\"198.51.100.7\\:80\"", Some("198.51.100.7:80"), None),
            ("for=198.51.100.7, for=unknown", None, None),
            ("for=198.51.100.7, for=\"_hidden\"", None, None),
            ("for=198.51.100.7, proto=http", None, None),
            ("for=203.0.113.9, x=\", for=198.51.100.7\"", None, None),
            ("for=198.51.100.7;for=203.0.113.9", None, None),
            ("for=198.51.100.7;host=a;host=b", None, None),
            ("for", None, None),
            ("for=", None, None),
            ("for=\"198.51.100.7", None, None),
            ("for=198.51.100.7 x", None, None),
            ("", None, None),
            (";;,", None, None),
        ] {
            let (found, found_host) = read(
                ForwardedFields::Forwarded,
                &[("Forwarded", value.as_bytes())],
            );
            assert_eq!(
                (found.as_deref(), found_host.as_deref()),
                (client, host),
                "{value}"
            );
        }
    }

    #[test]
    fn forwarded_that_cannot_be_read_hides_what_stands_before_it() {
        let fields = [
            ("Forwarded", &b"for=203.0.113.9"[..]),
            ("Forwarded", b"for=\"x"),
            ("Forwarded", b"for=198.51.100.7, for=10.0.0.2"),
        ];
        let (client, _) = read(ForwardedFields::Forwarded, &fields);
        assert_eq!(client.as_deref(), Some("198.51.100.7:0"));
        let (client, _) = read(ForwardedFields::Forwarded, &fields[..2]);
        assert_eq!(client, None);
        let (client, _) = read(ForwardedFields::Forwarded, &[("Forwarded", b"for=\xff")]);
        assert_eq!(client, None);
    }
}
