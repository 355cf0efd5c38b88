//! Tests of the protocol core, by the chapters of RFC 6455 and RFC 7692.
//! [`tests/README.md`](../README.md) is the index.

mod byte_streams;
mod closing;
mod control_frames;
mod deadlines;
mod deflate_byte_streams;
mod deflate_fan_out;
mod deflate_framing;
mod deflate_messages;
mod deflate_negotiation;
mod errors;
mod fragmentation;
mod frames;
mod handshake_to_connection;
mod lent_buffer;
mod masking;
mod messages;
mod opening_handshake_client;
mod opening_handshake_server;
mod pieces;
mod read_buffer;
mod replay;
mod state_tables;
mod uri;
mod vectors;
