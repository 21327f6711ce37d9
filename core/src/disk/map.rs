//! Shared memory maps of files: the one place where bytes of a file become bytes of the process.
#![allow(unsafe_code)] // Each block names the invariant it stands on.

use std::fmt;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;
use std::slice;
#[cfg(any(test, feature = "simulation"))]
use std::sync::atomic::AtomicU8;

#[cfg(target_os = "linux")]
use memmap2::MmapOptions;
use memmap2::MmapRaw;

#[cfg(any(test, feature = "simulation"))]
use super::simulated::SimulatedMap;

/// A shared mapping of the first bytes of a file, unmapped when dropped.
///
/// The system may raise SIGBUS where a mapped page is touched that the file does not reach or that the device has no
/// room for. So: a map is never longer than its file was when it was made, whoever cuts a file sees to it that
/// nothing beyond the cut is touched any more, and stores go only to pages that [`Map::populate`] has been through.
pub(crate) struct Map {
    backing: Backing,
}

enum Backing {
    System {
        map: MmapRaw,
        writable: bool,
    },
    #[cfg(any(test, feature = "simulation"))]
    Simulated(SimulatedMap),
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("length", &self.len()).finish_non_exhaustive()
    }
}

impl Map {
    /// Takes over a map of the system.
    pub(super) fn system(map: MmapRaw, writable: bool) -> Map {
        expect_no_order(&map);
        Map { backing: Backing::System { map, writable } }
    }

    /// Takes over a map of the simulated disk.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn simulated(map: SimulatedMap) -> Map {
        Map { backing: Backing::Simulated(map) }
    }

    /// Mapped bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.backing {
            Backing::System { map, .. } => map.len(),
            #[cfg(any(test, feature = "simulation"))]
            Backing::Simulated(map) => map.len(),
        }
    }

    /// Whether `length` bytes at `offset` lie within the map.
    #[inline]
    fn contains(&self, offset: usize, length: usize) -> bool {
        offset.checked_add(length).is_some_and(|end| end <= self.len())
    }

    /// The bytes of a range, without a copy; `None` where the range does not lie within the map.
    ///
    /// # Safety
    /// For as long as the result lives nothing in the range may be stored to, by this map, by another one or by a
    /// write to the file, and what had been stored there must happen before this call.
    #[inline]
    pub(crate) unsafe fn bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        if !self.contains(offset, length) {
            return None;
        }
        let start = match &self.backing {
            Backing::System { map, .. } => map.as_ptr().wrapping_add(offset),
            #[cfg(any(test, feature = "simulation"))]
            Backing::Simulated(map) => map.cells(offset, length)?.as_ptr().cast::<u8>(),
        };
        // SAFETY: the range lies within the mapping (`contains`; the simulated disk's cells are a slice of their
        // own), which lives as long as `self`; bytes have no alignment and no invalid values; that nobody stores to
        // the range is the caller's contract. A `MmapRaw` hands out no references, so none to the range is mutable.
        Some(unsafe { slice::from_raw_parts(start, length) })
    }

    /// Stores `bytes` at `offset`; false, with nothing stored, where they do not fit within the map, or the map is
    /// not for writing.
    ///
    /// # Safety
    /// No reference to any byte of the range may exist, and no other thread may read or store there until this call
    /// happens before what it does. The pages must have been populated.
    #[inline]
    pub(crate) unsafe fn store(&self, offset: usize, bytes: &[u8]) -> bool {
        if !self.contains(offset, bytes.len()) {
            return false;
        }
        match &self.backing {
            Backing::System { writable: false, .. } => false,
            Backing::System { map, .. } => {
                let target = map.as_mut_ptr().wrapping_add(offset);
                // SAFETY: the range lies within the mapping (`contains`), which is writable (matched above) and
                // lives as long as `self`; `bytes` is borrowed, so the contract that no reference to the range
                // exists keeps the two apart; that nobody else touches the range is the caller's contract.
                unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
                true
            }
            #[cfg(any(test, feature = "simulation"))]
            Backing::Simulated(map) => map.store(offset, bytes),
        }
    }

    /// Brings every page of the range into memory, ready to be stored to. Where a store would raise SIGBUS (a full
    /// or failing device) this is an error instead. [`io::ErrorKind::Unsupported`], with nothing touched, where the
    /// system has no such call: the caller then appends by writing.
    pub(crate) fn populate(&self, offset: usize, length: usize) -> io::Result<()> {
        if !self.contains(offset, length) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the range lies outside the map"));
        }
        if length == 0 {
            return Ok(());
        }
        match &self.backing {
            Backing::System { writable: false, .. } => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "the map is for reading only"))
            }
            Backing::System { map, .. } => populate_system(map, offset, length),
            #[cfg(any(test, feature = "simulation"))]
            Backing::Simulated(map) => map.populate(offset, length),
        }
    }

    /// Begins to bring the pages of the range into memory, for reading, and does not wait. What lies outside the map is left out.
    /// Best effort.
    pub(crate) fn read_soon(&self, offset: usize, length: usize) {
        let length = length.min(self.len().saturating_sub(offset));
        match &self.backing {
            Backing::System { map, .. } if length > 0 => read_soon_system(map, offset, length),
            _ => {}
        }
    }

    /// Takes the pages of a range out of the map, all at once, and brings them in again for reading. Nobody may store to them any
    /// more. The bytes are the file's and stay what they are; whoever reads meanwhile finds the same. Best effort.
    ///
    /// A sync takes from each page that was stored to the right to be stored to, so that it learns of the next store, and for
    /// every single one it interrupts all processors that run this process: a put in thirty, each time for microseconds. Of
    /// pages that are not in the map for storing it takes nothing.
    pub(crate) fn end_stores(&self, offset: usize, length: usize) {
        if !self.contains(offset, length) || length == 0 {
            return;
        }
        match &self.backing {
            Backing::System { map, .. } => end_stores_system(map, offset, length),
            #[cfg(any(test, feature = "simulation"))]
            Backing::Simulated(map) => map.end_stores(offset, length),
        }
    }

    /// Makes the pages read-only, so that a stray store of the host process faults instead of damaging the log. Best
    /// effort: where the system refuses, the map stays as it was. The caller never stores afterwards.
    pub(crate) fn protect(&self) {
        match &self.backing {
            Backing::System { map, .. } => protect_system(map),
            #[cfg(any(test, feature = "simulation"))]
            Backing::Simulated(map) => map.protect(),
        }
    }
}

