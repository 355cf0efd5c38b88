//! The sentence of RFC 6455 behind a request that was refused.
//!
//! The core refuses with an HTTP status and a reason. This table leads from them to the sentence; a refusal that is not in it broke a rule of
//! HTTP, and gets the sentence that asks for a refusal. `tests/playground/` finds each sentence in the text of the RFC.

use yamabiko::server::{Refusal, RequestHead, Status};
use yamabiko::websocket::Rule;

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
