//! The layer `chat`.
