//! Frames (RFC 6455 §5.2 to §5.5).
