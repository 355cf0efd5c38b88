//! What the terminal of the program can do, by the environment.

use std::env;

/// Whether a terminal can move its cursor and wipe a line. Unix names the terminal in TERM;
/// Windows has no such name.
pub(crate) fn can_move_cursor() -> bool {
    match env::var("TERM") {
        Ok(name) => !name.is_empty() && name != "dumb",
        Err(_) => cfg!(windows),
    }
}
