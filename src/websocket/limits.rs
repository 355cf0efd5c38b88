//! Every limit of the protocol core, with its unit, its default and the reason.
//!
//! RFC 6455 §10.4 asks for limits; it leaves the numbers to the implementation.

/// The limits of one connection.
///
/// ```
/// use yamabiko::websocket::Limits;
///
/// let limits = Limits { message_bytes_max: 64 << 20, ..Limits::default() };
/// assert_eq!(limits.fragments_max, 131_072);
/// ```
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
//# Such an implementation SHOULD impose a limit on frame sizes and the
//# total message size after reassembly from multiple frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message's payload, all fragments together; so also the
    /// most that a frame may have. Default 1 MiB: a chat or an event is far
    /// below, and a thousand peers at the limit are 1 GiB. Decided from the
    /// header, before the payload has come. A compressed message is held to it
    /// while it is inflated, and its compressed bytes to a quarter and 1 KiB
    /// more. Over it: 1009.
    pub message_bytes_max: usize,
    /// Fragments of one message. The memory is bounded by `message_bytes_max`;
    /// this bounds what empty fragments cost in time. Default 131,072: twice
    /// the 65,537 that the Autobahn suite sends. Over it: 1008.
    pub fragments_max: u32,
    /// Bytes of unsent replies beyond which a ping is not answered at once.
    /// Default 64 KiB: 500 pongs of full length. Beyond it only the newest ping
    /// is answered, when there is room again (§5.5.3 allows it). One pong is
    /// always written when nothing else waits, however small the bound.
    pub unsent_reply_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 1 << 17,
            unsent_reply_bytes_max: 64 << 10,
        }
    }
}
