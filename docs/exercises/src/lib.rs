//! Exercises for the chapters in docs/learn. Each module is one of them.

#![forbid(unsafe_code)]

#[cfg_attr(feature = "solutions", path = "../solutions/close.rs")]
pub mod close;
#[cfg_attr(feature = "solutions", path = "../solutions/fan_out.rs")]
pub mod fan_out;
#[cfg_attr(feature = "solutions", path = "../solutions/header.rs")]
pub mod header;
#[cfg_attr(feature = "solutions", path = "../solutions/mask.rs")]
pub mod mask;
#[cfg_attr(feature = "solutions", path = "../solutions/reassemble.rs")]
pub mod reassemble;
