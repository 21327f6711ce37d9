//! A shard's table: lines of slots, and how an entry finds its place in them.
//!
//! Any number of threads may look something up; at most one at a time may change the table, which the shard sees to.
//! Hence a change reads a word and stores it anew, with nothing in between that could be lost.

use super::candidates::Candidates;
use super::slot::{self, Tag};
use crate::location::Location;
use crate::prefetch::prefetch_address;
use crate::sync::{AtomicU64, Ordering};

/// Slots of a line: eight words are a cache line, and eight spill bits are a Bloom filter worth having.
pub(super) const LINE_SLOTS: usize = 8;

/// One cache line.
#[repr(align(64))]
struct Line([AtomicU64; LINE_SLOTS]);

impl Line {
    fn empty() -> Line {
        Line(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// One bit for each slot whose word passes the test. No branches, since which slots do is anybody's guess.
    fn select(&self, test: impl Fn(u64) -> bool) -> Selected {
        let bits = |(slot, word): (usize, &AtomicU64)| u32::from(test(word.load(Ordering::Acquire))) << slot;
        Selected(self.0.iter().enumerate().map(bits).fold(0, |all, bit| all | bit))
    }

    fn has_spilled(&self, tag: Tag) -> bool {
        slot::has_spilled(self.0[tag.spill_slot()].load(Ordering::Acquire))
    }

    fn set_spilled(&self, tag: Tag) {
        let word = &self.0[tag.spill_slot()];
        let before = word.load(Ordering::Relaxed);
        // Most often it is set already: then the line stays unwritten, and shared among the caches.
        if !slot::has_spilled(before) {
            word.store(slot::with_spill(before), Ordering::Release);
        }
    }

    /// Exchanges the slot's entry in one store. Release, so that who finds the location finds the record, too.
    fn set_entry(&self, slot: usize, entry: u64) {
        let word = &self.0[slot];
        word.store(slot::with_entry(word.load(Ordering::Relaxed), entry), Ordering::Release);
    }
}

/// The slots of a line that passed a test, first to last.
struct Selected(u32);

impl Iterator for Selected {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros() as usize;
        // Clears the lowest bit, and leaves zero as it is.
        self.0 &= self.0.wrapping_sub(1);
        (slot < LINE_SLOTS).then_some(slot)
    }
}

/// Bytes of a line, which addresses of lines are a multiple of.
const LINE_BYTES: u64 = align_of::<Line>() as u64;
/// Bits of an address of the process, and those that are left beside it in a word.
const ADDRESS_BITS: u32 = 48;
const HOME_LINES_BITS: u32 = 64 - ADDRESS_BITS + LINE_BYTES.trailing_zeros();

/// Where a table's home lines are and how many, in one word. The table may be gone: a sketch is good for loading ahead only.
#[derive(Clone, Copy)]
pub(super) struct Sketch(u64);

impl Sketch {
    pub(super) fn from_word(word: u64) -> Sketch {
        Sketch(word)
    }

    /// Never all ones: there is no room for so many lines behind the last address.
    pub(super) fn word(self) -> u64 {
        self.0
    }

    /// Starts loading the home line of the tag, where most lookups end.
    #[inline]
    pub(super) fn prefetch(self, tag: Tag) {
        let home_lines = self.0 & ((1 << HOME_LINES_BITS) - 1);
        let line = (self.0 >> HOME_LINES_BITS) + tag.home_line(home_lines as usize) as u64;
        prefetch_address((line * LINE_BYTES) as usize);
    }
}

/// The lines that entries call home, and a few after them, which take what spills from the last ones.
pub(super) struct Table {
    lines: Box<[Line]>,
    home_lines: usize,
}

impl Table {
    /// With no lines at all it holds nothing, finds nothing and allocates nothing.
    pub(super) fn new(home_lines: usize, overflow_lines: usize) -> Table {
        let lines = (0..home_lines + overflow_lines).map(|_| Line::empty()).collect();
        Table { lines, home_lines }
    }

