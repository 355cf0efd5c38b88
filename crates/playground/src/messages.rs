//! The commands of the page and the reports of the server, as JSON texts on the outer connection.
//!
//! Every command gets one report. Bytes are hexadecimal texts.

use serde::{Deserialize, Serialize};
use yamabiko::websocket::Rule;

/// One of the two ends of the inner connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    pub(crate) fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// A new inner connection, by this request.
    Open {
        request: String,
        /// Whether the server accepts permessage-deflate.
        compress: bool,
        /// What the client gets in place of the server's response.
        #[serde(default)]
        response: Option<String>,
    },
    /// Carries bytes from one end to the other, in place of this end.
    Send { from: End, bytes: String },
    /// Describes bytes, and changes nothing. The report has the same number.
    Dissect {
        number: u64,
        from: End,
        bytes: String,
    },
    /// The bytes of a frame.
    Compose { from: End, frame: Composed },
    /// TCP of the inner connection ends, without a Close.
    Cut,
}

/// A frame to compose. Nothing is checked: it may be one that a rule forbids.
#[derive(Debug, Deserialize)]
#[serde(tag = "opcode", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Composed {
    Text { text: String },
    Binary { bytes: String },
    Ping { text: String },
    Pong { text: String },
    Close { code: Option<u16>, reason: String },
}

/// What the page gets.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Report {
    /// The first: what the browser has sent to open the outer connection, and examples.
    Welcome {
        request: String,
        openings: Vec<OpeningExample>,
        examples: Vec<ExampleReport>,
    },
    Opening(Box<Opening>),
    Exchange(Exchange),
    Dissection {
        number: u64,
        frames: Vec<Frame>,
        omitted_bytes: usize,
    },
    Composed {
        from: End,
        bytes: String,
    },
    /// The command could not be done.
    Fault {
        text: String,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct OpeningExample {
    pub(crate) name: &'static str,
    pub(crate) request: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct ResponseExample {
    pub(crate) name: &'static str,
    pub(crate) response: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExampleReport {
    pub(crate) name: &'static str,
    pub(crate) from: End,
    /// Whether it breaks a rule.
    pub(crate) broken: bool,
    pub(crate) bytes: String,
}

/// An opening handshake.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Opening {
    /// Whether both ends are open.
    pub(crate) accepted: bool,
    /// The lines of the request, and of the response that the client got.
    pub(crate) request: Vec<Line>,
    pub(crate) response: Vec<Line>,
    /// Whether that is the response of the page.
    pub(crate) edited: bool,
    /// The server's own response with changes to begin with, itself first; none while it waits for the request.
    pub(crate) responses: Vec<ResponseExample>,
    /// The end that does not go on, and why; of the server without a rule: the request has not ended.
    pub(crate) refused_by: Option<End>,
    pub(crate) reason: Option<String>,
    pub(crate) rule: Option<Quotation>,
    /// How the accept key is computed.
    pub(crate) accept_key: Option<AcceptKey>,
    pub(crate) compressed: bool,
    /// What bytes behind the request did.
    pub(crate) steps: Vec<Step>,
    pub(crate) ends: Ends,
}

#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) meaning: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct AcceptKey {
    pub(crate) hashed: String,
    pub(crate) accept: String,
}

/// A sentence of an RFC.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Quotation {
    pub(crate) rfc: u16,
    pub(crate) section: &'static str,
    pub(crate) sentence: &'static str,
}

impl From<Rule> for Quotation {
    fn from(rule: Rule) -> Quotation {
        Quotation {
            rfc: rule.rfc,
            section: rule.section,
            sentence: rule.sentence,
        }
    }
}

/// What bytes did, until both ends were quiet.
#[derive(Debug, Serialize)]
pub(crate) struct Exchange {
    pub(crate) steps: Vec<Step>,
    pub(crate) ends: Ends,
}

/// Bytes that went from one end to the other, and what the other one made of them.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) from: End,
    /// Whether the end sent them itself, as an answer.
    pub(crate) automatic: bool,
    /// The frames from the first unfinished one on.
    pub(crate) frames: Vec<Frame>,
    pub(crate) omitted_bytes: usize,
    /// Whether the other end still read.
    pub(crate) read: bool,
    pub(crate) events: Vec<EventReport>,
    pub(crate) omitted_events: usize,
    /// The rule that the sender broke.
    pub(crate) error: Option<ErrorReport>,
    /// The states after it.
    pub(crate) client: &'static str,
    pub(crate) server: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct EventReport {
    pub(crate) event: &'static str,
    pub(crate) text: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorReport {
    pub(crate) text: String,
    pub(crate) close_code: u16,
    pub(crate) rule: Quotation,
}

/// The states of both ends.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ends {
    pub(crate) client: EndReport,
    pub(crate) server: EndReport,
    /// Whether TCP between them is open.
    pub(crate) tcp_open: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct EndReport {
    pub(crate) state: &'static str,
    /// How the connection ended, and the code that the application gets.
    pub(crate) ended: Option<String>,
    pub(crate) code: Option<u16>,
}

/// A frame, or the beginning of one.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) bytes: String,
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
    /// Bytes that are still missing, as far as the header tells.
    pub(crate) missing_bytes: u64,
    /// The rule of a single frame that the header breaks.
    pub(crate) problem: Option<String>,
}

/// Some bytes of a frame that have one meaning.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Part {
    /// The number of bytes, from the end of the part before.
    pub(crate) length: usize,
    pub(crate) name: &'static str,
    /// The bits, where they have meanings of their own.
    pub(crate) bits: Option<String>,
    /// A masked payload without its mask.
    pub(crate) unmasked: Option<String>,
    pub(crate) meaning: String,
}
