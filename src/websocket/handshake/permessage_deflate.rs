//! The negotiation of permessage-deflate (RFC 7692 §5, §7.1), both roles.
//!
//! ```text
//!   client                                                    server
//!   config ─ offer ─► permessage-deflate; client_max_win… ─ agree ◄─ config
//!      │                                                      │
//!      │                                                      ▼
//!   agreed_in_response ◄── permessage-deflate; server_no… ◄─ accept
//!      │                                                      │
//!      ▼                                                      ▼
//!   DeflateParameters          the same on both ends          DeflateParameters
//! ```
//!
//! The meaning of a parameter depends on its sender:
//!
//! | | in an offer | in a response |
//! |---|---|---|
//! | `server_no_context_takeover` | a demand, which the response must repeat | the server's own promise, even unasked |
//! | `server_max_window_bits=N` | a demand: the response names N or less | the server's own promise, even unasked |
//! | `client_no_context_takeover` | a hint: the client does so anyway | a demand, even unasked |
//! | `client_max_window_bits` | the server may choose a window for the client | not allowed without a value |
//! | `client_max_window_bits=N` | and a hint: it uses N or less anyway | a demand, only of a client that offers it |
//!
//! A parameter that is unknown, a duplicate, has a value where there is none,
//! lacks one or has one other than 8 to 15 (no leading zero) makes the server
//! pass an offer over, and the client fail the connection. Quoted and unquoted
//! values are the same. Names are compared as they are, case included.
//!
//! Nothing is allocated but a value that was quoted with backslashes, and the
//! cost grows with the length of the field, whatever it repeats.

use super::client_error::ClientHandshakeError;
use super::extensions::Extension;
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, WindowBits};
use crate::websocket::frame::{CloseCode, CloseFrame};
use core::fmt;

//= https://www.rfc-editor.org/rfc/rfc7692#section-5.1
//# Otherwise, the client starts the closing handshake with close code 1010.
/// The Close of a client that does not want to go on without permessage-deflate: code
/// 1010, and the name of the extension (RFC 6455 §7.4.1).
///
/// A server is free to decline it. Then
/// [`Established::deflate`](super::Established::deflate) is `None`, and it is
/// for the caller to go on without or to close:
///
/// ```
/// use yamabiko::websocket::handshake::DEFLATE_REQUIRED;
/// use yamabiko::websocket::Limits;
/// # use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
/// # let uri = WebSocketUri::parse("ws://example.com/").unwrap();
/// # let mut handshake = ClientHandshake::new(&uri, *b"the sample nonce");
/// # let response = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
/// #     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// # let established = handshake.receive(response).unwrap().unwrap();
/// # let masking_keys = || [1, 2, 3, 4];
///
/// let mut connection = established.connection(Limits::default(), masking_keys);
/// let mut output = Vec::new();
/// if established.deflate.is_none() {
///     connection.close(DEFLATE_REQUIRED, &mut output)?;
/// }
/// # Ok::<(), yamabiko::websocket::SendError>(())
/// ```
pub const DEFLATE_REQUIRED: CloseFrame<'static> =
    CloseFrame::new(CloseCode::MANDATORY_EXTENSION, NAME);

/// What a client with this configuration offers: one element.
pub(super) fn offer(config: &DeflateConfig) -> Parameters {
    Parameters {
        server_no_context_takeover: config.server_no_context_takeover,
        client_no_context_takeover: config.client_no_context_takeover,
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# In a PMCE negotiation offer, the client MUST inform the server of its
        //# LZ77 window size so that the server uses an LZ77 window size that is
        //# not greater than the LZ77 window size of the client.
        server_max_window_bits: below_default(config.server_max_window_bits),
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# the client MAY inform the server of the maximum LZ77 window size the
        //# client can afford
        client_max_window_bits: Some(match below_default(config.client_max_window_bits) {
            Some(bits) => ClientWindow::AtMost(bits),
            None => ClientWindow::Supported,
        }),
    }
}

/// What a server with this configuration agrees to, of all that is offered.
pub(super) fn agree<'a>(
    extensions: impl Iterator<Item = Extension<'a>>,
    config: &DeflateConfig,
) -> Option<DeflateParameters> {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-5
    //# The order of elements is important as it specifies the client's
    //# preference.
    let first = offers(extensions).next()?;
    Some(first.agreed(config))
}

