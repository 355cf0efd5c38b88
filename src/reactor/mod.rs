//! The layer `reactor`.
