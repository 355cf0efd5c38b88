//! The sentence of an RFC that a peer broke: [`Rule`], for logs and for teaching.
//!
//! An error names the rule in our words; this file has the RFC's. [`ProtocolError::rule`](super::ProtocolError::rule) leads
//! from one to the other. `tests/compliance` finds each sentence in the text of its RFC.

/// A sentence of an RFC, and its section.
///
/// ```
/// use yamabiko::websocket::ProtocolError;
///
/// let rule = ProtocolError::TextNotUtf8.rule();
/// assert_eq!((rule.rfc, rule.section), (6455, "8.1"));
/// assert!(rule.sentence.ends_with("MUST _Fail the WebSocket Connection_."));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// The number of the RFC.
    pub rfc: u16,
    /// The section, such as `5.1`.
    pub section: &'static str,
    /// The whole sentence, with one space between two words.
    pub sentence: &'static str,
}

impl Rule {
    /// A sentence of RFC 6455.
    pub const fn of_6455(section: &'static str, sentence: &'static str) -> Rule {
        Rule {
            rfc: 6455,
            section,
            sentence,
        }
    }
}

/// The rules that a peer can break.
impl Rule {
    pub(super) const NOT_MASKED: Rule = Rule::of_6455(
        "5.1",
        "The server MUST close the connection upon receiving a frame that is not masked.",
    );
    pub(super) const MASKED: Rule = Rule::of_6455(
        "5.1",
        "A client MUST close a connection if it detects a masked frame.",
    );
    pub(super) const UNKNOWN_OPCODE: Rule = Rule::of_6455(
        "5.2",
        "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.",
    );
    pub(super) const CONTROL_NOT_FRAGMENTED: Rule =
        Rule::of_6455("5.4", "Control frames themselves MUST NOT be fragmented.");
    pub(super) const CONTROL_LENGTH: Rule = Rule::of_6455(
        "5.5",
        "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.",
    );
    pub(super) const RESERVED_BITS: Rule = Rule::of_6455(
        "5.2",
        "If a nonzero value is received and none of the negotiated extensions defines the meaning of \
         such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_.",
    );
    pub(super) const MINIMAL_LENGTH: Rule = Rule::of_6455(
        "5.2",
        "Note that in all cases, the minimal number of bytes MUST be used to encode the length, for example, \
         the length of a 124-byte-long string can't be encoded as the sequence 126, 0, 124.",
    );
    pub(super) const LENGTH_64_BITS: Rule = Rule::of_6455(
        "5.2",
        "If 127, the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit \
         MUST be 0) are the payload length.",
    );
    pub(super) const FRAGMENTED_MESSAGE: Rule = Rule::of_6455(
        "5.4",
        "A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, \
         followed by zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single \
         frame with the FIN bit set and an opcode of 0.",
    );
    pub(super) const NOT_INTERLEAVED: Rule = Rule::of_6455(
        "5.4",
        "The fragments of one message MUST NOT be interleaved between the fragments of another message \
         unless an extension has been negotiated that can interpret the interleaving.",
    );
    pub(super) const CLOSE_BODY: Rule = Rule::of_6455(
        "5.5.1",
        "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network \
         byte order) representing a status code with value /code/ defined in Section 7.4.",
    );
    pub(super) const UTF8: Rule = Rule::of_6455(
        "8.1",
        "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, \
         a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.",
    );
    pub(super) const LIMITS: Rule = Rule::of_6455(
        "10.4",
        "Implementations that have implementation- and/or platform-specific limitations regarding the frame size \
         or total message size after reassembly from multiple frames MUST protect themselves against exceeding those limits.",
    );
    pub(super) const DECOMPRESS: Rule = Rule {
        rfc: 7692,
        section: "7.2.2",
        sentence: "Decompress the resulting data using DEFLATE.",
    };

    /// Of a code that must not be in a Close.
    pub(super) const fn of_forbidden_code(code: u16) -> Rule {
        match code {
            0..=999 => Rule::of_6455("7.4.2", "Status codes in the range 0-999 are not used."),
            1004 => Rule::of_6455(
                "7.4.1",
                "The specific meaning might be defined in the future.",
            ),
            1005 => Rule::of_6455("7.4.1", NEVER_1005),
            1006 => Rule::of_6455("7.4.1", NEVER_1006),
            1015 => Rule::of_6455("7.4.1", NEVER_1015),
            1000..=1003 | 1007..=1014 | 1016..=2999 => Rule::of_6455("7.4.2", PROTOCOL_CODES),
            _ => Rule::of_6455("7.4.2", PRIVATE_CODES),
        }
    }
}

const NEVER_1005: &str = "1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.";
const NEVER_1006: &str = "1006 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.";
const NEVER_1015: &str = "1015 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.";
const PROTOCOL_CODES: &str = "Status codes in the range 1000-2999 are reserved for definition by this protocol, its future \
     revisions, and extensions specified in a permanent and readily available public specification.";
const PRIVATE_CODES: &str = "Status codes in the range 4000-4999 are reserved for private use and thus can't be registered.";
