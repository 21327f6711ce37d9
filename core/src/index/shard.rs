//! A shard: one table, the locks around it, and when it changes its shape.

use std::sync::Arc;

use super::candidates::Candidates;
use super::image::ShardImage;
use super::line::LINE_SLOTS;
use super::pool::{PIECE_LINES, PIECES_MIN, Pool};
use super::slot::{self, Tag};
use super::table::{Sketch, Table};
use crate::checkpoint::ShardShape;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};

/// Entries for a hundred home lines at which a table grows: 78 slots of a hundred are in use then. Fuller tables
/// spill more and touch more lines; emptier ones take more memory.
const ENTRIES_PER_100_LINES_MAX: usize = 78 * LINE_SLOTS;
/// A table with fewer entries for a hundred home lines than this is made smaller when it is next reshaped.
const ENTRIES_PER_100_LINES_MIN: usize = 40 * LINE_SLOTS;
/// What a table made smaller is sized for: about halfway between growing again and where growing would have left it.
const ENTRIES_PER_100_LINES_SHRUNK: usize = 72 * LINE_SLOTS;
/// A table grows by one line for each so many.
const GROWTH_LINES: usize = 6;
/// Lines after the last home line. Three are enough for all but one table in some hundreds; that one gets more.
const OVERFLOW_LINES: usize = 3;

/// No table can have this sketch.
const ABSENT: u64 = u64::MAX;

/// One of the index's shards, on one cache line so that neighbours do not slow each other down.
#[repr(align(64))]
pub(super) struct Shard {
    /// Shared while slot words are read or written, and exclusive only to put another table in. So a reader never
    /// waits for a write, and a table is never freed under a reader.
    table: RwLock<Table>,
    /// Held through every change, by insert, replace, remove and reshaping alike: there is one writer at a time.
    writer: Mutex<Writer>,
    /// Entries of the table. Changed by the writer only; readable without a lock.
    entries: AtomicU64,
    /// [`ABSENT`] while nobody may look into the table, and its sketch otherwise.
    sketch: AtomicU64,
}

/// What only the writer needs.
struct Writer {
    /// Entries removed since the table got its shape. Each may have left spill bits behind that send lookups on for
    /// nothing.
    removed: u32,
    /// Home lines that a table which is still to be read had.
    home_lines: u32,
    /// Whether the table is still where a checkpoint has put it.
    is_away: bool,
    /// Whether changes wait for it: see [`Shard::hold`].
    is_held: bool,
}

impl Writer {
    /// Whoever asks for what an index holds back would miss what waits for it.
    fn check_not_held(&self) -> Result<()> {
        match self.is_held {
            false => Ok(()),
            true => Err(Error::Internal(
                "the index was looked into before it had caught up with the log".to_owned(),
            )),
        }
    }
}

impl Shard {
    pub(super) fn new() -> Shard {
        Shard {
            table: RwLock::new(Table::none()),
            writer: Mutex::new(Writer { removed: 0, home_lines: 0, is_away: false, is_held: false }),
            entries: AtomicU64::new(0),
            sketch: AtomicU64::new(0),
        }
    }

    /// A shard whose table is still to be read.
    pub(super) fn absent(shape: ShardShape) -> Shard {
        let shard = Shard::new();
        shard.entries.store(shape.entries.into(), Ordering::Relaxed);
        let is_away = shape.entries > 0;
        {
            let mut writer = shard.writer.lock();
            writer.home_lines = shape.home_lines;
            writer.is_away = is_away;
        }
        shard.sketch.store(if is_away { ABSENT } else { 0 }, Ordering::Relaxed);
        shard
    }

    #[inline]
    pub(super) fn is_absent(&self) -> bool {
        // Acquire: whoever sees that it is there also finds the table that was put in.
        self.sketch.load(Ordering::Acquire) == ABSENT
    }

