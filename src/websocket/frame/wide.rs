//! Code compiled a second time, for processors with vectors of 32 bytes.
//!
//! The compiler may use only what every processor of the target has: on x86-64 these are
//! vectors of 16 bytes. Code for wider vectors may be called only on a processor that has
//! them, which no compiler can check: such a call is unsafe. `fearless_simd` asks the
//! processor once. Its answer is a value, and the permission to make the call.
//!
//! Where the compiler may use the widest vectors already (AArch64), and without the
//! feature `std`, there is nothing to choose. Vectors of 64 bytes are not used: they were
//! no faster (docs/decisions.md).

/// Runs `work` with vectors of 32 bytes. `None`: the processor has none, and `work` has
/// not run.
///
/// `work` and all that it calls must be `#[inline(always)]`. Cost: one load, two branches
/// and a call.
#[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
#[inline(always)]
pub(super) fn run<R>(work: impl FnOnce() -> R) -> Option<R> {
    use fearless_simd::{Level, Simd};
    let avx2 = Level::new().as_avx2()?;
    Some(avx2.vectorize(work))
}

/// There are no wider vectors to choose.
#[cfg(not(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64"))))]
#[inline(always)]
pub(super) fn run<R>(_: impl FnOnce() -> R) -> Option<R> {
    None
}
