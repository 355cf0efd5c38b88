//! Buffers for reading and writing: a few for each thread, not two for each connection.
//!
//! A connection takes a read buffer when its task reads, and gives it back when nothing is left in it, so before it waits.
//! It takes a write buffer with its first frame, and gives it back when all is written. So an idle connection has none, and
//! the buffers that a thread uses stay in the nearest cache. A connection whose task waits for something else while received
//! messages are left keeps its read buffer until they are taken, one with the beginning of a long message until its end has come,
//! and one whose peer does not read keeps its write buffer.

use std::cell::RefCell;
use std::mem;

use yamabiko::websocket::ReadBuffer;

/// Boxed: it changes hands twice for a message, and an idle connection has room for a pointer.
pub(crate) type Buffer = Box<ReadBuffer>;

/// So many free write buffers stay with a thread.
const FREE_MAX: usize = 4;

/// So many bytes of free read buffers stay with a thread, and one buffer more. A buffer has 64 KiB, and more after large messages.
const FREE_READ_BYTES: usize = 1 << 20;

/// A write buffer of more bytes is freed. It holds what a turn sends to one connection.
const FREE_BYTES_MAX: usize = 256 << 10;

thread_local! {
    static READ: RefCell<FreeBuffers> = const { RefCell::new(FreeBuffers::new()) };
    static WRITE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Read buffers in which nothing is left.
struct FreeBuffers {
    buffers: Vec<Buffer>,
    /// What all of them take.
    bytes: usize,
}

impl FreeBuffers {
    const fn new() -> FreeBuffers {
        FreeBuffers {
            buffers: Vec::new(),
            bytes: 0,
        }
    }

    fn take(&mut self) -> Option<Buffer> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.held_bytes();
        Some(buffer)
    }

    fn give_back(&mut self, buffer: Buffer) {
        if self.bytes < FREE_READ_BYTES {
            self.bytes += buffer.held_bytes();
            self.buffers.push(buffer);
        }
    }
}

/// A free read buffer of this thread, or a new one.
pub(crate) fn take() -> Buffer {
    READ.with_borrow_mut(FreeBuffers::take).unwrap_or_default()
}

/// Gives a read buffer back in which nothing is left; to the thread that the task runs on now.
pub(crate) fn give_back(buffer: Buffer) {
    READ.with_borrow_mut(|free| free.give_back(buffer));
}

/// Makes an empty vector without memory one with memory, if this thread has a free one.
pub(crate) fn take_bytes(bytes: &mut Vec<u8>) {
    if let Some(free) = WRITE.with_borrow_mut(Vec::pop) {
        *bytes = free;
    }
}

/// Takes the memory of these bytes, which are not needed any more.
pub(crate) fn give_back_bytes(bytes: &mut Vec<u8>) {
    let mut bytes = mem::take(bytes);
    if bytes.capacity() > FREE_BYTES_MAX {
        return;
    }
    bytes.clear();
    WRITE.with_borrow_mut(|free| {
        if free.len() < FREE_MAX {
            free.push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer() -> Buffer {
        let mut buffer = Buffer::default();
        let read = buffer.room().len();
        assert!(read >= 64 << 10);
        buffer
    }

    #[test]
    fn free_buffers_have_their_bytes_and_one_buffer_more() {
        let mut free = FreeBuffers::new();
        for _ in 0..100 {
            free.give_back(buffer());
        }
        let each = buffer().held_bytes();
        assert_eq!(free.buffers.len(), FREE_READ_BYTES.div_ceil(each));
        assert!((FREE_READ_BYTES..FREE_READ_BYTES + each).contains(&free.bytes));
        while free.take().is_some() {}
        assert_eq!(free.bytes, 0);
    }
}