    /// The words of all entries without their spill bits, from the first line to the last.
    pub(super) fn words(&self) -> Vec<u64> {
        self.entries().map(|(tag, location)| tag.word(location)).collect()
    }

    pub(super) fn home_lines(&self) -> usize {
        self.home_lines
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val::<[Line]>(&self.lines)
    }

    /// The lines where an entry with this tag may be, or may go to: from its home line to the table's end.
    fn lines_from_home(&self, tag: Tag) -> &[Line] {
        self.lines.get(tag.home_line(self.home_lines)..).unwrap_or_default()
    }

    /// Where the home lines are, for [`Sketch::prefetch`].
    pub(super) fn sketch(&self) -> Sketch {
        let address = self.lines.as_ptr().addr() as u64;
        // Addresses that do not fit, or so many lines, are not met; they would only not be loaded ahead.
        let fits = address >> ADDRESS_BITS == 0 && (self.home_lines as u64) < 1 << HOME_LINES_BITS;
        Sketch(if fits { ((address / LINE_BYTES) << HOME_LINES_BITS) | self.home_lines as u64 } else { 0 })
    }

    /// Collects the locations under the tag.
    pub(super) fn find(&self, tag: Tag, found: &mut Candidates) {
        for line in self.lines_from_home(tag) {
            for slot in line.select(|word| tag.matches(word)) {
                // The slot may have changed hands since: then what is there now is not for this tag.
                let word = line.0[slot].load(Ordering::Acquire);
                if let Some(location) = Location::from_bits(word).filter(|_| tag.matches(word)) {
                    found.push(location);
                }
            }
            if !line.has_spilled(tag) {
                return;
            }
        }
    }

    /// Puts an entry into the first slot that is free for it. `false` if there is none up to the table's end.
    ///
    /// The spill bits come first: no entry is ever in a slot that a lookup would not reach.
    pub(super) fn place(&self, tag: Tag, location: Location) -> bool {
        for line in self.lines_from_home(tag) {
            if let Some(slot) = line.select(|word| !slot::has_entry(word)).next() {
                line.set_entry(slot, tag.word(location));
                return true;
            }
            line.set_spilled(tag);
        }
        false
    }

    /// Puts `new` in the place of `old`, in the same slot. `false` if the entry is not there.
    pub(super) fn replace(&self, tag: Tag, old: Location, new: Location) -> bool {
        self.exchange(tag, tag.word(old), tag.word(new))
    }

    /// Empties the entry's slot. `false` if the entry is not there.
    pub(super) fn remove(&self, tag: Tag, old: Location) -> bool {
        self.exchange(tag, tag.word(old), 0)
    }

    fn exchange(&self, tag: Tag, old_entry: u64, new_entry: u64) -> bool {
        for line in self.lines_from_home(tag) {
            if let Some(slot) = line.select(|word| slot::entry(word) == old_entry).next() {
                line.set_entry(slot, new_entry);
                return true;
            }
            if !line.has_spilled(tag) {
                return false;
            }
        }
        false
    }

    /// All entries, from the first line to the last.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Tag, Location)> {
        let words = self.lines.iter().flat_map(|line| &line.0).map(|word| word.load(Ordering::Acquire));
        words.filter_map(slot::parts)
    }

    /// A table of another shape with the same entries, its spill bits made anew. `None` if the shape is too tight.
    pub(super) fn reshaped(&self, home_lines: usize, overflow_lines: usize) -> Option<Table> {
        let table = Table::new(home_lines, overflow_lines);
        self.entries().all(|(tag, location)| table.place(tag, location)).then_some(table)
    }

    /// Lines that a lookup of the tag looks at.
    #[cfg(test)]
    #[cfg(not(loom))]
    pub(super) fn lines_touched(&self, tag: Tag) -> usize {
        let lines = self.lines_from_home(tag);
        lines.iter().position(|line| !line.has_spilled(tag)).map_or(lines.len(), |position| position + 1)
    }
}
