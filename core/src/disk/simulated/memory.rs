//! The bytes of one simulated file: what is written, what the device has of it, and maps of it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::disk::map::cells;

use super::{Call, Operation, Shared};

/// What a device writes whole, or tears: the unit in which a power cut keeps, loses or tears.
pub(super) const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;

/// Memory that never moves, so that maps of the file can point into it. Every access is atomic byte by byte, because
/// the system lets a file be synced or read while others write it.
pub(super) struct Memory {
    cells: Box<[AtomicU8]>,
    /// [`DIRTY`] and [`UNSYNCED`] of each sector.
    sectors: Box<[AtomicU8]>,
    /// Length of the file; beyond it every cell is zero.
    length: AtomicU64,
    /// Nothing was ever stored at or beyond it.
    touched: AtomicUsize,
}

/// Written since the last sync, whether that failed or not: the next one takes it along.
const DIRTY: u8 = 1;
/// Written since the last sync that took it to the device: a power cut may lose it.
const UNSYNCED: u8 = 2;

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("length", &self.length()).finish_non_exhaustive()
    }
}

impl Memory {
    /// Zeros.
    pub(super) fn new(capacity: usize) -> Memory {
        Memory::synced(vec![0; capacity], 0, 0)
    }

    /// A file of this length, all of which is on the device. Beyond `touched` the bytes are zeros.
    pub(super) fn synced(bytes: Vec<u8>, touched: usize, length: u64) -> Memory {
        Memory {
            sectors: cells(vec![0; bytes.len().div_ceil(SECTOR_BYTES)]),
            cells: cells(bytes),
            length: AtomicU64::new(length),
            touched: AtomicUsize::new(touched),
        }
    }

    /// A copy of its own, with room for `capacity` bytes.
    pub(super) fn copy(&self, capacity: usize) -> Memory {
        let touched = self.touched.load(Ordering::Acquire);
        let mut bytes = vec![0; capacity.max(self.cells.len())];
        self.load(0, bytes.get_mut(..touched).unwrap_or_default());
        let copy = Memory::synced(bytes, touched, self.length());
        for (to, from) in copy.sectors.iter().zip(&self.sectors) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        copy
    }

