//! The place of a record, in the 40 bits that an index slot has for it.

use std::fmt;
use std::num::NonZeroU64;

/// Bits for the offset, in units of 8 bytes: frames and records are 8-byte aligned.
pub(crate) const OFFSET_BITS: u32 = 25;
const OFFSET_UNIT_BYTES: u64 = 8;
/// Bits for the segment slot: a small number given to a segment while it lives, and given anew afterwards.
pub(crate) const SEGMENT_SLOT_BITS: u32 = 15;

/// All bits of a location.
pub(crate) const LOCATION_BITS: u32 = SEGMENT_SLOT_BITS + OFFSET_BITS;

/// The segment slot and the offset of one record.
///
/// Offset 0 of a segment is its header and never a record, so the all-zero word is free to mean "no location".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location(NonZeroU64);

impl Location {
    /// `None` where the place cannot be one of a record, or does not fit: an offset of zero, of 256 MiB and more, or
    /// that is not a multiple of 8; a slot of 32,768 and more.
    pub(crate) fn new(slot: u16, offset: u64) -> Option<Location> {
        let units = offset / OFFSET_UNIT_BYTES;
        let fits = slot >> SEGMENT_SLOT_BITS == 0 && units >> OFFSET_BITS == 0;
        if !fits || offset == 0 || !offset.is_multiple_of(OFFSET_UNIT_BYTES) {
            return None;
        }
        Location::from_bits(u64::from(slot) << OFFSET_BITS | units)
    }

    pub(crate) fn slot(self) -> u16 {
        // 40 bits less 25 leave 15, so nothing is cut off.
        (self.0.get() >> OFFSET_BITS) as u16
    }

    pub(crate) fn offset(self) -> u64 {
        (self.0.get() & ((1 << OFFSET_BITS) - 1)) * OFFSET_UNIT_BYTES
    }

    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }

    /// The location in the low 40 bits of a slot's word; `None` where the slot is empty.
    pub(crate) fn from_bits(word: u64) -> Option<Location> {
        NonZeroU64::new(word & ((1 << LOCATION_BITS) - 1)).map(Location)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({}:{})", self.slot(), self.offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_was_made_of() {
        for (slot, offset) in [(0, 8), (0, (1 << 28) - 8), (32_767, 8), (32_767, (1 << 28) - 8), (5, 4096)] {
            let location = Location::new(slot, offset).unwrap();
            assert_eq!((location.slot(), location.offset()), (slot, offset));
            assert_eq!(Location::from_bits(location.bits()), Some(location));
            assert_eq!(Location::from_bits(location.bits() | !0 << LOCATION_BITS), Some(location));
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for (slot, offset) in
            [(0, 0), (7, 0), (0, 4), (0, 1 << 28), (0, (1 << 28) + 8), (0, u64::MAX), (32_768, 8)]
        {
            assert_eq!(Location::new(slot, offset), None, "slot {slot}, offset {offset}");
        }
    }

    #[test]
    fn shows_slot_and_offset() {
        assert_eq!(format!("{:?}", Location::new(3, 64).unwrap()), "Location(3:64)");
    }
}
