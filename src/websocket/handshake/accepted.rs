//! The response that opens a WebSocket connection, and the connection that follows it
//! (RFC 6455 §4.2.2).
//!
//! ```text
//!   Upgrade ─ accept(AcceptOptions) ─► Accepted ─┬─ write_response ─► 101, as bytes
//!                                                ├─ fields ─────────► 101, for another HTTP stack
//!                                                └─ connection ─────► Connection
//! ```
//!
//! [`AcceptOptions`] has what the server wants; [`Accepted`] what is agreed on. Both the
//! response and the connection are made of the agreement, so that they cannot contradict
//! each other. An allocation is made for a subprotocol, and for fields of the caller.

use super::agreement::Agreement;
use super::extensions;
use super::permessage_deflate::Parameters;
use super::subprotocol;
use crate::http::InvalidField;
use crate::http::added_fields::AddedFields;
use crate::http::debug::TextOrBytes;
#[cfg(feature = "http")]
use crate::http::http_types;
use crate::http::response::write_field;
use crate::websocket::connection::Connection;
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use crate::websocket::limits::Limits;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// What a server wants of the connection that it accepts. The default: no subprotocol, no
/// compression, no further field.
///
/// ```
/// use yamabiko::websocket::deflate::{DeflateConfig, DeflatePool};
/// use yamabiko::websocket::handshake::AcceptOptions;
///
/// let pool = DeflatePool::default(); // for all connections of a thread
/// let options = AcceptOptions::default()
///     .subprotocols(&["chat.v2", "chat.v1"])
///     .deflate(DeflateConfig::default())
///     .deflate_pool(&pool)
///     .field("Set-Cookie", "session=51d2; HttpOnly")?;
/// # drop(options);
/// # Ok::<(), yamabiko::websocket::handshake::InvalidField>(())
/// ```
#[derive(Clone, Default)]
pub struct AcceptOptions<'o> {
    pub(super) subprotocol: SubprotocolChoice<'o>,
    pub(super) deflate: Option<DeflateWanted>,
    pub(super) deflate_pool: Option<DeflatePool>,
    pub(super) fields: AddedFields,
}

/// Which subprotocol the server chooses.
#[derive(Clone, Copy, Debug)]
pub(super) enum SubprotocolChoice<'o> {
    /// This one, or none.
    Chosen(Option<&'o str>),
    /// The first of these that the client offers, if it offers one.
    FirstOf(&'o [&'o str]),
}

impl Default for SubprotocolChoice<'_> {
    fn default() -> Self {
        SubprotocolChoice::Chosen(None)
    }
}

/// How the server wants to compress.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeflateWanted {
    pub(super) config: DeflateConfig,
    /// To be agreed on instead of those that the configuration leads to.
    pub(super) parameters: Option<DeflateParameters>,
    pub(super) inflates_only: bool,
}

impl<'o> AcceptOptions<'o> {
    /// Chooses the first of these subprotocols that the client offers, and none if it
    /// offers none of them.
    #[must_use]
    pub fn subprotocols(mut self, supported: &'o [&'o str]) -> Self {
        self.subprotocol = SubprotocolChoice::FirstOf(supported);
        self
    }

    /// Chooses this subprotocol, or none. The handshake is not accepted if the client does
    /// not offer it.
    #[must_use]
    pub fn subprotocol(mut self, chosen: Option<&'o str>) -> Self {
        self.subprotocol = SubprotocolChoice::Chosen(chosen);
        self
    }

    /// Accepts permessage-deflate if the client offers it, with the parameters of
    /// [`Upgrade::choose_deflate`](super::Upgrade::choose_deflate). The connection
    /// compresses as `config` says.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(DeflateWanted {
            config,
            parameters: None,
            inflates_only: false,
        });
        self
    }

    /// As [`AcceptOptions::deflate`], with these parameters. The handshake is not accepted
    /// if none of the client's offers allows them.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_with(self, parameters: DeflateParameters, config: DeflateConfig) -> Self {
        let mut options = self.deflate(config);
        if let Some(wanted) = &mut options.deflate {
            wanted.parameters = Some(parameters);
        }
        options
    }

    /// As [`AcceptOptions::deflate`], for a server that compresses by other means, such as
    /// a [`MessageDeflater`](crate::websocket::MessageDeflater) for many connections: the
    /// connection only inflates, and sends messages as they are.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn inflate_only(self, config: DeflateConfig) -> Self {
        let mut options = self.deflate(config);
        if let Some(wanted) = &mut options.deflate {
            wanted.inflates_only = true;
        }
        options
    }

    /// Shares a pool of compressors and decompressors with other connections. If not set,
    /// the connection has a pool of its own.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_pool(mut self, pool: &DeflatePool) -> Self {
        self.deflate_pool = Some(pool.clone());
        self
    }

    /// Adds a field to the response, for instance Set-Cookie.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it could not be a line of its own, or if the handshake sets it
    /// itself: Connection, Upgrade, Content-Length, Transfer-Encoding and all that begin
    /// with `Sec-WebSocket-`.
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidField> {
        self.fields
            .add(name.into(), value.into(), is_set_by_handshake)?;
        Ok(self)
    }
}