/// The same bytes as cells that several threads may touch at once: what a simulated file is made of.
#[cfg(any(test, feature = "simulation"))]
pub(super) fn cells(bytes: Vec<u8>) -> Box<[AtomicU8]> {
    let bytes = Box::into_raw(bytes.into_boxed_slice());
    // SAFETY: the box was just given up, so this is its only owner; an `AtomicU8` has the size, the alignment and the
    // valid values of a `u8`, so the allocation is freed by the layout it was made with.
    unsafe { Box::from_raw(bytes as *mut [AtomicU8]) }
}

/// Keeps the system from reading ahead where a page is touched: that would bring in as many as the device reads ahead, which may
/// be megabytes. While a file is appended to there is nothing to be read, and they would be filled with zeros in one piece in which
/// the processor is not given up; later a record somewhere is one page. Who reads on and on asks ahead ([`Map::read_soon`]). Best
/// effort.
#[cfg(unix)]
fn expect_no_order(map: &MmapRaw) {
    let _best_effort = map.advise(memmap2::Advice::Random);
}

#[cfg(not(unix))]
fn expect_no_order(_map: &MmapRaw) {}

#[cfg(unix)]
fn read_soon_system(map: &MmapRaw, offset: usize, length: usize) {
    let _best_effort = map.advise_range(memmap2::Advice::WillNeed, offset, length);
}

#[cfg(not(unix))]
fn read_soon_system(_map: &MmapRaw, _offset: usize, _length: usize) {}

#[cfg(target_os = "linux")]
fn populate_system(map: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
    // The pages of just this range, many at once; what is missing after that comes one by one.
    read_soon_system(map, offset, length);
    loop {
        let Err(error) = map.advise_range(memmap2::Advice::PopulateWrite, offset, length) else {
            return Ok(());
        };
        match error.raw_os_error() {
            // Interrupted: what was populated stays, so ask again.
            Some(libc::EINTR) => {}
            // Kernels before 5.14 do not know the advice.
            Some(libc::EINVAL | libc::ENOSYS) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, error));
            }
            // The kernel's way to say that a store would have raised SIGBUS.
            Some(libc::EFAULT) => {
                return Err(io::Error::other("the device has no room for a mapped page, or fails"));
            }
            _ => return Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn populate_system(_map: &MmapRaw, _offset: usize, _length: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// See [`DiskFile::cache_in_one_page`](super::DiskFile::cache_in_one_page). The system makes a page of the cache as large as what is mapped
/// is advised to be, when it is touched first: of a map that lives no longer than that, since where a map stays advised each
/// touch of what is not in memory any more reads as much from the device.
#[cfg(target_os = "linux")]
pub(super) fn cache_in_one_page(file: &File, offset: u64) -> io::Result<()> {
    const SMALL_PAGE_BYTES: usize = 4096;
    if rustix::param::page_size() != SMALL_PAGE_BYTES {
        return Ok(());
    }
    let map = MmapOptions::new().offset(offset).len(SMALL_PAGE_BYTES).map_raw_read_only(file)?;
    expect_no_order(&map);
    map.advise(memmap2::Advice::HugePage)?;
    map.advise(memmap2::Advice::PopulateRead)
}

/// How much is taken out of the map and brought in again with one call: who changes the process's maps waits for it.
#[cfg(target_os = "linux")]
const END_STORES_STEP_BYTES: usize = 1 << 20;

#[cfg(target_os = "linux")]
fn end_stores_system(map: &MmapRaw, offset: usize, length: usize) {
    let end = offset + length;
    for at in (offset..end).step_by(END_STORES_STEP_BYTES) {
        let length = END_STORES_STEP_BYTES.min(end - at);
        // SAFETY: the mapping is shared and of a file, so this takes away no bytes: they are in the cache of the system, which
        // is told what was stored, and the next touch brings the same ones in.
        let taken = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at, length) };
        // Otherwise the next reader of each would bring them in.
        let _best_effort = taken.and_then(|()| map.advise_range(memmap2::Advice::PopulateRead, at, length));
    }
}

#[cfg(not(target_os = "linux"))]
fn end_stores_system(_map: &MmapRaw, _offset: usize, _length: usize) {}

#[cfg(unix)]
fn protect_system(map: &MmapRaw) {
    // SAFETY: the range is exactly one mapping, which `map` owns and keeps for the time of the call. Reads through it
    // go on as before, and by this function's contract nobody stores to it any more. A refusal leaves it as it was.
    let _best_effort = unsafe { libc::mprotect(map.as_mut_ptr().cast(), map.len(), libc::PROT_READ) };
}

#[cfg(not(unix))]
fn protect_system(_map: &MmapRaw) {}
