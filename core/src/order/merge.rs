//! Many sorted sources as one: a heap of walks, and a step of a merge made with it.

use super::run::{PIECE_BYTES, Piece, PieceBuilder, Run};
use super::walk::{Ascending, Walk};
use std::ops::Bound;
use std::sync::Arc;

/// Keys after which a step of a merge ends although its piece is not full: where most keys are dead, little comes out
/// of much work.
const STEP_ENTRIES_MAX: usize = 1 << 17;

/// A walk in the heap, with the rank of the key it stands at, so that most comparisons stay inside the heap.
struct Slot {
    rank: u128,
    walk: usize,
}

/// The keys of several walks in order, each key once.
///
/// The heap is a binary one with the earliest key at slot 0. That walk stays where it is until the key after it is
/// asked for, so a key is lent out of the walk's own buffer and nothing is copied.
pub(super) struct Merge<W> {
    walks: Vec<W>,
    heap: Vec<Slot>,
    started: bool,
}

impl<W: Walk> Merge<W> {
    pub(super) fn new(walks: Vec<W>) -> Self {
        let heap =
            walks.iter().enumerate().map(|(number, walk)| Slot { rank: walk.rank(), walk: number }).collect();
        let mut merge = Self { walks, heap, started: false };
        for slot in (0..merge.heap.len() / 2).rev() {
            merge.sink(slot);
        }
        merge
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        if self.started {
            self.pass();
        }
        self.started = true;
        self.heap.first().map(|slot| self.walks[slot.walk].key())
    }

    /// Passes the current key in every walk that stands at it. An equal key always has its like in slot 1 or 2: a heap
    /// has nothing smaller between equal ones and its root.
    fn pass(&mut self) {
        while let Some(slot) = (1..self.heap.len().min(3)).find(|&slot| self.is_equal(0, slot)) {
            self.advance(slot);
        }
        if !self.heap.is_empty() {
            self.advance(0);
        }
    }

    /// Advances the walk in slot 0, 1 or 2 and puts the heap in order. Whatever takes the slot of a walk that ended is
    /// no earlier than the root, so it can only sink.
    fn advance(&mut self, slot: usize) {
        let walk = &mut self.walks[self.heap[slot].walk];
        if walk.advance() {
            self.heap[slot].rank = walk.rank();
        } else {
            self.heap.swap_remove(slot);
        }
        self.sink(slot);
    }

    fn sink(&mut self, mut slot: usize) {
        loop {
            let mut child = 2 * slot + 1;
            if child >= self.heap.len() {
                return;
            }
            if child + 1 < self.heap.len() && self.is_earlier(child + 1, child) {
                child += 1;
            }
            if !self.is_earlier(child, slot) {
                return;
            }
            self.heap.swap(slot, child);
            slot = child;
        }
    }

    #[inline]
    fn is_earlier(&self, a: usize, b: usize) -> bool {
        let (rank_a, rank_b) = (self.heap[a].rank, self.heap[b].rank);
        if rank_a != rank_b { rank_a < rank_b } else { W::compare(self.key(a), self.key(b)).is_lt() }
    }

    #[inline]
    fn is_equal(&self, a: usize, b: usize) -> bool {
        self.heap[a].rank == self.heap[b].rank && self.key(a) == self.key(b)
    }

    fn key(&self, slot: usize) -> &[u8] {
        self.walks[self.heap[slot].walk].key()
    }
}

/// Whether a key is alive; asked about each key of a merge.
pub(super) type IsLive<'a> = dyn Fn(&[u8]) -> bool + 'a;

/// What one step of a merge made.
pub(super) struct Step {
    /// The keys that live on; `None` when none did.
    pub(super) piece: Option<Piece>,
    /// The last key that was dealt with; `None` when the inputs are at their end.
    pub(super) fence: Option<Arc<[u8]>>,
}

/// Merges the first keys of the inputs into one piece, leaving out those that `is_live` denies. Without `is_live`
/// every key is kept.
pub(super) fn merge_step(inputs: &[Arc<Run>], is_live: Option<&IsLive<'_>>) -> Step {
    let bytes: u64 = inputs.iter().map(|run| run.memory_bytes()).sum();
    let mut builder = PieceBuilder::with_capacity(bytes.min(PIECE_BYTES as u64) as usize);
    let walks = inputs.iter().filter_map(|run| Ascending::new(run, Bound::Unbounded)).collect();
    let mut merge = Merge::new(walks);
    let mut passed = 0;
    while let Some(key) = merge.next() {
        if is_live.is_none_or(|is_live| is_live(key)) {
            builder.push(key);
        }
        passed += 1;
        if builder.is_full() || passed == STEP_ENTRIES_MAX {
            return Step { fence: Some(Arc::from(key)), piece: builder.finish() };
        }
    }
    Step { fence: None, piece: builder.finish() }
}
