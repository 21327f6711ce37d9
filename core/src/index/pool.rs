//! Where large tables have their lines: in pieces of 4 KiB, out of blocks that the system may back with pages of 2 MiB.
//!
//! Pieces, because tables grow at their own times, and a place for a whole one that is given up fits none that has grown. Any
//! piece fits everywhere, so what is taken from the system and not used is less than a block, and what tables give up
//! is used before another one is.
//!
//! Where the pieces of a table are stands in a column of the pool, one cell for each piece, and not in the table: so the cell
//! can be read without the table's lock by who only loads ahead. The cells of a thousand tables of 28 pieces are 238 KiB, which the
//! processor keeps near.
#![allow(unsafe_code)] // One block: a line of a piece.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};

use super::block::{BLOCK_BYTES, Block, PIECES};
use super::line::Line;
use crate::disk::generation;
use crate::prefetch::prefetch_address;
use crate::wish::Wish;
use parking_lot::Mutex;

/// Lines of a piece: 4 KiB, the least that is touched at a time.
pub(super) const PIECE_LINES: usize = 64;
/// Pieces of the smallest table that is kept here: a smaller one could not grow by about a sixth. There are some 1.7 million keys
/// when tables are as large.
pub(super) const PIECES_MIN: usize = 5;
/// Pieces of the largest one: 1 MiB. There are some 90 million keys then.
const PIECES_MAX: usize = 256;
/// From so many blocks on those that are new are to be one page each. Before, what the last one has and does not use would be much
/// beside what all tables take.
const BLOCKS_OF_ONE_PAGE_FROM: usize = 16;
/// With fewer free pieces than this the next block is wished for: half of one, which a million new keys a second use up in some eighty
/// milliseconds.
const FREE_PIECES_MIN: usize = PIECES / 2;
/// Columns have smaller numbers than this.
pub(super) const COLUMNS_MAX: usize = 1024 + 1024 / 16 + 4;

/// One piece of each table, by its column: null where the table has less, or there is none.
type Level = Box<[AtomicPtr<Line>]>;

/// The memory of one index's large tables.
pub(super) struct Pool {
    levels: [OnceLock<Level>; PIECES_MAX],
    /// Tables that there may be at a time.
    columns: usize,
    state: Mutex<State>,
    /// That [`Pool::prepare`] is called.
    wish: Wish,
    /// The process that it belongs to. In a child of a fork the lock may be held for ever.
    generation: u64,
}

#[derive(Default)]
struct State {
    /// The oldest first. A piece is taken from the first one that gives any, so that others are left by all in the end. Only
    /// the last one may have pieces that nobody has had yet, since it was made when the others had none.
    blocks: Vec<Block>,
    /// Columns without a table.
    columns: Vec<u16>,
    /// Columns from this one on have not had a table yet.
    fresh_column: u16,
    /// One page that is in memory, for when the blocks have no piece left.
    spare: Option<Block>,
    /// Whether somebody makes spares.
    is_prepared: bool,
    /// Blocks that the tables take that the index begins with.
    blocks_to_load: usize,
    /// Whether new blocks are to be one page each.
    in_one_page: bool,
    /// Whether the system has refused. It is not asked again.
    is_refused: bool,
}

/// The lines of one table, which are its own until it is dropped.
pub(super) struct Pieces {
    pool: Arc<Pool>,
    lines: u32,
    column: u16,
}

impl Pool {
    /// For the tables of so many shards, and those that are just being made. They will soon have so many lines.
    pub(super) fn new(shards: usize, lines: usize) -> Arc<Pool> {
        let levels = [const { OnceLock::new() }; PIECES_MAX];
        let columns = (shards + shards / 16 + 4).min(COLUMNS_MAX);
        let blocks_to_load = lines * size_of::<Line>() / BLOCK_BYTES;
        let in_one_page = blocks_to_load >= BLOCKS_OF_ONE_PAGE_FROM;
        let state = Mutex::new(State { blocks_to_load, in_one_page, ..State::default() });
        Arc::new(Pool { levels, columns, state, wish: Wish::new(), generation: generation() })
    }

