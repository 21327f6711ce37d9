//! Many sorted sources as one: a heap of walks.

use super::walk::Walk;
use crate::error::Result;

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

    /// The next key, or `None` at the end and ever after. After an error that is the end, too.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        if self.started
            && let Err(error) = self.pass()
        {
            self.heap.clear();
            return Err(error);
        }
        self.started = true;
        Ok(self.heap.first().map(|slot| self.walks[slot.walk].key()))
    }

    /// Passes the current key in every walk that stands at it. An equal key always has its like in slot 1 or 2: a heap
    /// has nothing smaller between equal ones and its root.
    fn pass(&mut self) -> Result<()> {
        while let Some(slot) = (1..self.heap.len().min(3)).find(|&slot| self.is_equal(0, slot)) {
            self.advance(slot)?;
        }
        if !self.heap.is_empty() {
            self.advance(0)?;
        }
        Ok(())
    }

    /// Advances the walk in slot 0, 1 or 2 and puts the heap in order. Whatever takes the slot of a walk that ended is
    /// no earlier than the root, so it can only sink.
    fn advance(&mut self, slot: usize) -> Result<()> {
        let walk = &mut self.walks[self.heap[slot].walk];
        if walk.advance()? {
            self.heap[slot].rank = walk.rank();
        } else {
            self.heap.swap_remove(slot);
        }
        self.sink(slot);
        Ok(())
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
