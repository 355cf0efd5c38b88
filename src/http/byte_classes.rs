//! The bytes at which a line or a field's name ends, found 64 at a time.
//!
//! A head is read in two steps. This one looks at each byte once, and knows neither lines nor
//! fields. It gives two bits for each byte:
//!
//! ```text
//!   bytes            H o s t :   a CR LF U p g r a d e :   w e b …
//!   control          · · · · · · · 1  1  · · · · · · · · · · · ·     ends the line, or is an error
//!   not in a token   · · · · 1 1 · 1  1  · · · · · · · 1 1 · · ·     ends the field's name
//! ```
//!
//! `head.rs` goes from bit to bit. So most bytes of a head are never looked at one by one.
//!
//! With the feature `std`, an x86 processor with AVX2 or AVX-512 compares 32 or 64 bytes at once,
//! and finds the bytes of a token in two tables of 16 bytes: see [`vectors`]. Everywhere else the
//! bits are made one by one ([`Block::of_bytes`]). This is also the test of the vectors.
//!
//! The classes of 1 KiB are kept, 272 bytes on the stack.

use super::token::{is_control, is_token_byte};

/// The classes of 64 bytes: bit `i` belongs to byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Block {
    control: u64,
    not_in_token: u64,
}

impl Block {
    const BYTES: usize = 64;

    /// The obvious way.
    fn of_bytes(bytes: &[u8; Block::BYTES]) -> Block {
        let mut block = Block::default();
        for (i, &byte) in bytes.iter().enumerate() {
            block.control |= u64::from(is_control(byte)) << i;
            block.not_in_token |= u64::from(!is_token_byte(byte)) << i;
        }
        block
    }
}

/// Bytes, and the classes of a part of them: the part that was asked for last.
pub(super) struct ClassifiedBytes<'b> {
    bytes: &'b [u8],
    /// start + classified ≤ bytes.len()
    start: usize,
    classified: usize,
    /// The classes of `bytes[start..start + classified]`. The blocks behind them have no bits.
    blocks: [Block; BLOCKS + 1],
}

impl<'b> ClassifiedBytes<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        ClassifiedBytes {
            bytes,
            start: 0,
            classified: 0,
            blocks: [Block::default(); BLOCKS + 1],
        }
    }

    /// The control characters at or behind this place, one after the other, as far as the classes
    /// are known: those of at least one byte. `None`: there are no bytes.
    #[inline]
    pub(super) fn controls(&mut self, from: usize) -> Option<Controls<'_>> {
        if !self.is_classified(from) {
            if from >= self.bytes.len() {
                return None;
            }
            self.classify_from(from);
        }
        let (block, bit) = place(from - self.start);
        Some(Controls {
            blocks: &self.blocks,
            start: self.start,
            block,
            bits: self.blocks[block].control >> bit << bit,
        })
    }

    /// The first control character at or behind this place. A tab is none.
    pub(super) fn next_control(&mut self, from: usize) -> Option<usize> {
        self.next(from, |block| block.control)
    }

    /// The first byte at or behind this place that cannot be in a token.
    pub(super) fn next_not_in_token(&mut self, from: usize) -> Option<usize> {
        self.next(from, |block| block.not_in_token)
    }

    #[inline]
    fn next(&mut self, from: usize, class: impl Fn(&Block) -> u64) -> Option<usize> {
        let mut at = from;
        while at < self.bytes.len() {
            if !self.is_classified(at) {
                self.classify_from(at);
            }
            let (block, bit) = place(at - self.start);
            let bits = class(&self.blocks[block]) >> bit;
            if bits != 0 {
                return Some(at + bits.trailing_zeros() as usize);
            }
            at += Block::BYTES - bit;
        }
        None
    }

    fn is_classified(&self, at: usize) -> bool {
        at.wrapping_sub(self.start) < self.classified
    }

    /// At least one byte, which is there.
    #[inline(never)]
    fn classify_from(&mut self, start: usize) {
        let bytes = &self.bytes[start..];
        let bytes = &bytes[..bytes.len().min(BLOCKS * Block::BYTES)];
        if !vectors::classify(bytes, &mut self.blocks) {
            classify(bytes, &mut self.blocks, Block::of_bytes);
        }
        self.start = start;
        self.classified = bytes.len();
    }
}

/// See [`ClassifiedBytes::controls`].
pub(super) struct Controls<'c> {
    blocks: &'c [Block; BLOCKS + 1],
    /// Where the bytes of the blocks begin.
    start: usize,
    /// The block of the next bits.
    block: usize,
    bits: u64,
}