    /// The wish that the next block is made before somebody waits for it.
    #[inline]
    pub(super) fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Makes the next block, if one is wanted. Nobody waits meanwhile: the system has to empty all of the page, which takes as much as
    /// tens of milliseconds where the machine has to get the memory first.
    ///
    /// Whoever calls this will do it whenever there is a wish: others make no large page any more, but at first those of the tables
    /// that the index begins with.
    pub(super) fn prepare(&self) {
        let is_wanted = {
            let mut state = self.state.lock();
            state.is_prepared = true;
            state.wants_spare()
        };
        if is_wanted {
            let made = Block::new_in_one_page();
            let mut state = self.state.lock();
            state.is_refused |= made.is_none();
            state.spare = made;
        }
    }

    /// Empty lines for a table. `None` where it is too small or too large for the pool, or there is no room for it: then it is to
    /// be allocated as everything else.
    pub(super) fn take(self: &Arc<Pool>, lines: usize) -> Option<Pieces> {
        let pieces = lines.div_ceil(PIECE_LINES);
        if lines < PIECES_MIN * PIECE_LINES || pieces > PIECES_MAX || generation() != self.generation {
            return None;
        }
        let mut state = self.state.lock();
        let column = state.take_column(self.columns)?;
        let Some(taken) = state.take_pieces(pieces) else {
            state.columns.push(column);
            return None;
        };
        if state.wants_spare() {
            self.wish.make();
        }
        drop(state);
        for (level, piece) in self.levels.iter().zip(taken) {
            let level =
                level.get_or_init(|| (0..self.columns).map(|_| AtomicPtr::new(ptr::null_mut())).collect());
            // Relaxed: whoever is to look into the piece gets the table through the shard's lock.
            level[usize::from(column)].store(piece, Ordering::Relaxed);
        }
        let pieces = Pieces { pool: Arc::clone(self), lines: u32::try_from(lines).ok()?, column };
        (0..lines).filter_map(|line| pieces.get(line)).for_each(Line::clear);
        Some(pieces)
    }

    /// Where a line of a table is. Null or beside it where there is no such table any more, which may be found out by nobody.
    #[inline]
    fn place(&self, column: u16, line: usize) -> Option<NonNull<Line>> {
        let level = self.levels.get(line / PIECE_LINES)?.get()?;
        NonNull::new(level.get(usize::from(column))?.load(Ordering::Relaxed))
    }

    /// Starts loading a line of a table, which may be gone by now.
    #[inline]
    pub(super) fn prefetch(&self, column: u16, line: usize) {
        if let Some(piece) = self.place(column, line) {
            prefetch_address(piece.addr().get() + line % PIECE_LINES * size_of::<Line>());
        }
    }

    /// What the pool has of the system, whether there are tables in it or not.
    pub(super) fn memory_bytes(&self) -> usize {
        let cells: usize =
            self.levels.iter().filter_map(OnceLock::get).map(|level| size_of_val::<[_]>(level)).sum();
        let state = self.state.lock();
        let blocks = state.blocks.iter().chain(&state.spare);
        size_of::<Pool>() + cells + blocks.map(Block::memory_bytes).sum::<usize>()
    }
}

impl State {
    fn take_column(&mut self, columns: usize) -> Option<u16> {
        let is_left = usize::from(self.fresh_column) < columns;
        self.columns.pop().or_else(|| {
            is_left.then(|| {
                self.fresh_column += 1;
                self.fresh_column - 1
            })
        })
    }

    /// All of them or none.
    fn take_pieces(&mut self, count: usize) -> Option<Vec<*mut Line>> {
        let mut taken = Vec::with_capacity(count);
        for block in &mut self.blocks {
            while taken.len() < count
                && let Some(piece) = block.take()
            {
                taken.push(piece);
            }
        }
        while taken.len() < count {
            let Some(block) = self.new_block() else {
                taken.into_iter().for_each(|piece| self.give_back(piece));
                return None;
            };
            taken.extend(std::iter::from_fn(|| block.take()).take(count - taken.len()));
        }
        Some(taken)
    }

