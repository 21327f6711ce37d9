//! Everything that must hold of an open database, looked at.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;

use super::Store;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::keys::split_ordered_key;
use crate::location::Location;
use crate::log::{FrameWalk, LiveCount, Walked};
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentKind};
use crate::record::Kind;

/// Violations that are told one by one.
const VIOLATIONS_MAX: usize = 10_000;

/// Something that is not as it must be, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Serial of the segment; 0 where it is of none.
    pub segment: u64,
    /// Byte offset in that segment; 0 where it is of no place.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

/// What was found when everything was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Segments whose records were all read and checked.
    pub segments: u64,
    /// Records that were read and checked, live or not.
    pub records: u64,
    /// Keys that were found in the index, in the order and in the log.
    pub keys: u64,
    /// Whether counts were compared as well, for which nobody may write meanwhile.
    pub counts_compared: bool,
    /// Everything that is not as it must be, at most 10,000 of it.
    pub violations: Vec<Violation>,
}

impl Verification {
    fn note(&mut self, segment: u64, offset: u64, reason: impl Into<String>) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { segment, offset, reason: reason.into() });
        }
    }

    fn note_error(&mut self, error: Error) {
        match error {
            Error::Corruption { segment, offset, reason } => self.note(segment, offset, reason),
            other => self.note(0, 0, other.to_string()),
        }
    }
}

/// What the index leads to, summed up.
#[derive(Default)]
struct Sums {
    live: HashMap<u64, LiveCount>,
    keys: HashMap<u16, u64>,
}

impl Sums {
    fn add(&mut self, serial: u64, bytes: u64) {
        let count = self.live.entry(serial).or_default();
        count.bytes += bytes;
        count.records += 1;
    }
}

impl Store {
    /// Reads every record, follows every entry of the index and every key of the order, and compares what is counted.
    pub(crate) fn verify(&self) -> Result<Verification> {
        let mut found = Verification::default();
        // Nothing is moved meanwhile.
        let _compactor = self.compactor()?;
        let before = self.log.appended();
        self.verify_segments(&mut found);
        let sums = self.verify_index(&mut found)?;
        let ordered = self.verify_order(&mut found)?;
        found.counts_compared = self.log.appended() == before && self.visible() == before;
        if found.counts_compared {
            self.compare(&mut found, &sums, ordered);
        }
        Ok(found)
    }

    /// Every record of every segment passes its checksum.
    fn verify_segments(&self, found: &mut Verification) {
        for kind in [SegmentKind::Log, SegmentKind::Copy] {
            for (entry, segment) in self.log.segments_of(kind) {
                let mut walk =
                    FrameWalk::new(&segment, self.log.salt(entry.serial), SEGMENT_HEADER_BYTES as u64);
                let end = segment.published();
                while walk.position() < end {
                    match walk.step() {
                        Ok(Walked::Frame(_, frame)) => found.records += frame.records().count() as u64,
                        Ok(Walked::Stopped(offset)) => {
                            found.note(entry.serial, offset, "no commit can be read here");
                            break;
                        }
                        Err(error) => {
                            found.note_error(error);
                            break;
                        }
                    }
                }
                found.segments += 1;
            }
        }
    }

    /// Every entry of the index leads to a whole record of a key that the index finds there again, and only once.
    fn verify_index(&self, found: &mut Verification) -> Result<Sums> {
        let mut sums = Sums::default();
        for shard in 0..crate::index::Index::SHARDS {
            for location in self.keys.index.locations(shard)? {
                let guard = self.log.pin();
                if let Err(error) = self.verify_entry(location, &guard, &mut sums) {
                    found.note_error(error);
                }
            }
        }
        Ok(sums)
    }

    fn verify_entry(&self, location: Location, guard: &Guard, sums: &mut Sums) -> Result<()> {
        let mut record = self.log.record_at(location, guard)?;
        let (serial, stored) = (record.serial(), record.stored_bytes());
        record.sequence(&self.log)?;
        let large = record.large_pointer()?;
        let checked = record.checked()?;
        let (kind, keyspace) = (checked.shape.kind, checked.shape.keyspace);
        let wrong = |reason| Err(Error::corruption(serial, location.offset(), reason));
        if matches!(kind, Kind::Tombstone | Kind::Keyspace) {
            return wrong("the index leads to a record that has no value");
        }
        let hash = self.keys.hash(keyspace, checked.key);
        let mut same = 0;
        for candidate in self.keys.candidates(&self.log, hash)? {
            same += u32::from(self.log.find(candidate, keyspace, checked.key, guard)?.is_some());
        }
        if same != 1 {
            return wrong(
                "the index has the key of this record more than once, or not where it is looked for",
            );
        }
        sums.add(serial, stored);
        *sums.keys.entry(keyspace).or_default() += 1;
        if let Some(pointer) = large {
            self.log.copy_large(&pointer)?;
            sums.add(pointer.serial, pointer.stored_bytes());
        }
        Ok(())
    }

    /// The keys of the order ascend, and how many of them the index knows.
    fn verify_order(&self, found: &mut Verification) -> Result<u64> {
        let mut cursor = self.keys.order.cursor(Bound::Unbounded, Bound::Unbounded, false)?;
        let (mut last, mut live) = (None::<Vec<u8>>, 0);
        while let Some(ordered) = cursor.next()? {
            if last.as_deref().is_some_and(|last| last >= ordered) {
                found.note(0, 0, "the order of the keys does not ascend");
            }
            last = Some(ordered.to_vec());
            let Some((keyspace, key)) = split_ordered_key(ordered) else {
                found.note(0, 0, "the order has a key without a keyspace");
                continue;
            };
            let hash = self.keys.hash(keyspace, key);
            match self.keys.find(&self.log, hash, keyspace, key, &self.log.pin()) {
                Ok(record) => live += u64::from(record.is_some()),
                Err(error) => found.note_error(error),
            }
        }
        Ok(live)
    }

    fn compare(&self, found: &mut Verification, sums: &Sums, ordered: u64) {
        let indexed: u64 = sums.keys.values().sum();
        found.keys = indexed;
        if ordered != indexed {
            found.note(0, 0, format!("the order has {ordered} of the {indexed} keys of the index"));
        }
        for (number, state) in self.keys.keyspaces.states().iter().enumerate() {
            let keys = sums.keys.get(&(number as u16)).copied().unwrap_or(0);
            if keys != state.keys {
                let counted = state.keys;
                found.note(0, 0, format!("keyspace {number} counts {counted} keys and has {keys}"));
            }
        }
        let mut known = HashSet::new();
        for segment in self.log.live_segments() {
            known.insert(segment.serial);
            let is = sums.live.get(&segment.serial).copied().unwrap_or_default();
            let counted = LiveCount { bytes: segment.live_bytes, records: segment.live_records };
            if is != counted {
                let reason = format!("{counted:?} is counted as live, {is:?} is");
                found.note(segment.serial, 0, reason);
            }
        }
        for serial in sums.live.keys().filter(|serial| !known.contains(serial)) {
            found.note(*serial, 0, "the index leads into a segment that the manifest does not name");
        }
    }
}
