//! Tests of HTTP without I/O. Those over sockets are in `tests/server/`.
//! [`tests/README.md`](../README.md) is the index.

mod byte_streams;
mod values;
