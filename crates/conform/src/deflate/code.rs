//! Huffman codes of DEFLATE (RFC 1951 §3.2): lengths of codes, and the tables of lengths and
//! distances.

/// A code as the lengths of its symbols; 0: the symbol has none.
pub(super) type Lengths = Vec<u8>;

/// The symbol that ends a block.
pub(super) const END_OF_BLOCK: usize = 256;

/// The order in which a dynamic block has the lengths of its first code (RFC 1951 §3.2.7).
pub(super) const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The shortest length of a copy for each symbol from 257, and the number of its extra bits.
pub(super) const COPY_LENGTHS: [(u16, u8); 29] = [
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

/// The shortest distance for each symbol, and the number of its extra bits.
pub(super) const DISTANCES: [(u16, u8); 30] = [
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
    (12_289, 12),
    (16_385, 13),
    (24_577, 13),
];

/// The code of literals and lengths of a fixed block (RFC 1951 §3.2.6).
pub(super) fn fixed_literals() -> Lengths {
    let length = |symbol| match symbol {
        0..=143 => 8,
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    };
    (0..288).map(length).collect()
}

/// The code of distances of a fixed block.
pub(super) fn fixed_distances() -> Lengths {
    vec![5; 30]
}

/// The codes of the symbols, from their lengths (RFC 1951 §3.2.2): codes of a length count up in
/// the order of the symbols.
pub(super) fn codes(lengths: &[u8]) -> Vec<u16> {
    let mut next = [0_u32; 17];
    for length in 1..=15_u8 {
        let shorter = lengths
            .iter()
            .filter(|&&found| found != 0 && found == length - 1)
            .count();
        next[length as usize] = (next[length as usize - 1] + shorter as u32) << 1;
    }
    // `next` at a length is the first code of it; counted up from here.
    let mut counted = next;
    let code = |&length: &u8| {
        let code = counted[length as usize];
        counted[length as usize] += u32::from(length != 0);
        code as u16
    };
    lengths.iter().map(code).collect()
}