    pub(super) fn capacity(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// The caller has seen to it that the memory reaches as far, and to the zeros beyond a cut.
    pub(super) fn set_length(&self, length: u64) {
        self.length.store(length, Ordering::Release);
    }

    fn cells(&self, offset: usize, length: usize) -> Option<&[AtomicU8]> {
        self.cells.get(offset..offset.checked_add(length)?)
    }

    /// Copies out; the buffer is left as it is where the memory does not reach.
    pub(super) fn load(&self, offset: usize, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(self.cells.get(offset..).unwrap_or_default()) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    pub(super) fn store(&self, offset: usize, bytes: &[u8]) {
        for (to, from) in self.cells.get(offset..).unwrap_or_default().iter().zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
        self.mark(offset, bytes.len());
    }

    /// Makes zeros of what lies from `from` on.
    pub(super) fn clear_from(&self, from: usize) {
        let touched = self.touched.load(Ordering::Acquire);
        let cells = self.cells.get(from..touched).unwrap_or_default();
        for cell in cells {
            cell.store(0, Ordering::Relaxed);
        }
        self.mark(from, cells.len());
    }

    fn mark(&self, offset: usize, length: usize) {
        let Some(last) = length.checked_sub(1).map(|rest| (offset + rest) / SECTOR_BYTES) else { return };
        self.touched.fetch_max(offset + length, Ordering::AcqRel);
        for flags in self.sectors.get(offset / SECTOR_BYTES..=last).unwrap_or_default() {
            // After the bytes: a sync that clears the flags has the bytes, or leaves the flags to the next one.
            flags.store(DIRTY | UNSYNCED, Ordering::Release);
        }
    }

    /// Tells of every sector that is dirty, and what a sync then has of it: nothing where it does not reach the
    /// device. Either way the sector is dirty no more.
    pub(super) fn take_dirty(&self, reaches_device: bool, mut taken: impl FnMut(usize)) {
        let cleared = if reaches_device { DIRTY | UNSYNCED } else { DIRTY };
        for (sector, flags) in self.sectors.iter().enumerate() {
            if flags.load(Ordering::Relaxed) & DIRTY != 0 {
                flags.fetch_and(!cleared, Ordering::AcqRel);
                if reaches_device {
                    taken(sector);
                }
            }
        }
    }

    /// Whether a power cut may lose what the sector holds.
    pub(super) fn is_unsynced(&self, sector: usize) -> bool {
        self.sectors.get(sector).is_some_and(|flags| flags.load(Ordering::Acquire) & UNSYNCED != 0)
    }
}

/// A map of a simulated file.
pub(crate) struct SimulatedMap {
    pub(super) memory: Arc<Memory>,
    pub(super) length: usize,
    pub(super) writable: AtomicBool,
    /// One for each page: populated, so that a store to it is no gamble.
    pub(super) populated: Box<[AtomicBool]>,
    pub(super) path: PathBuf,
    pub(super) shared: Arc<Shared>,
}

impl SimulatedMap {
    pub(super) fn new(
        memory: Arc<Memory>,
        length: usize,
        writable: bool,
        path: PathBuf,
        shared: Arc<Shared>,
    ) -> SimulatedMap {
        let populated = (0..length.div_ceil(PAGE_BYTES)).map(|_| AtomicBool::new(false)).collect();
        SimulatedMap { memory, length, writable: AtomicBool::new(writable), populated, path, shared }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The cells of a range; `None` where the real system would raise SIGBUS, because the file was cut.
    pub(crate) fn cells(&self, offset: usize, length: usize) -> Option<&[AtomicU8]> {
        if !self.reaches(offset, length) {
            return None;
        }
        self.memory.cells(offset, length)
    }

    /// False where the real system would raise SIGBUS, because the file was cut, or may raise it, because the pages
    /// were not populated.
    pub(crate) fn store(&self, offset: usize, bytes: &[u8]) -> bool {
        if !self.writable.load(Ordering::Acquire)
            || !self.reaches(offset, bytes.len())
            || !self.is_populated(offset, bytes.len())
        {
            return false;
        }
        self.memory.store(offset, bytes);
        self.shared.record(|| Operation::Store(self.path.clone(), offset as u64, bytes.len() as u64));
        true
    }

    pub(crate) fn populate(&self, offset: usize, length: usize) -> io::Result<()> {
        self.shared.check(Call::Populate)?;
        if !self.shared.features.lock().populates {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if !self.writable.load(Ordering::Acquire) || !self.reaches(offset, length) {
            return Err(io::Error::other("a store there would raise SIGBUS"));
        }
        for flag in self.pages(offset, length) {
            flag.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// What is stored there afterwards is a gamble again.
    pub(crate) fn end_stores(&self, offset: usize, length: usize) {
        for flag in self.pages(offset, length) {
            flag.store(false, Ordering::Release);
        }
    }

    pub(crate) fn protect(&self) {
        self.writable.store(false, Ordering::Release);
    }

    fn reaches(&self, offset: usize, length: usize) -> bool {
        offset.checked_add(length).is_some_and(|end| end as u64 <= self.memory.length())
    }

    fn is_populated(&self, offset: usize, length: usize) -> bool {
        self.pages(offset, length).iter().all(|flag| flag.load(Ordering::Acquire))
    }

    /// The pages that a range touches.
    fn pages(&self, offset: usize, length: usize) -> &[AtomicBool] {
        let end = offset.saturating_add(length).div_ceil(PAGE_BYTES);
        self.populated.get(offset / PAGE_BYTES..end).unwrap_or_default()
    }
}