    /// Puts in the table, unless somebody else has. After an error it is still to be read.
    pub(super) fn load(&self, pool: &Arc<Pool>, read: impl FnOnce() -> Result<Vec<u64>>) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.check_not_held()?;
        if self.is_absent() {
            let table = table_of(&read()?, writer.home_lines as usize, pool);
            writer.is_away = false;
            drop(self.put_in(table));
        }
        Ok(())
    }

    /// From here on nobody looks into the table, until [`Shard::catch_up`] has changed it.
    pub(super) fn hold(&self) {
        let mut writer = self.writer.lock();
        writer.is_held = true;
        self.sketch.store(ABSENT, Ordering::Release);
    }

    /// Has a copy of a table that is held changed, and lets everybody look into that instead. After an error it is held as before,
    /// and nothing of it has changed.
    pub(super) fn catch_up(
        &self,
        pool: &Arc<Pool>,
        read: impl FnOnce() -> Result<Vec<u64>>,
        change: impl FnOnce(Shard) -> Result<Shard>,
    ) -> Result<()> {
        let mut writer = self.writer.lock();
        if !writer.is_held {
            return Ok(());
        }
        let (words, home_lines) = match writer.is_away {
            true => (read()?, writer.home_lines as usize),
            false => {
                let table = self.table.read();
                (table.words(), table.home_lines())
            }
        };
        let copy = Shard::new();
        drop(copy.put_in(table_of(&words, home_lines, pool)));
        copy.entries.store(self.entries(), Ordering::Relaxed);
        let changed = change(copy)?;
        let (removed, home_lines) = (changed.writer.lock().removed, writer.home_lines);
        *writer = Writer { removed, home_lines, is_away: false, is_held: false };
        self.entries.store(changed.entries(), Ordering::Relaxed);
        let table = std::mem::replace(&mut *changed.table.write(), Table::none());
        drop(self.put_in(table));
        Ok(())
    }

    /// The table as it is now; `None` where it is still to be read. Nobody may change the shard meanwhile.
    pub(super) fn image(&self) -> Result<Option<ShardImage>> {
        let writer = self.writer.lock();
        writer.check_not_held()?;
        if self.is_absent() {
            return Ok(None);
        }
        let table = self.table.read();
        Ok(Some(ShardImage { home_lines: table.home_lines() as u32, words: table.words() }))
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of the table, unless its lines are the pool's; the shard itself is counted by who holds it.
    pub(super) fn table_bytes(&self) -> usize {
        self.table.read().own_bytes()
    }

    /// Takes no lock, which would wait for whatever was asked for before. A table that is just being exchanged is loaded in
    /// vain, or one that is absent not at all.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag, pool: &Pool) {
        Sketch::from_word(self.sketch.load(Ordering::Relaxed)).prefetch(tag, pool);
    }

    pub(super) fn find(&self, tag: Tag) -> Candidates {
        let mut found = Candidates::new();
        self.table.read().find(tag, &mut found);
        found
    }

    pub(super) fn insert(&self, tag: Tag, location: Location, pool: &Arc<Pool>) {
        let mut writer = self.writer.lock();
        if !self.place(tag, location) {
            self.reshape(&mut writer, Some((tag, location)), pool);
        }
        self.entries.store(self.entries() + 1, Ordering::Relaxed);
    }

    /// Puts in a table of these entries, of the size that inserting them one by one would have led to. There was none before.
    pub(super) fn fill<I: Iterator<Item = (Tag, Location)>>(
        &self,
        entries: impl Fn() -> I,
        count: usize,
        pool: &Arc<Pool>,
    ) {
        let mut writer = self.writer.lock();
        drop(self.put_in(filled(home_lines_for(count, 0), entries, pool)));
        writer.removed = 0;
        self.entries.store(count as u64, Ordering::Relaxed);
    }

    /// Puts the entry into the table as it is. `false` if the table is as full as it may be, or has no slot for it.
    fn place(&self, tag: Tag, location: Location) -> bool {
        let table = self.table.read();
        self.entries() < entries_max(table.home_lines()) as u64 && table.place(tag, location)
    }

    pub(super) fn replace(&self, tag: Tag, old: Location, new: Location) -> bool {
        let _writer = self.writer.lock();
        self.table.read().replace(tag, old, new)
    }

    pub(super) fn remove(&self, tag: Tag, old: Location, pool: &Arc<Pool>) -> bool {
        let mut writer = self.writer.lock();
        let slots = {
            let table = self.table.read();
            if !table.remove(tag, old) {
                return false;
            }
            table.home_lines() * LINE_SLOTS
        };
        self.entries.store(self.entries() - 1, Ordering::Relaxed);
        writer.removed += 1;
        // So the cost of a new table is spread over removals in proportion to its size.
        if writer.removed as usize > slots / 2 {
            self.reshape(&mut writer, None, pool);
        }
        true
    }

    /// Puts a new table in the place of the old one, sized for the entries there are and with spill bits only where
    /// they are needed. `added` is an entry that is to be in it from the start.
    fn reshape(&self, writer: &mut Writer, added: Option<(Tag, Location)>, pool: &Arc<Pool>) {
        // 1. Build it aside. The table cannot change meanwhile, as the caller is the writer; readers go on.
        let new = self.reshaped(added, pool);
        // 2. Swap.
        let old = self.put_in(new);
        writer.removed = 0;
        // 3. Give back the old one, which nobody can see any more.
        drop(old);
    }

    /// Puts a table in, by the writer, and gives the one that was there before. Only here are readers kept out: the lock is
    /// released at the end of the statement.
    fn put_in(&self, table: Table) -> Table {
        let sketch = table.sketch();
        let old = std::mem::replace(&mut *self.table.write(), table);
        self.sketch.store(sketch.word(), Ordering::Release);
        old
    }

    fn reshaped(&self, added: Option<(Tag, Location)>, pool: &Arc<Pool>) -> Table {
        let old = self.table.read();
        let entries = self.entries() as usize + usize::from(added.is_some());
        let home_lines = home_lines_for(entries, old.home_lines());
        let mut overflow_lines = overflow_lines_for(home_lines);
        loop {
            let table = old.reshaped(home_lines, overflow_lines, pool);
            let fits = |table: &Table| added.is_none_or(|(tag, location)| table.place(tag, location));
            if let Some(table) = table.filter(fits) {
                return table;
            }
            // More home lines would not help if the last tags of all are the crowded ones; more room behind them
            // does, always.
            overflow_lines = (overflow_lines * 2).max(1);
        }
    }

    /// All locations at this moment; those that change meanwhile may be seen before or after.
    pub(super) fn locations(&self) -> Vec<Location> {
        self.table.read().entries().map(|(_, location)| location).collect()
    }

    #[cfg(test)]
    #[cfg(not(loom))]
    pub(super) fn lines_touched(&self, tag: Tag) -> usize {
        self.table.read().lines_touched(tag)
    }
}

