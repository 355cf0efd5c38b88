//! The chat application: rooms, members, their names, and the page for the browser.
//!
//! It uses the server's public handler trait only, and no bytes of the wire: it receives
//! text and publishes text to a room. The server delivers the messages of a room to all
//! members in the same order. The messages are those of the subprotocol
//! [`yamabiko.chat.v2`](SUBPROTOCOL_V2) and of version 1 ([`SUBPROTOCOL`]), specified in `docs/chat-protocol.md`.
//!
//! A message is parsed once and written as JSON once; it takes no lock. A connection costs
//! its session (less than 100 bytes), and in a room also the forms of its name (some hundred
//! bytes).

// The files of this module:
//
// | file | contents |
// |---|---|
// | `handler` | [`Chat`]: the server's handler |
// | `route` | the paths |
// | `access` | who may use a path |
// | `api`, `subscribers` | the HTTP interface: publishing and presence |
// | `page`, `page/` | the page: HTML, CSS, scripts |
// | `protocol` | the messages of both sides |
// | `request` | parsing the messages of a client |
// | `member`, `effects` | one connection: its requests and their effects |
// | `speaker` | what the connections of one person share |
// | `message_rate` | how fast a person may send |
// | `room_record` | what survives the server |
// | `rules`, `sanctions` | who may enter a room, who moderates it, who may not write |
// | `sessions` | by which text a person is known again |
// | `passwords`, `invitations` | how somebody is let into a private room |
// | `guesses` | how often a password may be guessed |
// | `moderating` | the requests of moderators |
// | `list_budget` | how many bytes of lists of names one client may ask for |
// | `characters` | properties of Unicode characters |
// | `names` | the rules for members' names |
// | `room_name` | the rules for rooms' names |
// | `room` | the rooms: the state that all workers share |
// | `people` | the names in a room, with those of other nodes |
// | `nodes` | what the nodes of a cluster tell each other of rooms |
// | `presence` | the members of a room as a client reconstructs them |

mod access;
mod api;
mod characters;
mod effects;
mod guesses;
mod handler;
mod invitations;
mod list_budget;
mod member;
mod message_rate;
mod moderating;
mod name_list;
mod names;
mod nodes;
mod page;
mod passwords;
mod people;
mod presence;
mod protocol;
mod request;
mod room;
mod room_name;
mod room_record;
mod route;
mod rules;
mod sanctions;
mod sessions;
mod speaker;
mod subscribers;

pub use access::Access;
pub use handler::{Chat, Session};
pub use names::{NAME_CHARACTERS_MAX, Name, NameError};
pub use presence::Presence;
pub use protocol::{
    ChatLimits, ClientMessage, Enter, ErrorCode, ErrorReply, ID_BYTES_MAX, MESSAGE_BYTES_MAX,
    Moderation, NAMES_LISTED_MAX, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, Past, PastGap, REMOVED,
    SECRET_BYTES_MAX, SECRET_BYTES_MIN, SUBPROTOCOL, SUBPROTOCOL_V2, ServerMessage, TABS_MAX,
    TAKEN_OVER, TEXT_BYTES_MAX, TOPIC_BYTES_MAX, Topic, Visibility,
};
pub use request::Request;
pub use room_name::{ROOM_CHARACTERS_MAX, is_room_name};
pub use sessions::{SESSION_KEY_BYTES_MIN, SessionKey};
