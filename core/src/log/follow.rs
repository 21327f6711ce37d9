//! Going from a record to the one behind it, for scans over records that lie in the order of their keys.
//!
//! *Invariant:* what is given is the record of its key at the snapshot, as the index would have led to it (see
//! [`super::dead`]). Whatever is not as it should be is no record here and no error: the index is asked, and tells.

use std::cmp::Ordering;

use super::Log;
use super::read::RecordAt;
use super::segments::Slot;
use crate::epoch::Guard;
use crate::location::Location;
use crate::prefetch::prefetch;
use crate::record::{RecordShape, aligned, bytes_before_record};

/// What is loaded ahead of where a follower is, and how much comes at a time.
const AHEAD_BYTES: usize = 1536;
const LINE_BYTES: usize = 64;
/// Records passed over at most, for each key, before the index is asked.
const PASSED_MAX: usize = 8;

/// A place in a segment, behind a record. It holds nothing, so the segment may be gone when it is come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    slot: u16,
    serial: u64,
    at: u64,
}

impl Place {
    /// Whether a record that begins here stands next to what ends at this place, with no more between them than what a frame has
    /// beside its records.
    pub(crate) fn is_right_before(&self, location: Location) -> bool {
        let gap = location.offset().checked_sub(self.at);
        location.slot() == self.slot && gap.is_some_and(|gap| gap <= FRAME_GAP_BYTES)
    }
}

/// A frame's header and an anchor.
const FRAME_GAP_BYTES: u64 = 64;

/// Goes from record to record of a mapped segment.
#[derive(Debug)]
pub(crate) struct Follower<'g> {
    slot: &'g Slot,
    /// The segment from its beginning.
    bytes: &'g [u8],
    at: usize,
    /// Up to here it is being loaded.
    asked: usize,
}

impl Log {
    /// Where the record behind this one stands.
    pub(crate) fn place_behind(&self, record: &RecordAt<'_>) -> Place {
        let at = record.location.offset() + record.stored_bytes();
        Place { slot: record.location.slot(), serial: record.serial(), at }
    }

    /// Asks the system for what stands behind a place, and does not wait.
    pub(crate) fn read_soon_behind(&self, place: &Place, length: u64, guard: &Guard) {
        self.read_soon(place.slot, place.at, length, guard);
    }

    /// Begins to load what a follower will look at that goes on from a place.
    pub(crate) fn prefetch_behind(&self, place: &Place, guard: &Guard) {
        if let Some(location) = Location::new(place.slot, place.at) {
            self.prefetch_followed(location, guard);
        }
    }

    /// [`Log::prefetch_behind`] for a follower that is to go on from this record.
    pub(crate) fn prefetch_followed(&self, location: Location, guard: &Guard) {
        self.prefetch(location, 0..AHEAD_BYTES, guard);
    }

    /// Goes on from a place, if the segment is mapped and all of its dead records are known.
    pub(crate) fn follow<'g>(&'g self, place: &Place, guard: &'g Guard) -> Option<Follower<'g>> {
        let slot =
            self.segments.get(place.slot, guard).filter(|slot| slot.segment.serial() == place.serial)?;
        let bytes = slot.segment.borrow(0, usize::try_from(slot.segment.published()).ok()?)?;
        let at = usize::try_from(place.at).ok()?;
        slot.dead.are_known().then_some(Follower { slot, bytes, at, asked: at })
    }
}

impl<'g> Follower<'g> {
    /// The record of this key at the snapshot, if it is the next one here. Its checksum is not looked at. What is passed over: dead
    /// records and those that are no puts, which are looked up or not looked for at all; and those of keys before this one, which
    /// are of another keyspace or newer than the snapshot.
    #[inline]
    pub(crate) fn next(
        &mut self,
        log: &Log,
        keyspace: u16,
        key: &[u8],
        sequence: u64,
    ) -> Option<RecordAt<'g>> {
        self.ask_ahead();
        for _ in 0..=PASSED_MAX {
            while let Some(before) = bytes_before_record(self.bytes.get(self.at..)?) {
                self.at += before;
            }
            let bytes = self.bytes.get(self.at..)?;
            let shape = RecordShape::parse(bytes)?;
            let found = bytes.get(shape.header_bytes..shape.header_bytes + shape.key_bytes)?;
            let offset = self.at as u64;
            let order = if shape.kind.is_put() && !self.slot.dead.may_have(offset) {
                (shape.keyspace, found).cmp(&(keyspace, key))
            } else {
                Ordering::Less
            };
            if order.is_gt() {
                return None;
            }
            self.at += aligned(shape.bytes());
            if order.is_eq() {
                let location = Location::new(self.slot.segment.slot(), offset)?;
                let record = RecordAt::mapped(self.slot, location, bytes, shape);
                return record.was_there_at(sequence, log).is_ok_and(|was_there| was_there).then_some(record);
            }
        }
        None
    }

    /// Has what comes next on its way. The processor begins to do so by itself after some lines, and stops at the end of a page.
    #[inline]
    fn ask_ahead(&mut self) {
        while self.asked < self.at + AHEAD_BYTES {
            let Some(byte) = self.bytes.get(self.asked) else { return };
            prefetch(byte);
            self.asked += LINE_BYTES;
        }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        let segment = &self.slot.segment;
        Place { slot: segment.slot(), serial: segment.serial(), at: self.at as u64 }
    }
}
