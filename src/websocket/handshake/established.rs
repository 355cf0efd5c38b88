//! The checks of a server's response that opens the connection: the list of RFC 6455
//! §4.1, one rule after the other.

use super::accept_key::accept_key;
use super::agreement::Agreement;
use super::client_error::ClientHandshakeError;
use super::extensions;
use super::permessage_deflate;
use super::subprotocol;
use crate::http::fields::Occurrence;
use crate::http::received_response::ResponseHead;
use crate::http::{HttpResponse, OwnedFields};
use crate::websocket::connection::{Connection, MaskingKeys};
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use crate::websocket::limits::Limits;
use alloc::string::String;

/// The connection is open; WebSocket is spoken from here on.
///
/// ```
/// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
/// use yamabiko::websocket::{Event, Limits};
///
/// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
/// let mut handshake = ClientHandshake::new(&uri, *b"the sample nonce");
/// let mut bytes = *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\
///     \x81\x02hi";
/// let established = handshake.receive(&bytes)?.expect("the head is complete");
///
/// let masking_keys = || [1, 2, 3, 4]; // in a program: from a random source
/// let mut connection = established.connection(Limits::default(), masking_keys);
/// let mut input = &mut bytes[established.head_bytes..];
/// let event = connection.receive(&mut input, &mut Vec::new())?;
/// assert_eq!(event, Some(Event::Text("hi".into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Established {
    /// The subprotocol that the server chose, one of those offered. `None`:
    /// none is in use; it is for the caller to go on without or to close.
    pub subprotocol: Option<String>,
    /// What was agreed about permessage-deflate (RFC 7692 §7.1). `None`: it was
    /// not offered, or the server declined it; messages go uncompressed. A
    /// caller that does not want that closes with
    /// [`DEFLATE_REQUIRED`](super::DEFLATE_REQUIRED).
    pub deflate: Option<DeflateParameters>,
    /// The fields of the response.
    pub fields: OwnedFields,
    /// Where frames begin in the bytes that were handed in.
    pub head_bytes: usize,
    agreement: Option<Agreement>,
}

impl Established {
    /// The client's end of the connection, with all that was agreed on.
    pub fn connection(
        &self,
        limits: Limits,
        masking_keys: impl MaskingKeys + 'static,
    ) -> Connection {
        let connection = Connection::client(limits, masking_keys);
        match &self.agreement {
            Some(agreement) => agreement.apply(connection),
            None => connection,
        }
    }
}

/// What the client requested.
pub(super) struct Requested<'c> {
    pub(super) key: &'c str,
    pub(super) subprotocols: &'c [String],
    pub(super) deflate: Option<&'c DeflateConfig>,
    pub(super) deflate_pool: Option<&'c DeflatePool>,
}

impl Requested<'_> {
    /// Checks that this response opens the connection. Frames begin at `head_bytes`.
    pub(super) fn check(
        &self,
        head: &ResponseHead<'_>,
        head_bytes: usize,
    ) -> Result<Established, ClientHandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The client MUST validate the server's response as follows:
        check_status(head, head_bytes)?;
        check_upgrade(head)?;
        check_connection(head)?;
        self.check_accept(head)?;
        let deflate = self.extensions_in_use(head)?;
        let subprotocol = self.subprotocol_in_use(head)?;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the server's response is validated as provided for above, it is
        //# said that _The WebSocket Connection is Established_
        Ok(Established {
            subprotocol,
            deflate,
            fields: head.fields.into(),
            head_bytes,
            agreement: deflate.and_then(|agreed| self.agreement(agreed)),
        })
    }

    fn check_accept(&self, head: &ResponseHead<'_>) -> Result<(), ClientHandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# but ignoring any leading and trailing whitespace, the client MUST
        //# _Fail the WebSocket Connection_.
        match head.fields.once(ACCEPT) {
            Occurrence::Once(value) if value == accept_key(self.key) => Ok(()),
            Occurrence::Once(_) => Err(ClientHandshakeError::WrongAccept),
            Occurrence::Absent => Err(ClientHandshakeError::MissingAccept),
            Occurrence::Repeated => Err(ClientHandshakeError::RepeatedField(ACCEPT)),
        }
    }

    /// permessage-deflate is the only extension that can be offered.
    fn extensions_in_use(
        &self,
        head: &ResponseHead<'_>,
    ) -> Result<Option<DeflateParameters>, ClientHandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The _Extensions In Use_ is defined to be a (possibly empty) string
        if head.fields.get(extensions::FIELD).is_none() {
            return Ok(None);
        }
        extensions::check(head.fields).map_err(|_| ClientHandshakeError::MalformedExtensions)?;
        permessage_deflate::agreed_in_response(extensions::listed(head.fields), self.deflate)
    }

    fn agreement(&self, agreed: DeflateParameters) -> Option<Agreement> {
        let pool = self.deflate_pool?.clone();
        Some(Agreement::new(agreed, self.deflate.copied(), pool))
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The _Subprotocol In Use_ is defined to be the value of the
    //# |Sec-WebSocket-Protocol| header field in the server's handshake
    fn subprotocol_in_use(
        &self,
        head: &ResponseHead<'_>,
    ) -> Result<Option<String>, ClientHandshakeError> {
        let value = match head.fields.once(subprotocol::FIELD) {
            Occurrence::Absent => return Ok(None),
            Occurrence::Once(value) => value,
            Occurrence::Repeated => {
                return Err(ClientHandshakeError::RepeatedField(subprotocol::FIELD));
            }
        };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# (the server has indicated a subprotocol not requested by the
        //# client), the client MUST _Fail the WebSocket Connection_.
        self.subprotocols
            .iter()
            .find(|name| name.as_bytes() == value)
            .map(|name| Some(name.clone()))
            .ok_or(ClientHandshakeError::UnrequestedSubprotocol)
    }
}

fn check_status(head: &ResponseHead<'_>, head_bytes: usize) -> Result<(), ClientHandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the status code received from the server is not 101, the client
    //# handles the response per HTTP [RFC2616] procedures.
    if head.line.status != 101 {
        let response = HttpResponse::of(head, head_bytes);
        return Err(ClientHandshakeError::NotSwitched(response));
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the server's response does not conform to the requirements for the
    //# server's handshake as defined in this section and in Section 4.2.2, the
    //# client MUST _Fail the WebSocket Connection_.
    if head.line.is_http10 {
        return Err(ClientHandshakeError::OldHttpVersion);
    }
    Ok(())
}

/// Unlike a request's, this field has one value: the protocol that is spoken
/// from here on.
fn check_upgrade(head: &ResponseHead<'_>) -> Result<(), ClientHandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# match for the value "websocket", the client MUST _Fail the WebSocket
    //# Connection_.
    match head.fields.once("Upgrade") {
        Occurrence::Once(value) if value.eq_ignore_ascii_case(b"websocket") => Ok(()),
        _ => Err(ClientHandshakeError::UpgradeIsNotWebSocket),
    }
}

fn check_connection(head: &ResponseHead<'_>) -> Result<(), ClientHandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# match for the value "Upgrade", the client MUST _Fail the WebSocket
    //# Connection_.
    let mut options = head.fields.list("Connection");
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return Err(ClientHandshakeError::ConnectionIsNotUpgrade);
    }
    Ok(())
}

const ACCEPT: &str = "Sec-WebSocket-Accept";
