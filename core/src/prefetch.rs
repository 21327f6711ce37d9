//! Asking for a cache line ahead of time: the one thing here that has no safe name in the standard library.
#![allow(unsafe_code)]

/// Starts loading the cache line at an address, and does not wait. The address need not be one of anything. Does nothing
/// where the processor's instruction is not known here.
#[inline]
pub(crate) fn prefetch_address(address: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch changes no state of the program and faults on no address whatever. The instruction is part of
        // every x86-64 processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

/// [`prefetch_address`] of where the value begins.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_address(std::ptr::from_ref(value).addr());
}

/// Bytes of a cache line, nearly everywhere.
const LINE_BYTES: usize = 64;

/// [`prefetch`] for every cache line of some bytes.
#[inline]
pub(crate) fn prefetch_all(bytes: &[u8]) {
    bytes.chunks(LINE_BYTES).for_each(|line| prefetch(&line[0]));
}