/// What a server writes that has agreed to these parameters. `None`: no offer
/// allows them.
pub(super) fn accept<'a>(
    extensions: impl Iterator<Item = Extension<'a>>,
    agreed: &DeflateParameters,
) -> Option<Parameters> {
    offers(extensions).find_map(|offer| offer.accepted(agreed))
}

/// The parameters that a response agrees on, for a client that has made its offer, or
/// none.
pub(super) fn agreed_in_response<'a>(
    extensions: impl Iterator<Item = Extension<'a>>,
    config: Option<&DeflateConfig>,
) -> Result<Option<DeflateParameters>, ClientHandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-5
    //# If a server responds with no PMCE element in the
    //# "Sec-WebSocket-Extensions" header, both endpoints proceed without
    //# per-message compression once _the WebSocket Connection is established_.
    let mut agreed = None;
    for extension in extensions {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# (the server has indicated an extension not requested by the client),
        //# the client MUST _Fail the WebSocket Connection_.
        let Some(config) = config.filter(|_| extension.name() == NAME) else {
            return Err(ClientHandshakeError::UnrequestedExtension);
        };
        if agreed.is_some() {
            return Err(ClientHandshakeError::RepeatedExtension);
        }
        agreed = Some(Parameters::read(&extension)?.answered(config)?);
    }
    Ok(agreed)
}

/// All offers that could be accepted, the most wanted first.
fn offers<'a>(extensions: impl Iterator<Item = Extension<'a>>) -> impl Iterator<Item = Parameters> {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //# A server MUST decline an extension negotiation offer for this extension
    //# if any of the following conditions are met:
    extensions
        .filter(|extension| extension.name() == NAME)
        .filter_map(|extension| Parameters::read(&extension).ok())
}

/// The parameters of one element, offered or answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    client_max_window_bits: Option<ClientWindow>,
}

/// The two forms of `client_max_window_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientWindow {
    /// Without a value, which only an offer may be: any window can be asked for.
    Supported,
    AtMost(WindowBits),
}

impl ClientWindow {
    fn max(self) -> WindowBits {
        match self {
            ClientWindow::Supported => WindowBits::MAX,
            ClientWindow::AtMost(bits) => bits,
        }
    }
}

// As a server.
impl Parameters {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //= type=implication
    //= reason=every legal offer is supported
    //# The server doesn't support the offered configuration.
    /// What is agreed if this offer is taken. It can always be: there is no
    /// demand in it that this server could not fulfil.
    fn agreed(&self, config: &DeflateConfig) -> DeflateParameters {
        DeflateParameters {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
            //# It is RECOMMENDED that a server supports the
            //# "server_no_context_takeover" extension parameter in an extension
            //# negotiation offer.
            server_no_context_takeover: self.server_no_context_takeover
                || config.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover
                || config.client_no_context_takeover,
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# A request in a PMCE negotiation offer indicates constraints on the
            //# server's behavior that must be satisfied if the server accepts the
            //# offer.
            server_max_window_bits: self
                .server_max_window_bits
                .unwrap_or_default()
                .min(config.server_max_window_bits),
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# The LZ77 window size of the server must not be less than the LZ77
            //# window size of the client.
            client_max_window_bits: match self.client_max_window_bits {
                Some(window) => window.max().min(config.client_max_window_bits),
                // The server may not choose a window, so the largest is agreed.
                None => WindowBits::MAX,
            },
        }
    }

