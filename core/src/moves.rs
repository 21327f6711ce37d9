//! What became of the records of segments that were given up since the last checkpoint, as bytes. `FORMAT.md`, section 11, is
//! the reference.
//!
//! A checkpoint's index may lead into a segment that compaction has emptied and given up since. So for each record of such a
//! segment these lists say where its copy is, or that it has none: then the key was put again or deleted since the checkpoint,
//! and the log that is read behind it says so. Of those the hash is kept, for nobody can compare their keys any more.

use crate::checksum::crc32c;
use crate::groups::{read_groups, write_groups};
use crate::location::Location;
use crate::manifest::{NUMBER_MAX, SEGMENTS_MAX};
use crate::record::{ALIGNMENT, u32_at, u64_at};

const MAGIC: &[u8; 8] = b"OPENDBMV";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const COPIES_BYTES: usize = 24;
const EMPTIED_BYTES: usize = 24;
const CHECKED_FROM: usize = 16;
const LOCATION_BYTES: usize = 5;

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was copied to this place.
    Moved(Location),
    /// It was out of use by then. The low half of its key's hash: the other bits are those that the index has.
    Dead(u32),
}

/// A segment that was given up, and its puts by offset, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Emptied {
    pub(crate) serial: u64,
    pub(crate) slot: u16,
    pub(crate) fates: Vec<(u64, Fate)>,
}

/// A segment of copies, and what was live of them when they had been made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    pub(crate) serial: u64,
    pub(crate) live_bytes: u64,
    pub(crate) live_records: u64,
}

/// What one compaction has moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) copies: Vec<Copies>,
    pub(crate) emptied: Vec<Emptied>,
}

/// To which checkpoint of which database a list belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) identity: [u8; 16],
    pub(crate) checkpoint: u64,
}

