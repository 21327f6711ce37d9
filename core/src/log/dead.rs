//! Which records of a segment are known to be dead, in memory only: so that who has found a record may take the one behind it
//! without asking the index.
//!
//! A bit stands for some bytes, and is set when a record that begins there is dead; a live one beside it may seem dead, which only
//! costs a look into the index. The bits are made with the first dead record.
//!
//! # Invariant
//! Where it is known which records are dead and the bit of a put is clear, no commit up to a snapshot that has begun has replaced
//! or removed it: at that snapshot, and if its own commit belongs to it, the put is the key's record.
//!
//! That holds because a bit is set under the commit lock, with the commit that makes the record dead or before (or by compaction,
//! which takes the lock as well), and each snapshot begins under that lock. So whoever has a snapshot happens after the bits of its
//! commits, and the bits themselves need no order of memory. Bits of later commits may be seen or not: neither is wrong.
//!
//! What is not known stays so: a segment that was opened tells how much of it is dead and not which records. Only if nothing is,
//! that is known as well. Copies are not known before all of them were moved to: one that was overtaken meanwhile has an old
//! sequence and was never live.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of a segment for which there is one bit.
const BYTES_PER_BIT: u64 = 64;
const BITS: u64 = u64::BITS as u64;

/// What is known of a segment's dead records when it comes to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Nothing: what is in it was written before the database was opened.
    Nothing,
    /// All that will be: it is empty.
    All,
    /// All that will be, but what is in it does not count yet.
    Later,
}

/// The dead records of one segment.
#[derive(Debug)]
pub(crate) struct DeadRecords {
    /// Whether bits are set at all.
    is_noted: bool,
    /// Whether each dead record has its bit. Never taken back.
    is_known: AtomicBool,
    bits: OnceLock<Box<[AtomicU64]>>,
    /// Bytes that the segment can have.
    capacity: u64,
}

impl DeadRecords {
    pub(super) fn new(knowledge: Knowledge, capacity: u64) -> DeadRecords {
        DeadRecords {
            is_noted: knowledge != Knowledge::Nothing,
            is_known: AtomicBool::new(knowledge == Knowledge::All),
            bits: OnceLock::new(),
            capacity,
        }
    }

    /// Whether it was here when the database was opened.
    pub(super) fn was_opened(&self) -> bool {
        !self.is_noted
    }

    /// Notes that the record at an offset is dead. Called under the commit lock.
    #[inline]
    pub(super) fn note(&self, offset: u64) {
        // Nothing that was opened has a bit: it is known only if nothing in it was dead, and from then on (see `know`).
        if !self.is_noted && !self.are_known() {
            return;
        }
        let (word, bit) = place(offset);
        if let Some(word) = self.bits.get_or_init(|| self.no_bits()).get(word) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn no_bits(&self) -> Box<[AtomicU64]> {
        let words = self.capacity.div_ceil(BYTES_PER_BIT * BITS);
        (0..words).map(|_| AtomicU64::new(0)).collect()
    }

    /// Whether the record at an offset may be dead, where that is known.
    #[inline]
    pub(super) fn may_have(&self, offset: u64) -> bool {
        let Some(bits) = self.bits.get() else { return false };
        let (word, bit) = place(offset);
        bits.get(word).is_none_or(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// From here on each dead record has its bit.
    pub(super) fn know(&self) {
        // Release: whoever finds it known also finds the bits that were set before.
        self.is_known.store(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn are_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    /// Memory of the bits.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.bits.get().map_or(0, |bits| size_of_val(&**bits) as u64)
    }
}

fn place(offset: u64) -> (usize, u64) {
    let bit = offset / BYTES_PER_BIT;
    ((bit / BITS) as usize, 1 << (bit % BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_as_dead_with_those_that_begin_beside_it_and_no_others() {
        let dead = DeadRecords::new(Knowledge::All, 8 << 20);
        assert!(dead.are_known() && dead.memory_bytes() == 0);
        assert!((0..8 << 20).step_by(8).all(|offset| !dead.may_have(offset)));
        for offset in [64, 4088, (8 << 20) - 8] {
            dead.note(offset);
            let unit = offset / BYTES_PER_BIT * BYTES_PER_BIT;
            assert!((unit..unit + BYTES_PER_BIT).step_by(8).all(|offset| dead.may_have(offset)));
        }
        assert_eq!((0..8 << 20).step_by(64).filter(|offset| dead.may_have(*offset)).count(), 3);
        assert_eq!(dead.memory_bytes(), (8 << 20) / 64 / 8);
        assert!(dead.may_have(8 << 20), "what cannot be there is not trusted");
    }

    #[test]
    fn nothing_is_known_of_what_was_opened_until_nothing_in_it_is_dead() {
        let dead = DeadRecords::new(Knowledge::Nothing, 4096);
        dead.note(64);
        assert!(!dead.are_known() && dead.memory_bytes() == 0);
        dead.know();
        assert!(dead.are_known() && !dead.may_have(64));
        dead.note(128);
        assert!(dead.may_have(128));
        let copies = DeadRecords::new(Knowledge::Later, 4096);
        copies.note(64);
        copies.know();
        assert!(copies.may_have(64) && !copies.may_have(128));
    }
}
