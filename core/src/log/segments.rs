//! The table from slots, which locations hold, to segments.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::checksum::Salt;
use crate::error::{Error, Result};
use crate::manifest::SEGMENTS_MAX;
use crate::segment::Segment;

const GROUP: usize = 256;

/// A segment with the salt of its checksums.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) segment: Arc<Segment>,
    pub(crate) salt: Salt,
}

/// Cells that are each filled once.
type Cells<T> = Box<[OnceLock<T>]>;

/// All segments by slot. Readers take no lock: a slot is filled once, before any location names it.
#[derive(Debug)]
pub(super) struct SegmentTable {
    groups: Cells<Cells<Slot>>,
    slot_by_serial: RwLock<HashMap<u64, u16>>,
}

fn empty<T>(count: usize) -> Cells<T> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

impl SegmentTable {
    pub(super) fn new() -> SegmentTable {
        SegmentTable { groups: empty(SEGMENTS_MAX / GROUP), slot_by_serial: RwLock::default() }
    }

    /// Puts a segment into its slot, which must be empty.
    pub(super) fn add(&self, segment: Arc<Segment>, salt: Salt) -> Result<()> {
        let (slot, serial) = (segment.slot(), segment.serial());
        let group = self.groups.get(usize::from(slot) / GROUP);
        let cell = group.and_then(|group| group.get_or_init(|| empty(GROUP)).get(usize::from(slot) % GROUP));
        if cell.is_none_or(|cell| cell.set(Slot { segment, salt }).is_err()) {
            return Err(Error::Internal(format!("segment {serial} was given slot {slot}, which is taken")));
        }
        self.slot_by_serial.write().insert(serial, slot);
        Ok(())
    }

    #[inline]
    pub(super) fn get(&self, slot: u16) -> Option<&Slot> {
        self.groups.get(usize::from(slot) / GROUP)?.get()?.get(usize::from(slot) % GROUP)?.get()
    }

    pub(super) fn by_serial(&self, serial: u64) -> Option<&Slot> {
        let slot = *self.slot_by_serial.read().get(&serial)?;
        self.get(slot)
    }
}
