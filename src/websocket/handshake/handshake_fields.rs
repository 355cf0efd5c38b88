//! The fields of a request that the opening handshake needs, collected in one walk.

use crate::http::fields::Occurrence;
use crate::http::token::list_elements;
use crate::http::{Field, Fields};

/// The fields of §4.2.1, and Origin. `Host` and `Upgrade` are known to the reader of the head.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# Unknown header fields are ignored, as per [RFC2616].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HandshakeFields<'a> {
    pub(super) origin: Occurrence<'a>,
    pub(super) key: Occurrence<'a>,
    pub(super) version: Occurrence<'a>,
    /// `Connection` lists `upgrade`.
    pub(super) connection_lists_upgrade: bool,
    /// There is a `Sec-WebSocket-Protocol` field.
    pub(super) protocol: bool,
    /// There is a `Sec-WebSocket-Extensions` field.
    pub(super) extensions: bool,
}

impl<'a> HandshakeFields<'a> {
    pub(super) fn collect(fields: Fields<'a>) -> Self {
        let mut known = HandshakeFields::default();
        for field in fields.iter() {
            known.take(field);
        }
        known
    }

    /// Sorted by the length of the name, in which most fields differ.
    fn take(&mut self, field: Field<'a>) {
        let value = field.value();
        match field.name_bytes() {
            6 if field.is("Origin") => self.origin.add(value),
            10 if field.is("Connection") => self.connection_lists_upgrade |= lists_upgrade(value),
            17 if field.is("Sec-WebSocket-Key") => self.key.add(value),
            21 if field.is("Sec-WebSocket-Version") => self.version.add(value),
            22 if field.is("Sec-WebSocket-Protocol") => self.protocol = true,
            24 if field.is("Sec-WebSocket-Extensions") => self.extensions = true,
            _ => {}
        }
    }
}

fn lists_upgrade(value: &[u8]) -> bool {
    list_elements(value).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}