    /// Whether the next block is to be one page.
    fn next_is_one_page(&self) -> bool {
        self.in_one_page || self.blocks.len() >= BLOCKS_OF_ONE_PAGE_FROM
    }

    /// Whether the next block is to be made: it will be one page, and there is little left of the others.
    fn wants_spare(&self) -> bool {
        self.is_prepared
            && self.next_is_one_page()
            && self.spare.is_none()
            && !self.is_refused
            && self.blocks.iter().map(Block::free_pieces).sum::<usize>() < FREE_PIECES_MIN
    }

    fn new_block(&mut self) -> Option<&mut Block> {
        if self.is_refused {
            return None;
        }
        let block = self.spare.take().or_else(|| self.made_block());
        self.is_refused = block.is_none();
        let block = block?;
        if !self.in_one_page && block.is_one_page() {
            self.in_one_page = true;
            // Not made one page where they are: while the system does that for one, which takes it some 6 ms, nobody in the
            // process gets a page that is not in memory. They are left by tables that grow.
            self.blocks.iter_mut().for_each(Block::leave);
        }
        self.blocks.push(block);
        self.blocks.last_mut()
    }

    /// A block that was not prepared. Where others prepare them it is touched piece by piece, so that nobody waits for the rest of
    /// it; the tables that the index begins with are worth the wait.
    fn made_block(&self) -> Option<Block> {
        let is_worth_it = !self.is_prepared || self.blocks.len() < self.blocks_to_load;
        if self.next_is_one_page() && is_worth_it { Block::new_in_one_page() } else { Block::new() }
    }

    /// Takes back a piece, and gives back the block that nobody has a piece of any more.
    fn give_back(&mut self, piece: *mut Line) {
        let address = piece.addr();
        if let Some(position) = self.blocks.iter().position(|block| block.contains(address)) {
            self.blocks[position].give_back(address);
            if self.blocks[position].is_unused() {
                self.blocks.remove(position);
            }
        }
    }
}

impl Pieces {
    /// Lines that there are.
    pub(super) fn len(&self) -> usize {
        self.lines as usize
    }

    pub(super) fn column(&self) -> u16 {
        self.column
    }

