//! A shard's table: lines of slots, and how an entry finds its place in them.
//!
//! Any number of threads may look something up; at most one at a time may change the table, which the shard sees to.
//! Hence a change reads a word and stores it anew, with nothing in between that could be lost.

use std::sync::Arc;

use super::candidates::Candidates;
use super::line::Line;
use super::lines::Lines;
use super::pool::{COLUMNS_MAX, Pool};
use super::slot::{self, Tag};
use crate::location::Location;
use crate::prefetch::prefetch_address;

/// Bytes of a line, which addresses of lines are a multiple of.
const LINE_BYTES: u64 = align_of::<Line>() as u64;
/// Bits of an address of the process, and those that are left beside it in a word.
const ADDRESS_BITS: u32 = 48;
const HOME_LINES_BITS: u32 = 64 - ADDRESS_BITS + LINE_BYTES.trailing_zeros();

/// Where a table's home lines are and how many, in one word. The table may be gone: a sketch is good for loading ahead only.
///
/// Lines out of the pool are named by their column, in the place of an address: nothing has addresses as low as these.
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

    fn of(lines: &Lines) -> Sketch {
        let home_lines = lines.home() as u64;
        let place = match lines {
            Lines::Own { lines, .. } => lines.as_ptr().addr() as u64 / LINE_BYTES,
            Lines::Pooled { pieces, .. } => u64::from(pieces.column()),
        };
        // Addresses that do not fit, or so many lines, are not met; they would only not be loaded ahead.
        let fits =
            place < 1 << (ADDRESS_BITS - LINE_BYTES.trailing_zeros()) && home_lines < 1 << HOME_LINES_BITS;
        Sketch(if fits { place << HOME_LINES_BITS | home_lines } else { 0 })
    }

    /// Starts loading the home line of the tag, where most lookups end.
    #[inline]
    pub(super) fn prefetch(self, tag: Tag, pool: &Pool) {
        let home_lines = self.0 & ((1 << HOME_LINES_BITS) - 1);
        let line = tag.home_line(home_lines as usize);
        match self.0 >> HOME_LINES_BITS {
            column if column < COLUMNS_MAX as u64 => pool.prefetch(column as u16, line),
            first_line => prefetch_address(((first_line + line as u64) * LINE_BYTES) as usize),
        }
    }
}

/// The lines that entries call home, and a few after them, which take what spills from the last ones.
pub(super) struct Table {
    lines: Lines,
}

impl Table {
    pub(super) fn new(home_lines: usize, overflow_lines: usize, pool: &Arc<Pool>) -> Table {
        Table { lines: Lines::new(home_lines, overflow_lines, pool) }
    }

    /// With no lines at all it holds nothing, finds nothing and allocates nothing.
    pub(super) fn none() -> Table {
        Table { lines: Lines::none() }
    }

    /// The words of all entries without their spill bits, from the first line to the last.
    pub(super) fn words(&self) -> Vec<u64> {
        self.entries().map(|(tag, location)| tag.word(location)).collect()
    }

    pub(super) fn home_lines(&self) -> usize {
        self.lines.home()
    }

    /// Bytes that are this table's alone: none where its lines are the pool's.
    pub(super) fn own_bytes(&self) -> usize {
        self.lines.own_bytes()
    }

    /// The lines where an entry with this tag may be, or may go to: from its home line to the table's end.
    #[inline]
    fn lines_from_home(&self, tag: Tag) -> impl Iterator<Item = &Line> {
        self.lines.from(tag.home_line(self.home_lines()))
    }

    /// Where the home lines are, for [`Sketch::prefetch`].
    pub(super) fn sketch(&self) -> Sketch {
        Sketch::of(&self.lines)
    }

    /// Collects the locations under the tag.
    pub(super) fn find(&self, tag: Tag, found: &mut Candidates) {
        for line in self.lines_from_home(tag) {
            for slot in line.select(|word| tag.matches(word)) {
                // The slot may have changed hands since: then what is there now is not for this tag.
                let word = line.word(slot);
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
        self.lines.from(0).flat_map(Line::words).filter_map(slot::parts)
    }

    /// A table of another shape with the same entries, its spill bits made anew. `None` if the shape is too tight.
    pub(super) fn reshaped(
        &self,
        home_lines: usize,
        overflow_lines: usize,
        pool: &Arc<Pool>,
    ) -> Option<Table> {
        let table = Table::new(home_lines, overflow_lines, pool);
        self.entries().all(|(tag, location)| table.place(tag, location)).then_some(table)
    }

    /// Lines that a lookup of the tag looks at.
    #[cfg(test)]
    #[cfg(not(loom))]
    pub(super) fn lines_touched(&self, tag: Tag) -> usize {
        let last = self.lines_from_home(tag).position(|line| !line.has_spilled(tag));
        last.map_or_else(|| self.lines_from_home(tag).count(), |position| position + 1)
    }
}
