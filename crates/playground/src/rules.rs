//! The sentence behind a request that a server refuses, and behind a response that a client refuses.
//!
//! The core refuses with an HTTP status and a reason. This table leads from them to the sentence; a refusal that is not in it broke a rule of
//! HTTP, and gets the sentence that asks for a refusal. `tests/playground/` finds each sentence in the text of the RFC.

use yamabiko::server::{Refusal, RequestHead, Status};
use yamabiko::websocket::Rule;
use yamabiko::websocket::handshake::ClientHandshakeError;

use crate::messages::Quotation;

/// `head`: of the request, if it could be read.
pub(crate) fn of_refusal(refusal: &Refusal, head: Option<&RequestHead<'_>>) -> Rule {
    let wants_websocket = head.is_some_and(|head| head.wants_websocket());
    match refusal.status() {
        Status::HttpVersionNotSupported | Status::MethodNotAllowed => {
            Rule::of_6455("4.2.1", REQUEST_LINE)
        }
        Status::Forbidden => Rule::of_6455("10.2", ORIGIN),
        Status::UpgradeRequired if wants_websocket => Rule::of_6455("4.2.1", VERSION),
        Status::UpgradeRequired => Rule::of_6455("4.2.1", UPGRADE),
        _ => of_reason(refusal.reason()),
    }
}

fn of_reason(reason: &str) -> Rule {
    let is_duplicate = reason.starts_with("duplicate");
    let is_about = |field: &str| reason.contains(field);
    match () {
        () if is_about("Sec-WebSocket-Key") && is_duplicate => Rule::of_6455("11.3.1", ONE_KEY),
        () if is_about("Sec-WebSocket-Key") => Rule::of_6455("4.2.1", KEY),
        () if is_about("Sec-WebSocket-Version") && is_duplicate => {
            Rule::of_6455("11.3.5", ONE_VERSION)
        }
        () if is_about("Sec-WebSocket-Version") => Rule::of_6455("4.2.1", VERSION),
        () if is_about("Sec-WebSocket-Extensions") => Rule::of_6455("9.1", EXTENSIONS),
        () if is_about("Connection does not") => Rule::of_6455("4.2.1", CONNECTION),
        () if is_about("Host") => Rule::of_6455("4.2.1", HOST),
        () => Rule::of_6455("4.2.1", REFUSE),
    }
}

/// The rule that a response breaks.
pub(crate) fn of_response(error: &ClientHandshakeError) -> Quotation {
    use ClientHandshakeError as Error;
    let of_6455 = |section, sentence| Rule::of_6455(section, sentence).into();
    let of_7692 = |section, sentence| Quotation {
        rfc: 7692,
        section,
        sentence,
    };
    match error {
        Error::NotSwitched(_) => of_6455("4.1", NOT_101),
        Error::UpgradeIsNotWebSocket => of_6455("4.1", NO_UPGRADE),
        Error::ConnectionIsNotUpgrade => of_6455("4.1", NO_CONNECTION),
        Error::MissingAccept | Error::WrongAccept => of_6455("4.1", WRONG_ACCEPT),
        Error::UnrequestedExtension => of_6455("4.1", NOT_OFFERED_EXTENSION),
        Error::UnrequestedSubprotocol => of_6455("4.1", NOT_OFFERED_SUBPROTOCOL),
        Error::MalformedExtensions => of_6455("9.1", EXTENSIONS),
        Error::UnknownExtensionParameter => of_7692("7", UNKNOWN_PARAMETER),
        Error::InvalidExtensionParameter(_) => of_7692("7", INVALID_PARAMETER),
        Error::RepeatedExtensionParameter(_) => of_7692("7", REPEATED_PARAMETER),
        _ => of_6455("4.1", NOT_CONFORMING),
    }
}

const NOT_101: &str = "If the status code received from the server is not 101, the client handles the response per HTTP [RFC2616] procedures.";
const NO_UPGRADE: &str = "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not an ASCII \
     case-insensitive match for the value \"websocket\", the client MUST _Fail the WebSocket Connection_.";
const NO_CONNECTION: &str = "If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a token that is \
     an ASCII case-insensitive match for the value \"Upgrade\", the client MUST _Fail the WebSocket Connection_.";
const WRONG_ACCEPT: &str = "If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a value other than \
     the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| (as a string, not base64-decoded) with the string \
     \"258EAFA5-E914-47DA-95CA-C5AB0DC85B11\" but ignoring any leading and trailing whitespace, the client MUST _Fail the WebSocket \
     Connection_.";
const NOT_OFFERED_EXTENSION: &str = "If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the use \
     of an extension that was not present in the client's handshake (the server has indicated an extension not requested by the client), \
     the client MUST _Fail the WebSocket Connection_.";
const NOT_OFFERED_SUBPROTOCOL: &str = "If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use \
     of a subprotocol that was not present in the client's handshake (the server has indicated a subprotocol not requested by the client), \
     the client MUST _Fail the WebSocket Connection_.";
const NOT_CONFORMING: &str = "If the server's response does not conform to the requirements for the server's handshake as defined in this section \
     and in Section 4.2.2, the client MUST _Fail the WebSocket Connection_.";
const UNKNOWN_PARAMETER: &str =
    "The negotiation response contains an extension parameter not defined for use in a response.";
const INVALID_PARAMETER: &str =
    "The negotiation response contains an extension parameter with an invalid value.";
const REPEATED_PARAMETER: &str =
    "The negotiation response contains multiple extension parameters with the same name.";

const REQUEST_LINE: &str = "An HTTP/1.1 or higher GET request, including a \"Request-URI\" [RFC2616] that should be interpreted \
     as a /resource name/ defined in Section 3 (or an absolute HTTP/HTTPS URI containing the /resource name/).";
const HOST: &str = "A |Host| header field containing the server's authority.";
const UPGRADE: &str = "An |Upgrade| header field containing the value \"websocket\", treated as an ASCII case-insensitive value.";
const CONNECTION: &str = "A |Connection| header field that includes the token \"Upgrade\", treated as an ASCII case-insensitive value.";
const KEY: &str = "A |Sec-WebSocket-Key| header field with a base64-encoded (see Section 4 of [RFC4648]) value that, when decoded, \
     is 16 bytes in length.";
const ONE_KEY: &str =
    "The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an HTTP request.";
const VERSION: &str = "A |Sec-WebSocket-Version| header field, with a value of 13.";
const ONE_VERSION: &str =
    "the |Sec-WebSocket-Version| header field MUST NOT appear more than once in an HTTP request.";
const EXTENSIONS: &str =
    "the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.";
const ORIGIN: &str = "If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket handshake \
     with a reply containing HTTP 403 Forbidden status code.";
const REFUSE: &str = "the server MUST stop processing the client's handshake and return an HTTP response with an appropriate \
     error code (such as 400 Bad Request).";
