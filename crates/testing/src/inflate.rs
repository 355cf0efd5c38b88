//! A slow inflater that reads one bit at a time, written from RFC 1951 only. Tests compare
//! compressed data with it. Unlike the library it reports the longest distance of a match.

/// The content of a stream of blocks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inflated {
    pub bytes: Vec<u8>,
    /// The longest distance of a match, or 0 if there is no match.
    pub distance_max: usize,
}

/// Inflates the payload of a compressed message (RFC 7692 §7.2.2) after the content of earlier
/// messages, to which its matches may refer. Panics if the payload is invalid.
pub fn inflate_message(earlier: &[u8], payload: &[u8]) -> Inflated {
    let bytes = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
    let mut reader = Reader {
        bits: Bits {
            bytes: &bytes,
            at: 0,
        },
        bytes: earlier.to_vec(),
        distance_max: 0,
    };
    while reader.bits.at < bytes.len() * 8 {
        reader.block();
    }
    Inflated {
        bytes: reader.bytes.split_off(earlier.len()),
        distance_max: reader.distance_max,
    }
}

struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits; the first bit is the lowest (§3.1.1).
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, place| value | self.bit() << place)
    }

    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    fn byte(&mut self) -> u8 {
        self.take(8) as u8
    }
}

/// A Huffman code: for each length in bits, the symbols with a code of this length, in order.
struct Code([Vec<usize>; 16]);

impl Code {
    /// Takes the length of each symbol's code. Length 0: the symbol does not occur.
    fn new(lengths: &[usize]) -> Code {
        let mut symbols = [const { Vec::new() }; 16];
        for (symbol, &length) in lengths.iter().enumerate() {
            symbols[length].push(symbol);
        }
        Code(symbols)
    }

    /// §3.2.2: the codes of one length are consecutive in the order of the symbols, and follow
    /// all shorter codes.
    fn symbol(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first) = (0, 0);
        for symbols in &self.0[1..] {
            code = code << 1 | bits.bit();
            first <<= 1;
            if code >= first && code - first < symbols.len() {
                return symbols[code - first];
            }
            first += symbols.len();
        }
        panic!("no symbol has these bits");
    }
}

struct Reader<'b> {
    bits: Bits<'b>,
    bytes: Vec<u8>,
    distance_max: usize,
}

impl Reader<'_> {
    fn block(&mut self) {
        let last = self.bits.bit() == 1;
        match self.bits.take(2) {
            0b00 => self.stored(),
            0b01 => self.compressed(&fixed_literals(), &Code::new(&[5; 30])),
            0b10 => {
                let (literals, distances) = self.codes();
                self.compressed(&literals, &distances);
            }
            _ => panic!("a reserved type of block"),
        }
        if last {
            self.align();
        }
    }

    /// §3.2.4
    fn stored(&mut self) {
        self.align();
        let (length, complement) = (self.bits.take(16), self.bits.take(16));
        assert_eq!(length, !complement & 0xffff);
        let stored = (0..length).map(|_| self.bits.byte());
        self.bytes.extend(stored);
    }

    fn align(&mut self) {
        self.bits.at = self.bits.at.next_multiple_of(8);
    }

    /// §3.2.5
    fn compressed(&mut self, literals: &Code, distances: &Code) {
        loop {
            match literals.symbol(&mut self.bits) {
                literal @ 0..=255 => self.bytes.push(literal as u8),
                256 => return,
                length => {
                    let length = self.with_extra_bits(&LENGTHS, length - 257);
                    let distance = distances.symbol(&mut self.bits);
                    let distance = self.with_extra_bits(&DISTANCES, distance);
                    self.copy(length, distance);
                }
            }
        }
    }

    fn with_extra_bits(&mut self, table: &[(usize, usize)], symbol: usize) -> usize {
        let (base, extra_bits) = table[symbol];
        base + self.bits.take(extra_bits)
    }

    fn copy(&mut self, length: usize, distance: usize) {
        assert!(distance <= self.bytes.len(), "too far back");
        self.distance_max = self.distance_max.max(distance);
        for _ in 0..length {
            self.bytes.push(self.bytes[self.bytes.len() - distance]);
        }
    }

    /// §3.2.7
    fn codes(&mut self) -> (Code, Code) {
        let literals = self.bits.take(5) + 257;
        let distances = self.bits.take(5) + 1;
        let mut of_lengths = vec![0; 19];
        for &symbol in &ORDER[..self.bits.take(4) + 4] {
            of_lengths[symbol] = self.bits.take(3);
        }
        let of_lengths = Code::new(&of_lengths);
        let mut lengths: Vec<usize> = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match of_lengths.symbol(&mut self.bits) {
                16 => (*lengths.last().unwrap(), 3 + self.bits.take(2)),
                17 => (0, 3 + self.bits.take(3)),
                18 => (0, 11 + self.bits.take(7)),
                length => (length, 1),
            };
            lengths.extend(vec![length; times]);
        }
        let distances = lengths.split_off(literals);
        (Code::new(&lengths), Code::new(&distances))
    }
}

/// §3.2.6
fn fixed_literals() -> Code {
    let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]];
    Code::new(&lengths.concat())
}

const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The shortest length of each symbol from 257 on, and its extra bits.
const LENGTHS: [(usize, usize); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The shortest distance of each symbol, and its extra bits.
const DISTANCES: [(usize, usize); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
