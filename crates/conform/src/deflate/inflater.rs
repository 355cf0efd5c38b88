//! Reads DEFLATE, strictly, and measures how far back it refers.
//!
//! It keeps the last 32,768 bytes whatever was agreed: a peer that refers too far back is
//! measured, not misunderstood. A code is read bit by bit.

use super::code::{COPY_LENGTHS, DISTANCES, END_OF_BLOCK, ORDER, fixed_distances, fixed_literals};
use super::{TAIL, WINDOW_BYTES_MAX};

/// See the [module's text](self).
#[derive(Debug, Default)]
pub(crate) struct Inflater {
    /// The end of what earlier messages inflated to; at most 32,768 bytes.
    window: Vec<u8>,
}

/// A message, and how it was compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inflated {
    pub bytes: Vec<u8>,
    /// The blocks of the message, with the one that ends it.
    pub blocks: usize,
    /// The longest distance of a copy; 0: there is no copy.
    pub distance_max: usize,
    /// How many bytes before its own first byte the message refers to; 0: to none.
    pub reach: usize,
}

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// It is no DEFLATE, for this reason.
    Corrupt(&'static str),
    /// It is longer than the caller allows.
    TooLong,
}

impl Inflater {
    /// After earlier messages with this content, in a row.
    pub(crate) fn after(earlier: &[u8]) -> Inflater {
        let window = earlier[earlier.len().saturating_sub(WINDOW_BYTES_MAX)..].to_vec();
        Inflater { window }
    }

    /// Inflates the payload of a message, whose tail was removed (RFC 7692 §7.2.2).
    ///
    /// # Errors
    /// The payload is no DEFLATE, or longer than `bytes_max` when it is inflated.
    pub(crate) fn message(
        &mut self,
        payload: &[u8],
        bytes_max: usize,
    ) -> Result<Inflated, InflateError> {
        let bytes = [payload, &TAIL].concat();
        let mut message = Message {
            start: self.window.len(),
            output: std::mem::take(&mut self.window),
            bytes_max,
            blocks: 0,
            distance_max: 0,
            reach: 0,
        };
        let mut bits = Bits::of(&bytes);
        while !bits.is_empty() {
            message.block(&mut bits)?;
        }
        *self = Inflater::after(&message.output);
        Ok(Inflated {
            bytes: message.output.split_off(message.start),
            blocks: message.blocks,
            distance_max: message.distance_max,
            reach: message.reach,
        })
    }
}

/// A message that is being inflated.
struct Message {
    /// The window and then the message.
    output: Vec<u8>,
    /// Where the message begins in the output.
    start: usize,
    bytes_max: usize,
    blocks: usize,
    distance_max: usize,
    reach: usize,
}

impl Message {
    fn block(&mut self, bits: &mut Bits) -> Result<(), InflateError> {
        self.blocks += 1;
        let is_final = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => self.stored(bits)?,
            1 => self.compressed(
                bits,
                &Code::new(&fixed_literals()),
                &Code::new(&fixed_distances()),
            )?,
            2 => {
                let (literals, distances) = dynamic_codes(bits)?;
                self.compressed(bits, &literals, &distances)?;
            }
            _ => return corrupt("a block of type 3"),
        }
        if is_final {
            bits.align();
        }
        Ok(())
    }

    fn stored(&mut self, bits: &mut Bits) -> Result<(), InflateError> {
        bits.align();
        let (length, complement) = (bits.take(16)?, bits.take(16)?);
        if length != complement ^ 0xFFFF {
            return corrupt("a stored block whose lengths do not match");
        }
        (0..length).try_for_each(|_| {
            let byte = bits.take(8)?;
            self.literal(byte as u8)
        })
    }

    fn compressed(
        &mut self,
        bits: &mut Bits,
        literals: &Code,
        distances: &Code,
    ) -> Result<(), InflateError> {
        loop {
            match literals.symbol(bits)? {
                END_OF_BLOCK => return Ok(()),
                symbol if symbol < END_OF_BLOCK => self.literal(symbol as u8)?,
                symbol => {
                    let length = extended(&COPY_LENGTHS, symbol - END_OF_BLOCK - 1, bits)?;
                    let distance = extended(&DISTANCES, distances.symbol(bits)?, bits)?;
                    self.copy(length, distance)?;
                }
            }
        }
    }

    fn literal(&mut self, byte: u8) -> Result<(), InflateError> {
        if self.output.len() - self.start == self.bytes_max {
            return Err(InflateError::TooLong);
        }
        self.output.push(byte);
        Ok(())
    }

    fn copy(&mut self, length: usize, distance: usize) -> Result<(), InflateError> {
        let Some(from) = self.output.len().checked_sub(distance) else {
            return corrupt("a distance before the first byte");
        };
        self.distance_max = self.distance_max.max(distance);
        self.reach = self.reach.max(self.start.saturating_sub(from));
        if length > self.bytes_max - (self.output.len() - self.start) {
            return Err(InflateError::TooLong);
        }
        let end = self.output.len();
        self.output.extend_from_within(from..end.min(from + length));
        // A copy may overlap itself: then its beginning comes again and again.
        for at in from + distance..from + length {
            self.output.push(self.output[at]);
        }
        Ok(())
    }
}

