//! The chat: rooms, names and who is here, and the page to use it with.
//!
//! It is written on the server's public handler trait and knows no byte of the
//! wire: text comes in, text goes out to a room, and the server sees to it that
//! everyone in the room reads the same in the same order. What it says is the
//! subprotocol [`yamabiko.chat.v1`](SUBPROTOCOL), whose specification is
//! `docs/chat-protocol.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | `handler` | [`Chat`], as the server sees it |
//! | `route` | which path is what |
//! | `page`, `page/` | the page: HTML, CSS, scripts |
//! | `protocol` | the messages of both sides |
//! | `request` | reading what a client says |
//! | `member` | one connection: what it may say, and what happens then |
//! | `characters` | what the rules ask of Unicode's data |
//! | `names` | what one may be called |
//! | `room_name` | what a room may be called |
//! | `room` | who is in which room: all that the workers share |
//! | `presence` | the same, as a client puts it together |
//!
//! A message costs one reading and one writing of JSON and takes no lock. A
//! connection costs its session (under 100 bytes); being in a room, the forms of
//! its name (some hundred bytes).

mod characters;
mod handler;
mod member;
mod names;
mod page;
mod presence;
mod protocol;
mod request;
mod room;
mod room_name;
mod route;

pub use handler::{Chat, Session};
pub use names::{NAME_CHARACTERS_MAX, Name, NameError};
pub use presence::Presence;
pub use protocol::{
    ClientMessage, Complaint, ErrorCode, ID_BYTES_MAX, Limits, MESSAGE_BYTES_MAX, NAMES_LISTED_MAX,
    SUBPROTOCOL, ServerMessage, TEXT_BYTES_MAX,
};
pub use request::Request;
pub use room_name::{ROOM_CHARACTERS_MAX, is_room_name};
