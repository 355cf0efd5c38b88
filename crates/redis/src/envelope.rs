//! Messages as bytes: in the log of a room on Redis, and on the channel of the room.
//!
//! ```text
//!   message    ┌─ length of the rest, 4 bytes ─┬─ kind, 1 byte ─┬─ length and name of a connection ─┬─ payload ─┐
//!   channel    epoch in 16 hexadecimal digits, ' ', offset of the first message, '\n', messages
//! ```
//!
//! The length is big-endian, and the kind says whether a connection is named. A message has its length in front, so that the script
//! publishes several by putting one behind the other. What comes from Redis is checked like any input: what is malformed is an
//! error, and never a panic.

use yamabiko::server::{BackplaneMessage, Message, Position};

/// The messages of one publication on a room's channel.
#[derive(Debug)]
pub(crate) struct Published<M> {
    /// Of the first message.
    pub(crate) position: Position,
    pub(crate) messages: Vec<M>,
}

/// Bytes that no node of this version has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A message that is to be written.
pub(crate) struct Envelope<'m> {
    is_text: bool,
    /// The connection that does not get it: three numbers of at most 20 digits.
    except: Option<String>,
    payload: &'m [u8],
}

impl<'m> Envelope<'m> {
    pub(crate) fn new(message: &'m BackplaneMessage) -> Envelope<'m> {
        Envelope {
            is_text: message.is_text(),
            except: message.except().map(|connection| connection.to_string()),
            payload: message.payload(),
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        LENGTH_BYTES + self.rest()
    }

    /// How many bytes are behind the length.
    fn rest(&self) -> usize {
        let except = self.except.as_ref().map_or(0, |name| 1 + name.len());
        1 + except + self.payload.len()
    }

    /// Appends it.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        // A payload is far below 4 GiB: Redis takes at most 512 MiB.
        let rest = u32::try_from(self.rest()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&rest.to_be_bytes());
        let text = if self.is_text { TEXT } else { 0 };
        let except = if self.except.is_some() { EXCEPT } else { 0 };
        bytes.push(text | except);
        if let Some(name) = &self.except {
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.extend_from_slice(self.payload);
    }
}

/// Reads the only message of these bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<BackplaneMessage, Malformed> {
    match split(bytes)? {
        (message, []) => Ok(message),
        _ => Err(Malformed),
    }
}

/// Reads a publication on a room's channel.
pub(crate) fn decode_published(bytes: &[u8]) -> Result<Published<BackplaneMessage>, Malformed> {
    let mut head = bytes.iter().take(HEAD_BYTES_MAX);
    let end = head.position(|&byte| byte == b'\n').ok_or(Malformed)?;
    let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
    let head = str::from_utf8(head).map_err(|_| Malformed)?;
    let (epoch, offset) = head.split_once(' ').ok_or(Malformed)?;
    let position = position(epoch, offset)?;
    let mut rest = rest;
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let (message, behind) = split(rest)?;
        messages.push(message);
        rest = behind;
    }
    Ok(Published { position, messages })
}

/// The position of an epoch and an offset as the scripts write them.
pub(crate) fn position(epoch: &str, offset: &str) -> Result<Position, Malformed> {
    format!("{epoch}-{offset}").parse().map_err(|_| Malformed)
}

/// The first message, and the bytes behind it.
fn split(bytes: &[u8]) -> Result<(BackplaneMessage, &[u8]), Malformed> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(Malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Malformed)?;
    let (message, behind) = rest.split_at_checked(length).ok_or(Malformed)?;
    let (&kind, message) = message.split_first().ok_or(Malformed)?;
    let (except, payload) = match kind & EXCEPT {
        0 => (None, message),
        _ => {
            let (&length, message) = message.split_first().ok_or(Malformed)?;
            let (name, payload) = message.split_at_checked(length.into()).ok_or(Malformed)?;
            let name = str::from_utf8(name).map_err(|_| Malformed)?;
            (Some(name.parse().map_err(|_| Malformed)?), payload)
        }
    };
    let message = match kind & !EXCEPT {
        0 => Message::Binary(payload),
        TEXT => Message::Text(str::from_utf8(payload).map_err(|_| Malformed)?),
        _ => return Err(Malformed),
    };
    Ok((
        BackplaneMessage::new(0, message).with_except(except),
        behind,
    ))
}

/// Bits of the kind: the message is a text; a connection does not get it.
const TEXT: u8 = 1;
const EXCEPT: u8 = 2;

const LENGTH_BYTES: usize = 4;
/// Epoch, space, the longest offset and the end of the line.
const HEAD_BYTES_MAX: usize = 16 + 1 + 20 + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use yamabiko::server::{NodeConnection, OwnedMessage};

    fn encode(message: &BackplaneMessage) -> Vec<u8> {
        let (envelope, mut bytes) = (Envelope::new(message), Vec::new());
        envelope.write(&mut bytes);
        assert_eq!(bytes.len(), envelope.len());
        bytes
    }

    /// What can be compared of a message.
    fn parts(message: &BackplaneMessage) -> (bool, Vec<u8>, Option<NodeConnection>) {
        (
            message.is_text(),
            message.payload().to_vec(),
            message.except(),
        )
    }

    fn messages() -> impl Strategy<Value = BackplaneMessage> {
        let payloads = prop_oneof![
            any::<String>().prop_map(OwnedMessage::Text),
            any::<Vec<u8>>().prop_map(OwnedMessage::Binary),
        ];
        let connections = prop::option::of("[0-9a-f]{16}-[0-9]{1,3}-[0-9a-f]{1,16}");
        (payloads, connections).prop_map(|(payload, connection)| {
            let connection = connection.map(|name| name.parse().expect("a connection"));
            BackplaneMessage::new(0, payload.as_message()).with_except(connection)
        })
    }

    proptest! {
        #[test]
        fn messages_of_a_channel_are_read_as_they_were_written(
            epoch: u64,
            offset in 1_u64..1 << 53,
            messages in prop::collection::vec(messages(), 0..4),
        ) {
            let mut bytes = format!("{epoch:016x} {offset}\n").into_bytes();
            for message in &messages {
                let one = encode(message);
                prop_assert_eq!(parts(&decode(&one).expect("it was written here")), parts(message));
                bytes.extend_from_slice(&one);
            }
            let published = decode_published(&bytes).expect("it was written here");
            prop_assert_eq!(published.position, Position::new(epoch, offset));
            let read: Vec<_> = published.messages.iter().map(parts).collect();
            prop_assert_eq!(read, messages.iter().map(parts).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read_or_malformed(bytes: Vec<u8>, cut: prop::sample::Index) {
            let _ = (decode(&bytes), decode_published(&bytes));
            let mut whole = b"00000000000000ff 7\n".to_vec();
            whole.extend(encode(&BackplaneMessage::new(0, Message::Text("three"))));
            let cut = cut.index(whole.len());
            // The head alone is a publication without messages.
            prop_assert_eq!(decode_published(&whole[..cut]).is_ok(), cut == 19);
        }
    }

    #[test]
    fn text_that_is_not_utf8_and_an_unknown_kind_are_malformed() {
        let mut bytes = encode(&BackplaneMessage::new(0, Message::Binary(&[0xff])));
        bytes[4] |= TEXT;
        assert_eq!(decode(&bytes).err(), Some(Malformed));
        bytes[4] = 4;
        assert_eq!(decode(&bytes).err(), Some(Malformed));
    }
}