    #[inline]
    pub(super) fn get(&self, line: usize) -> Option<&Line> {
        if line >= self.len() {
            return None;
        }
        let piece = self.pool.place(self.column, line)?;
        let line = piece.as_ptr().wrapping_add(line % PIECE_LINES);
        // SAFETY: the column is this table's, so its cell for a line that the table has names a piece that was taken for it and
        // is given back only when it is dropped; until then the block is not unmapped and nobody else gets the piece. The
        // piece has `PIECE_LINES` lines and begins at a multiple of its size. They are zeroed memory of the system or lines
        // from before, both of which are valid atomic words, and are shared only, never borrowed to be changed.
        unsafe { line.as_ref() }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if generation() != self.pool.generation {
            return;
        }
        let mut state = self.pool.state.lock();
        for level in self.pool.levels.iter().take(self.len().div_ceil(PIECE_LINES)).filter_map(OnceLock::get)
        {
            let piece = level[usize::from(self.column)].swap(ptr::null_mut(), Ordering::Relaxed);
            if !piece.is_null() {
                state.give_back(piece);
            }
        }
        state.columns.push(self.column);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::index::slot;

    /// Bytes of all blocks that are in memory or swapped out, as the system says.
    fn bytes_in_memory(pool: &Pool) -> usize {
        const PAGE_BYTES: usize = 4096;
        let pages = File::open("/proc/self/pagemap").unwrap();
        let of_block = |block: &Block| {
            let mut words = vec![0; BLOCK_BYTES / PAGE_BYTES * 8];
            pages.read_exact_at(&mut words, (block.address() / PAGE_BYTES * 8) as u64).unwrap();
            words.chunks(8).filter(|word| word[7] >> 6 != 0).count() * PAGE_BYTES
        };
        let state = pool.state.lock();
        state.blocks.iter().chain(&state.spare).map(of_block).sum()
    }

    fn bytes_reported(pool: &Pool) -> usize {
        let state = pool.state.lock();
        state.blocks.iter().chain(&state.spare).map(Block::memory_bytes).sum()
    }

    /// Tables of 256 KiB, eight of which fill a block.
    fn tables_of_a_block(pool: &Arc<Pool>) -> Vec<Pieces> {
        (0..8).map(|_| pool.take(4096).unwrap()).collect()
    }

    #[test]
    fn what_is_reported_is_in_memory_and_no_more() {
        let pool = Pool::new(1024, 0);
        let mut tables = Vec::new();
        for count in 1..=BLOCKS_OF_ONE_PAGE_FROM * BLOCK_BYTES / (256 << 10) {
            tables.push(pool.take(4096).unwrap());
            assert_eq!((bytes_reported(&pool), bytes_in_memory(&pool)), (count << 18, count << 18));
        }
        assert!(!pool.state.lock().in_one_page);
        // One more takes another block, which is in memory as a whole. What is given up of the others goes to the system.
        tables.push(pool.take(4096).unwrap());
        assert!(pool.state.lock().in_one_page);
        assert_eq!(bytes_reported(&pool), (BLOCKS_OF_ONE_PAGE_FROM + 1) * BLOCK_BYTES);
        drop(tables.drain(..20));
        let left = BLOCKS_OF_ONE_PAGE_FROM * BLOCK_BYTES - (20 << 18);
        assert_eq!(bytes_reported(&pool), left + BLOCK_BYTES);
        assert!(bytes_in_memory(&pool) <= bytes_reported(&pool));
        // Whoever comes now gets none of that: 21 are three blocks.
        tables.extend((0..20).map(|_| pool.take(4096).unwrap()));
        assert_eq!(bytes_reported(&pool), left + 3 * BLOCK_BYTES);
        assert!(bytes_in_memory(&pool) <= bytes_reported(&pool));
        tables.clear();
        assert_eq!((bytes_reported(&pool), pool.state.lock().blocks.len()), (0, 0));
    }

    #[test]
    fn for_as_many_lines_blocks_are_one_page_from_the_first() {
        let lines = BLOCKS_OF_ONE_PAGE_FROM * BLOCK_BYTES / size_of::<Line>();
        for (lines, reported) in [(lines - 1, 256 << 10), (lines, BLOCK_BYTES)] {
            let pool = Pool::new(1024, lines);
            let _table = pool.take(4096).unwrap();
            assert_eq!(bytes_reported(&pool), reported);
        }
    }

    #[test]
    fn the_next_block_is_in_memory_before_somebody_waits_for_it() {
        let pool = Pool::new(1024, 0);
        pool.prepare();
        let mut tables: Vec<_> =
            (1..BLOCKS_OF_ONE_PAGE_FROM).flat_map(|_| tables_of_a_block(&pool)).collect();
        tables.extend((0..4).map(|_| pool.take(4096).unwrap()));
        assert!(!pool.wish().is_there(), "half of the last block is left");
        tables.push(pool.take(4096).unwrap());
        assert!(pool.wish().take());
        let before = bytes_reported(&pool);
        pool.prepare();
        let prepared = (bytes_reported(&pool), bytes_in_memory(&pool));
        assert_eq!(prepared, (before + BLOCK_BYTES, before + BLOCK_BYTES));
        pool.prepare();
        assert_eq!(bytes_reported(&pool), before + BLOCK_BYTES, "one is enough");
        let address = pool.state.lock().spare.as_ref().map(Block::address);
        tables.extend((0..4).map(|_| pool.take(4096).unwrap()));
        assert_eq!(pool.state.lock().blocks.last().map(Block::address), address);
        assert!(pool.state.lock().in_one_page && !pool.wish().is_there());
    }

    #[test]
    fn who_finds_no_block_prepared_has_to_touch_no_more_than_he_takes() {
        let pool = Pool::new(1024, 0);
        pool.prepare();
        let small = |blocks: usize| (0..blocks).flat_map(|_| tables_of_a_block(&pool)).collect::<Vec<_>>();
        let mut tables = small(BLOCKS_OF_ONE_PAGE_FROM + 1);
        let taken = (BLOCKS_OF_ONE_PAGE_FROM + 1) * BLOCK_BYTES;
        assert!(pool.wish().take() && !pool.state.lock().in_one_page);
        pool.prepare();
        tables.extend(small(1));
        assert!(pool.state.lock().in_one_page, "those before are left");
        // Nobody has heard of the wish: no piece is in memory that nobody has.
        tables.push(pool.take(4096).unwrap());
        let bytes = taken + BLOCK_BYTES + (256 << 10);
        assert_eq!((bytes_reported(&pool), bytes_in_memory(&pool)), (bytes, bytes));
        assert!(pool.wish().take());
    }

    #[test]
    fn the_tables_that_an_index_begins_with_wait_for_large_pages() {
        let lines = BLOCKS_OF_ONE_PAGE_FROM * BLOCK_BYTES / size_of::<Line>();
        let pool = Pool::new(1024, lines);
        pool.prepare();
        let mut tables = Vec::new();
        for block in 1..=BLOCKS_OF_ONE_PAGE_FROM {
            tables.push(pool.take(4096).unwrap());
            assert_eq!(bytes_reported(&pool), block * BLOCK_BYTES);
            tables.extend((0..7).map(|_| pool.take(4096).unwrap()));
        }
        let _small = pool.take(4096).unwrap();
        assert_eq!(bytes_reported(&pool), BLOCKS_OF_ONE_PAGE_FROM * BLOCK_BYTES + (256 << 10));
    }

    #[test]
    fn tables_share_no_line_and_are_empty_when_they_are_taken() {
        let pool = Pool::new(1024, 0);
        let words = |table: &Pieces| -> Vec<u64> {
            (0..table.len()).flat_map(|line| table.get(line).unwrap().words().collect::<Vec<_>>()).collect()
        };
        let mut tables: Vec<(u64, Pieces)> = Vec::new();
        for number in 1..=400 {
            let lines = 320 + number as usize * 7 % 900;
            let table = pool.take(lines).unwrap();
            assert!(table.len() == lines && table.get(lines).is_none());
            assert!(words(&table).iter().all(|word| *word == 0));
            for line in 0..lines {
                (0..8).for_each(|slot| table.get(line).unwrap().set_entry(slot, slot::with_entry(0, number)));
            }
            tables.push((number, table));
            if number % 3 == 0 {
                tables.swap_remove(number as usize * 31 % tables.len());
            }
        }
        for (number, table) in &tables {
            assert!(words(table).iter().all(|word| word == number), "table {number}");
        }
    }

    #[test]
    fn what_is_given_up_is_taken_again_before_more_of_the_system() {
        let pool = Pool::new(1024, 0);
        let mut tables: Vec<_> = (0..200).map(|_| pool.take(64 * 7).unwrap()).collect();
        // Every other one gives up seven pieces, so that no two that are free lie together for eight.
        let mut keep = false;
        tables.retain(|_| {
            keep = !keep;
            keep
        });
        let before = bytes_reported(&pool);
        tables.extend((0..87).map(|_| pool.take(64 * 8).unwrap()));
        assert_eq!(bytes_reported(&pool), before);
    }

    #[test]
    fn too_many_tables_and_those_of_other_sizes_are_not_for_the_pool() {
        let pool = Pool::new(1024, 0);
        // It would have the room of one that is larger.
        assert!(pool.take(PIECE_LINES * PIECES_MIN - 1).is_none());
        assert!(pool.take(PIECE_LINES * PIECES_MAX + 1).is_none());
        let tables: Vec<_> = (0..COLUMNS_MAX).map(|_| pool.take(PIECE_LINES * PIECES_MIN).unwrap()).collect();
        let reported = bytes_reported(&pool);
        assert!(pool.take(PIECE_LINES * PIECES_MIN).is_none());
        assert_eq!(bytes_reported(&pool), reported);
        drop(tables);
        assert!(pool.take(PIECE_LINES * PIECES_MAX).is_some());
    }
}
