//! Walking one run key by key, up or down.

use super::bounds::{head, is_after, is_before};
use super::run::{Piece, Run};
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

/// A place in a sorted source, always at a key until `advance` says that there are no more.
pub(super) trait Walk {
    /// The key it stands at.
    fn key(&self) -> &[u8];
    /// Goes on to the next key in its direction; false at the end, after which `key` must not be called.
    fn advance(&mut self) -> bool;
    /// A number that is smaller for keys that come earlier in its direction; equal numbers do not decide.
    fn rank(&self) -> u128;
    /// Which of two keys comes earlier in its direction.
    fn compare(a: &[u8], b: &[u8]) -> Ordering;
}

/// From the smallest key to the largest.
pub(super) struct Ascending {
    run: Arc<Run>,
    piece: Arc<Piece>,
    position: usize,
    offset: usize,
    key: Vec<u8>,
}

impl Ascending {
    /// At the first key that `lower` and the fence of the run allow, or `None` where there is none.
    pub(super) fn new(run: &Arc<Run>, lower: Bound<&[u8]>) -> Option<Self> {
        let before = |key: &[u8]| is_before(key, lower) || run.hides(key);
        let position = run.pieces().partition_point(|piece| before(piece.last()));
        let piece = Arc::clone(run.pieces().get(position)?);
        let restart = piece.restarts_before(before).saturating_sub(1);
        let offset = piece.block(restart).0;
        let mut walk = Self { run: Arc::clone(run), piece, position, offset, key: Vec::new() };
        while walk.advance() {
            if !before(&walk.key) {
                return Some(walk);
            }
        }
        None
    }
}

impl Walk for Ascending {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    fn advance(&mut self) -> bool {
        if self.offset == self.piece.bytes_len() {
            let Some(piece) = self.run.pieces().get(self.position + 1) else { return false };
            self.piece = Arc::clone(piece);
            self.position += 1;
            self.offset = 0;
        }
        let entry = self.piece.entry(self.offset);
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(entry.rest);
        self.offset = entry.next;
        true
    }

    #[inline]
    fn rank(&self) -> u128 {
        head(&self.key)
    }

    #[inline]
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }
}

/// From the largest key to the smallest. Entries are only readable forwards, so one block from restart to restart is
/// unpacked at a time and walked from its end.
///
/// The fence of a run does not stop it: at most one piece of hidden keys is left in a run, the live ones are in the
/// output of the merge as well, and a key that is in two sources is given once.
pub(super) struct Descending {
    run: Arc<Run>,
    piece: Arc<Piece>,
    position: usize,
    restart: usize,
    /// The keys of the block, one behind the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// Keys of the block that are still to come, the current one included.
    left: usize,
}

impl Descending {
    /// At the last key that `upper` allows, or `None` where there is none.
    pub(super) fn new(run: &Arc<Run>, upper: Bound<&[u8]>) -> Option<Self> {
        let within = |key: &[u8]| !is_after(key, upper);
        let position = run.pieces().partition_point(|piece| within(piece.first())).checked_sub(1)?;
        let piece = Arc::clone(&run.pieces()[position]);
        let restart = piece.restarts_before(within).checked_sub(1)?;
        let (keys, ends) = (Vec::new(), Vec::new());
        let mut walk = Self { run: Arc::clone(run), piece, position, restart, keys, ends, left: 0 };
        walk.unpack();
        // The first key of the block is within, so this stops at it at the latest.
        while !within(walk.key()) {
            walk.left -= 1;
        }
        Some(walk)
    }

    fn unpack(&mut self) {
        self.keys.clear();
        self.ends.clear();
        let (mut offset, end) = self.piece.block(self.restart);
        let mut previous = 0;
        while offset < end {
            let entry = self.piece.entry(offset);
            let start = self.keys.len();
            self.keys.extend_from_within(previous..previous + entry.shared);
            self.keys.extend_from_slice(entry.rest);
            self.ends.push(self.keys.len());
            (previous, offset) = (start, entry.next);
        }
        self.left = self.ends.len();
    }

    /// Goes to the block before this one; false where there is none.
    fn previous_block(&mut self) -> bool {
        if self.restart == 0 {
            let Some(position) = self.position.checked_sub(1) else { return false };
            self.position = position;
            self.piece = Arc::clone(&self.run.pieces()[position]);
            self.restart = self.piece.restarts_len();
        }
        self.restart -= 1;
        self.unpack();
        true
    }
}

impl Walk for Descending {
    #[inline]
    fn key(&self) -> &[u8] {
        let current = self.left - 1;
        let start = if current == 0 { 0 } else { self.ends[current - 1] };
        &self.keys[start..self.ends[current]]
    }

    #[inline]
    fn advance(&mut self) -> bool {
        self.left -= 1;
        self.left > 0 || self.previous_block()
    }

    #[inline]
    fn rank(&self) -> u128 {
        !head(self.key())
    }

    #[inline]
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        b.cmp(a)
    }
}
