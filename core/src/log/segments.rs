//! The table from slots, which locations hold, to segments, and how much of each is still of use.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::dead::{DeadRecords, Knowledge};
use crate::checksum::Salt;
use crate::epoch::{Guard, Retirable};
use crate::error::{Error, Result};
use crate::manifest::{SEGMENTS_MAX, SegmentKind};
use crate::segment::Segment;

const GROUP: usize = 256;
/// Numbers that only copies get: where all others are taken nobody can write any more, and compaction still makes segments fewer.
const NUMBERS_FOR_COPIES: usize = 64;

/// A segment with the salt of its checksums and what is live in it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) segment: Arc<Segment>,
    pub(crate) salt: Salt,
    pub(crate) kind: SegmentKind,
    pub(crate) live: Live,
    pub(super) dead: DeadRecords,
    /// No record in it has a higher sequence. The highest number there is, as long as that is not known.
    newest: AtomicU64,
    /// Given back when nobody can be looking at this any more.
    _number: SlotNumber,
}

/// What is live in one segment: newest records in a log segment, values that newest records name in one of large values.
/// Changed under the commit lock only, so that a checkpoint finds it in step with the index.
#[derive(Debug, Default)]
pub(crate) struct Live {
    bytes: AtomicU64,
    records: AtomicU64,
}

/// What is live in one segment, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LiveCount {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

impl Slot {
    /// What is live in it. A checkpoint that somebody has made up may say that more is than there are bytes.
    pub(super) fn live_count(&self) -> LiveCount {
        let LiveCount { bytes, records } = self.live.count();
        LiveCount { bytes: bytes.min(self.segment.published()), records }
    }

    /// The last commit that is in it, or more than any, while one may come.
    pub(super) fn last_sequence(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Whether all that is in it is known to have been committed at `sequence` or before.
    #[inline]
    pub(super) fn is_older_than(&self, sequence: u64) -> bool {
        self.last_sequence() <= sequence
    }
}

impl LiveCount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.records += 1;
    }

    pub(crate) fn merge(&mut self, other: LiveCount) {
        self.bytes += other.bytes;
        self.records += other.records;
    }
}

