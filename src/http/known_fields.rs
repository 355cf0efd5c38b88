//! The fields of a request that HTTP and the opening handshake of a WebSocket act on, collected
//! as the lines come.
//!
//! HTTP gives the handshake's fields no meaning: `websocket/handshake/upgrade.rs` does. They
//! are collected here because a walk of their own would take as long as this one.

use super::body_framing::{BodyFraming, InvalidFraming};
use super::content_length::ContentLength;
use super::expectation::Expectation;
use super::fields::{Field, Fields, Occurrence};
use super::persistence::ConnectionOptions;
use super::token::{is_same, list_elements};
use super::transfer_coding::TransferCoding;
use super::version::HttpVersion;

/// The fields that decide where a request goes, where its body ends, and whether another
/// request may follow it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownFields<'a> {
    pub(super) host: Occurrence<'a>,
    pub(super) connection: ConnectionOptions,
    pub(super) expectation: Expectation,
    pub(super) handshake: HandshakeFields<'a>,
    content_length: ContentLength,
    transfer_coding: TransferCoding,
}

/// The fields of an opening handshake (RFC 6455 §4.2.1), but for Host.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# Unknown header fields are ignored, as per [RFC2616].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HandshakeFields<'a> {
    pub(crate) origin: Occurrence<'a>,
    pub(crate) key: Occurrence<'a>,
    pub(crate) version: Occurrence<'a>,
    /// `Upgrade` lists `websocket`.
    pub(crate) upgrade_lists_websocket: bool,
    /// There is a `Sec-WebSocket-Protocol` field.
    pub(crate) protocol: bool,
    /// There is a `Sec-WebSocket-Extensions` field.
    pub(crate) extensions: bool,
}

impl<'a> KnownFields<'a> {
    pub(super) fn collect(fields: Fields<'a>) -> Self {
        let mut known = KnownFields::default();
        for field in fields.iter() {
            known.take(field);
        }
        known
    }

    #[inline]
    pub(super) fn take(&mut self, field: Field<'a>) {
        let value = field.value();
        let handshake = &mut self.handshake;
        match field.name_key() {
            (4, b'h') if field.is_lower(b"host") => self.host.add(value),
            (6, b'e') if field.is_lower(b"expect") => self.expectation.add(value),
            (6, b'o') if field.is_lower(b"origin") => handshake.origin.add(value),
            (7, b'u') if field.is_lower(b"upgrade") => {
                handshake.upgrade_lists_websocket |=
                    is_same(value, b"websocket") || lists_websocket(value);
            }
            (10, b'c') if field.is_lower(b"connection") => self.connection.add(value),
            (14, b'c') if field.is_lower(b"content-length") => self.content_length.add(value),
            (17, b's') if field.is_lower(b"sec-websocket-key") => handshake.key.add(value),
            (17, b't') if field.is_lower(b"transfer-encoding") => self.transfer_coding.add(value),
            (21, b's') if field.is_lower(b"sec-websocket-version") => handshake.version.add(value),
            (22, b's') if field.is_lower(b"sec-websocket-protocol") => handshake.protocol = true,
            (24, b's') if field.is_lower(b"sec-websocket-extensions") => {
                handshake.extensions = true;
            }
            _ => {}
        }
    }

    /// How the end of the body is found.
    pub(super) fn body_framing(&self, version: HttpVersion) -> Result<BodyFraming, InvalidFraming> {
        BodyFraming::of_request(version, self.transfer_coding, self.content_length)
    }
}

// Out of the way of the other fields, and of the value that nearly all clients send.
#[inline(never)]
fn lists_websocket(value: &[u8]) -> bool {
    list_elements(value).any(|name| is_same(name, b"websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(lines: &str) -> KnownFields<'_> {
        KnownFields::collect(Fields::of_checked_lines(lines.as_bytes()))
    }

    #[test]
    fn names_and_tokens_match_in_any_case() {
        let known = known("HOST: a\r\nupgrade: x, WebSocket\r\nEXPECT: 100-Continue\r\n");
        assert_eq!(known.host, Occurrence::Once(b"a"));
        assert!(known.handshake.upgrade_lists_websocket);
        assert_eq!(known.expectation, Expectation::Continue);
    }

    #[test]
    fn fields_with_similar_names_are_not_known() {
        let known = known("Hosts: a\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n");
        assert_eq!(known.host, Occurrence::Absent);
        let framing = known.body_framing(HttpVersion::Http11);
        assert_eq!(framing, Ok(BodyFraming::Length(0)));
    }
}
