//! The rules that a header field of the caller can break.

use core::fmt;

/// Why a field of the caller is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidField {
    /// The name is no token (RFC 9110 §5.1).
    Name,
    /// The value holds a control character, or white space at an end.
    Value,
    /// This crate sets the field; the application must not.
    Reserved,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            InvalidField::Name => "the field's name is not a token",
            InvalidField::Value => "the field's value cannot stand in one line",
            InvalidField::Reserved => "the field is set by the writer itself",
        })
    }
}

impl core::error::Error for InvalidField {}
