//! `uri-host [ ":" port ]`: the value of Host, and the authority of a URI
//! without user information (RFC 3986 §3.2, RFC 9110 §7.2).
//!
//! ```text
//!   example.com:8080     192.0.2.1     [2001:db8::1]:443     example.com:
//! ```

use super::token::{find, is_token_byte};
// An address is only recognised here, never connected to.
use core::net::Ipv6Addr;

/// A host that is not empty, and a port if one is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// With its brackets if it is an IPv6 address.
    pub(crate) host: &'a str,
    /// `None` also where the colon is followed by nothing.
    pub(crate) port: Option<u16>,
}

/// Why a text is no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidAuthority {
    Host,
    Port,
}

impl<'a> Authority<'a> {
    /// User information, an empty host, a character that does not belong into
    /// a host, a zone or future form of IP address, and a port that is no
    /// 16-bit number are refused.
    pub(crate) fn parse(text: &'a str) -> Result<Self, InvalidAuthority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(bracketed) => split_ip_literal(text, bracketed)?,
            None => split_name(text)?,
        };
        let port = parse_port(port)?;
        Ok(Authority { host, port })
    }
}

/// Is this a percent sign and two hexadecimal digits wherever a percent sign
/// stands?
pub(crate) fn percent_encoding_is_valid(text: &str) -> bool {
    !text.as_bytes().contains(&b'%')
        || text.split('%').skip(1).all(|rest| {
            let digits = rest.as_bytes().get(..2).unwrap_or_default();
            digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
        })
}

fn split_ip_literal<'a>(
    text: &'a str,
    bracketed: &'a str,
) -> Result<(&'a str, Option<&'a str>), InvalidAuthority> {
    let (address, rest) = bracketed.split_once(']').ok_or(InvalidAuthority::Host)?;
    if address.parse::<Ipv6Addr>().is_err() {
        return Err(InvalidAuthority::Host);
    }
    let host = &text[..text.len() - rest.len()];
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(InvalidAuthority::Host),
        port => Ok((host, port)),
    }
}

fn split_name(text: &str) -> Result<(&str, Option<&str>), InvalidAuthority> {
    let (host, rest) = split_host(text).ok_or(InvalidAuthority::Host)?;
    match rest.strip_prefix(':') {
        _ if host.is_empty() => Err(InvalidAuthority::Host),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(InvalidAuthority::Host),
        port => Ok((host, port)),
    }
}

/// Splits behind the last byte that may be in a name. `None`: a percent sign without two digits.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let plain_bytes = count_while(text, is_name_byte);
    if text.as_bytes().get(plain_bytes) != Some(&b'%') {
        return text.split_at_checked(plain_bytes);
    }
    let host_bytes = count_while(text, |byte| byte == b'%' || is_name_byte(byte));
    let (host, rest) = text.split_at_checked(host_bytes)?;
    percent_encoding_is_valid(host).then_some((host, rest))
}

fn count_while(text: &str, matches: impl Fn(u8) -> bool) -> usize {
    find(text.as_bytes(), |byte| !matches(byte)).unwrap_or(text.len())
}

fn parse_port(digits: Option<&str>) -> Result<Option<u16>, InvalidAuthority> {
    match digits {
        None | Some("") => Ok(None),
        // `parse` alone would take a plus sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| InvalidAuthority::Port)
        }
        Some(_) => Err(InvalidAuthority::Port),
    }
}

/// `reg-name = *( unreserved / pct-encoded / sub-delims )`, but for the percent sign: the
/// characters of a token without five of them, and five that are separators in HTTP.
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x7F {
        let mark = matches!(byte, b'(' | b')' | b',' | b';' | b'=');
        let is_name_byte = is_token_byte(byte) && !matches!(byte, b'#' | b'%' | b'^' | b'`' | b'|');
        table[byte as usize] = mark || is_name_byte;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_is_a_host_and_perhaps_a_port() {
        let table = [
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("EXAMPLE.com:8080", "EXAMPLE.com", Some(8080)),
            ("a_b~c!$&'()*+,;=%41:1", "a_b~c!$&'()*+,;=%41", Some(1)),
            ("192.0.2.1:65535", "192.0.2.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:0080", "[2001:db8::1]", Some(80)),
        ];
        for (text, host, port) in table {
            assert_eq!(
                Authority::parse(text),
                Ok(Authority { host, port }),
                "{text}"
            );
        }
    }

    #[test]
    fn authority_with_a_wrong_host_is_refused() {
        let table = [
            "",
            ":80",
            "user@host",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "a<b",
            "a[b",
            "a^b",
            "a|b",
            "a{b",
            "a%4",
            "a%zz",
            "a%",
            "::1",
            "[::1",
            "[]",
            "[::1]a",
            "[v1.a]",
            "[fe80::1%25a]",
            "[1.2.3.4]",
            "caf\u{e9}",
            "a,b@c",
        ];
        for text in table {
            assert_eq!(
                Authority::parse(text),
                Err(InvalidAuthority::Host),
                "{text}"
            );
        }
    }

    #[test]
    fn authority_with_a_wrong_port_is_refused() {
        for text in ["a:b", "a:+1", "a:-1", "a:65536", "a:1:2", "a: 1", "[::1]:x"] {
            assert_eq!(
                Authority::parse(text),
                Err(InvalidAuthority::Port),
                "{text}"
            );
        }
    }
}