/// The codes of a dynamic block (RFC 1951 §3.2.7).
fn dynamic_codes(bits: &mut Bits) -> Result<(Code, Code), InflateError> {
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let lengths = bits.take(4)? + 4;
    let mut of_lengths = [0; 19];
    for &symbol in &ORDER[..lengths] {
        of_lengths[symbol] = bits.take(3)? as u8;
    }
    let code = Code::new(&of_lengths);
    let mut all: Vec<u8> = Vec::new();
    while all.len() < literals + distances {
        let (length, count) = match code.symbol(bits)? {
            16 => match all.last() {
                Some(&last) => (last, 3 + bits.take(2)?),
                None => return corrupt("a repetition of nothing"),
            },
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        all.extend(std::iter::repeat_n(length, count));
    }
    match all.len() == literals + distances {
        true => Ok((Code::new(&all[..literals]), Code::new(&all[literals..]))),
        false => corrupt("more lengths of codes than announced"),
    }
}

/// The value of a symbol with extra bits.
fn extended(table: &[(u16, u8)], symbol: usize, bits: &mut Bits) -> Result<usize, InflateError> {
    let Some(&(shortest, extra)) = table.get(symbol) else {
        return corrupt("a reserved symbol");
    };
    Ok(usize::from(shortest) + bits.take(extra.into())?)
}

/// A Huffman code for reading: how many codes have each length, and their symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Code {
        let mut counts = [0; 16];
        let mut symbols = Vec::new();
        for length in 1..=15 {
            let with_length = (0..lengths.len()).filter(|&symbol| lengths[symbol] == length);
            let known = symbols.len();
            symbols.extend(with_length);
            counts[usize::from(length)] = symbols.len() - known;
        }
        Code { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits) -> Result<usize, InflateError> {
        bits.fill();
        let (mut code, mut first, mut place) = (0, 0, 0);
        for (length, count) in self.counts.iter().enumerate().skip(1) {
            code = code << 1 | (bits.waiting >> (length - 1) & 1) as usize;
            if length > bits.waiting_bits {
                return corrupt("an end inside a block");
            }
            // Lengths that make no code can let `first` be larger.
            if let Some(above) = code.checked_sub(first).filter(|above| above < count) {
                bits.skip(length);
                return Ok(self.symbols[place + above]);
            }
            place += count;
            first = (first + count) << 1;
        }
        corrupt("a code that no symbol has")
    }
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    /// Bytes that are not in `waiting`.
    rest: &'a [u8],
    /// The next bits, from the lowest on.
    waiting: u64,
    waiting_bits: usize,
}

impl<'a> Bits<'a> {
    fn of(bytes: &'a [u8]) -> Bits<'a> {
        Bits {
            rest: bytes,
            waiting: 0,
            waiting_bits: 0,
        }
    }

    /// At most 16 bits.
    fn take(&mut self, count: usize) -> Result<usize, InflateError> {
        self.fill();
        if count > self.waiting_bits {
            return corrupt("an end inside a block");
        }
        let value = self.waiting & ((1 << count) - 1);
        self.skip(count);
        Ok(value as usize)
    }

    fn skip(&mut self, count: usize) {
        self.waiting >>= count;
        self.waiting_bits -= count;
    }

    fn fill(&mut self) {
        while let (0..=48, [first, rest @ ..]) = (self.waiting_bits, self.rest) {
            self.waiting |= u64::from(*first) << self.waiting_bits;
            self.waiting_bits += 8;
            self.rest = rest;
        }
    }

    fn align(&mut self) {
        self.skip(self.waiting_bits % 8);
    }

    fn is_empty(&self) -> bool {
        self.waiting_bits < 8 && self.rest.is_empty()
    }
}

fn corrupt<T>(reason: &'static str) -> Result<T, InflateError> {
    Err(InflateError::Corrupt(reason))
}
