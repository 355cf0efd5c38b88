//! The header of the PROXY protocol, versions 1 and 2: what a proxy that works below HTTP sends in front of a connection's bytes.
//!
//! ```text
//!   version 1    PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n           at most 107 bytes
//!
//!   version 2    0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a      the signature, 12 bytes
//!                21                                       version 2, command PROXY (20: LOCAL)
//!                11                                       IPv4 over TCP (21: IPv6, 00: unknown)
//!                00 0c                                    bytes that follow
//!                source, destination                      4 bytes each, or 16
//!                source port, destination port            2 bytes each
//!                type, length (2 bytes), value ...        further values: a checksum (type 03) is compared, others are skipped
//! ```
//!
//! The parser is a function of the bytes that have come. Nothing is repaired: whatever is not one of these two forms
//! is an error, at the first byte that no header has in its place.

use super::crc32c::crc32c;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header of the PROXY protocol tells.
///
/// ```
/// use yamabiko::proxy::{InvalidHeader, ProxyHeader};
///
/// let bytes = b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\nGET / HTTP/1.1\r\n";
/// let (header, header_bytes) = ProxyHeader::parse(bytes)?.expect("it is whole");
/// assert_eq!(header.source, Some("198.51.100.7:4711".parse().unwrap()));
/// assert_eq!(&bytes[header_bytes..][..3], b"GET");
/// assert_eq!(ProxyHeader::parse(&bytes[..20])?, None); // more bytes are needed
/// assert!(ProxyHeader::parse(b"GET / HTTP/1.1").is_err());
/// # Ok::<(), InvalidHeader>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// The address of the client. `None`: the proxy does not know it, or the connection is its own, for instance to see whether the
    /// server is alive.
    pub source: Option<SocketAddr>,
}

/// The bytes are no header of the PROXY protocol: the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    reason: &'static str,
}

impl ProxyHeader {
    /// The most bytes that a header may have: of version 2, with 4 KiB behind its fixed part. Longer ones are refused.
    pub const BYTES_MAX: usize = FIXED_BYTES + BODY_BYTES_MAX;

    /// Reads the bytes that have come since the connection began. Returns the header and its length; `None`: more bytes are needed.
    ///
    /// # Errors
    /// They are not the beginning of a header.
    pub fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, InvalidHeader> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => parse_text(bytes),
            Some(_) => parse_binary(bytes),
        }
    }
}

const INVALID: InvalidHeader = InvalidHeader {
    reason: "no header of the PROXY protocol",
};

/// Version 1.
fn parse_text(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, InvalidHeader> {
    let begins = bytes.len().min(BEGINNING.len());
    if bytes[..begins] != BEGINNING[..begins] {
        return Err(INVALID);
    }
    let line = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let text_bytes = line.iter().position(|byte| *byte == b'\r');
    let (text, line_end) = line.split_at(text_bytes.unwrap_or(line.len()));
    let Some(text) = printable(text) else {
        return Err(INVALID);
    };
    match line_end {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] if line.len() < LINE_BYTES_MAX => return Ok(None),
        _ => return Err(INVALID),
    }
    let header_bytes = text.len() + 2;
    let text = text.get(BEGINNING.len()..).ok_or(INVALID)?;
    let source = parse_line(text)?;
    Ok(Some((ProxyHeader { source }, header_bytes)))
}

/// The bytes as text, if all of them are printable ASCII.
fn printable(bytes: &[u8]) -> Option<&str> {
    let is_printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    core::str::from_utf8(bytes).ok().filter(|_| is_printable)
}

