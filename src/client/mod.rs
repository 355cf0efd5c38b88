//! The layer `client`.
