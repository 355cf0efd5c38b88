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
    /// more. A connection that hands out pieces
    /// ([`Connection::with_pieces`](super::Connection::with_pieces)) buffers none of it, so
    /// there it may be far higher. Over it: 1009.
    pub message_bytes_max: usize,
    /// How many bytes each byte of a compressed message may become. Default 1,032, which is
    /// no limit, because DEFLATE reaches no more: `message_bytes_max` bounds the memory. The
    /// server's default is 256
    /// ([`Limits::SERVER_INFLATE_RATIO_MAX`]). Any message may become 64 KiB. The bytes
    /// count that the headers have announced so far, so that it does not matter how the
    /// input is cut. Over it: 1009.
    pub inflate_ratio_max: u32,
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

impl Limits {
    /// The server's default for `inflate_ratio_max`. Text and JSON reach 5 to 50. Only a long run of one
    /// pattern reaches more than 256: with it a peer sends 1 KiB and makes a server write
    /// 1 MiB to each subscriber of a room.
    pub const SERVER_INFLATE_RATIO_MAX: u32 = 256;

    /// How long a message may be, of which so many compressed bytes have been announced,
    /// when it is inflated.
    pub(crate) fn inflated_bytes_max(&self, compressed_bytes: usize) -> usize {
        let ratio = usize::try_from(self.inflate_ratio_max).unwrap_or(usize::MAX);
        let by_ratio = compressed_bytes.saturating_mul(ratio);
        self.message_bytes_max
            .min(by_ratio.max(INFLATED_BYTES_FREE))
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes_max: 1 << 20,
            inflate_ratio_max: 1032,
            fragments_max: 1 << 17,
            unsent_reply_bytes_max: 64 << 10,
        }
    }
}

/// The limits without that of the ratio, in 16 bytes: each connection has them, and the
/// receiver has room for the ratio beside its other small fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitsWithoutRatio {
    message_bytes_max: usize,
    fragments_max: u32,
    unsent_reply_bytes_max: u32,
}

impl LimitsWithoutRatio {
    pub(crate) fn of(limits: Limits) -> LimitsWithoutRatio {
        LimitsWithoutRatio {
            message_bytes_max: limits.message_bytes_max,
            fragments_max: limits.fragments_max,
            unsent_reply_bytes_max: limits.unsent_reply_bytes_max,
        }
    }

    #[inline(always)]
    pub(crate) fn with_ratio(self, inflate_ratio_max: u32) -> Limits {
        Limits {
            message_bytes_max: self.message_bytes_max,
            inflate_ratio_max,
            fragments_max: self.fragments_max,
            unsent_reply_bytes_max: self.unsent_reply_bytes_max,
        }
    }
}

/// Any compressed message may become this long, so that a short text of one repeated
/// character is accepted.
const INFLATED_BYTES_FREE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflated_message_has_the_least_of_both_limits_and_at_least_64_kib() {
        let limits = Limits {
            inflate_ratio_max: 256,
            ..Limits::default()
        };
        for (compressed_bytes, inflated_bytes_max) in [
            (0, 65_536),
            (256, 65_536),
            (257, 65_792),
            (1_033, 264_448),
            (4_096, 1 << 20),
            (usize::MAX, 1 << 20),
        ] {
            assert_eq!(
                limits.inflated_bytes_max(compressed_bytes),
                inflated_bytes_max
            );
        }
        let short = Limits {
            message_bytes_max: 1000,
            ..limits
        };
        assert_eq!(short.inflated_bytes_max(4_096), 1000);
        let any_ratio = Limits {
            inflate_ratio_max: 1032,
            ..limits
        };
        assert_eq!(any_ratio.inflated_bytes_max(1_033), 1 << 20);
    }
}
