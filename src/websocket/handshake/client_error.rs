//! Why a client does not go on after the server's response (RFC 6455 §4.1).

use crate::http::{HeadError, HttpResponse};
use core::fmt;

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
//# If the WebSocket connection could not be established, it is also said
//# that _The WebSocket Connection is Closed_, but not _cleanly_.
/// Why the server's response does not open a WebSocket connection (§4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The bytes are not the head of an HTTP/1 response, or exceed the limits.
    Malformed(HeadError),
    /// An HTTP response other than 101.
    NotSwitched(HttpResponse),
    /// 101 in HTTP/1.0, which has no Upgrade.
    OldHttpVersion,
    /// The Upgrade field is missing, or its value is not `websocket`.
    UpgradeIsNotWebSocket,
    /// No Connection field lists `upgrade`.
    ConnectionIsNotUpgrade,
    /// There is no Sec-WebSocket-Accept.
    MissingAccept,
    /// Sec-WebSocket-Accept does not match the key that was sent.
    WrongAccept,
    /// A duplicate of a field that must be there once.
    RepeatedField(&'static str),
    /// Sec-WebSocket-Extensions breaks its grammar (§9.1).
    MalformedExtensions,
    /// The server uses an extension that was not offered.
    UnrequestedExtension,
    /// permessage-deflate is accepted twice.
    RepeatedExtension,
    /// permessage-deflate is accepted with a parameter that it does not have
    /// (RFC 7692 §7).
    UnknownExtensionParameter,
    /// A duplicate of this parameter of permessage-deflate (RFC 7692 §7).
    RepeatedExtensionParameter(&'static str),
    /// This parameter of permessage-deflate lacks its value, has one that it
    /// must not have, or one that is none of 8 to 15 (RFC 7692 §7).
    InvalidExtensionParameter(&'static str),
    /// The server was asked for `server_no_context_takeover` and does not agree
    /// to it (RFC 7692 §7.1.1.1).
    ServerContextTakeover,
    /// The server compresses with a larger window than it was asked for (RFC
    /// 7692 §7.1.2.1).
    ServerWindowTooLarge,
    /// The server has chosen a subprotocol that was not offered.
    UnrequestedSubprotocol,
}

impl From<HeadError> for ClientHandshakeError {
    fn from(error: HeadError) -> Self {
        ClientHandshakeError::Malformed(error)
    }
}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ClientHandshakeError as Error;
        formatter.write_str(match self {
            Error::Malformed(error) => {
                return write!(formatter, "the server's response is malformed: {error}");
            }
            Error::NotSwitched(response) => {
                return write!(
                    formatter,
                    "the server answers {} instead of 101",
                    response.status
                );
            }
            Error::RepeatedField(name) => {
                return write!(formatter, "duplicate {name} in the server's response");
            }
            Error::RepeatedExtensionParameter(name) => {
                return write!(
                    formatter,
                    "permessage-deflate is accepted with {name} twice (RFC 7692 §7)"
                );
            }
            Error::InvalidExtensionParameter(name) => {
                return write!(
                    formatter,
                    "permessage-deflate is accepted with an invalid {name} (RFC 7692 §7.1)"
                );
            }
            Error::OldHttpVersion => "the server switches protocols in HTTP/1.0",
            Error::UpgradeIsNotWebSocket => "the server does not switch to websocket (§4.1)",
            Error::ConnectionIsNotUpgrade => "Connection does not list upgrade (§4.1)",
            Error::MissingAccept => "Sec-WebSocket-Accept is missing (§4.1)",
            Error::WrongAccept => "Sec-WebSocket-Accept does not match the key (§4.1)",
            Error::MalformedExtensions => "Sec-WebSocket-Extensions is malformed (§9.1)",
            Error::UnrequestedExtension => "the server uses an extension not offered (§4.1)",
            Error::RepeatedExtension => "permessage-deflate is accepted twice (RFC 7692 §5)",
            Error::UnknownExtensionParameter => {
                "permessage-deflate is accepted with an unknown parameter (RFC 7692 §7)"
            }
            Error::ServerContextTakeover => {
                "the server does not agree to server_no_context_takeover (RFC 7692 §7.1.1.1)"
            }
            Error::ServerWindowTooLarge => {
                "the server compresses with a larger window than asked (RFC 7692 §7.1.2.1)"
            }
            Error::UnrequestedSubprotocol => "the server chose a subprotocol not offered (§4.1)",
        })
    }
}

/// The cause that `Display` does not tell.
impl core::error::Error for ClientHandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ClientHandshakeError::Malformed(error) => error.source(),
            _ => None,
        }
    }
}