impl Controls<'_> {
    /// The first byte at or behind this place that cannot be in a token, if it is among the next
    /// 64 bytes. The class of the byte at this place is known.
    #[inline(always)]
    pub(super) fn near_end_of_token(&self, from: usize) -> Option<usize> {
        let (block, bit) = place(from - self.start);
        let (this, next) = (&self.blocks[block], &self.blocks[block + 1]);
        // In two steps: a shift by 64 would be one by 0.
        let next_bits = next.not_in_token << 1 << (Block::BYTES - 1 - bit);
        let bits = this.not_in_token >> bit | next_bits;
        (bits != 0).then_some(from + bits.trailing_zeros() as usize)
    }
}

impl Iterator for Controls<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.block += 1;
            self.bits = self.blocks.get(self.block)?.control;
        }
        let at = self.start + self.block * Block::BYTES + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(at)
    }
}

/// The block and the bit of a byte, of which the class is known.
#[inline(always)]
fn place(index: usize) -> (usize, usize) {
    (index / Block::BYTES % BLOCKS, index % Block::BYTES)
}

/// Behind the last of these bytes, the blocks have no bits.
#[inline(always)]
fn classify(
    bytes: &[u8],
    blocks: &mut [Block; BLOCKS + 1],
    block_of: impl Fn(&[u8; Block::BYTES]) -> Block,
) {
    let (whole, rest) = bytes.as_chunks();
    let mut blocks = blocks.iter_mut();
    for (bytes, block) in whole.iter().zip(&mut blocks) {
        *block = block_of(bytes);
    }
    if !rest.is_empty() {
        let mut padded = [PADDING; Block::BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        if let Some(block) = blocks.next() {
            *block = block_of(&padded);
        }
    }
    blocks.for_each(|block| *block = Block::default());
}

/// A byte that is in no class.
const PADDING: u8 = b'a';

/// 1 KiB: most heads.
const BLOCKS: usize = 16;

/// The same for processors with vectors of 32 or 64 bytes.
///
/// A byte is two hexadecimal digits. `LOW[low digit]` has a bit for each high digit with which
/// this low digit makes a byte of a token, and `HIGH[high digit]` is that bit:
///
/// ```text
///   'G' = 0x47    LOW[7] = 0b1111_1100 (' 7 G W g w)    HIGH[4] = 0b0001_0000    both: a token
///   ':' = 0x3A    LOW[A] = 0b1111_0100 (* J Z j z)      HIGH[3] = 0b0000_1000    none in both
/// ```
#[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
mod vectors {
    use super::{BLOCKS, Block, classify as classify_by};
    use crate::http::token::is_token_byte;
    use fearless_simd::{Level, Simd, SimdBase, SimdMask, u8x64};

    /// `false`: the processor has no such vectors, and nothing is done.
    #[inline]
    pub(super) fn classify(bytes: &[u8], blocks: &mut [Block; BLOCKS + 1]) -> bool {
        let level = Level::new();
        if let Some(avx512) = level.as_avx512() {
            classify_at(avx512, bytes, blocks);
            return true;
        }
        let avx2 = level.as_avx2();
        if let Some(avx2) = avx2 {
            classify_at(avx2, bytes, blocks);
        }
        avx2.is_some()
    }

    /// The classes by each kind of vectors that the processor has.
    #[cfg(test)]
    pub(super) fn each_classified(bytes: &[u8], mut check: impl FnMut(&[Block; BLOCKS + 1])) {
        let level = Level::new();
        let mut blocks = [Block::default(); BLOCKS + 1];
        if let Some(avx512) = level.as_avx512() {
            classify_at(avx512, bytes, &mut blocks);
            check(&blocks);
        }
        if let Some(avx2) = level.as_avx2() {
            classify_at(avx2, bytes, &mut blocks);
            check(&blocks);
        }
    }

    #[inline(always)]
    fn classify_at<S: Simd>(simd: S, bytes: &[u8], blocks: &mut [Block; BLOCKS + 1]) {
        simd.vectorize(
            #[inline(always)]
            || {
                classify_by(
                    bytes,
                    blocks,
                    #[inline(always)]
                    |bytes| block(simd, bytes),
                )
            },
        );
    }

    /// In one vector of 64 bytes, or two of 32.
    #[inline(always)]
    fn block<S: Simd>(simd: S, bytes: &[u8; Block::BYTES]) -> Block {
        let bytes = u8x64::from_slice(simd, bytes);
        let low = u8x64::from_slice(simd, &LOW).swizzle_dyn_within_blocks(bytes & 0x0F);
        let high = u8x64::from_slice(simd, &HIGH).swizzle_dyn_within_blocks(bytes >> 4);
        let control = bytes.simd_lt(0x20) & !bytes.simd_eq(b'\t') | bytes.simd_eq(0x7F);
        Block {
            control: control.to_bitmask(),
            not_in_token: (low & high).simd_eq(0).to_bitmask(),
        }
    }

    /// Each table four times: the lookups are in parts of 16 bytes.
    const LOW: [u8; Block::BYTES] = {
        let mut table = [0; Block::BYTES];
        let mut i = 0;
        while i < Block::BYTES {
            let mut high = 0;
            while high < 8 {
                let byte = (high << 4 | i & 0x0F) as u8;
                table[i] |= (is_token_byte(byte) as u8) << high;
                high += 1;
            }
            i += 1;
        }
        table
    };

    const HIGH: [u8; Block::BYTES] = {
        let mut table = [0; Block::BYTES];
        let mut i = 0;
        while i < Block::BYTES {
            if i & 0x0F < 8 {
                table[i] = 1 << (i & 0x0F);
            }
            i += 1;
        }
        table
    };
}

#[cfg(not(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64"))))]
mod vectors {
    use super::{BLOCKS, Block};

    #[cfg(test)]
    pub(super) fn each_classified(_: &[u8], _: impl FnMut(&[Block; BLOCKS + 1])) {}

    /// There are none to choose.
    #[inline]
    pub(super) fn classify(_: &[u8], _: &mut [Block; BLOCKS + 1]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Each byte at each place of a block, among others of no class.
    #[test]
    fn vectors_find_the_same_classes_as_the_obvious_way() {
        for byte in 0..=u8::MAX {
            for at in (0..Block::BYTES).step_by(STEP) {
                let mut bytes = [b'x'; Block::BYTES];
                bytes[at] = byte;
                vectors::each_classified(&bytes, |blocks| {
                    assert_eq!(blocks[0], Block::of_bytes(&bytes), "{byte:#04x} at {at}");
                });
            }
        }
    }

    /// Miri would take an hour for all places.
    const STEP: usize = if cfg!(miri) { 61 } else { 1 };

    /// Bytes of all classes, in which the search has several windows.
    fn bytes_of_all_classes() -> Vec<u8> {
        let byte = |i: u32| match i * i % 97 {
            0 => b'\r',
            1..=3 => b':',
            other => b'a' + (other % 26) as u8,
        };
        (0..2500).map(byte).collect()
    }

    fn position(bytes: &[u8], from: usize, matches: impl Fn(u8) -> bool) -> Option<usize> {
        let offset = bytes[from..].iter().position(|&byte| matches(byte))?;
        Some(from + offset)
    }

    const ENDS: &[usize] = match cfg!(miri) {
        true => &[0, 1, 64, 65, 1025],
        false => &[0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2500],
    };

    #[test]
    fn next_of_a_class_agrees_with_position() {
        let bytes = bytes_of_all_classes();
        for bytes in ENDS.iter().map(|&end| &bytes[..end]) {
            let mut classified = ClassifiedBytes::new(bytes);
            for from in (0..=bytes.len()).step_by(STEP) {
                let control = position(bytes, from, is_control);
                assert_eq!(classified.next_control(from), control);
                let not_in_token = position(bytes, from, |byte| !is_token_byte(byte));
                assert_eq!(classified.next_not_in_token(from), not_in_token);
            }
        }
    }

    #[test]
    fn controls_are_all_that_are_known_from_a_place_on() {
        let bytes = bytes_of_all_classes();
        for bytes in ENDS.iter().map(|&end| &bytes[..end]) {
            let mut classified = ClassifiedBytes::new(bytes);
            for from in (0..bytes.len()).step_by(STEP) {
                let controls = classified.controls(from).expect("there are bytes");
                let near = controls.near_end_of_token(from);
                let found: Vec<usize> = controls.collect();
                let known_end = classified.start + classified.classified;
                let is_found = |at: &usize| is_control(bytes[*at]);
                let expected: Vec<usize> = (from..known_end).filter(is_found).collect();
                assert_eq!(found, expected);
                let near_end = known_end.min(from + Block::BYTES);
                let not_in_token = position(bytes, from, |byte| !is_token_byte(byte));
                assert_eq!(near, not_in_token.filter(|&at| at < near_end));
            }
            assert!(classified.controls(bytes.len()).is_none());
        }
    }
}