    /// The response to this offer with the agreed parameters, if the offer allows them.
    fn accepted(&self, agreed: &DeflateParameters) -> Option<Parameters> {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
        //# A server accepts an extension negotiation offer that includes the
        //# "server_no_context_takeover" extension parameter by including the
        //# "server_no_context_takeover" extension parameter in the corresponding
        //# extension negotiation response to send back to the client.
        if self.server_no_context_takeover && !agreed.server_no_context_takeover {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
        //# A server accepts an extension negotiation offer with this parameter by
        //# including the "server_max_window_bits" extension parameter in the
        //# extension negotiation response to send back to the client with the same
        //# or smaller value as the offer.
        if agreed.server_max_window_bits > self.server_max_window_bits.unwrap_or_default() {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# the server must use the "agreed parameters" (defined below) to
        //# explicitly ask the client not to use an LZ77 window size greater than
        //# the LZ77 window size of the server.
        let client_max_window_bits =
            below_default(agreed.client_max_window_bits).map(ClientWindow::AtMost);
        if client_max_window_bits.is_some() && !self.allows_client(agreed.client_max_window_bits) {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# "Agreed parameters" must represent how the requests and hints in the
        //# client's extension negotiation offer have been handled
        Some(Parameters {
            server_no_context_takeover: agreed.server_no_context_takeover,
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
            //# Absence of this extension parameter in an extension negotiation
            //# response indicates that the server can decompress messages built by
            //# the client using context takeover.
            client_no_context_takeover: agreed.client_no_context_takeover,
            server_max_window_bits: match self.server_max_window_bits {
                Some(_) => Some(agreed.server_max_window_bits),
                None => below_default(agreed.server_max_window_bits),
            },
            client_max_window_bits,
        })
    }

    /// May the server choose this window for a client that offers this?
    fn allows_client(&self, bits: WindowBits) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
        //# If a received extension negotiation offer doesn't have the
        //# "client_max_window_bits" extension parameter, the corresponding
        //# extension negotiation response to the offer MUST NOT include the
        //# "client_max_window_bits" extension parameter.
        self.client_max_window_bits
            .is_some_and(|offered| bits <= offered.max())
    }
}

// As a client.
impl Parameters {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //# A client MUST _Fail the WebSocket Connection_ if the peer server accepted
    //# an extension negotiation offer for this extension with an extension
    //# negotiation response meeting any of the following conditions:
    /// What is agreed if this is the response to the offer of `config`.
    fn answered(&self, config: &DeflateConfig) -> Result<DeflateParameters, ClientHandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7
        //# The client does not support the configuration that the response
        //# represents.
        if config.server_no_context_takeover && !self.server_no_context_takeover {
            return Err(ClientHandshakeError::ServerContextTakeover);
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# The LZ77 window size of the client must not be less than the LZ77 window
        //# size of the server.
        let server_max_window_bits = self.server_max_window_bits.unwrap_or_default();
        if server_max_window_bits > config.server_max_window_bits {
            return Err(ClientHandshakeError::ServerWindowTooLarge);
        }
        let client_max_window_bits = match self.client_max_window_bits {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
            //# The "client_max_window_bits" extension parameter in an extension
            //# negotiation response has a decimal integer value without leading
            //# zeroes between 8 to 15 inclusive indicating the base-2 logarithm of
            //# the LZ77 sliding window size and MUST conform to the ABNF below.
            Some(ClientWindow::Supported) => {
                return Err(ClientHandshakeError::InvalidExtensionParameter(
                    CLIENT_MAX_WINDOW_BITS,
                ));
            }
            Some(ClientWindow::AtMost(bits)) => bits,
            None => WindowBits::MAX,
        };
        Ok(DeflateParameters {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
            //# Absence of this extension parameter in an extension negotiation
            //# offer indicates that the client can decompress a message that the
            //# server built using context takeover.
            server_no_context_takeover: self.server_no_context_takeover,
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
            //# A client MUST support the "client_no_context_takeover" extension
            //# parameter in an extension negotiation response.
            // A hint holds even if the response does not repeat it.
            client_no_context_takeover: self.client_no_context_takeover
                || config.client_no_context_takeover,
            server_max_window_bits,
            // So does this one.
            client_max_window_bits: client_max_window_bits.min(config.client_max_window_bits),
        })
    }
}

// Reading.
impl Parameters {
    fn read(extension: &Extension<'_>) -> Result<Self, ParameterError> {
        let mut parameters = Parameters::default();
        for (name, value) in extension.parameters() {
            parameters.take(name, value.as_deref())?;
        }
        Ok(parameters)
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# The parameters supplied with any given extension MUST be defined for that
    //# extension.
    fn take(&mut self, name: &str, value: Option<&str>) -> Result<(), ParameterError> {
        match name {
            SERVER_NO_CONTEXT_TAKEOVER => {
                let present = &mut self.server_no_context_takeover;
                take_flag(present, SERVER_NO_CONTEXT_TAKEOVER, value)
            }
            CLIENT_NO_CONTEXT_TAKEOVER => {
                let present = &mut self.client_no_context_takeover;
                take_flag(present, CLIENT_NO_CONTEXT_TAKEOVER, value)
            }
            SERVER_MAX_WINDOW_BITS => {
                //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
                //# This parameter has a decimal integer value without leading zeroes
                //# between 8 to 15, inclusive, indicating the base-2 logarithm of
                //# the LZ77 sliding window size, and MUST conform to the ABNF below.
                let bits = value.and_then(window_bits);
                let window = &mut self.server_max_window_bits;
                take_window(window, SERVER_MAX_WINDOW_BITS, bits)
            }
            CLIENT_MAX_WINDOW_BITS => {
                //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
                //# This parameter has no value or a decimal integer value without
                //# leading zeroes between 8 to 15 inclusive indicating the base-2
                //# logarithm of the LZ77 sliding window size.
                let bits = match value {
                    None => Some(ClientWindow::Supported),
                    Some(digits) => window_bits(digits).map(ClientWindow::AtMost),
                };
                let window = &mut self.client_max_window_bits;
                take_window(window, CLIENT_MAX_WINDOW_BITS, bits)
            }
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7
            //# The negotiation offer contains an extension parameter not defined
            //# for use in an offer.
            _ => Err(ParameterError::Unknown),
        }
    }
}

/// The value of the field, in the one spelling of this crate.
impl fmt::Display for Parameters {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9
    //# those parameters MUST be chosen in accordance with the specification of the
    //# extension to which the parameters apply.
    fn fmt(&self, output: &mut fmt::Formatter<'_>) -> fmt::Result {
        output.write_str(NAME)?;
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
        //# This extension parameter has no value.
        if self.server_no_context_takeover {
            write_parameter(SERVER_NO_CONTEXT_TAKEOVER, None, output)?;
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
        //# This extension parameter has no value.
        if self.client_no_context_takeover {
            write_parameter(CLIENT_NO_CONTEXT_TAKEOVER, None, output)?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write_parameter(SERVER_MAX_WINDOW_BITS, Some(bits), output)?;
        }
        match self.client_max_window_bits {
            None => Ok(()),
            Some(ClientWindow::Supported) => write_parameter(CLIENT_MAX_WINDOW_BITS, None, output),
            Some(ClientWindow::AtMost(bits)) => {
                write_parameter(CLIENT_MAX_WINDOW_BITS, Some(bits), output)
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# The "server_max_window_bits" extension parameter in an extension negotiation
//# response has a decimal integer value without leading zeroes between 8 to 15,
//# inclusive, indicating the base-2 logarithm of the LZ77 sliding window size,
//# and MUST conform to the ABNF below.
fn write_parameter(
    name: &str,
    bits: Option<WindowBits>,
    output: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match bits {
        Some(bits) => write!(output, "; {name}={}", bits.get()),
        None => write!(output, "; {name}"),
    }
}

/// Why a parameter cannot be meant. Names are those that §7.1 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParameterError {
    Unknown,
    Repeated(&'static str),
    InvalidValue(&'static str),
}

impl From<ParameterError> for ClientHandshakeError {
    fn from(error: ParameterError) -> Self {
        match error {
            ParameterError::Unknown => ClientHandshakeError::UnknownExtensionParameter,
            ParameterError::Repeated(name) => {
                ClientHandshakeError::RepeatedExtensionParameter(name)
            }
            ParameterError::InvalidValue(name) => {
                ClientHandshakeError::InvalidExtensionParameter(name)
            }
        }
    }
}

fn take_flag(
    present: &mut bool,
    name: &'static str,
    value: Option<&str>,
) -> Result<(), ParameterError> {
    if value.is_some() {
        return Err(ParameterError::InvalidValue(name));
    }
    if *present {
        return Err(ParameterError::Repeated(name));
    }
    *present = true;
    Ok(())
}

/// `read` gives the meaning of the value, if it has one.
fn take_window<W>(
    window: &mut Option<W>,
    name: &'static str,
    read: Option<W>,
) -> Result<(), ParameterError> {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //# The negotiation offer contains an extension parameter with an invalid
    //# value.
    if read.is_none() {
        return Err(ParameterError::InvalidValue(name));
    }
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //# The negotiation offer contains multiple extension parameters with the same
    //# name.
    if window.is_some() {
        return Err(ParameterError::Repeated(name));
    }
    *window = read;
    Ok(())
}

/// 8 to 15 in decimal digits, without a leading zero or a sign.
fn window_bits(digits: &str) -> Option<WindowBits> {
    match *digits.as_bytes() {
        [ones @ b'8'..=b'9'] => WindowBits::new(ones - b'0'),
        [b'1', ones @ b'0'..=b'5'] => WindowBits::new(10 + ones - b'0'),
        _ => None,
    }
}

/// `None` for 15, the meaning of an absent parameter.
fn below_default(bits: WindowBits) -> Option<WindowBits> {
    (bits < WindowBits::MAX).then_some(bits)
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

// Also obeyed by `DEFLATE_REQUIRED`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# The list of extensions that are needed SHOULD appear in the /reason/ part of
//# the Close frame.

// Also obeyed by `offer`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//# Absence of this parameter in an extension negotiation offer indicates
//# that the client can receive messages compressed using an LZ77 sliding
//# window of up to 32,768 bytes.

// Also obeyed by `agree`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# It is recommended that a server accepts PMCEs with higher preference if
//# the server supports them.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//= reason=no other extension is known, so none is ever accepted beside it
//# A server MUST NOT accept a PMCE extension negotiation offer together with
//# another extension if the PMCE will conflict with the extension on their
//# use of the RSV1 bit.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//= reason=no other extension is known, so none is ever accepted beside it
//# A server MUST NOT accept a PMCE extension negotiation offer together with
//# another extension if the PMCE will be applied to the output of the
//# extension and any of the following conditions applies to the extension:
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//= reason=one extension has one order
//# the order of operations on the data should be assumed to be the same as
//# the order in which the extensions are listed in the server's response in
//# the opening handshake.

// Also obeyed by `agreed_in_response`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//# If a server gives an invalid response, such as accepting a PMCE that
//# the client did not offer, the client MUST _Fail the WebSocket
//# Connection_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//= reason=no other extension is ever offered, whatever bits it would use
//# A client that received a response accepting a PMCE extension
//# negotiation offer together with such an extension MUST _Fail the
//# WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc7692#section-5
//= reason=no other extension is ever offered, whatever it would ask of frames
//# A client that receives a response accepting a PMCE extension
//# negotiation offer together with such an extension MUST _Fail the
//# WebSocket Connection_.

// Also obeyed by `agreed`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
//= type=implication
//= reason=it is supported
//# A server declines an extension negotiation offer with this parameter if the
//# server doesn't support it.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# Absence of this extension parameter in an extension negotiation
//# response indicates that the server can receive messages compressed
//# using an LZ77 sliding window of up to 32,768 bytes.

// Also obeyed by `allows_client`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.3
//# the server must not accept the offer with an extension negotiation
//# response that includes the "client_max_window_bits" extension parameter.

// Also obeyed by `take`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains an extension parameter not defined
//# for use in a response.

// Also obeyed by `fmt`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
//# The "server_no_context_takeover" extension parameter in an extension
//# negotiation response has no value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
//# The "client_no_context_takeover" extension parameter in an extension
//# negotiation response has no value.

// Also obeyed by `write_parameter`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
//# If a value is specified for this parameter, the value MUST conform to the
//# ABNF below.

// Also obeyed by `take_window`:
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains an extension parameter with an invalid
//# value.
//= https://www.rfc-editor.org/rfc/rfc7692#section-7
//# The negotiation response contains multiple extension parameters with the
//# same name.

#[cfg(test)]
mod tests {
    use super::super::extensions;
    use super::*;

    #[test]
    fn window_is_read_from_one_spelling_alone() {
        for bits in 8..=15 {
            let read = window_bits(&bits.to_string());
            assert_eq!(read, WindowBits::new(bits), "{bits}");
        }
        for wrong in [
            "",
            "0",
            "7",
            "08",
            "008",
            "010",
            "015",
            "16",
            "18",
            "19",
            "20",
            "80",
            "100",
            "150",
            "-9",
            "+9",
            "9.0",
            "0x9",
            "9a",
            "a",
            "1",
            "15x",
            "264",
            "4294967304",
            "\u{0669}",
        ] {
            assert_eq!(window_bits(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let step = if cfg!(miri) { 7 } else { 1 };
        let windows = || (8..=15).step_by(step).map(WindowBits::new).chain([None]);
        for server in windows() {
            for client in windows() {
                for flags in 0..8 {
                    let supported = (flags & 4 != 0).then_some(ClientWindow::Supported);
                    let parameters = Parameters {
                        server_no_context_takeover: flags & 1 != 0,
                        client_no_context_takeover: flags & 2 != 0,
                        server_max_window_bits: server,
                        client_max_window_bits: client.map(ClientWindow::AtMost).or(supported),
                    };
                    assert_eq!(read_back(&parameters), Ok(parameters));
                }
            }
        }
    }

    fn read_back(parameters: &Parameters) -> Result<Parameters, ParameterError> {
        let line = format!("{}: {parameters}\r\n", extensions::FIELD);
        let fields = crate::http::Fields::of_checked_lines(line.as_bytes());
        let mut elements = extensions::listed(fields);
        let element = elements.next().expect("one element");
        assert!(elements.next().is_none());
        assert_eq!(element.name(), "permessage-deflate");
        Parameters::read(&element)
    }
}
