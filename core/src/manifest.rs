//! The manifest and the segment header as bytes: encoding and decoding, without I/O. `FORMAT.md`, sections 2 and 3, is
//! the reference.

use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::options::SEGMENT_BYTES_MAX;
use crate::record::{u32_at, u64_at};

/// The version of the format that this code writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 3;
/// The version that stands in the header of a segment. What begins a segment has not changed since the first one.
const SEGMENT_VERSION: u32 = 1;
/// Most segments at a time: the slot is a 15-bit field of a location.
pub(crate) const SEGMENTS_MAX: usize = 1 << 15;
/// Bytes of a segment's header; its content begins here.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Generations, serials and sequences stay below this, so that counting on never overflows.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;
/// Longest manifest that is read: every slot used, and as much again for sections.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 2 * (SEGMENTS_MAX * SEGMENT_ENTRY_BYTES) as u64;

/// Largest segment of large values: one that holds the longest value.
const LARGE_SEGMENT_BYTES_MAX: u64 = (1 << 32) + (1 << 16);

const MANIFEST_MAGIC: &[u8; 8] = b"OPENDBMF";
const SEGMENT_MAGIC: &[u8; 8] = b"OPENDBSG";
const FIXED_BYTES: usize = 96;
const SEGMENT_ENTRY_BYTES: usize = 48;
const FLAG_CLEAN: u32 = 1;
/// Section: the number of the checkpoint that goes with the segments.
const SECTION_CHECKPOINT: u32 = 1;
/// Section: the last commit of all log segments that were retired.
const SECTION_RETIRED: u32 = 2;
/// Section: bytes of the checkpoint's lists of moves that count.
const SECTION_MOVES: u32 = 3;
/// Bytes of a section's kind and length, and of each section's content so far.
const SECTION_HEADER_BYTES: usize = 8;
const SECTION_BYTES: usize = 8;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    /// Frames.
    Log,
    /// Values that are too long for a record.
    Large,
    /// Records that compaction has brought together, each a standalone record with the sequence that it always had.
    Copy,
}

impl SegmentKind {
    pub(crate) fn number(self) -> u8 {
        match self {
            SegmentKind::Log => 1,
            SegmentKind::Large => 2,
            SegmentKind::Copy => 3,
        }
    }

    pub(crate) fn from_number(number: u32) -> Option<SegmentKind> {
        match number {
            1 => Some(SegmentKind::Log),
            2 => Some(SegmentKind::Large),
            3 => Some(SegmentKind::Copy),
            _ => None,
        }
    }
}

/// What the manifest says of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub(crate) serial: u64,
    pub(crate) slot: u16,
    pub(crate) kind: SegmentKind,
    pub(crate) sealed: bool,
    pub(crate) capacity: u64,
    /// Sealed: where it ends. Open: an end up to which its bytes are known to be durable.
    pub(crate) length: u64,
    /// Log: the first commit that it can hold. Copies: the lowest sequence in it. 0 where nothing is known.
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
}

/// Which segments make up the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) identity: [u8; 16],
    pub(crate) hash_seed: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) next_serial: u64,
    pub(crate) durable_sequence: u64,
    pub(crate) clean: bool,
    /// Number of the checkpoint that goes with these segments.
    pub(crate) checkpoint: Option<u64>,
    /// The last commit of all log segments that were retired.
    pub(crate) retired_to: u64,
    /// Bytes of the file of moves that goes with the checkpoint; what follows in it does not count.
    pub(crate) moves_bytes: u64,
    pub(crate) segments: Vec<SegmentEntry>,
}

fn damaged(offset: usize, reason: &str) -> Error {
    Error::corruption(0, offset as u64, format!("{reason}; restore the directory from a backup"))
}

fn newer(what: &str, version: u32) -> Error {
    Error::Unsupported(format!(
        "{what} has format version {version}, this OpenDB reads up to {FORMAT_VERSION}; use a newer OpenDB"
    ))
}

impl Manifest {
    /// A database without segments; nothing needs recovery in it.
    pub(crate) fn new(identity: [u8; 16], hash_seed: [u8; 16]) -> Manifest {
        Manifest {
            identity,
            hash_seed,
            generation: 0,
            next_serial: 1,
            durable_sequence: 0,
            clean: true,
            checkpoint: None,
            retired_to: 0,
            moves_bytes: 0,
            segments: Vec::new(),
        }
    }

