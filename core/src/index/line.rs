//! A line of slots, and the questions asked of all of them at once.

use super::slot::{self, Tag};
use crate::sync::{AtomicU64, Ordering};

/// Slots of a line: eight words are a cache line, and eight spill bits are a Bloom filter worth having.
pub(super) const LINE_SLOTS: usize = 8;

/// One cache line.
#[repr(align(64))]
pub(super) struct Line([AtomicU64; LINE_SLOTS]);

impl Line {
    pub(super) fn empty() -> Line {
        Line(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Makes it an empty line. Nobody else may see it yet.
    pub(super) fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    pub(super) fn word(&self, slot: usize) -> u64 {
        self.0[slot].load(Ordering::Acquire)
    }

    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|word| word.load(Ordering::Acquire))
    }

    /// One bit for each slot whose word passes the test. No branches, since which slots do is anybody's guess.
    pub(super) fn select(&self, test: impl Fn(u64) -> bool) -> Selected {
        let bits = |(slot, word): (usize, &AtomicU64)| u32::from(test(word.load(Ordering::Acquire))) << slot;
        Selected(self.0.iter().enumerate().map(bits).fold(0, |all, bit| all | bit))
    }

    pub(super) fn has_spilled(&self, tag: Tag) -> bool {
        slot::has_spilled(self.0[tag.spill_slot()].load(Ordering::Acquire))
    }

    pub(super) fn set_spilled(&self, tag: Tag) {
        let word = &self.0[tag.spill_slot()];
        let before = word.load(Ordering::Relaxed);
        // Most often it is set already: then the line stays unwritten, and shared among the caches.
        if !slot::has_spilled(before) {
            word.store(slot::with_spill(before), Ordering::Release);
        }
    }

    /// Exchanges the slot's entry in one store. Release, so that who finds the location finds the record, too.
    pub(super) fn set_entry(&self, slot: usize, entry: u64) {
        let word = &self.0[slot];
        word.store(slot::with_entry(word.load(Ordering::Relaxed), entry), Ordering::Release);
    }
}

/// The slots of a line that passed a test, first to last.
pub(super) struct Selected(u32);

impl Iterator for Selected {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros() as usize;
        // Clears the lowest bit, and leaves zero as it is.
        self.0 &= self.0.wrapping_sub(1);
        (slot < LINE_SLOTS).then_some(slot)
    }
}
