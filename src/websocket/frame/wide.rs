//! Code compiled a second time, for processors with vectors of 32 bytes.
//!
//! The compiler may use only what every processor of the target has: on x86-64 these are
//! vectors of 16 bytes. Code for wider vectors may be called only on a processor that has
//! them, which no compiler can check: such a call is unsafe. `fearless_simd` asks the
//! processor once. Its answer is a value, and the permission to make the call: [`Wide`].
//!
//! Where the compiler may use the widest vectors already (AArch64), and without the
//! feature `std`, there is nothing to choose. Vectors of 64 bytes are not used: they were
//! no faster (docs/decisions.md).

/// The processor has vectors of 32 bytes.
#[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
#[derive(Clone, Copy)]
pub(super) struct Wide(fearless_simd::Avx2);

#[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
impl Wide {
    /// `None`: it has none. Cost: one load and two branches.
    #[inline(always)]
    pub(super) fn find() -> Option<Wide> {
        fearless_simd::Level::new().as_avx2().map(Wide)
    }

    /// Runs `work` with these vectors. `work` and all that it calls must be
    /// `#[inline(always)]`. Cost: a call.
    #[inline(always)]
    pub(super) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        use fearless_simd::Simd;
        self.0.vectorize(work)
    }

    /// Masks pieces of so many bytes, a multiple of four. To be called in [`Wide::run`].
    ///
    /// The vectors are written out, because a compiler that may use AVX-512 makes something
    /// else of a loop over words: it gathers each vector from eight pieces, and takes
    /// four to ten times as long.
    #[inline(always)]
    pub(super) fn mask<const BYTES: usize>(self, pieces: &mut [[u8; BYTES]], key: [u8; 4]) {
        use fearless_simd::{SimdBase, u8x32};
        let mut keys = [0; 32];
        keys.as_chunks_mut().0.fill(key);
        let key_vector = u8x32::from_slice(self.0, &keys);
        for piece in pieces {
            let (vectors, rest) = piece.as_chunks_mut::<32>();
            for vector in vectors {
                (u8x32::from_slice(self.0, vector) ^ key_vector).store_slice(vector);
            }
            for (byte, key) in rest.iter_mut().zip(keys) {
                *byte ^= key;
            }
        }
    }
}

/// There are no wider vectors to choose.
#[cfg(not(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64"))))]
#[derive(Clone, Copy)]
pub(super) enum Wide {}

#[cfg(not(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64"))))]
impl Wide {
    #[inline(always)]
    pub(super) fn find() -> Option<Wide> {
        None
    }

    #[inline(always)]
    pub(super) fn run<R>(self, _: impl FnOnce() -> R) -> R {
        match self {}
    }

    #[inline(always)]
    pub(super) fn mask<const BYTES: usize>(self, _: &mut [[u8; BYTES]], _: [u8; 4]) {
        match self {}
    }
}
