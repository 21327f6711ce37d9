//! The segments of a log as [`super::bulk`] looks at them: each with a list of its records by the hash of their keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hints::{entries_of, read_hint};
use crate::error::{Error, Result};
use crate::hint::HintEntry;
use crate::index::{Index, shard_of};
use crate::keys::Keys;
use crate::location::Location;
use crate::log::{FrameWalk, Log, Walked};
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::record::{ALIGNMENT, Kind};
use crate::segment::Segment;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

/// One segment with the list of its records.
pub(super) struct Source {
    pub(super) entry: SegmentEntry,
    pub(super) segment: Arc<Segment>,
    pub(super) is_copy: bool,
    /// Ascending by hash, and those of one hash in the order of the log.
    pub(super) entries: Vec<HintEntry>,
    /// Where the entries of each shard of the index begin, and the end of the last ones.
    shards: Vec<u32>,
    /// Where the names of keyspaces stand, ascending.
    pub(super) names: Vec<u64>,
    /// One bit for each unit of the segment: whether a live record begins there.
    marks: Vec<AtomicU64>,
    /// Of a log segment: its first commit, and how many it has.
    pub(super) first: u64,
    pub(super) commits: u64,
    /// Commits that were read one by one.
    pub(super) frames: u64,
    /// Where a commit was to be and none can be read.
    pub(super) stopped: Option<u64>,
}

impl Source {
    pub(super) fn new(entry: SegmentEntry, segment: Arc<Segment>) -> Source {
        let is_copy = entry.kind == SegmentKind::Copy;
        Source {
            entry,
            segment,
            is_copy,
            entries: Vec::new(),
            shards: Vec::new(),
            names: Vec::new(),
            marks: Vec::new(),
            first: 0,
            commits: 0,
            frames: 0,
            stopped: None,
        }
    }

    pub(super) fn list(&mut self, log: &Log, keys: &Keys) -> Result<()> {
        let (first, last) = (self.entry.first_sequence, self.entry.last_sequence);
        // The manifest tells the commits of a sealed segment, but for one of the first version of the format.
        let may_have_hint =
            self.entry.sealed && (self.is_copy || first > 0 && last >= first && last < u64::MAX);
        match if may_have_hint { read_hint(log, &self.entry) } else { None } {
            Some(entries) => {
                self.entries = entries;
                (self.first, self.commits) = (first, (last + 1).saturating_sub(first));
            }
            None => {
                self.read(log, keys)?;
                self.entries.sort_unstable();
            }
        }
        let names = self.entries.iter().filter(|entry| entry.kind() == Kind::Keyspace);
        self.names = names.map(|entry| entry.offset()).collect();
        self.names.sort_unstable();
        self.shards = starts(&self.entries);
        let words = (self.segment.published() / (ALIGNMENT as u64 * 64)) as usize + 1;
        self.marks = std::iter::repeat_with(|| AtomicU64::new(0)).take(words).collect();
        Ok(())
    }

    /// Lists the records, as far as they can be read.
    fn read(&mut self, log: &Log, keys: &Keys) -> Result<()> {
        let segment = Arc::clone(&self.segment);
        let mut walk = FrameWalk::new(&segment, log.salt(self.entry.serial), HEADER);
        while walk.position() < segment.published() {
            match walk.step()? {
                Walked::Frame(offset, frame) if self.goes_on_with(frame.sequence) => {
                    entries_of(keys, offset, &frame, &mut self.entries);
                    self.commits += 1;
                    self.frames += 1;
                }
                Walked::Frame(offset, _) | Walked::Stopped(offset) => {
                    self.stopped = Some(offset);
                    break;
                }
            }
        }
        Ok(())
    }

    fn goes_on_with(&mut self, sequence: u64) -> bool {
        if self.commits == 0 {
            self.first = sequence;
        }
        self.is_copy || sequence == self.first + self.commits
    }

    pub(super) fn of_shard(&self, shard: usize) -> &[HintEntry] {
        match (self.shards.get(shard), self.shards.get(shard + 1)) {
            (Some(start), Some(end)) => self.entries.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    pub(super) fn location(&self, offset: u64) -> Result<Location> {
        Location::new(self.entry.slot, offset).ok_or_else(|| {
            Error::Internal(format!("no location for offset {offset} of slot {}", self.entry.slot))
        })
    }

    pub(super) fn mark(&self, offset: u64) {
        let unit = offset as usize / ALIGNMENT;
        if let Some(word) = self.marks.get(unit / 64) {
            word.fetch_or(1 << (unit % 64), Ordering::Relaxed);
        }
    }

    /// Offsets of what is marked, ascending.
    pub(super) fn marked(&self) -> impl Iterator<Item = u64> {
        self.marks.iter().enumerate().flat_map(|(number, word)| {
            let mut word = word.load(Ordering::Relaxed);
            std::iter::from_fn(move || {
                let unit = number * 64 + word.trailing_zeros() as usize;
                let is_any = word != 0;
                word &= word.wrapping_sub(1);
                is_any.then_some((unit * ALIGNMENT) as u64)
            })
        })
    }
}

/// Where the entries of each shard begin, and the end of the last ones.
fn starts(entries: &[HintEntry]) -> Vec<u32> {
    let mut starts = Vec::with_capacity(Index::SHARDS + 1);
    let mut at = 0;
    for shard in 0..Index::SHARDS {
        starts.push(at as u32);
        at += entries[at..].iter().take_while(|entry| shard_of(entry.hash) == shard).count();
    }
    starts.push(at as u32);
    starts
}
