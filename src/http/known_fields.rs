//! The fields of a request that HTTP itself acts on, collected in one walk over the lines.

use super::body_framing::{BodyFraming, InvalidFraming};
use super::content_length::ContentLength;
use super::expectation::Expectation;
use super::fields::{Field, Fields, Occurrence};
use super::persistence::ConnectionOptions;
use super::token::list_elements;
use super::transfer_coding::TransferCoding;
use super::version::HttpVersion;

/// The fields that decide where a request goes, where its body ends, and whether another
/// request may follow it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownFields<'a> {
    pub(super) host: Occurrence<'a>,
    pub(super) connection: ConnectionOptions,
    pub(super) expectation: Expectation,
    /// `Upgrade` lists `websocket`.
    pub(super) upgrade_lists_websocket: bool,
    content_length: ContentLength,
    transfer_coding: TransferCoding,
}

impl<'a> KnownFields<'a> {
    pub(super) fn collect(fields: Fields<'a>) -> Self {
        let mut known = KnownFields::default();
        for field in fields.iter() {
            known.take(field);
        }
        known
    }

    /// Sorted by the length of the name, in which most fields differ: one
    /// comparison of letters for each field, seldom two.
    fn take(&mut self, field: Field<'a>) {
        let value = field.value();
        match field.name_bytes() {
            4 if field.is("Host") => self.host.add(value),
            6 if field.is("Expect") => self.expectation.add(value),
            7 if field.is("Upgrade") => {
                self.upgrade_lists_websocket |= lists(value, b"websocket");
            }
            10 if field.is("Connection") => self.connection.add(value),
            14 if field.is("Content-Length") => self.content_length.add(value),
            17 if field.is("Transfer-Encoding") => self.transfer_coding.add(value),
            _ => {}
        }
    }

    /// How the end of the body is found.
    pub(super) fn body_framing(&self, version: HttpVersion) -> Result<BodyFraming, InvalidFraming> {
        BodyFraming::of_request(version, self.transfer_coding, self.content_length)
    }
}

fn lists(value: &[u8], token: &[u8]) -> bool {
    list_elements(value).any(|element| element.eq_ignore_ascii_case(token))
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
        assert!(known.upgrade_lists_websocket);
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
