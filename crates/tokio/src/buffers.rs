//! Buffers for reading and writing: a few for each thread, not two for each connection.
//!
//! A connection takes a read buffer when its task reads, and gives it back when nothing is left in it, so before it waits.
//! It takes a write buffer with its first frame, and gives it back when all is written. So an idle connection has none, and
//! the buffers that a thread uses stay in the nearest cache. A connection whose task waits for something else while received
//! messages are left keeps its read buffer until they are taken, and one whose peer does not read keeps its write buffer.

use std::cell::RefCell;
use std::mem;

use yamabiko::websocket::ReadBuffer;

/// Boxed: it changes hands twice for a message, and an idle connection has room for a pointer.
pub(crate) type Buffer = Box<ReadBuffer>;

/// So many free buffers of each kind stay with a thread. A read buffer has 64 KiB, and more after large messages.
const FREE_MAX: usize = 4;

/// A write buffer of more bytes is freed. It holds what a turn sends to one connection.
const FREE_BYTES_MAX: usize = 256 << 10;

thread_local! {
    static READ: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    static WRITE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A free read buffer of this thread, or a new one.
pub(crate) fn take() -> Buffer {
    READ.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a read buffer back in which nothing is left; to the thread that the task runs on now.
pub(crate) fn give_back(buffer: Buffer) {
    READ.with_borrow_mut(|free| {
        if free.len() < FREE_MAX {
            free.push(buffer);
        }
    });
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
