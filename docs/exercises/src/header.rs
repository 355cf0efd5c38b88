//! Exercise 2: the header of a frame (RFC 6455 §5.2).

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    /// 0 to 15.
    pub opcode: u8,
    pub masking_key: Option<[u8; 4]>,
    pub payload_length: u64,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// RSV1, RSV2 or RSV3 is set: there is no extension here.
    ReservedBit,
    /// An opcode that is not 0, 1, 2, 8, 9 or 10.
    ReservedOpcode,
    /// A length in a longer form than needed, or a 64-bit length with the highest bit set.
    Length,
    /// A control frame (opcode 8 and above) without FIN, or with more than 125 bytes.
    ControlFrame,
}

/// Reads a header from the front of `bytes`, and returns it with the number of its bytes.
/// `Ok(None)`: the header is not whole yet, and nothing in it is wrong so far.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let _ = bytes;
    unimplemented!("exercise 2")
}
