//! Hints as bytes: where the records of one sealed segment are, by the hash of their keys. Encoding and decoding, without I/O.
//! `FORMAT.md`, section 9, is the reference.
//!
//! *Invariant:* a hint says nothing that its segment does not say, and a written byte of a segment never changes; so a hint that
//! is whole and of the segment's serial and length is right for ever. One that is not is as good as none.

use crate::bits::{BitReader, BitWriter, Split, width};
use crate::checksum::crc32c;
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::record::{ALIGNMENT, Kind, u32_at, u64_at};

/// Bytes of the header; the entries follow.
pub(crate) const HINT_HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"OPENDBHT";
const VERSION: u32 = 2;
const HASH_BITS: u32 = 64;
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
    /// Bits that every offset in units fits, and every record's length in units.
    widths: (u8, u8),
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
        (bytes[56], bytes[57]) = self.widths;
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
            widths: (*checked.get(56)?, *checked.get(57)?),
        };
        let (offset, stored) = header.widths;
        let is_possible = u32::from(offset) <= OFFSET_BITS && u32::from(stored) <= STORED_BITS;
        (is_whole && is_possible).then_some(header)
    }

    /// Bytes of a file with this header.
    pub(crate) fn file_bytes(&self) -> u64 {
        let split = self.split();
        let bits = u64::from(self.entries) * u64::from(split.low_bits + self.field_bits());
        HINT_HEADER_BYTES as u64 + split.high_bytes() as u64 + bits.div_ceil(8)
    }

    fn split(&self) -> Split {
        Split::new(self.entries as usize, HASH_BITS)
    }

    /// Bits of an entry beside its hash.
    fn field_bits(&self) -> u32 {
        KIND_BITS + u32::from(self.widths.0) + u32::from(self.widths.1)
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

    fn units(self) -> (u64, u64) {
        (self.word >> (KIND_BITS + STORED_BITS), self.word >> KIND_BITS & ((1 << STORED_BITS) - 1))
    }

    /// Whether it can be the entry of a record of a segment of this length.
    fn is_inside(self, length: u64) -> bool {
        self.offset() >= SEGMENT_HEADER_BYTES as u64
            && self.stored_bytes() > 0
            && self.offset() + self.stored_bytes() <= length
    }
}

/// A whole hint: its header, and what follows. The entries are sorted for it.
pub(crate) fn encode_hint(
    identity: [u8; 16],
    serial: u64,
    length: u64,
    entries: &mut [HintEntry],
) -> (HintHeader, Vec<u8>) {
    entries.sort_unstable();
    // Numbers with all the bits that occur.
    let all = entries.iter().map(|entry| entry.units());
    let (offset, stored) = all.fold((0, 0), |all, units| (all.0 | units.0, all.1 | units.1));
    let widths = (width(offset) as u8, width(stored) as u8);
    let mut header = HintHeader { identity, serial, length, entries: entries.len() as u32, crc: 0, widths };
    let (split, mut bytes) = (header.split(), Vec::new());
    split.write_high(entries.iter().map(|entry| entry.hash), &mut bytes);
    let mut fields = BitWriter::default();
    for entry in entries {
        let (offset, stored) = entry.units();
        let kind = entry.word & ((1 << KIND_BITS) - 1);
        fields.push(split.low(entry.hash), split.low_bits);
        fields.push(
            kind | stored << KIND_BITS | offset << (KIND_BITS + u32::from(widths.1)),
            header.field_bits(),
        );
    }
    bytes.append(&mut fields.finish());
    header.crc = crc32c(0, &bytes);
    (header, bytes)
}

/// The entries of a hint, ascending by hash and then by offset. `None` where these bytes are not those that the header tells of.
pub(crate) fn decode_hint(header: &HintHeader, bytes: &[u8]) -> Option<Vec<HintEntry>> {
    let split = header.split();
    let (high, fields) = bytes.split_at_checked(split.high_bytes())?;
    if crc32c(0, bytes) != header.crc {
        return None;
    }
    let (bits, stored_bits) = (header.field_bits(), u32::from(header.widths.1));
    let mut fields = BitReader::new(fields);
    let mut entries: Vec<HintEntry> = Vec::with_capacity(header.entries as usize);
    for high in split.read_high(high)? {
        let hash = high | fields.take(split.low_bits)?;
        let field = fields.take(bits)?;
        let (kind, units) = (field & ((1 << KIND_BITS) - 1), field >> KIND_BITS);
        let (stored, offset) = (units & ((1 << stored_bits) - 1), units >> stored_bits);
        let word = kind | stored << KIND_BITS | offset << (KIND_BITS + STORED_BITS);
        let entry = HintEntry { hash, word };
        if !entry.is_inside(header.length) || entries.last().is_some_and(|last| *last >= entry) {
            return None;
        }
        entries.push(entry);
    }
    fields.is_at_end().then_some(entries)
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
        decode_hint(&HintHeader::decode(header, IDENTITY)?, content)
    }

    #[test]
    fn a_hint_reads_back() {
        let (header, bytes, entries) = sample();
        assert_eq!(decode(&header.encode(), &bytes), Some(entries));
        assert_eq!(header.file_bytes(), (HINT_HEADER_BYTES + bytes.len()) as u64);
        assert!(bytes.len() < 40 * 11, "{} bytes for 40 entries", bytes.len());
        let (header, bytes) = encode_hint(IDENTITY, 5, 64, &mut []);
        assert_eq!(decode(&header.encode(), &bytes), Some(vec![]));
        let (header, _, _) = sample();
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
        for length in 0..bytes.len() {
            assert_eq!(decode(&header, &bytes[..length]), None, "cut to {length}");
        }
        assert_eq!(decode(&header, &[&bytes[..], &[0]].concat()), None, "longer than it says");
    }

    /// What has a right checksum and is no hint all the same.
    #[test]
    fn an_entry_outside_of_its_segment_or_out_of_order_is_none() {
        let decoded = |length: u64, entries: &mut [HintEntry]| {
            let (header, bytes) = encode_hint(IDENTITY, 5, length, entries);
            decode(&header.encode(), &bytes)
        };
        let entry = HintEntry::new(1, 64, 32, Kind::Put).unwrap();
        assert_eq!(decoded(96, &mut [entry]), Some(vec![entry]));
        assert_eq!(decoded(95, &mut [entry]), None);
        assert_eq!(decoded(96, &mut [entry, entry]), None, "the same twice");
        assert_eq!(decoded(96, &mut [HintEntry::new(1, 56, 32, Kind::Put).unwrap()]), None);
        assert_eq!(decoded(96, &mut [HintEntry::new(1, 64, 0, Kind::Put).unwrap()]), None);
    }

    #[test]
    fn no_count_is_believed() {
        let (header, bytes, _) = sample();
        for entries in [0, 39, 41, u32::MAX] {
            assert_eq!(decode(&HintHeader { entries, ..header }.encode(), &bytes), None, "{entries} entries");
        }
    }
}
