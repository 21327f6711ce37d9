//! Walking one run key by key, up or down.

use super::block::{Block, entry_at};
use super::bounds::{head, is_after, is_before};
use super::run::Run;
use crate::error::Result;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

/// A place in a sorted source, always at a key until `advance` says that there are no more, or fails.
pub(super) trait Walk {
    /// The key it stands at.
    fn key(&self) -> &[u8];
    /// Goes on to the next key in its direction; false at the end. After that, and after an error, neither `key` nor
    /// this must be called.
    fn advance(&mut self) -> Result<bool>;
    /// A number that is smaller for keys that come earlier in its direction; equal numbers do not decide.
    fn rank(&self) -> u128;
    /// Which of two keys comes earlier in its direction.
    fn compare(a: &[u8], b: &[u8]) -> Ordering;
}

/// Blocks that the system is asked for at a time, ahead of a walk.
const BLOCKS_ASKED: usize = 32;

/// When a walk asks for the next blocks: when it has gone through half as many, and again each time, so that it does not wait for
/// them and a short walk never asks.
#[derive(Default)]
struct Ahead(usize);

impl Ahead {
    /// One more block was gone through; whether to ask now.
    fn is_due(&mut self) -> bool {
        self.0 += 1;
        self.0.is_multiple_of(BLOCKS_ASKED / 2)
    }
}

/// From the smallest key to the largest.
pub(super) struct Ascending {
    run: Arc<Run>,
    block: Arc<Block>,
    number: usize,
    offset: usize,
    key: Vec<u8>,
    ahead: Ahead,
}

impl Ascending {
    /// At the first key that `lower` allows, or `None` where there is none. No such key is in a block before this one.
    pub(super) fn new(run: &Arc<Run>, number: usize, lower: Bound<&[u8]>) -> Result<Option<Self>> {
        let before = |key: &[u8]| is_before(key, lower);
        let Some(block) = run.block(number)? else { return Ok(None) };
        let passed = match lower {
            Bound::Included(key) => block.restarts_before(key, false),
            Bound::Excluded(key) => block.restarts_before(key, true),
            Bound::Unbounded => Some(0),
        };
        let restart = passed.map(|passed| passed.saturating_sub(1));
        let interval = restart.and_then(|restart| block.interval(restart));
        let offset = interval.ok_or_else(|| run.damaged(number))?.0;
        let mut walk =
            Self { run: Arc::clone(run), block, number, offset, key: Vec::new(), ahead: Ahead::default() };
        while walk.advance()? {
            if !before(&walk.key) {
                return Ok(Some(walk));
            }
        }
        Ok(None)
    }

    /// Goes to the next block; false where there is none.
    fn next_block(&mut self) -> Result<bool> {
        let Some(block) = self.run.block(self.number + 1)? else { return Ok(false) };
        (self.block, self.number, self.offset) = (block, self.number + 1, 0);
        if self.ahead.is_due() {
            self.run.read_soon(self.number + 1..self.number + 1 + BLOCKS_ASKED);
        }
        Ok(true)
    }
}

impl Walk for Ascending {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        let mut entries = self.block.entries();
        if self.offset == entries.len() {
            if !self.next_block()? {
                return Ok(false);
            }
            entries = self.block.entries();
        }
        let entry = entry_at(entries, self.offset).filter(|entry| entry.shared <= self.key.len());
        let Some(entry) = entry else { return Err(self.run.damaged(self.number)) };
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(entry.rest);
        self.offset = entry.next;
        Ok(true)
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

/// From the largest key to the smallest. Entries are only readable forwards, so one interval from restart to restart is
/// unpacked at a time and walked from its end.
pub(super) struct Descending {
    run: Arc<Run>,
    block: Arc<Block>,
    number: usize,
    restart: usize,
    /// The keys of the interval, one behind the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// Keys of the interval that are still to come, the current one included.
    left: usize,
    ahead: Ahead,
}

impl Descending {
    /// At the last key that `upper` allows, or `None` where there is none. No such key is in a block behind this one.
    pub(super) fn new(run: &Arc<Run>, number: usize, upper: Bound<&[u8]>) -> Result<Option<Self>> {
        let within = |key: &[u8]| !is_after(key, upper);
        let Some(block) = run.block(number)? else { return Ok(None) };
        let passed = match upper {
            Bound::Included(key) => block.restarts_before(key, true),
            Bound::Excluded(key) => block.restarts_before(key, false),
            Bound::Unbounded => Some(block.restarts()),
        };
        let passed = passed.ok_or_else(|| run.damaged(number))?;
        let (keys, ends) = (Vec::new(), Vec::new());
        let mut walk = Self {
            run: Arc::clone(run),
            block,
            number,
            restart: passed,
            keys,
            ends,
            left: 0,
            ahead: Ahead::default(),
        };
        // Where even the first key of the block is too large, the key is the last one of the block before.
        if !walk.previous_interval()? {
            return Ok(None);
        }
        // The first key of the interval is within, so this stops at it at the latest.
        while walk.left > 1 && !within(walk.key()) {
            walk.left -= 1;
        }
        Ok(Some(walk))
    }

    /// Unpacks the interval; at least one key.
    fn unpack(&mut self) -> Option<()> {
        self.keys.clear();
        self.ends.clear();
        let (mut offset, end) = self.block.interval(self.restart)?;
        let mut previous = 0..0;
        while offset < end {
            let entry = entry_at(self.block.entries(), offset)?;
            let start = self.keys.len();
            if entry.shared > previous.len() {
                return None;
            }
            self.keys.extend_from_within(previous.start..previous.start + entry.shared);
            self.keys.extend_from_slice(entry.rest);
            self.ends.push(self.keys.len());
            (previous, offset) = (start..self.keys.len(), entry.next);
        }
        self.left = self.ends.len();
        Some(())
    }

    /// Goes to the interval before this one; false where there is none.
    fn previous_interval(&mut self) -> Result<bool> {
        if self.restart == 0 {
            let Some(number) = self.number.checked_sub(1) else { return Ok(false) };
            let Some(block) = self.run.block(number)? else { return Ok(false) };
            (self.restart, self.block, self.number) = (block.restarts(), block, number);
            if self.ahead.is_due() {
                self.run.read_soon(number.saturating_sub(BLOCKS_ASKED)..number);
            }
        }
        self.restart -= 1;
        self.unpack().ok_or_else(|| self.run.damaged(self.number))?;
        Ok(true)
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
    fn advance(&mut self) -> Result<bool> {
        self.left -= 1;
        Ok(self.left > 0 || self.previous_interval()?)
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
