//! Writes blocks of DEFLATE from tokens that the caller chooses (RFC 1951 §3.2.3).

use std::collections::BTreeMap;

use super::TAIL;
use super::code::{
    COPY_LENGTHS, DISTANCES, END_OF_BLOCK, Lengths, ORDER, codes, fixed_distances, fixed_literals,
};

/// Blocks in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    /// Bits behind these bytes, from the lowest on; fewer than 8.
    waiting: u64,
    waiting_bits: u8,
}

/// What a compressed block is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(u8),
    /// 3 ≤ length ≤ 258, 1 ≤ distance ≤ 32,768
    Copy {
        length: u16,
        distance: u16,
    },
}

impl Blocks {
    pub(crate) fn new() -> Blocks {
        Blocks::default()
    }

    /// A block without compression, of at most 65,535 bytes.
    pub(crate) fn stored(mut self, is_final: bool, payload: &[u8]) -> Blocks {
        self.begin(is_final, 0);
        self.align();
        let length = payload.len() as u16;
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend((!length).to_le_bytes());
        self.bytes.extend_from_slice(payload);
        self.end(is_final)
    }

    /// A block with the fixed codes.
    pub(crate) fn fixed(mut self, is_final: bool, tokens: &[Token]) -> Blocks {
        self.begin(is_final, 1);
        self.tokens(tokens, &fixed_literals(), &fixed_distances());
        self.end(is_final)
    }

    /// A block with codes of its own.
    pub(crate) fn dynamic(mut self, is_final: bool, tokens: &[Token]) -> Blocks {
        self.begin(is_final, 2);
        let used = |symbols: &mut dyn Iterator<Item = usize>| {
            let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
            symbols.for_each(|symbol| *counts.entry(symbol).or_default() += 1);
            counts
        };
        let literals = tokens.iter().map(|token| token.symbols().0);
        let literals = used(&mut literals.chain([END_OF_BLOCK]));
        let distances = used(&mut tokens.iter().filter_map(|token| token.symbols().1));
        let (literals, distances) = (balanced(&literals, 257), balanced(&distances, 1));
        self.codes(&literals, &distances);
        self.tokens(tokens, &literals, &distances);
        self.end(is_final)
    }

    /// Any bits, the lowest first.
    pub(crate) fn bits(mut self, value: u16, count: u8) -> Blocks {
        self.put(value, count);
        self
    }

    /// The payload of a message: the blocks and an empty stored one, without its tail
    /// (RFC 7692 §7.2.1).
    pub(crate) fn message(self) -> Vec<u8> {
        let mut bytes = self.stored(false, b"").bytes;
        bytes.truncate(bytes.len() - TAIL.len());
        bytes
    }

    /// The blocks alone, padded with zeros.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    fn begin(&mut self, is_final: bool, block_type: u16) {
        self.put(u16::from(is_final), 1);
        self.put(block_type, 2);
    }

    /// A final block ends at a byte (RFC 7692 §7.2.1).
    fn end(mut self, is_final: bool) -> Blocks {
        if is_final {
            self.align();
        }
        self
    }

    /// The lengths of the codes of a dynamic block; runs of zeros are written as such.
    fn codes(&mut self, literals: &[u8], distances: &[u8]) {
        let runs = runs([literals, distances].concat());
        let mut counts = BTreeMap::new();
        for (symbol, _, _) in &runs {
            *counts.entry(*symbol).or_insert(0) += 1;
        }
        let lengths = balanced(&counts, ORDER.len());
        let codes = codes(&lengths);
        self.put(literals.len() as u16 - 257, 5);
        self.put(distances.len() as u16 - 1, 5);
        self.put(ORDER.len() as u16 - 4, 4);
        ORDER
            .iter()
            .for_each(|&symbol| self.put(lengths[symbol].into(), 3));
        for (symbol, extra, extra_bits) in runs {
            self.code(codes[symbol], lengths[symbol]);
            self.put(extra, extra_bits);
        }
    }

    fn tokens(&mut self, tokens: &[Token], literals: &[u8], distances: &[u8]) {
        let (literal_codes, distance_codes) = (codes(literals), codes(distances));
        for token in tokens {
            let (symbol, distance_symbol) = token.symbols();
            self.code(literal_codes[symbol], literals[symbol]);
            if let (Token::Copy { length, distance }, Some(far)) = (*token, distance_symbol) {
                let (shortest, extra) = COPY_LENGTHS[symbol - END_OF_BLOCK - 1];
                self.put(length - shortest, extra);
                self.code(distance_codes[far], distances[far]);
                let (nearest, extra) = DISTANCES[far];
                self.put(distance - nearest, extra);
            }
        }
        self.code(literal_codes[END_OF_BLOCK], literals[END_OF_BLOCK]);
    }

    /// A Huffman code goes out from its highest bit.
    fn code(&mut self, code: u16, length: u8) {
        self.put(
            code.reverse_bits() >> (16 - u32::from(length.max(1))),
            length,
        );
    }

    fn put(&mut self, value: u16, count: u8) {
        self.waiting |= u64::from(value) << self.waiting_bits;
        self.waiting_bits += count;
        while self.waiting_bits >= 8 {
            self.bytes.push(self.waiting as u8);
            self.waiting >>= 8;
            self.waiting_bits -= 8;
        }
    }

    /// Pads the last byte with zeros.
    fn align(&mut self) {
        if self.waiting_bits > 0 {
            self.put(0, 8 - self.waiting_bits);
        }
    }
}

impl Token {
    /// The symbols of the token: of a literal or a length, and of a distance.
    fn symbols(self) -> (usize, Option<usize>) {
        match self {
            Token::Literal(byte) => (byte.into(), None),
            Token::Copy { length, distance } => {
                let place = |table: &[(u16, u8)], value| {
                    table.partition_point(|&(smallest, _)| smallest <= value) - 1
                };
                let length = END_OF_BLOCK + 1 + place(&COPY_LENGTHS, length);
                (length, Some(place(&DISTANCES, distance)))
            }
        }
    }
}

/// A complete code for the symbols that are used: all have one of two lengths, and the frequent
/// ones the shorter. At least so many symbols.
fn balanced(counts: &BTreeMap<usize, usize>, symbols_min: usize) -> Lengths {
    let last = counts.last_key_value().map_or(0, |(&symbol, _)| symbol + 1);
    let mut lengths = vec![0; last.max(symbols_min)];
    let mut used: Vec<_> = counts.iter().collect();
    used.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let bits = used.len().next_power_of_two().trailing_zeros().max(1) as u8;
    let shorter = match used.len() {
        1 => 0,
        count => (1 << bits) - count,
    };
    for (place, (&symbol, _)) in used.into_iter().enumerate() {
        lengths[symbol] = if place < shorter { bits - 1 } else { bits };
    }
    lengths
}

/// Symbols of the code of lengths, with their extra bits: 18 and 17 are zeros in a row.
fn runs(lengths: Vec<u8>) -> Vec<(usize, u16, u8)> {
    let mut runs = Vec::new();
    let mut rest = lengths.as_slice();
    while let [first, behind @ ..] = rest {
        let zeros = rest
            .iter()
            .take(138)
            .take_while(|&&length| length == 0)
            .count();
        match zeros {
            0..=2 => {
                runs.push(((*first).into(), 0, 0));
                rest = behind;
            }
            3..=10 => runs.push((17, zeros as u16 - 3, 3)),
            _ => runs.push((18, zeros as u16 - 11, 7)),
        }
        rest = &rest[if zeros > 2 { zeros } else { 0 }..];
    }
    runs
}
