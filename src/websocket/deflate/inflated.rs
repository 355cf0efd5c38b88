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
    /// More streams end in the message than in any that is no attack.
    TooManyStreams,
}

/// What one block of inflated bytes took.
pub(crate) struct Inflation<T> {
    pub(crate) taken: usize,
    /// The block is full. There may be more output, also of the bytes that have been taken.
    pub(crate) has_more: bool,
    /// What the caller has made of the block.
    pub(crate) used: T,
    /// An error behind the bytes of the block.
    pub(crate) result: Result<(), InflateError>,
}

impl<T> Inflation<T> {
    pub(super) fn nothing(used: T) -> Inflation<T> {
        Inflation {
            taken: 0,
            has_more: false,
            used,
            result: Ok(()),
        }
    }

    pub(super) fn failed(used: T, error: InflateError) -> Inflation<T> {
        Inflation {
            result: Err(error),
            ..Inflation::nothing(used)
        }
    }
}
