//! The layer `broadcast`.
