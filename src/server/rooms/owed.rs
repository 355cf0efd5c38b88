//! Messages that a log owes: they are published, and not in the log yet, because one of them is being compressed.
//!
//! ```text
//!   publish ──┬── plain log: at once
//!             └── deflate log ──▶ long message │ later ones, in order ──▶ the log
//!                                 1 KiB a turn
//! ```
//!
//! To compress 1 MiB takes 10 to 40 ms, and all clients of the worker would wait for that. So a message of more than
//! 16 KiB is compressed in steps, one in each turn, and the messages behind it wait in the same order. A log that owes
//! counts as one that is not flushed: its publishers are not read when that is too much.
//!
//! An operation that needs the log as it was published to has it settled first: the rest is compressed at once. That is so when a member is
//! closed by the server, and when a subscription begins behind one of these messages, in a room with history.
//!
//! With several workers, the first one that comes to the message compresses it for all. The others check from time to time; if its log
//! is removed meanwhile, the next one begins.

use super::compressor::Compressor;
use super::encoding::Encoding;
use super::publication::{FrameInSteps, FrameStep, SharedMessage};
use crate::broadcast::SubscriptionId;
use std::collections::VecDeque;

/// What one log owes: at least one message.
#[derive(Default)]
pub(super) struct OwedMessages {
    queue: VecDeque<OwedMessage>,
    /// Of all of them.
    bytes: u64,
    /// Of the first one.
    steps: Option<FrameInSteps>,
}

/// A message, and the subscription of this log that does not get it.
pub(super) struct OwedMessage {
    pub(super) message: SharedMessage,
    pub(super) except: Option<SubscriptionId>,
}

impl OwedMessages {
    /// The memory that the messages take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn messages(&self) -> u64 {
        self.queue.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A message is published behind the others. Returns its bytes.
    pub(super) fn push(&mut self, message: SharedMessage, except: Option<SubscriptionId>) -> u64 {
        let bytes = message.bytes() as u64;
        self.bytes += bytes;
        self.queue.push_back(OwedMessage { message, except });
        bytes
    }

    /// Compresses a step of the first message.
    pub(super) fn step(
        &mut self,
        encoding: Encoding,
        compressor: &mut Compressor,
        bytes_max: usize,
    ) -> FrameStep {
        let first = self.queue.front();
        first.map_or(FrameStep::IsReady, |first| {
            let steps = &mut self.steps;
            first.message.step(encoding, compressor, steps, bytes_max)
        })
    }

    /// Takes the first message.
    pub(super) fn pop(&mut self) -> Option<OwedMessage> {
        self.steps = None;
        let first = self.queue.pop_front()?;
        self.bytes -= first.message.bytes() as u64;
        Some(first)
    }

    /// A subscription has ended. A later one may get its id.
    pub(super) fn forget(&mut self, subscription: SubscriptionId) {
        for owed in &mut self.queue {
            owed.except.take_if(|except| *except == subscription);
        }
    }
}

/// What a turn compresses of a longer one, in bytes, if its other work costs as much as writing `work` bytes: 1 KiB, which takes 10 to
/// 40 µs, and up to 4 KiB in a turn that takes 300 µs or more without that. Otherwise a long message would take a second and more
/// where the turns are long.
pub(in crate::server) fn step_bytes(work: usize) -> usize {
    (work / WORK_PER_COMPRESSED).clamp(1 << 10, 4 << 10)
}

/// For the 192 KiB that the logs may write in a turn, in 300 µs, 4 KiB are compressed, in 40 to 160 µs.
const WORK_PER_COMPRESSED: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_grows_with_the_other_work_of_the_turn_from_1_kib_to_4() {
        for (work, step) in [
            (0, 1024),
            (48 * 1024, 1024),
            (48 * 1025, 1025),
            (48 * 4095, 4095),
            (192 << 10, 4096),
            (usize::MAX, 4096),
        ] {
            assert_eq!(step_bytes(work), step, "{work}");
        }
    }
}