/// A handshake that the server has accepted: the response, and the connection.
///
/// First write the response, by [`Accepted::write_response`] or by another HTTP stack
/// with [`Accepted::fields`]. From its last byte on the connection speaks WebSocket. The
/// example is at [`Upgrade`](super::Upgrade).
#[derive(Clone)]
#[must_use = "the client waits for the response"]
pub struct Accepted {
    accept_key: [u8; 28],
    subprotocol: Option<String>,
    extension: Option<Parameters>,
    fields: AddedFields,
    agreement: Option<Agreement>,
}

impl Accepted {
    pub(super) fn new(
        accept_key: [u8; 28],
        subprotocol: Option<String>,
        extension: Option<Parameters>,
        fields: AddedFields,
        agreement: Option<Agreement>,
    ) -> Accepted {
        Accepted {
            accept_key,
            subprotocol,
            extension,
            fields,
            agreement,
        }
    }

    /// The subprotocol in use.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What was agreed about permessage-deflate. `None`: messages go uncompressed.
    pub fn deflate(&self) -> Option<&DeflateParameters> {
        self.agreement.as_ref().map(Agreement::parameters)
    }

    /// The server's end of the connection, with all that was agreed on.
    pub fn connection(&self, limits: Limits) -> Connection {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# the server considers the WebSocket connection to be established and
        //# that the WebSocket connection is in the OPEN state.
        let connection = Connection::server(limits);
        match &self.agreement {
            Some(agreement) => agreement.apply(connection),
            None => connection,
        }
    }

    /// Appends the whole response to `output`.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the server chooses to accept the incoming connection, it MUST reply
    //# with a valid HTTP response indicating the following.
    pub fn write_response(&self, output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# A Status-Line with a 101 response code as per RFC 2616 [RFC2616].
        output.reserve(USUAL_RESPONSE_BYTES);
        output.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        for (name, value) in self.fields() {
            write_field(name, &value, output);
        }
        output.extend_from_slice(b"\r\n");
    }

    /// Names and values of the response's fields, for another HTTP stack, which has to
    /// send them with the status 101.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let accept = core::str::from_utf8(&self.accept_key).unwrap_or_default();
        let own = [
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# An |Upgrade| header field with value "websocket" as per RFC 2616
            //# [RFC2616].
            ("Upgrade", "websocket"),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# A |Connection| header field with value "Upgrade".
            ("Connection", "Upgrade"),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.3
            //# The |Sec-WebSocket-Accept| header MUST NOT appear more than once in
            //# an HTTP response.
            ("Sec-WebSocket-Accept", accept),
        ];
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
        //# the |Sec-WebSocket-Protocol| header field MUST NOT appear more than
        //# once in an HTTP response.
        let subprotocol = self.subprotocol().map(|name| (subprotocol::FIELD, name));
        let known = own.into_iter().chain(subprotocol);
        known
            .map(|(name, value)| (name, Cow::Borrowed(value)))
            .chain(self.extension_field())
            .chain(
                self.fields
                    .iter()
                    .map(|(name, value)| (name, Cow::Borrowed(value))),
            )
    }

    /// The response 101, for another HTTP stack.
    #[cfg(feature = "http")]
    pub fn to_http(&self) -> http::Response<()> {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = http_types::header_map(self.fields());
        response
    }

    //= https://www.rfc-editor.org/rfc/rfc7692#section-5
    //# To accept the use of an offered PMCE, a server MUST include the
    //# extension name of the PMCE in the "Sec-WebSocket-Extensions" header
    //# field of its opening handshake of the WebSocket connection.
    fn extension_field(&self) -> Option<(&str, Cow<'_, str>)> {
        let extension = self.extension.as_ref()?;
        Some((extensions::FIELD, Cow::Owned(extension.to_string())))
    }
}

impl fmt::Debug for AcceptOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AcceptOptions")
            .field("subprotocol", &self.subprotocol)
            .field("deflate", &self.deflate)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Accepted")
            .field("accept_key", &TextOrBytes(&self.accept_key))
            .field("subprotocol", &self.subprotocol)
            .field("deflate", &self.deflate())
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// Whether a handshake sets this field, in either role.
pub(super) fn is_set_by_handshake(name: &str) -> bool {
    let prefix = name.get(..SEC_WEBSOCKET.len()).unwrap_or_default();
    prefix.eq_ignore_ascii_case(SEC_WEBSOCKET)
        || RESERVED
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// A response without fields of the caller: one allocation.
const USUAL_RESPONSE_BYTES: usize = 256;

const SEC_WEBSOCKET: &str = "Sec-WebSocket-";
const RESERVED: [&str; 4] = [
    "Upgrade",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
];
