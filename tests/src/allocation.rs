//! How large a piece of memory is asked for at once, so that no length that was read from a damaged file is believed.
//!
//! A program that wants to know makes [`Watched`] its allocator:
//!
//! ```
//! use opendb_tests::allocation::{Watched, largest_bytes};
//!
//! #[global_allocator]
//! static WATCHED: Watched = Watched;
//!
//! let piece = vec![1_u8; 1 << 20];
//! assert!(largest_bytes() >= piece.len());
//! ```

#![allow(unsafe_code, reason = "an allocator cannot be written without; it only hands on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static LARGEST_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The largest piece that this process has asked for, since it began or since [`forget`].
#[must_use]
pub fn largest_bytes() -> usize {
    LARGEST_BYTES.load(Ordering::Relaxed)
}

/// Forgets what was asked for so far.
pub fn forget() {
    LARGEST_BYTES.store(0, Ordering::Relaxed);
}

/// The system's allocator, with a note of the largest piece.
#[derive(Debug)]
pub struct Watched;

/// Writes only what is new, so that threads do not wait for each other.
fn note(bytes: usize) {
    if bytes > LARGEST_BYTES.load(Ordering::Relaxed) {
        LARGEST_BYTES.fetch_max(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments as they are; the note allocates nothing.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's layout is handed on, under the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's layout is handed on, under the caller's promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the pointer came from the same allocator, and the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the same allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
