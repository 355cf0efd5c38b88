//! What a decompressor needs of the message that it inflates.

/// Where the inflated bytes of one message go.
pub(crate) trait Inflated {
    /// What can be wrong with them.
    type Error: From<InflateError>;

    /// All bytes so far, in two parts.
    fn parts(&self) -> (&[u8], &[u8]);

    /// Adds bytes. With them there are at most `bytes_max`.
    fn add(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), Self::Error>;
}

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// The data is not DEFLATE, or its end is missing.
    Corrupt,
    /// The message is longer than the limit.
    TooLong,
}
