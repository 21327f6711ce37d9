//! A page of 2 MiB, and which pieces of it are taken.
#![allow(unsafe_code)] // One block: the memory of a piece that nobody has is given back to the system.

use super::line::Line;
use super::pool::PIECE_LINES;
use memmap2::{MmapMut, MmapRaw};

/// What the processor can have as one page.
pub(super) const BLOCK_BYTES: usize = 2 << 20;
const LINE_BYTES: usize = align_of::<Line>();
const PIECE_BYTES: usize = PIECE_LINES * LINE_BYTES;
/// Pieces of a block.
pub(super) const PIECES: usize = BLOCK_BYTES / PIECE_BYTES;
const WORD_BITS: usize = u64::BITS as usize;

/// Anonymous memory at a multiple of its length. Given back when dropped.
pub(super) struct Block {
    map: MmapRaw,
    /// Bytes of the map before the block.
    skipped: usize,
    /// One bit for each piece that nobody has.
    free: [u64; PIECES / WORD_BITS],
    /// Pieces that somebody has or has had: those from the first one up to here.
    touched: usize,
    pages: Pages,
}

/// What the system backs a block with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// A page for each piece that somebody has or has had.
    Small,
    /// One page for all of it: it was asked for before the first touch.
    One,
    /// A page for each piece that somebody has. Nobody gets another one.
    Left,
}

impl Block {
    /// One that takes memory as its pieces are taken. `None` where the system has no such pages or no memory: tables are then allocated
    /// as everything else.
    pub(super) fn new() -> Option<Block> {
        // Loom's atomics are not what zeroed memory holds, and miri knows no advice.
        if cfg!(any(loom, miri, not(target_os = "linux"))) {
            return None;
        }
        // Newer kernels put a map of this length where it is wanted. Elsewhere one that is longer has the place in it; what is
        // never touched of it takes no memory.
        let exact = mapped(BLOCK_BYTES)?;
        let (map, skipped) = match skipped(&exact) {
            0 => (exact, 0),
            _ => {
                drop(exact);
                let longer = mapped(2 * BLOCK_BYTES)?;
                let skipped = skipped(&longer);
                (longer, skipped)
            }
        };
        // Where the system uses large pages without being asked it would have all of the block in memory from the first touch.
        advise(&map, skipped, Advised::SmallPages);
        Some(Block { map, skipped, free: [u64::MAX; PIECES / WORD_BITS], touched: 0, pages: Pages::Small })
    }

    /// One that the system was asked to use one page for, and that is in memory. If it would not be asked it is as every other, and
    /// on kernels before 5.14 its memory comes with the first touch.
    pub(super) fn new_in_one_page() -> Option<Block> {
        let mut block = Block::new()?;
        if advise(&block.map, block.skipped, Advised::OnePage) {
            block.pages = Pages::One;
            let _best_effort = advise(&block.map, block.skipped, Advised::InMemory);
        }
        Some(block)
    }

    /// Whether it is, or may be, one page.
    pub(super) fn is_one_page(&self) -> bool {
        self.pages == Pages::One
    }

    /// Gives out no piece any more, and gives the memory of each that is given back to the system. All are taken.
    pub(super) fn leave(&mut self) {
        debug_assert!(
            self.free.iter().all(|word| *word == 0),
            "it would keep the memory of those that are free"
        );
        self.pages = Pages::Left;
    }

    fn is_free(&self, piece: usize) -> bool {
        self.free[piece / WORD_BITS] & 1 << (piece % WORD_BITS) != 0
    }

    /// Where the block begins.
    pub(super) fn address(&self) -> usize {
        self.map.as_ptr().addr() + self.skipped
    }

    pub(super) fn contains(&self, address: usize) -> bool {
        (self.address()..self.address() + BLOCK_BYTES).contains(&address)
    }

    /// What it takes of memory: all of it if it is one page, however little of it was touched.
    pub(super) fn memory_bytes(&self) -> usize {
        let taken: usize = self.free.iter().map(|word| word.count_zeros() as usize).sum();
        match self.pages {
            Pages::Small => self.touched * PIECE_BYTES,
            Pages::One => BLOCK_BYTES,
            Pages::Left => taken * PIECE_BYTES,
        }
    }

    /// Pieces that somebody can have.
    pub(super) fn free_pieces(&self) -> usize {
        let free: u32 = self.free.iter().map(|word| word.count_ones()).sum();
        if self.pages == Pages::Left { 0 } else { free as usize }
    }

    /// Takes the first free piece: its lines are the caller's until they are given back, and what is in them may be anything.
    pub(super) fn take(&mut self) -> Option<*mut Line> {
        if self.pages == Pages::Left {
            return None;
        }
        let word = self.free.iter().position(|word| *word != 0)?;
        let piece = word * WORD_BITS + self.free[word].trailing_zeros() as usize;
        self.free[word] &= self.free[word] - 1;
        self.touched = self.touched.max(piece + 1);
        Some(self.map.as_mut_ptr().wrapping_add(self.skipped + piece * PIECE_BYTES).cast())
    }

    /// Takes back the piece at this address.
    pub(super) fn give_back(&mut self, address: usize) {
        let piece = (address - self.address()) / PIECE_BYTES;
        debug_assert!(!self.is_free(piece), "given back twice");
        self.free[piece / WORD_BITS] |= 1 << (piece % WORD_BITS);
        if self.pages == Pages::Left {
            self.empty(piece);
        }
    }

    /// Gives the memory of a piece that nobody has to the system. Best effort.
    #[cfg(target_os = "linux")]
    fn empty(&self, piece: usize) {
        debug_assert!(self.is_free(piece));
        let (advice, at) = (memmap2::UncheckedAdvice::DontNeed, self.skipped + piece * PIECE_BYTES);
        // SAFETY: the piece is free, so no table has it and nobody has a reference into it. What is in it is lost, and is of no use
        // to whoever would get it. A prefetch of it is no access.
        let _best_effort = unsafe { self.map.unchecked_advise_range(advice, at, PIECE_BYTES) };
    }

    #[cfg(not(target_os = "linux"))]
    fn empty(&self, _piece: usize) {}

    /// Whether nobody has any piece of it.
    pub(super) fn is_unused(&self) -> bool {
        self.free.iter().all(|word| *word == u64::MAX)
    }
}

fn mapped(bytes: usize) -> Option<MmapRaw> {
    MmapMut::map_anon(bytes).ok().map(MmapRaw::from)
}

/// Bytes from where a map begins to the next multiple of a block.
fn skipped(map: &MmapRaw) -> usize {
    let address = map.as_ptr().addr();
    address.next_multiple_of(BLOCK_BYTES) - address
}

/// What the system is told about a block.
#[derive(Debug, Clone, Copy)]
enum Advised {
    SmallPages,
    OnePage,
    InMemory,
}

/// Whether the system has taken the advice.
#[cfg(target_os = "linux")]
fn advise(map: &MmapRaw, skipped: usize, advised: Advised) -> bool {
    let advice = match advised {
        Advised::SmallPages => memmap2::Advice::NoHugePage,
        Advised::OnePage => memmap2::Advice::HugePage,
        Advised::InMemory => memmap2::Advice::PopulateWrite,
    };
    map.advise_range(advice, skipped, BLOCK_BYTES).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn advise(_map: &MmapRaw, _skipped: usize, _advised: Advised) -> bool {
    false
}