/// What stands behind `PROXY `.
fn parse_line(text: &str) -> Result<Option<SocketAddr>, InvalidHeader> {
    let mut words = text.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let mut next = || words.next().ok_or(INVALID);
    let (source, destination, source_port, destination_port) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(INVALID);
    }
    let address = |text: &str| -> Result<IpAddr, InvalidHeader> {
        match family {
            Some("TCP4") => text.parse().map(IpAddr::V4).map_err(|_| INVALID),
            Some("TCP6") => text.parse().map(IpAddr::V6).map_err(|_| INVALID),
            _ => Err(INVALID),
        }
    };
    address(destination)?;
    port(destination_port)?;
    Ok(Some(SocketAddr::new(address(source)?, port(source_port)?)))
}

/// Decimal digits, the first of them not 0 unless it is the only one.
fn port(text: &str) -> Result<u16, InvalidHeader> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || text.len() > 1 && text.starts_with('0') {
        return Err(INVALID);
    }
    text.parse().map_err(|_| INVALID)
}

/// Version 2.
fn parse_binary(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, InvalidHeader> {
    let begins = bytes.len().min(SIGNATURE.len());
    if bytes[..begins] != SIGNATURE[..begins] {
        return Err(INVALID);
    }
    let is_local = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(INVALID),
    };
    let Some(&family) = bytes.get(13) else {
        return Ok(None);
    };
    let Some(&[high, low]) = bytes.get(14..16) else {
        return Ok(None);
    };
    let body_bytes = usize::from(u16::from_be_bytes([high, low]));
    let address_bytes = match family {
        // Unknown, and a Unix socket on the proxy's side.
        0x00 => 0,
        0x31 => 216,
        0x11 => 12,
        0x21 => 36,
        // What a proxy says of a connection of its own does not matter.
        _ if is_local => 0,
        _ => return Err(INVALID),
    };
    if !(address_bytes..=BODY_BYTES_MAX).contains(&body_bytes) && !is_local
        || body_bytes > BODY_BYTES_MAX
    {
        return Err(INVALID);
    }
    let header_bytes = FIXED_BYTES + body_bytes;
    let Some(body) = bytes.get(FIXED_BYTES..header_bytes) else {
        return Ok(None);
    };
    let source = match is_local {
        true => None,
        false => {
            let (addresses, values) = body.split_at(address_bytes);
            check_values(values, &bytes[..header_bytes])?;
            source(addresses)
        }
    };
    Ok(Some((ProxyHeader { source }, header_bytes)))
}

fn source(addresses: &[u8]) -> Option<SocketAddr> {
    match addresses.len() {
        12 => {
            let ip: [u8; 4] = addresses[..4].try_into().ok()?;
            let port = u16::from_be_bytes(addresses[8..10].try_into().ok()?);
            Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port))
        }
        36 => {
            let ip: [u8; 16] = addresses[..16].try_into().ok()?;
            let port = u16::from_be_bytes(addresses[32..34].try_into().ok()?);
            Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port))
        }
        _ => None,
    }
}

/// Further values fill the rest of the header exactly. A checksum among them is that of the header.
fn check_values(values: &[u8], header: &[u8]) -> Result<(), InvalidHeader> {
    let mut rest = values;
    while !rest.is_empty() {
        let Some(&[kind, high, low]) = rest.get(..3) else {
            return Err(INVALID);
        };
        let bytes = usize::from(u16::from_be_bytes([high, low]));
        let behind = rest.get(3 + bytes..).ok_or(INVALID)?;
        if kind == CHECKSUM {
            check_checksum(&rest[3..3 + bytes], header, header.len() - rest.len() + 3)?;
        }
        rest = behind;
    }
    Ok(())
}