impl Live {
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.records.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.records.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, count: LiveCount) {
        self.bytes.store(count.bytes, Ordering::Relaxed);
        self.records.store(count.records, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> LiveCount {
        LiveCount { bytes: self.bytes.load(Ordering::Relaxed), records: self.records.load(Ordering::Relaxed) }
    }
}

/// Numbers of slots that are in use, be it only by a reader who has not left yet.
type Taken = Arc<Mutex<HashSet<u16>>>;

/// A slot's number while it is taken.
#[derive(Debug)]
pub(super) struct SlotNumber {
    pub(super) number: u16,
    taken: Taken,
}

impl Drop for SlotNumber {
    fn drop(&mut self) {
        self.taken.lock().remove(&self.number);
    }
}

/// Cells that are each filled once.
type Cells<T> = Box<[OnceLock<T>]>;

/// All segments by slot. Readers take no lock: a slot is filled before any location names it, and emptied only when no location
/// does and nobody can still have read one that did.
#[derive(Debug)]
pub(super) struct SegmentTable {
    groups: Cells<Box<[Retirable<Slot>]>>,
    slot_by_serial: RwLock<BTreeMap<u64, u16>>,
    taken: Taken,
    /// Numbers of retired segments into which the last checkpoint leads. They are not given out again before the next one.
    reserved: Mutex<HashSet<u16>>,
    /// The process that opened the log, in the line of forks.
    generation: u64,
}

impl SegmentTable {
    pub(super) fn new(generation: u64) -> SegmentTable {
        let groups = std::iter::repeat_with(OnceLock::new).take(SEGMENTS_MAX / GROUP).collect();
        let (slot_by_serial, taken, reserved) = Default::default();
        SegmentTable { groups, slot_by_serial, taken, reserved, generation }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    fn cell(&self, slot: u16) -> Option<&Retirable<Slot>> {
        let group = self.groups.get(usize::from(slot) / GROUP)?;
        let empty = || std::iter::repeat_with(|| Retirable::empty(self.generation)).take(GROUP).collect();
        group.get_or_init(empty).get(usize::from(slot) % GROUP)
    }

    /// Keeps numbers from being given out again.
    pub(super) fn reserve(&self, numbers: impl IntoIterator<Item = u16>) {
        self.reserved.lock().extend(numbers);
    }

    /// Nothing that is reserved so far is any more.
    pub(super) fn unreserve(&self) {
        self.reserved.lock().clear();
    }

    /// Takes a number that no segment has and nobody still knows, for a segment of this kind.
    pub(super) fn take_number(&self, kind: SegmentKind) -> Result<SlotNumber> {
        let count = SEGMENTS_MAX - if kind == SegmentKind::Copy { 0 } else { NUMBERS_FOR_COPIES };
        let (mut taken, reserved) = (self.taken.lock(), self.reserved.lock());
        let is_free = |slot: &u16| !taken.contains(slot) && !reserved.contains(slot);
        let number = (0..count as u16).find(is_free).ok_or_else(|| {
            Error::Storage(format!(
                "the database has {count} segments, no more fit; compact it, and use larger segments"
            ))
        })?;
        taken.insert(number);
        Ok(SlotNumber { number, taken: Arc::clone(&self.taken) })
    }

    /// Takes the number that a manifest has given to a segment.
    pub(super) fn take(&self, number: u16) -> Result<SlotNumber> {
        if !self.taken.lock().insert(number) {
            return Err(Error::Internal(format!("two segments were given slot {number}")));
        }
        Ok(SlotNumber { number, taken: Arc::clone(&self.taken) })
    }

    /// Puts a segment into its slot, which must be empty, with what is known of its dead records.
    pub(super) fn add(
        &self,
        segment: Arc<Segment>,
        salt: Salt,
        kind: SegmentKind,
        number: SlotNumber,
        knowledge: Knowledge,
    ) -> Result<()> {
        let (slot, serial) = (segment.slot(), segment.serial());
        let dead = DeadRecords::new(knowledge, segment.capacity());
        let (live, newest) = (Live::default(), AtomicU64::new(u64::MAX));
        let entry = Slot { segment, salt, kind, live, dead, newest, _number: number };
        if !self.cell(slot).is_some_and(|cell| cell.fill(entry)) {
            return Err(Error::Internal(format!("segment {serial} was given slot {slot}, which is full")));
        }
        self.slot_by_serial.write().insert(serial, slot);
        Ok(())
    }

    /// Notes the last commit of a segment of the log to which nothing is appended any more.
    pub(super) fn note_end(&self, slot: u16, last_sequence: u64) {
        if let Some(slot) = self.get(slot, &crate::epoch::pin(self.generation)) {
            slot.newest.store(last_sequence, Ordering::Release);
        }
    }

    /// Empties a slot. Not to be called under a guard.
    pub(super) fn retire(&self, serial: u64) {
        let slot = self.slot_by_serial.write().remove(&serial);
        if let Some(cell) = slot.and_then(|slot| self.cell(slot)) {
            // Whoever looked at it last drops what stood there, which may be a thread in the middle of a commit. To unmap a
            // segment and to give up its file is left to this one.
            let _segment = self.segment_of(cell);
            cell.retire();
        }
    }

    fn segment_of(&self, cell: &Retirable<Slot>) -> Option<Arc<Segment>> {
        let guard = crate::epoch::pin(self.generation);
        cell.get(&guard).map(|slot| Arc::clone(&slot.segment))
    }

    #[inline]
    pub(super) fn get<'g>(&'g self, slot: u16, guard: &'g Guard) -> Option<&'g Slot> {
        self.groups.get(usize::from(slot) / GROUP)?.get()?.get(usize::from(slot) % GROUP)?.get(guard)
    }

    pub(super) fn by_serial<'g>(&'g self, serial: u64, guard: &'g Guard) -> Option<&'g Slot> {
        let slot = *self.slot_by_serial.read().get(&serial)?;
        self.get(slot, guard).filter(|slot| slot.segment.serial() == serial)
    }

    /// Runs `visit` with every segment, ascending by serial.
    pub(super) fn for_each(&self, guard: &Guard, mut visit: impl FnMut(&Slot)) {
        let slots: Vec<u16> = self.slot_by_serial.read().values().copied().collect();
        slots.into_iter().filter_map(|slot| self.get(slot, guard)).for_each(&mut visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where every number was taken, nothing could be copied either, so that a database which had come to the limit could be read and
    /// nothing else, for ever.
    #[test]
    fn copies_get_a_number_where_nobody_else_does() {
        let table = SegmentTable::new(0);
        let last = (SEGMENTS_MAX - NUMBERS_FOR_COPIES - 1) as u16;
        table.reserve(0..last);
        assert_eq!(table.take_number(SegmentKind::Log).map(|number| number.number).ok(), Some(last));
        table.reserve([last]);
        assert!(matches!(table.take_number(SegmentKind::Log), Err(Error::Storage(_))));
        assert!(matches!(table.take_number(SegmentKind::Large), Err(Error::Storage(_))));
        assert_eq!(table.take_number(SegmentKind::Copy).map(|number| number.number).ok(), Some(last + 1));
    }
}
