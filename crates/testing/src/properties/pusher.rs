//! The messages and the HTTP API of Pusher clients. The properties are in that crate, where its parsers are.

pub use yamabiko_pusher::properties::{pusher_api, pusher_messages};

pub(super) use yamabiko_pusher::properties::{api_seeds, messages_seeds};
