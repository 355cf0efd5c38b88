//! What a connection keeps that has agreed on permessage-deflate (RFC 7692).
//!
//! | | without context takeover | with it |
//! |---|---|---|
//! | receiving | nothing | the octets of the window, as many as have come, and a few more |
//! | sending | nothing | a compressor: 147 to 273 KiB, from the first message on |

use super::super::deflate::{DeflateConfig, DeflateParameters, History, WindowBits};
use super::super::deflate::{compressor, with_deflater, write_frame};
use super::super::frame::{FrameHeader, Opcode, Role};
use super::Connection;
use std::fmt;
use zlib_rs::Deflate;

/// How both directions are compressed.
pub(super) struct Compression {
    /// Of the peer's messages, while none of them is under way.
    history: History,
    /// Of our own messages, if they refer to earlier ones and there was one.
    context: Option<Box<Deflate>>,
    threshold_bytes: usize,
    level: u8,
    window_bits: WindowBits,
    context_takeover: bool,
}

impl Compression {
    //= https://www.rfc-editor.org/rfc/rfc7692#section-5
    //# both endpoints MUST use the algorithm described in Section 6
    //# and the message payload transformation (compressing and
    //# decompressing) procedure of the PMCE configured with the "agreed
    //# parameters" returned by the server to exchange messages.
    pub(super) fn new(
        role: Role,
        agreed: DeflateParameters,
        config: &DeflateConfig,
    ) -> Compression {
        let server = Direction {
            no_context_takeover: agreed.server_no_context_takeover,
            max_window_bits: agreed.server_max_window_bits,
        };
        let client = Direction {
            no_context_takeover: agreed.client_no_context_takeover,
            max_window_bits: agreed.client_max_window_bits,
        };
        let (own, peer, wish) = match role {
            Role::Server => {
                let wish = Direction {
                    no_context_takeover: config.server_no_context_takeover,
                    max_window_bits: config.server_max_window_bits,
                };
                (server, client, wish)
            }
            Role::Client => {
                let wish = Direction {
                    no_context_takeover: config.client_no_context_takeover,
                    max_window_bits: config.client_max_window_bits,
                };
                (client, server, wish)
            }
        };
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the "agreed parameters" contain the "client_max_window_bits"
        //# extension parameter with a value of w, the client MUST NOT use an
        //# LZ77 sliding window longer than the w-th power of 2 bytes to compress
        //# messages to send.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
        //# If the "agreed parameters" contain the "server_max_window_bits"
        //# extension parameter with a value of w, the server MUST NOT use an
        //# LZ77 sliding window longer than the w-th power of 2 bytes to compress
        //# messages to send.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Note that even if the client has included in its offer the
        //# "client_max_window_bits" extension parameter with a value smaller
        //# than one in the "agreed parameters", the client MUST use an LZ77
        //# sliding window of a size that conforms the "agreed parameters" to
        //# compress messages to send.
        let window_bits = own.max_window_bits.min(wish.max_window_bits);
        Compression {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
            //# Note that even if the client has included
            //# the "client_no_context_takeover" extension parameter in its offer,
            //# the server MUST decompress each new message using the LZ77 sliding
            //# window used to process the last compressed message if the "agreed
            //# parameters" don't contain the "client_no_context_takeover" extension
            //# parameter.
            history: History::new(!peer.no_context_takeover, peer.max_window_bits),
            context: None,
            threshold_bytes: config.threshold_bytes,
            level: config.level,
            window_bits,
            // The library cannot keep to the smallest window over several messages.
            context_takeover: !own.no_context_takeover
                && !wish.no_context_takeover
                && window_bits != WindowBits::MIN,
        }
    }
}

/// What is agreed on, or wished for, of the messages that one end sends.
struct Direction {
    no_context_takeover: bool,
    max_window_bits: WindowBits,
}

impl Connection {
    /// The next message is compressed as if none had been sent before it.
    ///
    /// Call it when frames have gone to the peer that this connection has not
    /// written, such as those of
    /// [`MessageDeflater`](crate::websocket::deflate::MessageDeflater), and this end
    /// takes its context over: the peer's window is then another than it knows.
    pub fn forget_deflate_context(&mut self) {
        let compression = self.compression();
        if let Some(context) = compression.and_then(|own| own.context.as_mut()) {
            context.reset();
        }
    }

    /// Appends the message as a compressed frame; `false`, and nothing is appended,
    /// if it is to be sent as it is.
    // Out of the way of plain messages, whose path is inlined.
    #[inline(never)]
    pub(super) fn write_compressed(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) -> bool {
        let compression = self
            .aside
            .as_mut()
            .and_then(|aside| aside.compression.as_mut());
        let Some(compression) = compression else {
            return false;
        };
        if payload.len() < compression.threshold_bytes {
            return false;
        }
        let (level, window_bits) = (compression.level, compression.window_bits);
        let keys = &mut self.masking_keys;
        let key = || keys.as_mut().map(|keys| keys.0.next_key());
        if !compression.context_takeover {
            return with_deflater(level, |deflater| {
                deflater.write(opcode, payload, window_bits, key, output)
            });
        }
        let context = &mut compression.context;
        let context = context.get_or_insert_with(|| Box::new(compressor(level, window_bits)));
        let written = write_frame(context, opcode, payload, key, output);
        if !written {
            // It has the message in its window, and the peer will not.
            context.reset();
        }
        written
    }

