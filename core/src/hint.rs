//! Hints as bytes: where the records of one sealed segment are, by the hash of their keys. Encoding and decoding, without I/O.
//! `FORMAT.md`, section 9, is the reference.
//!
//! *Invariant:* a hint says nothing that its segment does not say, and a written byte of a segment never changes; so a hint that
//! is whole and of the segment's serial and length is right for ever. One that is not is as good as none.

use crate::checksum::crc32c;
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::record::{ALIGNMENT, Kind, u32_at, u64_at};

/// Bytes of the header; the entries follow.
pub(crate) const HINT_HEADER_BYTES: usize = 64;
/// Bytes of an entry.
pub(crate) const HINT_ENTRY_BYTES: usize = 16;

const MAGIC: &[u8; 8] = b"OPENDBHT";
const VERSION: u32 = 1;
const OFFSET_BITS: u32 = 25;
const STORED_BITS: u32 = 18;
const KIND_BITS: u32 = 2;
const CHECKED_BYTES: usize = HINT_HEADER_BYTES - 4;

/// What a hint says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HintHeader {
    pub(crate) identity: [u8; 16],
    pub(crate) serial: u64,
    /// The length of the segment that it stands for.
    pub(crate) length: u64,
    pub(crate) entries: u32,
    /// CRC32C of the entries.
    pub(crate) crc: u32,
}

