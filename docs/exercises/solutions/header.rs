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
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(HeaderError::ReservedBit);
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(HeaderError::ReservedOpcode);
    }
    let is_control = opcode >= 8;
    if is_control && !fin {
        return Err(HeaderError::ControlFrame);
    }
    let Some(&second) = bytes.get(1) else {
        return Ok(None);
    };
    let short = second & 0x7f;
    if is_control && short > 125 {
        return Err(HeaderError::ControlFrame);
    }
    let length_bytes = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(long) = bytes.get(2..2 + length_bytes) else {
        return Ok(None);
    };
    let payload_length = match length_bytes {
        0 => u64::from(short),
        _ => long
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    };
    let least = match length_bytes {
        0 => 0,
        2 => 126,
        _ => 65_536,
    };
    if payload_length < least || payload_length >> 63 != 0 {
        return Err(HeaderError::Length);
    }
    let mut end = 2 + length_bytes;
    let mut masking_key = None;
    if second & 0x80 != 0 {
        let Some(key) = bytes.get(end..end + 4) else {
            return Ok(None);
        };
        masking_key = Some([key[0], key[1], key[2], key[3]]);
        end += 4;
    }
    let header = Header {
        fin,
        opcode,
        masking_key,
        payload_length,
    };
    Ok(Some((header, end)))
}
