//! Operations of nodes as bytes: what one message of the log has.
//!
//! ```text
//!   message    ┌─ version, 1 byte ─┬─ node, 8 bytes ─┬─ operation ─┬─ operation ─┬─ …
//!   operation  ┌─ kind, 1 byte ─┬─ its fields: a number has 8 bytes; a text or bytes have their length in front, 4 bytes
//! ```
//!
//! Numbers are big-endian. What comes from the engine is checked like any input: what is malformed is an error, and never a panic.

use crate::server::backplane::NodeId;
use crate::server::history::Position;
use std::sync::Arc;

/// What a node has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// It is there.
    Beat,
    /// It wants to know what all others hold.
    Ask,
    /// It holds an entry.
    Hold(Arc<str>, Arc<[u8]>),
    /// It does not hold an entry any more.
    Release(Arc<str>),
    /// The entries that it holds follow, mixed with its other operations.
    AnnounceBegins,
    /// It does not hold any entry that it has held and that did not follow.
    AnnounceEnds,
    /// A node is gone, of which nothing has come behind this position.
    Gone(NodeId, Position),
    /// It ends. The other node tells of that.
    Leave(NodeId),
    /// A message of the application.
    Message(Arc<[u8]>),
}

/// A message of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operations {
    pub(super) from: NodeId,
    pub(super) all: Vec<Operation>,
}

/// Bytes that no node of this version has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Operation {
    /// About what it takes, in memory and in a message.
    pub(super) fn bytes(&self) -> usize {
        OPERATION_BYTES
            + match self {
                Operation::Hold(key, value) => key.len() + value.len(),
                Operation::Release(key) => key.len(),
                Operation::Message(payload) => payload.len(),
                _ => 0,
            }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Operation::Beat => bytes.push(BEAT),
            Operation::Ask => bytes.push(ASK),
            Operation::Hold(key, value) => {
                bytes.push(HOLD);
                write_bytes(key.as_bytes(), bytes);
                write_bytes(value, bytes);
            }
            Operation::Release(key) => {
                bytes.push(RELEASE);
                write_bytes(key.as_bytes(), bytes);
            }
            Operation::AnnounceBegins => bytes.push(ANNOUNCE_BEGINS),
            Operation::AnnounceEnds => bytes.push(ANNOUNCE_ENDS),
            Operation::Gone(node, position) => {
                bytes.push(GONE);
                for number in [node.get(), position.epoch(), position.offset()] {
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
            }
            Operation::Leave(heir) => {
                bytes.push(LEAVE);
                bytes.extend_from_slice(&heir.get().to_be_bytes());
            }
            Operation::Message(payload) => {
                bytes.push(MESSAGE);
                write_bytes(payload, bytes);
            }
        }
    }

    fn read(bytes: &mut &[u8]) -> Result<Operation, Malformed> {
        let [kind] = *take(bytes)?;
        Ok(match kind {
            BEAT => Operation::Beat,
            ASK => Operation::Ask,
            HOLD => Operation::Hold(read_text(bytes)?.into(), read_bytes(bytes)?.into()),
            RELEASE => Operation::Release(read_text(bytes)?.into()),
            ANNOUNCE_BEGINS => Operation::AnnounceBegins,
            ANNOUNCE_ENDS => Operation::AnnounceEnds,
            GONE => {
                let node = NodeId::new(read_number(bytes)?);
                let position = Position::new(read_number(bytes)?, read_number(bytes)?);
                Operation::Gone(node, position)
            }
            LEAVE => Operation::Leave(NodeId::new(read_number(bytes)?)),
            MESSAGE => Operation::Message(read_bytes(bytes)?.into()),
            _ => return Err(Malformed),
        })
    }
}

impl Operations {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.from.get().to_be_bytes());
        self.all
            .iter()
            .for_each(|operation| operation.write(&mut bytes));
        bytes
    }

    /// # Errors
    /// Another version has written it, or none.
    pub(super) fn decode(mut bytes: &[u8]) -> Result<Operations, Malformed> {
        let bytes = &mut bytes;
        let [version] = *take(bytes)?;
        if version != VERSION {
            return Err(Malformed);
        }
        let from = NodeId::new(read_number(bytes)?);
        let mut all = Vec::new();
        while !bytes.is_empty() {
            all.push(Operation::read(bytes)?);
        }
        Ok(Operations { from, all })
    }
}

fn write_bytes(field: &[u8], bytes: &mut Vec<u8>) {
    // The limits of the directory are far below 4 GiB.
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(field);
}

fn take<'b, const COUNT: usize>(bytes: &mut &'b [u8]) -> Result<&'b [u8; COUNT], Malformed> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn read_number(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    take(bytes).map(|number| u64::from_be_bytes(*number))
}

fn read_bytes<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], Malformed> {
    let length = u32::from_be_bytes(*take(bytes)?);
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let (field, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    Ok(field)
}

fn read_text<'b>(bytes: &mut &'b [u8]) -> Result<&'b str, Malformed> {
    str::from_utf8(read_bytes(bytes)?).map_err(|_| Malformed)
}

const VERSION: u8 = 1;

const BEAT: u8 = 1;
const ASK: u8 = 2;
const HOLD: u8 = 3;
const RELEASE: u8 = 4;
const ANNOUNCE_BEGINS: u8 = 5;
const ANNOUNCE_ENDS: u8 = 6;
const GONE: u8 = 7;
const LEAVE: u8 = 8;
const MESSAGE: u8 = 9;

/// What an operation takes besides its text and its bytes.
const OPERATION_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn operation() -> impl Strategy<Value = Operation> {
        let node = any::<u64>().prop_map(NodeId::new);
        let bytes = any::<Vec<u8>>();
        prop_oneof![
            Just(Operation::Beat),
            Just(Operation::Ask),
            Just(Operation::AnnounceBegins),
            Just(Operation::AnnounceEnds),
            (any::<String>(), bytes.clone())
                .prop_map(|(key, value)| Operation::Hold(key.into(), value.into())),
            any::<String>().prop_map(|key| Operation::Release(key.into())),
            (node.clone(), any::<u64>(), any::<u64>()).prop_map(|(node, epoch, offset)| {
                Operation::Gone(node, Position::new(epoch, offset))
            }),
            node.prop_map(Operation::Leave),
            bytes.prop_map(|payload| Operation::Message(payload.into())),
        ]
    }

    proptest! {
        #[test]
        fn operations_are_read_as_they_were_written(
            from: u64,
            all in prop::collection::vec(operation(), 0..6),
        ) {
            let operations = Operations { from: NodeId::new(from), all };
            prop_assert_eq!(Operations::decode(&operations.encode()), Ok(operations));
        }

        #[test]
        fn any_bytes_are_operations_or_malformed(mut bytes: Vec<u8>, cut: prop::sample::Index) {
            let _ = Operations::decode(&bytes);
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let _ = Operations::decode(&bytes);
            let all = vec![Operation::Hold("key".into(), [7; 9].into())];
            let whole = Operations { from: NodeId::new(7), all }.encode();
            let cut = cut.index(whole.len());
            // Version and node alone are a message without operations.
            prop_assert_eq!(Operations::decode(&whole[..cut]).is_ok(), cut == 9);
        }
    }
}
