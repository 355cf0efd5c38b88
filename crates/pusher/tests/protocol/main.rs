//! The protocol over sockets: what every row of the protocol's description says, from outside.
//!
//! | file | content |
//! |---|---|
//! | `harness.rs` | a server with apps, clients, signatures, requests |
//! | `connecting.rs` | opening, keeping alive, closing codes, limits of connections |
//! | `channels.rs` | public and private channels, unsubscribing, names |
//! | `presence.rs` | members: users and not connections |
//! | `client_events.rs` | events of clients |
//! | `users.rs` | signing in, messages to a user, termination, watchlists |
//! | `http_api.rs` | events, batches, questions, signatures, statuses |
//! | `webhooks.rs` | what a web server receives |
//! | `hostile.rs` | wrong JSON, types, names, sizes |

mod channels;
mod client_events;
mod connecting;
mod harness;
mod hostile;
mod http_api;
mod presence;
mod users;
mod webhooks;
