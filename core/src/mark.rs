//! The durable mark as bytes: how far the log is known to be on the device, without a commit that says so. `FORMAT.md`,
//! section 2, is the reference.

use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::manifest::NUMBER_MAX;
use crate::record::{u32_at, u64_at};

/// Bytes of the file.
pub(crate) const MARK_FILE_BYTES: usize = 8192;
/// Bytes of one of its two slots.
pub(crate) const MARK_BYTES: usize = 64;
/// Where the two slots stand: in different sectors, whatever their size.
const SLOTS_AT: [usize; 2] = [0, MARK_FILE_BYTES / 2];
const MAGIC: &[u8; 8] = b"OPENDBDM";
const CHECKED_BYTES: usize = MARK_BYTES - 4;

/// How far the log is known to be on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) identity: [u8; 16],
    /// Grows with each mark, so that the newer slot is known.
    pub(crate) number: u64,
    /// Generation of a manifest that was on the device.
    pub(crate) generation: u64,
    /// Every commit up to this one was on the device.
    pub(crate) durable: u64,
}

/// One of the two places in the file. One of them always holds a whole mark on the device; marks are written to the other
/// one, and when that was synced the two change parts. So a torn write never leaves none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

impl Slot {
    /// The one that a new file leaves free.
    pub(crate) const SECOND: Slot = Slot(1);

    pub(crate) fn other(self) -> Slot {
        Slot(1 - self.0)
    }

    /// Where in the file it begins.
    pub(crate) fn offset(self) -> u64 {
        SLOTS_AT[self.0] as u64
    }
}

impl Mark {
    pub(crate) fn encode(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..24].copy_from_slice(&self.identity);
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.generation.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.durable.to_le_bytes());
        let crc = crc32c(0, &bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// A new file with this mark in its first slot.
    pub(crate) fn file(&self) -> Vec<u8> {
        let mut file = self.encode().to_vec();
        file.resize(MARK_FILE_BYTES, 0);
        file
    }

    fn decode(bytes: &[u8], identity: [u8; 16]) -> Option<Mark> {
        let checked = bytes.get(..CHECKED_BYTES)?;
        let number_at = |at| u64_at(bytes, at).filter(|number| *number < NUMBER_MAX);
        let is_whole = checked.starts_with(MAGIC)
            && checked.get(8..24)? == identity
            && u32_at(bytes, CHECKED_BYTES)? == crc32c(0, checked);
        is_whole.then_some(Mark {
            identity,
            number: number_at(24)?,
            generation: number_at(32)?,
            durable: number_at(40)?,
        })
    }

    /// The newer mark of a database in the bytes of its file, and the slot that the next one goes to; `None` where none
    /// was written yet.
    pub(crate) fn newest(file: &[u8], identity: [u8; 16]) -> Result<Option<(Mark, Slot)>> {
        match SLOTS_AT.map(|at| file.get(at..).and_then(|slot| Mark::decode(slot, identity))) {
            // The older one is known to be on the device, since the newer one was written to the other slot.
            [Some(first), Some(second)] if first.number > second.number => Ok(Some((first, Slot(0)))),
            [Some(_), Some(second)] => Ok(Some((second, Slot(1)))),
            [Some(first), None] => Ok(Some((first, Slot(1)))),
            [None, Some(second)] => Ok(Some((second, Slot(0)))),
            [None, None] if file.iter().all(|byte| *byte == 0) => Ok(None),
            [None, None] => Err(Error::Storage(
                "the file DURABLE is damaged or belongs to another database; restore the directory from a backup, \
                 or remove the file if all else is as it was: damage to the last commits may then go unnoticed"
                    .to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: [u8; 16] = [7; 16];

    fn mark(number: u64) -> Mark {
        Mark { identity: IDENTITY, number, generation: 3, durable: 10 * number }
    }

    fn file(slots: [Option<Mark>; 2]) -> Vec<u8> {
        let mut file = vec![0; MARK_FILE_BYTES];
        for (mark, at) in slots.into_iter().zip(SLOTS_AT).filter_map(|(mark, at)| Some((mark?, at))) {
            file[at..][..MARK_BYTES].copy_from_slice(&mark.encode());
        }
        file
    }

    #[test]
    fn the_newer_of_two_slots_counts_and_the_next_mark_spares_the_older() {
        let newest = |slots| Mark::newest(&file(slots), IDENTITY).unwrap();
        let (one, two) = (Some(mark(1)), Some(mark(2)));
        assert_eq!(Mark::newest(&[], IDENTITY).unwrap(), None);
        assert_eq!(newest([None, None]), None);
        assert_eq!(newest([one, None]), Some((mark(1), Slot(1))));
        assert_eq!(newest([None, one]), Some((mark(1), Slot(0))));
        assert_eq!(newest([one, two]), Some((mark(2), Slot(1))));
        assert_eq!(newest([two, one]), Some((mark(2), Slot(0))));
        assert_eq!(Mark::newest(&mark(1).file(), IDENTITY).unwrap(), Some((mark(1), Slot::SECOND)));
    }

    #[test]
    fn a_damaged_slot_leaves_the_other_and_two_are_an_error() {
        let whole = file([Some(mark(1)), Some(mark(2))]);
        for at in 0..MARK_BYTES {
            let mut damaged = whole.clone();
            damaged[SLOTS_AT[1] + at] ^= 1;
            assert_eq!(Mark::newest(&damaged, IDENTITY).unwrap(), Some((mark(1), Slot(1))), "{at}");
            damaged[at] ^= 1;
            assert!(matches!(Mark::newest(&damaged, IDENTITY), Err(Error::Storage(_))), "{at}");
        }
        assert!(Mark::newest(&whole, [8; 16]).is_err(), "another database's");
    }
}
