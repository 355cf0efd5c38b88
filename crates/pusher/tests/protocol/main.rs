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
//! | `web_server.rs` | web servers that receive webhooks |
//! | `webhooks.rs`, `webhooks_https.rs` | what a web server receives |
//! | `cluster.rs` | an app on several servers |
//! | `webhooks_hostile.rs` | web servers that do harm |
//! | `attacks.rs` | signatures used again elsewhere, data of odd shapes, names at the borders |
//! | `hostile.rs` | wrong JSON, types, names, sizes |
//! | `amplification.rs` | how much short requests may cause |

mod amplification;
mod attacks;
mod channels;
mod client_events;
mod cluster;
mod connecting;
mod harness;
mod hostile;
mod http_api;
mod presence;
mod users;
mod web_server;
mod webhooks;
mod webhooks_hostile;
#[cfg(feature = "tls")]
mod webhooks_https;