    fn sections(&self) -> Vec<(u32, u64)> {
        let retired = (self.retired_to > 0).then_some((SECTION_RETIRED, self.retired_to));
        let moves = (self.moves_bytes > 0).then_some((SECTION_MOVES, self.moves_bytes));
        let checkpoint = self.checkpoint.map(|number| (SECTION_CHECKPOINT, number));
        [checkpoint, retired, moves].into_iter().flatten().collect()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let sections = self.sections();
        let length = FIXED_BYTES
            + self.segments.len() * SEGMENT_ENTRY_BYTES
            + sections.len() * (SECTION_HEADER_BYTES + SECTION_BYTES)
            + 8;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(MANIFEST_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(&self.identity);
        bytes.extend_from_slice(&self.hash_seed);
        for word in [self.generation, self.next_serial, self.durable_sequence, 0, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let flags = if self.clean { FLAG_CLEAN } else { 0 };
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for entry in &self.segments {
            entry.encode(&mut bytes);
        }
        bytes.extend_from_slice(&(sections.len() as u32).to_le_bytes());
        for (kind, number) in sections {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&(SECTION_BYTES as u32).to_le_bytes());
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c(0, &bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a manifest. A newer version is told apart before anything else of it is believed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest> {
        if bytes.get(..8) != Some(MANIFEST_MAGIC) {
            return Err(damaged(0, "the manifest does not begin as one"));
        }
        let short = || damaged(bytes.len(), "the manifest is cut short");
        let version = u32_at(bytes, 8).ok_or_else(short)?;
        let content = bytes.len().checked_sub(4).ok_or_else(short)?;
        let crc_is_right = u32_at(bytes, content) == Some(crc32c(0, &bytes[..content]));
        if version > FORMAT_VERSION && crc_is_right {
            return Err(newer("the manifest", version));
        }
        if !crc_is_right || version == 0 || u32_at(bytes, 12).map(|n| n as usize) != Some(bytes.len()) {
            return Err(damaged(content, "the manifest's checksum is wrong"));
        }
        let word = |at| u64_at(bytes, at).ok_or_else(short);
        if word(72)? != 0 {
            return Err(Error::Unsupported(
                "the database uses features that this OpenDB does not know; use a newer OpenDB".to_owned(),
            ));
        }
        if [48, 56, 64].into_iter().any(|at| u64_at(bytes, at).is_none_or(|number| number >= NUMBER_MAX)) {
            return Err(damaged(48, "the manifest has a number that no database comes to"));
        }
        let identity = *bytes.get(16..).and_then(<[u8]>::first_chunk).ok_or_else(short)?;
        let hash_seed = *bytes.get(32..).and_then(<[u8]>::first_chunk).ok_or_else(short)?;
        let segments = decode_entries(bytes, word(56)?)?;
        let sections = decode_sections(bytes, FIXED_BYTES + segments.len() * SEGMENT_ENTRY_BYTES)?;
        let section = |kind| sections.iter().find(|(found, _)| *found == kind).map(|(_, number)| *number);
        Ok(Manifest {
            identity,
            hash_seed,
            generation: word(48)?,
            next_serial: word(56)?,
            durable_sequence: word(64)?,
            clean: u32_at(bytes, 88).ok_or_else(short)? & FLAG_CLEAN != 0,
            checkpoint: section(SECTION_CHECKPOINT),
            retired_to: section(SECTION_RETIRED).unwrap_or(0),
            moves_bytes: section(SECTION_MOVES).unwrap_or(0),
            segments,
        })
    }
}

fn decode_entries(bytes: &[u8], next_serial: u64) -> Result<Vec<SegmentEntry>> {
    let count = u32_at(bytes, 92).map_or(usize::MAX, |count| count as usize);
    if count > SEGMENTS_MAX || FIXED_BYTES + count * SEGMENT_ENTRY_BYTES + 8 > bytes.len() {
        return Err(damaged(92, "the manifest counts more segments than it has"));
    }
    let mut entries: Vec<SegmentEntry> = Vec::with_capacity(count);
    let mut slots = std::collections::HashSet::with_capacity(count);
    for number in 0..count {
        let at = FIXED_BYTES + number * SEGMENT_ENTRY_BYTES;
        let entry = bytes.get(at..at + SEGMENT_ENTRY_BYTES).and_then(SegmentEntry::decode);
        let entry = entry.ok_or_else(|| damaged(at, "the manifest describes an impossible segment"))?;
        let ascending = entries.last().is_none_or(|before| before.serial < entry.serial);
        if !ascending || !slots.insert(entry.slot) || entry.serial >= next_serial {
            return Err(damaged(at, "the manifest names a segment or slot twice, or one still to come"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The sections that hold one number. Others are none that this version knows, and are passed over.
fn decode_sections(bytes: &[u8], mut at: usize) -> Result<Vec<(u32, u64)>> {
    let begin = at;
    let short = || damaged(begin, "the manifest's sections do not fit it");
    let count = u32_at(bytes, at).ok_or_else(short)?;
    at += 4;
    let mut sections = Vec::new();
    for _ in 0..count {
        let (kind, length) = u32_at(bytes, at).zip(u32_at(bytes, at + 4)).ok_or_else(short)?;
        let start = at + SECTION_HEADER_BYTES;
        let end = start.saturating_add(length as usize);
        // The checksum stands behind the last one.
        let content = bytes.get(start..end).filter(|_| end + 4 <= bytes.len()).ok_or_else(short)?;
        if content.len() == SECTION_BYTES {
            sections.push((kind, u64_at(content, 0).filter(|n| *n < NUMBER_MAX).ok_or_else(short)?));
        }
        at = end;
    }
    Ok(sections)
}

impl SegmentEntry {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.serial.to_le_bytes());
        bytes.extend_from_slice(&self.slot.to_le_bytes());
        bytes.push(self.kind.number());
        bytes.push(if self.sealed { 2 } else { 1 });
        bytes.extend_from_slice(&[0; 4]);
        for word in [self.capacity, self.length, self.first_sequence, self.last_sequence] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<SegmentEntry> {
        let entry = SegmentEntry {
            serial: u64_at(bytes, 0)?,
            slot: u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?),
            kind: SegmentKind::from_number(u32::from(*bytes.get(10)?))?,
            sealed: match bytes.get(11)? {
                1 => false,
                2 => true,
                _ => return None,
            },
            capacity: u64_at(bytes, 16)?,
            length: u64_at(bytes, 24)?,
            first_sequence: u64_at(bytes, 32)?,
            last_sequence: u64_at(bytes, 40)?,
        };
        let header = SEGMENT_HEADER_BYTES as u64;
        let capacity_max = match entry.kind {
            SegmentKind::Log | SegmentKind::Copy => SEGMENT_BYTES_MAX,
            SegmentKind::Large => LARGE_SEGMENT_BYTES_MAX,
        };
        let fits = (header..=entry.capacity).contains(&entry.length) && entry.capacity <= capacity_max;
        let numbers = (1..NUMBER_MAX).contains(&entry.serial) && entry.last_sequence < NUMBER_MAX;
        (numbers && usize::from(entry.slot) < SEGMENTS_MAX && fits).then_some(entry)
    }
}

/// The header of a segment file.
pub(crate) fn segment_header(
    identity: [u8; 16],
    serial: u64,
    kind: SegmentKind,
    capacity: u64,
) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&u32::from(kind.number()).to_le_bytes());
    header[16..24].copy_from_slice(&serial.to_le_bytes());
    header[24..40].copy_from_slice(&identity);
    header[40..48].copy_from_slice(&capacity.to_le_bytes());
    let crc = crc32c(0, &header[..60]);
    header[60..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What the header of a segment file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: [u8; 16],
    pub(crate) serial: u64,
    pub(crate) kind: SegmentKind,
    pub(crate) capacity: u64,
}

impl SegmentHeader {
    /// Reads a whole header, of a version that is known; `None` where `bytes` begin with anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let header = SegmentHeader {
            identity: *bytes.get(24..)?.first_chunk()?,
            serial: u64_at(bytes, 16)?,
            kind: SegmentKind::from_number(u32_at(bytes, 12)?)?,
            capacity: u64_at(bytes, 40)?,
        };
        let expected = segment_header(header.identity, header.serial, header.kind, header.capacity);
        (bytes.get(..SEGMENT_HEADER_BYTES) == Some(&expected)).then_some(header)
    }
}

/// Checks that `bytes` begin with the header of this segment of this database.
pub(crate) fn check_segment_header(bytes: &[u8], identity: [u8; 16], entry: &SegmentEntry) -> Result<()> {
    let expected = segment_header(identity, entry.serial, entry.kind, entry.capacity);
    if bytes.get(..SEGMENT_HEADER_BYTES) == Some(&expected) {
        return Ok(());
    }
    let crc_is_right =
        bytes.len() >= SEGMENT_HEADER_BYTES && u32_at(bytes, 60) == Some(crc32c(0, &bytes[..60]));
    match u32_at(bytes, 8) {
        Some(version) if version > SEGMENT_VERSION && crc_is_right => {
            Err(newer(&format!("segment {}", entry.serial), version))
        }
        _ => Err(Error::corruption(
            entry.serial,
            0,
            "the segment's header is damaged or belongs to another file",
        )),
    }
}

/// Whether `bytes` begin with the whole header of another segment than this one: a copy under its name.
pub(crate) fn is_header_of_another(bytes: &[u8], identity: [u8; 16], serial: u64) -> bool {
    let Some(header) = bytes.get(..SEGMENT_HEADER_BYTES) else { return false };
    let is_whole = header.starts_with(SEGMENT_MAGIC) && u32_at(header, 60) == Some(crc32c(0, &header[..60]));
    is_whole && (u64_at(header, 16) != Some(serial) || header.get(24..40) != Some(&identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let entry = |serial, slot, sealed| SegmentEntry {
            serial,
            slot,
            kind: if serial == 2 { SegmentKind::Large } else { SegmentKind::Log },
            sealed,
            capacity: 4096,
            length: 640,
            first_sequence: 1,
            last_sequence: 9,
        };
        Manifest {
            generation: 3,
            next_serial: 4,
            durable_sequence: 9,
            clean: true,
            checkpoint: Some(17),
            retired_to: 4,
            segments: vec![entry(1, 0, true), entry(2, 7, false), entry(3, 1, false)],
            ..Manifest::new([1; 16], [2; 16])
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        assert_eq!(Manifest::decode(&sample().encode()).unwrap(), sample());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample().encode();
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(Manifest::decode(&damaged).is_err(), "bit {at} flipped and not noticed");
        }
        for length in 0..bytes.len() {
            assert!(matches!(Manifest::decode(&bytes[..length]), Err(Error::Corruption { segment: 0, .. })));
        }
    }

    #[test]
    fn a_newer_version_and_an_unknown_feature_are_unsupported_not_damaged() {
        for (at, value) in [(8, FORMAT_VERSION as u8 + 1), (72, 1)] {
            let mut bytes = sample().encode();
            bytes[at] = value;
            let content = bytes.len() - 4;
            let crc = crc32c(0, &bytes[..content]);
            bytes[content..].copy_from_slice(&crc.to_le_bytes());
            assert!(matches!(Manifest::decode(&bytes), Err(Error::Unsupported(_))));
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_allocates_nothing() {
        let mut bytes = sample().encode();
        bytes[92..96].copy_from_slice(&u32::MAX.to_le_bytes());
        let content = bytes.len() - 4;
        let crc = crc32c(0, &bytes[..content]);
        bytes[content..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(Manifest::decode(&bytes), Err(Error::Corruption { offset: 92, .. })));
    }

    #[test]
    fn a_copy_of_another_segment_is_known_by_its_header() {
        let header = segment_header([1; 16], 7, SegmentKind::Log, 4096);
        assert!(!is_header_of_another(&header, [1; 16], 7));
        assert!(is_header_of_another(&header, [1; 16], 8));
        assert!(is_header_of_another(&header, [2; 16], 7));
        let mut torn = header;
        torn[20] ^= 1;
        assert!(!is_header_of_another(&torn, [1; 16], 8), "nobody's");
        assert!(!is_header_of_another(&header[..63], [1; 16], 8));
        assert!(!is_header_of_another(&[0; 64], [1; 16], 8));
    }

    #[test]
    fn a_segment_header_is_checked_whole() {
        let entry = sample().segments[0];
        let header = segment_header([1; 16], entry.serial, entry.kind, entry.capacity);
        assert!(check_segment_header(&header, [1; 16], &entry).is_ok());
        assert!(check_segment_header(&header, [2; 16], &entry).is_err());
        let (serial, kind, capacity) = (entry.serial, entry.kind, entry.capacity);
        let read = SegmentHeader { identity: [1; 16], serial, kind, capacity };
        assert_eq!(SegmentHeader::decode(&header), Some(read));
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut damaged = header;
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), None);
            assert!(matches!(
                check_segment_header(&damaged, [1; 16], &entry),
                Err(Error::Corruption { segment: 1, offset: 0, .. })
            ));
        }
    }
}
