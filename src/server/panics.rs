//! Panics in an application's methods: each ends the connection that the method was called for, and nothing else.
//!
//! `environment.rs` calls the application's methods through [`catch`]. The one exception is
//! [`Handler::lag_policy`](super::Handler::lag_policy): the table of rooms calls it inside [`Context::join`](super::Context::join),
//! so inside such a call, and before it changes anything for the new log. What the rooms ask about their histories
//! ([`Handler::history`](super::Handler::history), [`Handler::numbered`](super::Handler::numbered)) is for no connection: a panic
//! there is no answer. `observers.rs` calls observers through [`catch`], too, which see bytes and can change nothing.
//!
//! A panic can only damage the application's own data: the session, which [`Handler::closed`](super::Handler::closed) gets and
//! which is then dropped, and the handler's shared state behind `&self`. The application has to handle that state after a panic
//! (a standard `Mutex` is poisoned). The worker's data changes only in methods of [`Context`](super::Context), and each of these
//! is complete before the application goes on.
//!
//! A program that is compiled with `panic = "abort"` ends at the first panic.

use super::failure::Failure;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a method of the application.
///
/// # Errors
/// The method panicked, with this text.
pub(super) fn catch<R>(method: impl FnOnce() -> R) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(method)).map_err(|payload| {
        let message = message_of(&*payload);
        // A payload may panic when it is dropped. So it is leaked; nothing needs it.
        std::mem::forget(payload);
        Failure::Panicked { message }
    })
}

/// The text of `panic!`, as the standard hook prints it.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is not text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(failure: Result<(), Failure>) -> String {
        match failure {
            Err(Failure::Panicked { message }) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn panic_becomes_a_failure_with_its_text_and_a_result_passes_through() {
        assert!(matches!(catch(|| 7), Ok(7)));
        assert_eq!(message(catch(|| panic!("plain"))), "plain");
        let number = 7;
        assert_eq!(message(catch(|| panic!("number {number}"))), "number 7");
        let other = message(catch(|| std::panic::panic_any(7)));
        assert_eq!(other, "a value that is not text");
    }

    #[test]
    fn payload_that_panics_when_dropped_is_never_dropped() {
        struct Trap;
        impl Drop for Trap {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let other = message(catch(|| std::panic::panic_any(Trap)));
        assert_eq!(other, "a value that is not text");
    }
}