    /// A compressed message begins with this frame.
    // As above.
    #[inline(never)]
    pub(super) fn begin_compressed(&mut self, frame: &FrameHeader) {
        let history = self
            .compression()
            .map(|own| std::mem::take(&mut own.history));
        let history = history.unwrap_or_default();
        self.message.begin_compressed(frame, history, &self.limits);
    }

    /// A message is complete: what it leaves for the next one, if it was compressed.
    pub(super) fn keep_history(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.2
        //# Note that even if some uncompressed messages (with the RSV1 bit
        //# unset) are inserted between the two "Hello" messages, they don't
        //# affect the LZ77 sliding window.
        if let Some(history) = self.message.take_history() {
            if let Some(own) = self.compression() {
                own.history = history;
            }
        }
    }

    fn compression(&mut self) -> Option<&mut Compression> {
        self.aside.as_mut()?.compression.as_mut()
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression")
            .field("level", &self.level)
            .field("window_bits", &self.window_bits)
            .field("context_takeover", &self.context_takeover)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{Event, Limits, Message};

    const TAKEOVER: DeflateParameters = DeflateParameters {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: WindowBits::MAX,
        client_max_window_bits: WindowBits::MAX,
    };

    /// A server and a client that have said the same to each other.
    fn after_a_message(agreed: DeflateParameters) -> [Connection; 2] {
        let config = DeflateConfig {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            ..DeflateConfig::default()
        };
        let limits = Limits::default();
        let mut server = Connection::server(limits).with_deflate(agreed, &config);
        let mut client = Connection::client(limits, || [0; 4]).with_deflate(agreed, &config);
        hear(&mut server, &mut client);
        hear(&mut client, &mut server);
        [server, client]
    }

    fn hear(speaker: &mut Connection, listener: &mut Connection) {
        let (mut wire, mut replies) = (Vec::new(), Vec::new());
        let said = Message::Binary(&[0; 1000]);
        assert_eq!(speaker.send(said, &mut wire), Ok(()));
        assert!(wire.len() < 100);
        let input = &mut &mut wire[..];
        let heard = listener.receive(input, &mut replies);
        assert_eq!(heard, Ok(Some(Event::Binary(&[0; 1000]))));
        assert_eq!(listener.receive(input, &mut replies), Ok(None));
    }

    fn own(connection: &mut Connection) -> (bool, usize) {
        assert!(!connection.message.is_gathering());
        let Some(own) = connection.compression() else {
            unreachable!("deflate was agreed on");
        };
        (own.context.is_some(), own.history.capacity())
    }

    #[test]
    fn an_idle_connection_without_context_takeover_keeps_nothing_of_a_message() {
        let agreed = DeflateParameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            ..TAKEOVER
        };
        for mut connection in after_a_message(agreed) {
            assert_eq!(own(&mut connection), (false, 0));
        }
        assert!(size_of::<super::super::Aside>() <= 96);
    }

    #[test]
    fn a_connection_that_only_inflates_sends_as_it_is_and_keeps_nothing_of_a_message() {
        let config = DeflateConfig::default();
        for client_no_context_takeover in [true, false] {
            let agreed = DeflateParameters {
                client_no_context_takeover,
                ..TAKEOVER
            };
            let limits = Limits::default();
            let mut server = Connection::server(limits).with_inflate(agreed);
            let mut client = Connection::client(limits, || [0; 4]).with_deflate(agreed, &config);
            hear(&mut client, &mut server);
            hear(&mut client, &mut server);
            assert_eq!(server.aside.is_none(), client_no_context_takeover);
            let mut wire = Vec::new();
            assert_eq!(server.send(Message::Binary(&[0; 1000]), &mut wire), Ok(()));
            assert_eq!(wire.len(), 1004);
        }
    }

    /// "Hello" in a stored block, in a frame of which part has come, and in fragments of
    /// which one has come.
    #[test]
    fn an_unfinished_compressed_message_has_no_decompressor() {
        let frame = b"\xc1\x8b\0\0\0\0\x00\x05\x00\xfa\xffHello\x00";
        let fragments = b"\x41\x8a\0\0\0\0\x00\x05\x00\xfa\xffHello\x80\x81\0\0\0\0\x00";
        for (stream, cut) in [(&frame[..], 16), (fragments, 16), (fragments, 22)] {
            let limits = Limits::default();
            let mut server = Connection::server(limits).with_inflate(TAKEOVER);
            let mut stream = stream.to_vec();
            let (mut first, mut second) = stream.split_at_mut(cut);
            let mut replies = Vec::new();
            assert_eq!(server.receive(&mut first, &mut replies), Ok(None));
            assert!(server.message.is_gathering() && !server.message.has_a_decompressor());
            let event = server.receive(&mut second, &mut replies);
            assert_eq!(event, Ok(Some(Event::Text("Hello"))));
        }
    }

    #[test]
    fn with_it_a_connection_keeps_what_has_come_and_a_compressor() {
        for mut connection in after_a_message(TAKEOVER) {
            assert_eq!(own(&mut connection), (true, 1000));
        }
    }

    #[test]
    fn what_is_kept_of_messages_is_bounded_by_the_window() {
        let mut history = History::new(true, WindowBits::MIN);
        for bytes in [100, 255, 256, 257, 1000, 3] {
            history.push(&vec![7; bytes]);
            assert!(history.capacity() <= 256 + 64);
        }
    }
}