impl Emptied {
    /// What became of the record at this offset.
    pub(crate) fn fate(&self, offset: u64) -> Option<Fate> {
        let at = self.fates.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        self.fates.get(at).map(|(_, fate)| *fate)
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let mut fates = Vec::with_capacity(self.fates.len() * 7);
        let mut before = 0;
        for (offset, fate) in &self.fates {
            let units = (offset - before) as usize / ALIGNMENT;
            before = *offset;
            let is_dead = usize::from(matches!(fate, Fate::Dead(_)));
            write_groups(&mut fates, units << 1 | is_dead);
            match fate {
                Fate::Moved(to) => fates.extend_from_slice(&to.bits().to_le_bytes()[..LOCATION_BYTES]),
                Fate::Dead(hash) => fates.extend_from_slice(&hash.to_le_bytes()),
            }
        }
        bytes.extend_from_slice(&self.serial.to_le_bytes());
        bytes.extend_from_slice(&self.slot.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(self.fates.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(fates.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&fates);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Emptied> {
        let (head, rest) = bytes.split_at_checked(EMPTIED_BYTES)?;
        let (mut fates_bytes, rest) = rest.split_at_checked(usize::try_from(u64_at(head, 16)?).ok()?)?;
        *bytes = rest;
        let slot = u16::from_le_bytes(*head.get(8..)?.first_chunk()?);
        let serial = u64_at(head, 0).filter(|serial| (1..NUMBER_MAX).contains(serial))?;
        let mut fates = Vec::new();
        let mut offset = 0;
        for _ in 0..u32_at(head, 12)? {
            let (word, behind) = read_groups(fates_bytes, 0)?;
            fates_bytes = fates_bytes.get(behind..)?;
            offset += ((word >> 1) * ALIGNMENT) as u64;
            let fate = if word & 1 == 0 {
                let (location, rest) = fates_bytes.split_first_chunk::<LOCATION_BYTES>()?;
                fates_bytes = rest;
                let mut bits = [0; 8];
                bits[..LOCATION_BYTES].copy_from_slice(location);
                Fate::Moved(Location::from_bits(u64::from_le_bytes(bits))?)
            } else {
                let (hash, rest) = fates_bytes.split_first_chunk()?;
                fates_bytes = rest;
                Fate::Dead(u32::from_le_bytes(*hash))
            };
            let is_ascending = fates.last().is_none_or(|(before, _)| *before < offset);
            Location::new(slot, offset).filter(|_| is_ascending)?;
            fates.push((offset, fate));
        }
        (fates_bytes.is_empty() && usize::from(slot) < SEGMENTS_MAX).then_some(Emptied {
            serial,
            slot,
            fates,
        })
    }
}

impl Moves {
    pub(crate) fn encode(&self, owner: Owner) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        for copies in &self.copies {
            for word in [copies.serial, copies.live_bytes, copies.live_records] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        self.emptied.iter().for_each(|emptied| emptied.encode(&mut bytes));
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let length = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&length.to_le_bytes());
        bytes[24..40].copy_from_slice(&owner.identity);
        bytes[40..48].copy_from_slice(&owner.checkpoint.to_le_bytes());
        bytes[48..52].copy_from_slice(&(self.copies.len() as u32).to_le_bytes());
        bytes[52..56].copy_from_slice(&(self.emptied.len() as u32).to_le_bytes());
        let crc = crc32c(0, &bytes[CHECKED_FROM..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The lists that stand one behind the other in `bytes`, all of them; `None` where one is not whole or another's.
    pub(crate) fn decode_all(mut bytes: &[u8], owner: Owner) -> Option<Vec<Moves>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let length = usize::try_from(u64_at(bytes, 16)?).ok()?;
            let (block, rest) = bytes.split_at_checked(length.max(HEADER_BYTES))?;
            all.push(Moves::decode(block, owner)?);
            bytes = rest;
        }
        Some(all)
    }

    fn decode(block: &[u8], owner: Owner) -> Option<Moves> {
        let is_whole = block.starts_with(MAGIC)
            && u32_at(block, 8)? == VERSION
            && u32_at(block, 12)? == crc32c(0, block.get(CHECKED_FROM..)?)
            && u64_at(block, 16)? == block.len() as u64
            && block.get(24..40)? == owner.identity
            && u64_at(block, 40)? == owner.checkpoint;
        let mut rest = block.get(HEADER_BYTES..).filter(|_| is_whole)?;
        let mut moves = Moves::default();
        for _ in 0..u32_at(block, 48)? {
            let (copies, behind) = rest.split_at_checked(COPIES_BYTES)?;
            rest = behind;
            moves.copies.push(Copies {
                serial: u64_at(copies, 0)?,
                live_bytes: u64_at(copies, 8)?,
                live_records: u64_at(copies, 16)?,
            });
        }
        for _ in 0..u32_at(block, 52)? {
            moves.emptied.push(Emptied::decode(&mut rest)?);
        }
        rest.is_empty().then_some(moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { identity: [7; 16], checkpoint: 3 };

    fn sample() -> Moves {
        let at = |slot, offset| Location::new(slot, offset).unwrap();
        let last = (1 << 28) - 8;
        let fates = vec![
            (64, Fate::Moved(at(9, 64))),
            (200, Fate::Dead(0)),
            (208, Fate::Dead(u32::MAX)),
            (65_536, Fate::Moved(at(32_767, last))),
            (last, Fate::Moved(at(0, 8))),
        ];
        Moves {
            copies: vec![Copies { serial: 12, live_bytes: 300, live_records: 3 }],
            emptied: vec![
                Emptied { serial: 5, slot: 4, fates },
                Emptied { serial: 6, slot: 1, fates: vec![] },
            ],
        }
    }

    #[test]
    fn gives_back_what_it_was_made_of() {
        let (one, other) = (sample(), Moves::default());
        let bytes = [one.encode(OWNER), other.encode(OWNER)].concat();
        let emptied = &one.emptied[0];
        assert_eq!(emptied.fate(208), Some(Fate::Dead(u32::MAX)));
        assert_eq!(emptied.fate(216), None);
        assert_eq!(Moves::decode_all(&bytes, OWNER), Some(vec![one, other]));
        assert_eq!(Moves::decode_all(&[], OWNER), Some(vec![]));
    }

    #[test]
    fn what_is_cut_or_flipped_or_another_s_is_refused() {
        let bytes = sample().encode(OWNER);
        for length in 1..bytes.len() {
            assert_eq!(Moves::decode_all(&bytes[..length], OWNER), None, "cut to {length}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert_eq!(Moves::decode_all(&flipped, OWNER), None, "flipped at {at}");
        }
        assert_eq!(Moves::decode_all(&bytes, Owner { checkpoint: 4, ..OWNER }), None);
        assert_eq!(Moves::decode_all(&bytes, Owner { identity: [8; 16], ..OWNER }), None);
    }
}
