//! The lines of a table, wherever their memory comes from.

use std::sync::Arc;

use super::line::Line;
use super::pool::{Pieces, Pool};

/// As many lines as were asked for. Each says with them how many of them are home lines, which keeps a shard on one cache line.
pub(super) enum Lines {
    /// Allocated as everything else.
    Own { home: u32, lines: Box<[Line]> },
    /// Out of the pool.
    Pooled { home: u32, pieces: Pieces },
}

impl Lines {
    /// Empty ones: a large table's from the pool, if it has them.
    pub(super) fn new(home: usize, overflow: usize, pool: &Arc<Pool>) -> Lines {
        match pool.take(home + overflow) {
            Some(pieces) => Lines::Pooled { home: home as u32, pieces },
            None => Lines::own(home, overflow),
        }
    }

    fn own(home: usize, overflow: usize) -> Lines {
        // A table of 2^32 lines would have some 20 billion entries, for which there are no locations.
        Lines::Own { home: home as u32, lines: (0..home + overflow).map(|_| Line::empty()).collect() }
    }

    /// None, which takes no memory.
    pub(super) fn none() -> Lines {
        Lines::own(0, 0)
    }

    #[inline]
    pub(super) fn home(&self) -> usize {
        let (Lines::Own { home, .. } | Lines::Pooled { home, .. }) = self;
        *home as usize
    }

    #[inline]
    pub(super) fn get(&self, line: usize) -> Option<&Line> {
        match self {
            Lines::Own { lines, .. } => lines.get(line),
            Lines::Pooled { pieces, .. } => pieces.get(line),
        }
    }

    /// From one line to the last.
    #[inline]
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = &Line> {
        (first..).map_while(|line| self.get(line))
    }

    /// Bytes that were allocated for these lines alone. What the pool has of the system is the pool's to count.
    pub(super) fn own_bytes(&self) -> usize {
        match self {
            Lines::Own { lines, .. } => size_of_val::<[Line]>(lines),
            Lines::Pooled { .. } => 0,
        }
    }
}