impl HintHeader {
    pub(crate) fn encode(&self) -> [u8; HINT_HEADER_BYTES] {
        let mut bytes = [0; HINT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.serial.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.identity);
        bytes[40..48].copy_from_slice(&self.length.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.entries.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32c(0, &bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that begins `bytes`; `None` where there is none, or one of another database or version.
    pub(crate) fn decode(bytes: &[u8], identity: [u8; 16]) -> Option<HintHeader> {
        let checked = bytes.get(..CHECKED_BYTES)?;
        let is_whole = checked.starts_with(MAGIC)
            && u32_at(checked, 8)? == VERSION
            && checked.get(24..40)? == identity
            && u32_at(bytes, CHECKED_BYTES)? == crc32c(0, checked);
        let header = HintHeader {
            identity,
            serial: u64_at(checked, 16)?,
            length: u64_at(checked, 40)?,
            entries: u32_at(checked, 48)?,
            crc: u32_at(checked, 52)?,
        };
        is_whole.then_some(header)
    }

    /// Bytes of a file with this header.
    pub(crate) fn file_bytes(&self) -> u64 {
        HINT_HEADER_BYTES as u64 + u64::from(self.entries) * HINT_ENTRY_BYTES as u64
    }
}

/// One record of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HintEntry {
    pub(crate) hash: u64,
    /// From the lowest bit: kind, stored bytes and offset in units, so that records of one hash are in the order of the log.
    word: u64,
}

impl HintEntry {
    /// The entry of a record. `None` where no record is as large or as far behind.
    pub(crate) fn new(hash: u64, offset: u64, stored_bytes: u64, kind: Kind) -> Option<HintEntry> {
        let (offset, stored) = (offset / ALIGNMENT as u64, stored_bytes / ALIGNMENT as u64);
        let kind = match kind {
            // The record itself tells whether it is compressed.
            Kind::Put | Kind::CompressedPut => 0,
            Kind::Tombstone => 1,
            Kind::LargePut => 2,
            Kind::Keyspace => 3,
        };
        let word = kind | stored << KIND_BITS | offset << (KIND_BITS + STORED_BITS);
        (offset >> OFFSET_BITS == 0 && stored >> STORED_BITS == 0).then_some(HintEntry { hash, word })
    }

    pub(crate) fn offset(self) -> u64 {
        (self.word >> (KIND_BITS + STORED_BITS)) * ALIGNMENT as u64
    }

    pub(crate) fn stored_bytes(self) -> u64 {
        (self.word >> KIND_BITS & ((1 << STORED_BITS) - 1)) * ALIGNMENT as u64
    }

    pub(crate) fn kind(self) -> Kind {
        match self.word & ((1 << KIND_BITS) - 1) {
            0 => Kind::Put,
            1 => Kind::Tombstone,
            2 => Kind::LargePut,
            _ => Kind::Keyspace,
        }
    }

    pub(crate) fn is_put(self) -> bool {
        self.kind().is_put()
    }

    pub(crate) fn encode(self) -> [u8; HINT_ENTRY_BYTES] {
        let mut bytes = [0; HINT_ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..].copy_from_slice(&self.word.to_le_bytes());
        bytes
    }

    /// The entry that begins `bytes`, which lies inside a segment of this length.
    pub(crate) fn decode(bytes: &[u8], length: u64) -> Option<HintEntry> {
        let entry = HintEntry { hash: u64_at(bytes, 0)?, word: u64_at(bytes, 8)? };
        let is_inside = entry.word >> (KIND_BITS + STORED_BITS + OFFSET_BITS) == 0
            && entry.offset() >= SEGMENT_HEADER_BYTES as u64
            && entry.stored_bytes() > 0
            && entry.offset() + entry.stored_bytes() <= length;
        is_inside.then_some(entry)
    }
}

/// Takes the entries of a hint piece by piece, and tells in the end whether they are what the header says.
#[derive(Debug)]
pub(crate) struct HintDecoder {
    header: HintHeader,
    crc: u32,
    entries: Vec<HintEntry>,
}

impl HintDecoder {
    /// Memory is taken for as many entries as the header says: the caller has seen that the file is as long.
    pub(crate) fn new(header: HintHeader) -> HintDecoder {
        HintDecoder { header, crc: 0, entries: Vec::with_capacity(header.entries as usize) }
    }

    /// Takes the next bytes, whole entries. `false` where they are none, or do not ascend.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        self.crc = crc32c(self.crc, bytes);
        let mut last = self.entries.last().copied();
        for bytes in bytes.chunks(HINT_ENTRY_BYTES) {
            match HintEntry::decode(bytes, self.header.length).filter(|entry| last < Some(*entry)) {
                Some(entry) => self.entries.push(entry),
                None => return false,
            }
            last = self.entries.last().copied();
        }
        true
    }

    /// The entries, ascending by hash and then by offset.
    pub(crate) fn finish(self) -> Option<Vec<HintEntry>> {
        let is_whole = self.crc == self.header.crc && self.entries.len() == self.header.entries as usize;
        is_whole.then_some(self.entries)
    }
}

/// A whole hint. The entries are sorted for it.
pub(crate) fn encode_hint(
    identity: [u8; 16],
    serial: u64,
    length: u64,
    entries: &mut [HintEntry],
) -> (HintHeader, Vec<u8>) {
    entries.sort_unstable();
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.encode()).collect();
    let crc = crc32c(0, &bytes);
    (HintHeader { identity, serial, length, entries: entries.len() as u32, crc }, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: [u8; 16] = [7; 16];

    fn sample() -> (HintHeader, Vec<u8>, Vec<HintEntry>) {
        let kinds = [Kind::Put, Kind::Tombstone, Kind::LargePut, Kind::Keyspace];
        let entry = |n: u64| {
            HintEntry::new(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 64 + 32 * n, 32, kinds[n as usize % 4])
        };
        let mut entries: Vec<_> = (0..40).map(|n| entry(n).unwrap()).collect();
        let (header, bytes) = encode_hint(IDENTITY, 5, 64 + 32 * 40, &mut entries);
        (header, bytes, entries)
    }

    fn decode(header: &[u8], content: &[u8]) -> Option<Vec<HintEntry>> {
        let mut decoder = HintDecoder::new(HintHeader::decode(header, IDENTITY)?);
        content.chunks(64).all(|piece| decoder.push(piece)).then(|| decoder.finish())?
    }

    #[test]
    fn a_hint_reads_back() {
        let (header, bytes, entries) = sample();
        assert_eq!(decode(&header.encode(), &bytes), Some(entries));
        assert_eq!(header.file_bytes(), 64 + 40 * 16);
        assert_eq!(HintHeader::decode(&header.encode(), [8; 16]), None, "another database's");
    }

    #[test]
    fn an_entry_says_what_it_was_made_of_up_to_the_largest() {
        for (offset, stored, kind) in [(64, 24, Kind::Put), ((1 << 28) - 8, (1 << 21) - 8, Kind::Keyspace)] {
            let entry = HintEntry::new(9, offset, stored, kind).unwrap();
            assert_eq!((entry.offset(), entry.stored_bytes(), entry.kind()), (offset, stored, kind));
        }
        assert!(HintEntry::new(9, 1 << 28, 24, Kind::Put).is_none());
        assert!(HintEntry::new(9, 64, 1 << 21, Kind::Put).is_none());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (header, bytes, _) = sample();
        let header = header.encode();
        for at in 0..HINT_HEADER_BYTES * 8 {
            let mut damaged = header;
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&damaged, &bytes), None, "bit {at} of the header");
        }
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&header, &damaged), None, "bit {at} of the entries");
        }
        assert_eq!(decode(&header, &bytes[..bytes.len() - 16]), None, "cut short");
    }

    #[test]
    fn an_entry_outside_of_its_segment_is_none() {
        let entry = HintEntry::new(1, 64, 32, Kind::Put).unwrap().encode();
        assert!(HintEntry::decode(&entry, 96).is_some());
        assert!(HintEntry::decode(&entry, 95).is_none());
        let header = HintEntry::new(1, 56, 32, Kind::Put).unwrap().encode();
        assert!(HintEntry::decode(&header, 96).is_none());
    }
}