/// `at`: where the checksum lies in the header. It is computed with zeros in its place.
fn check_checksum(value: &[u8], header: &[u8], at: usize) -> Result<(), InvalidHeader> {
    let expected: [u8; 4] = value.try_into().map_err(|_| INVALID)?;
    let computed = crc32c(&[&header[..at], &[0; 4], &header[at + 4..]]);
    match u32::from_be_bytes(expected) == computed {
        true => Ok(()),
        false => Err(INVALID),
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl core::error::Error for InvalidHeader {}

const BEGINNING: &[u8] = b"PROXY ";
/// With its line end.
const LINE_BYTES_MAX: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
/// The type of a value that is the CRC-32C of the header.
const CHECKSUM: u8 = 0x03;
/// The addresses take 216 at most; certificates of TLS may follow.
const BODY_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("a short body");
        [SIGNATURE, &[command, family], &length.to_be_bytes(), body].concat()
    }

    fn source_of(bytes: &[u8]) -> Result<Option<alloc::string::String>, InvalidHeader> {
        let whole = ProxyHeader::parse(bytes)?;
        let (header, header_bytes) = whole.expect("it is whole");
        assert_eq!(header_bytes, bytes.len());
        Ok(header.source.map(|source| alloc::format!("{source}")))
    }

    const IPV4: [u8; 12] = [198, 51, 100, 7, 203, 0, 113, 1, 0x12, 0x67, 1, 0xbb];

    #[test]
    fn checksum_is_compared_wherever_it_lies_and_has_four_bytes() {
        let other = [4, 0, 1, 9];
        for (before, after) in [(&[][..], &[][..]), (&other, &other), (&[], &other)] {
            let zeros = [&IPV4[..], before, &[3, 0, 4, 0, 0, 0, 0], after].concat();
            let mut bytes = version_2(0x21, 0x11, &zeros);
            let at = FIXED_BYTES + IPV4.len() + before.len() + 3;
            let checksum = crc32c(&[&bytes]).to_be_bytes();
            bytes[at..at + 4].copy_from_slice(&checksum);
            assert_eq!(
                source_of(&bytes).expect("valid").as_deref(),
                Some("198.51.100.7:4711")
            );
            // One bit of the addresses, and one of the checksum.
            for damaged in [FIXED_BYTES, at + 3] {
                let mut bytes = bytes.clone();
                bytes[damaged] ^= 1;
                assert_eq!(ProxyHeader::parse(&bytes), Err(INVALID));
            }
        }
        for value in [
            &[3, 0, 3, 0, 0, 0][..],
            &[3, 0, 5, 0, 0, 0, 0, 0],
            &[3, 0, 0],
        ] {
            let bytes = version_2(0x21, 0x11, &[&IPV4[..], value].concat());
            assert_eq!(ProxyHeader::parse(&bytes), Err(INVALID), "{value:?}");
        }
    }

    fn ipv6() -> [u8; 36] {
        let mut body = [0; 36];
        body[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        body[15] = 1;
        body[32..34].copy_from_slice(&[0x12, 0x67]);
        body
    }

    #[test]
    fn source_is_read_from_both_versions_and_families() {
        let v4 = "198.51.100.7:4711";
        let v6 = "[2001:db8::1]:4711";
        let with_values = [&IPV4[..], &[4, 0, 1, 9, 0x20, 0, 0]].concat();
        for (bytes, source) in [
            (
                b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n".to_vec(),
                Some(v4),
            ),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 0\r\n".to_vec(), Some(v6)),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 what ever 1 2\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &IPV4), Some(v4)),
            (version_2(0x21, 0x21, &ipv6()), Some(v6)),
            (version_2(0x21, 0x11, &with_values), Some(v4)),
            (version_2(0x21, 0x00, &[]), None),
            (version_2(0x21, 0x00, &[4, 0, 1, 9]), None),
            (version_2(0x21, 0x31, &[0; 216]), None),
            (version_2(0x20, 0x00, &[]), None),
            (version_2(0x20, 0x11, &IPV4), None),
            (version_2(0x20, 0x77, b"what ever"), None),
        ] {
            assert_eq!(source_of(&bytes), Ok(source.map(Into::into)), "{bytes:?}");
        }
    }

    #[test]
    fn header_that_is_not_of_the_form_is_an_error() {
        let text = |text: &str| text.as_bytes().to_vec();
        for bytes in [
            text("GET / HTTP/1.1\r\n"),
            text("POST / HTTP/1.1\r\n"),
            text("PROXY\r\n"),
            text("PROXY \r\n"),
            text("proxy TCP4 198.51.100.7 203.0.113.1 1 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 1\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 1 2 3\r\n"),
            text("PROXY TCP4  198.51.100.7 203.0.113.1 1 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 1 2 \r\n"),
            text("PROXY TCP4 ::1 203.0.113.1 1 2\r\n"),
            text("PROXY TCP6 198.51.100.7 ::1 1 2\r\n"),
            text("PROXY TCP4 198.51.100.7 x 1 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 01 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 +1 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 65536 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1  2\r\n"),
            text("PROXY UDP4 198.51.100.7 203.0.113.1 1 2\r\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 1 2\n"),
            text("PROXY TCP4 198.51.100.7 203.0.113.1 1 2\rx"),
            text("PROXY \u{e9}"),
            text("PROXY UNKNOWN \u{e9}\r\n"),
            text("PROXY UNKNOWN\n\r\n"),
            text("PROXY UNKNOWN \0\r\n"),
            version_2(0x11, 0x11, &IPV4),
            version_2(0x22, 0x11, &IPV4),
            version_2(0x21, 0x12, &IPV4),
            version_2(0x21, 0x41, &IPV4),
            version_2(0x21, 0x11, &IPV4[..11]),
            version_2(0x21, 0x21, &IPV4),
            version_2(0x21, 0x11, &[&IPV4[..], &[4, 0]].concat()),
            version_2(0x21, 0x11, &[&IPV4[..], &[4, 0, 2, 9]].concat()),
            b"\r\n\r\n\0\r\nQUIX".to_vec(),
            b"\x16\x03\x01".to_vec(),
            vec![0],
        ] {
            assert!(
                ProxyHeader::parse(&bytes).is_err(),
                "{:?}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn header_at_its_maximum_is_read_and_one_byte_past_it_is_an_error() {
        let longest = "PROXY UNKNOWN ".len() + 2;
        let line =
            |bytes: usize| alloc::format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - longest));
        assert_eq!(source_of(line(107).as_bytes()), Ok(None));
        assert!(ProxyHeader::parse(line(108).as_bytes()).is_err());
        assert_eq!(ProxyHeader::parse(&line(107).as_bytes()[..106]), Ok(None));
        // Without a line end it is refused when no more can come.
        assert!(ProxyHeader::parse(&[b"PROXY ", &[b'x'; 101][..]].concat()).is_err());
        let value = |bytes: usize| {
            let length = u16::try_from(bytes - 15).expect("a length").to_be_bytes();
            let body = [&IPV4[..], &[4], &length, &vec![0; bytes - 15]].concat();
            version_2(0x21, 0x11, &body)
        };
        let longest = value(4096);
        assert_eq!(longest.len(), ProxyHeader::BYTES_MAX);
        assert!(source_of(&longest).is_ok());
        // By its length alone.
        assert!(ProxyHeader::parse(&value(4097)[..16]).is_err());
        let mut local = version_2(0x20, 0x00, &[]);
        local[14..16].copy_from_slice(&[0xff, 0xff]);
        assert!(ProxyHeader::parse(&local).is_err());
    }

    #[test]
    fn beginning_of_a_header_is_no_error_and_what_follows_one_is_not_read() {
        let text = b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n".to_vec();
        let unknown = b"PROXY UNKNOWN\r\n".to_vec();
        for header in [
            text,
            unknown,
            version_2(0x21, 0x11, &IPV4),
            version_2(0x20, 0, &[]),
        ] {
            for end in 0..header.len() {
                assert_eq!(ProxyHeader::parse(&header[..end]), Ok(None), "{end}");
            }
            let whole = ProxyHeader::parse(&header);
            for tail in [&b"PROXY TCP4"[..], b"\r\n", b"\xff"] {
                assert_eq!(ProxyHeader::parse(&[&header, tail].concat()), whole);
            }
        }
    }
}
