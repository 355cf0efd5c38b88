//! Read buffers: a few for each thread, not one for each connection.
//!
//! A connection takes a buffer when its task reads, and gives it back when nothing is left in it, so before it waits.
//! So an idle connection has none, and the buffer that a thread uses stays in the nearest cache. A connection whose task
//! waits for something else while received messages are left keeps its buffer until they are taken.

use std::cell::RefCell;

use yamabiko::websocket::ReadBuffer;

/// So many free buffers stay with a thread: 64 KiB each, and more after large messages.
const FREE_MAX: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<ReadBuffer>> = const { RefCell::new(Vec::new()) };
}

/// A free buffer of this thread, or a new one.
pub(crate) fn take() -> ReadBuffer {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a buffer back in which nothing is left; to the thread that the task runs on now.
pub(crate) fn give_back(buffer: ReadBuffer) {
    FREE.with_borrow_mut(|free| {
        if free.len() < FREE_MAX {
            free.push(buffer);
        }
    });
}