/// The table of a shard whose entries were kept. It has no more home lines than so many entries may have, whatever is said.
fn table_of(words: &[u64], home_lines: usize, pool: &Arc<Pool>) -> Table {
    let home_lines = home_lines_for(words.len(), home_lines);
    filled(home_lines, || words.iter().filter_map(|word| slot::parts(*word)), pool)
}

/// A table with these entries, and as many lines behind its home lines as they need.
fn filled<I: Iterator<Item = (Tag, Location)>>(
    home_lines: usize,
    entries: impl Fn() -> I,
    pool: &Arc<Pool>,
) -> Table {
    let mut overflow_lines = overflow_lines_for(home_lines);
    loop {
        let table = Table::new(home_lines, overflow_lines, pool);
        if entries().all(|(tag, location)| table.place(tag, location)) {
            return table;
        }
        // More room behind the home lines always helps, as in a table that grows.
        overflow_lines = (overflow_lines * 2).max(1);
    }
}

/// Most entries that a table with this many home lines takes before it grows.
fn entries_max(home_lines: usize) -> usize {
    home_lines * ENTRIES_PER_100_LINES_MAX / 100
}

/// Home lines of a table for so many entries, if the one in use has `current`.
fn home_lines_for(entries: usize, current: usize) -> usize {
    if entries < current * ENTRIES_PER_100_LINES_MIN / 100 {
        return in_whole_pieces((entries * 100).div_ceil(ENTRIES_PER_100_LINES_SHRUNK), entries);
    }
    let mut home_lines = current;
    while entries_max(home_lines) < entries {
        home_lines += (home_lines / GROWTH_LINES).max(1);
    }
    in_whole_pieces(home_lines, entries)
}

/// The number of home lines with which a large table fills its pieces to the last line: a few less, or more where the
/// entries need them.
fn in_whole_pieces(home_lines: usize, entries: usize) -> usize {
    let pieces = (home_lines + OVERFLOW_LINES) / PIECE_LINES;
    if pieces < PIECES_MIN {
        return home_lines;
    }
    let fewer = pieces * PIECE_LINES - OVERFLOW_LINES;
    if entries <= entries_max(fewer) { fewer } else { fewer + PIECE_LINES }
}

/// None for a table of one line, one for a small table, and no more than [`OVERFLOW_LINES`].
fn overflow_lines_for(home_lines: usize) -> usize {
    home_lines.saturating_sub(1).div_ceil(24).min(OVERFLOW_LINES)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_cache_line() {
        assert_eq!((size_of::<Shard>(), align_of::<Shard>()), (64, 64));
    }

    #[test]
    fn a_shard_that_is_read_has_its_entries_and_no_more_lines_than_they_may_have() {
        let words: Vec<u64> =
            (1..=1000).map(|n| ((n * 8000) << 40) | Location::new(9, n * 8).unwrap().bits()).collect();
        for home_lines in [0, 1, 170, 300, u32::MAX] {
            let shard = Shard::absent(ShardShape { home_lines, entries: 1000 });
            assert!(shard.is_absent() && shard.image().unwrap().is_none());
            shard.load(&Pool::new(1, 0), || Ok(words.clone())).unwrap();
            let mut image = shard.image().unwrap().unwrap();
            image.words.sort_unstable();
            assert_eq!((image.words, shard.entries()), (words.clone(), 1000));
            assert!(shard.table_bytes() <= 304 * 64, "{} bytes", shard.table_bytes());
            assert!(image.home_lines == home_lines || ![170, 300].contains(&home_lines));
        }
    }

    #[test]
    fn a_table_has_room_for_its_entries_and_not_much_more() {
        let mut home_lines = 0;
        for entries in 1..100_000 {
            home_lines = home_lines_for(entries, home_lines);
            assert!(entries <= entries_max(home_lines));
            assert!(home_lines <= entries.div_ceil(5).max(1), "{home_lines} lines for {entries} entries");
        }
        for entries in (0..100_000).rev() {
            home_lines = home_lines_for(entries, home_lines);
            assert!(entries <= entries_max(home_lines));
            assert!(home_lines <= entries.div_ceil(3), "{home_lines} lines for {entries} entries");
        }
        assert_eq!(home_lines, 0);
    }
}
