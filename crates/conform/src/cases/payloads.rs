//! Payloads of the cases.

/// Letters, so that a report can show them.
pub(super) fn text(length: usize) -> Vec<u8> {
    let letters = (b'a'..=b'z').cycle();
    letters.take(length).collect()
}

/// Every value of a byte, in an order whose period is no power of two: a key that is
/// applied at the wrong place shows.
pub(super) fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// A kind of data for compressed messages. A number makes each message another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// English-like text.
    Words,
    /// Objects of JSON with the same names.
    Records,
    /// One byte again and again.
    Zeros,
    /// A picture of few colours.
    Picture,
    /// No compressor makes it shorter.
    Noise,
}

impl Kind {
    pub(super) const ALL: [Kind; 5] = [
        Kind::Words,
        Kind::Records,
        Kind::Zeros,
        Kind::Picture,
        Kind::Noise,
    ];

    pub(super) fn is_text(self) -> bool {
        matches!(self, Kind::Words | Kind::Records)
    }

    pub(super) fn payload(self, number: usize, length: usize) -> Vec<u8> {
        let mut random = Random(number as u64 + 1);
        let mut bytes = Vec::with_capacity(length + 80);
        while bytes.len() < length {
            let value = random.next();
            match self {
                Kind::Words => {
                    bytes.extend_from_slice(WORDS[value as usize % WORDS.len()]);
                    bytes.push(b' ');
                }
                Kind::Records => {
                    let record = format!(
                        "{{\"id\":{},\"price\":{},\"open\":true}},",
                        value % 10_000,
                        value % 977
                    );
                    bytes.extend_from_slice(record.as_bytes());
                }
                Kind::Zeros => bytes.extend([0; 64]),
                Kind::Picture => bytes.extend([(value % 4) as u8; 7]),
                Kind::Noise => bytes.extend(value.to_le_bytes()),
            }
        }
        bytes.truncate(length);
        bytes
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Kind::Words => "words",
            Kind::Records => "records",
            Kind::Zeros => "zeros",
            Kind::Picture => "a picture",
            Kind::Noise => "noise",
        })
    }
}

/// SplitMix64: the same numbers in each run of the suite.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

const WORDS: [&[u8]; 16] = [
    b"mountain",
    b"echo",
    b"the",
    b"a",
    b"valley",
    b"answers",
    b"every",
    b"one",
    b"call",
    b"and",
    b"of",
    b"river",
    b"it",
    b"returns",
    b"again",
    b"slowly",
];
