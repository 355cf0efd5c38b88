//! The layer `server`.
