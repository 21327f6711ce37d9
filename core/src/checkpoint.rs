//! A checkpoint as bytes: encoding and decoding, without I/O. `FORMAT.md`, section 10, is the reference.
//!
//! The shards of the index stand in front, each read only when it is needed; the *contents*, which say where, are read and
//! checked when the checkpoint is opened.

use crate::checksum::crc32c;
use crate::manifest::{NUMBER_MAX, SEGMENTS_MAX, SegmentKind};
use crate::options::{KEYSPACE_NAME_BYTES_MAX, KEYSPACES_MAX};
use crate::record::{u32_at, u64_at};

/// Bytes of the header; the first shard follows.
pub(crate) const CHECKPOINT_HEADER_BYTES: usize = 64;
/// Longest contents: every segment, keyspace and shard there can be, and thousands of key runs.
pub(crate) const CONTENTS_BYTES_MAX: u64 = 8 << 20;

const MAGIC: &[u8; 8] = b"OPENDBCP";
const VERSION: u32 = 2;
const SHARD_BYTES: usize = 36;
const SEGMENT_BYTES: usize = 40;
const RUN_BYTES: usize = 24;

/// The first bytes of the file: where the contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointHeader {
    pub(crate) identity: [u8; 16],
    pub(crate) number: u64,
    /// Where the contents begin, and how long they are.
    pub(crate) contents_offset: u64,
    pub(crate) contents_bytes: u64,
    pub(crate) contents_crc: u32,
}

/// What is known of a shard without its entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShardShape {
    /// Lines that entries call home.
    pub(crate) home_lines: u32,
    pub(crate) entries: u32,
}

/// One shard of the index that has a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShardState {
    pub(crate) number: u32,
    pub(crate) shape: ShardShape,
    /// Where its entries stand, packed, and how long they are.
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) crc: u32,
    /// The last commit that is in it.
    pub(crate) sequence: u64,
}

/// One keyspace; its number is its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyspaceState {
    pub(crate) name: String,
    pub(crate) settings: Vec<u8>,
    pub(crate) keys: u64,
}

/// One segment that the index may lead into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentState {
    pub(crate) serial: u64,
    pub(crate) slot: u16,
    pub(crate) kind: SegmentKind,
    pub(crate) live_bytes: u64,
    pub(crate) live_records: u64,
    /// Bytes that are kept beside newest records.
    pub(crate) kept_bytes: u64,
}

/// One file of key order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunState {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// The files that hold the order of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OrderState {
    pub(crate) runs: Vec<RunState>,
    pub(crate) last_number: u64,
    pub(crate) deletes: u64,
}

/// What a checkpoint knows beside the words of the shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The last commit that is wholly in it, and where in the log the next one stands: serial and offset.
    pub(crate) sequence: u64,
    pub(crate) position: (u64, u64),
    /// The last commit that is counted in keyspaces and segments.
    pub(crate) counted_to: u64,
    pub(crate) shards: Vec<ShardState>,
    pub(crate) keyspaces: Vec<KeyspaceState>,
    pub(crate) segments: Vec<SegmentState>,
    pub(crate) order: OrderState,
}

impl CheckpointHeader {
    pub(crate) fn encode(&self) -> [u8; CHECKPOINT_HEADER_BYTES] {
        let mut bytes = [0; CHECKPOINT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.identity);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.contents_offset.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.contents_bytes.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.contents_crc.to_le_bytes());
        let crc = crc32c(0, &bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header of a checkpoint of this database; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8], identity: [u8; 16]) -> Option<CheckpointHeader> {
        let checked = bytes.get(..CHECKPOINT_HEADER_BYTES - 4)?;
        let is_whole = checked.starts_with(MAGIC)
            && u32_at(bytes, 8)? == VERSION
            && checked.get(16..32)? == identity
            && u32_at(bytes, 60)? == crc32c(0, checked);
        is_whole.then_some(CheckpointHeader {
            identity,
            number: u64_at(bytes, 32)?,
            contents_offset: u64_at(bytes, 40)?,
            contents_bytes: u64_at(bytes, 48).filter(|bytes| *bytes <= CONTENTS_BYTES_MAX)?,
            contents_crc: u32_at(bytes, 56)?,
        })
    }
}

impl Contents {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(self.shards.len() * SHARD_BYTES + self.segments.len() * SEGMENT_BYTES);
        words(&mut out, &[self.sequence, self.position.0, self.position.1, self.counted_to]);
        count(&mut out, self.shards.len());
        for shard in &self.shards {
            let shape = &shard.shape;
            words(&mut out, &[u64::from(shape.home_lines) | u64::from(shape.entries) << 32]);
            words(&mut out, &[shard.offset, shard.sequence]);
            words(&mut out, &[u64::from(shard.bytes) | u64::from(shard.crc) << 32]);
            count(&mut out, shard.number as usize);
        }
        count(&mut out, self.keyspaces.len());
        for keyspace in &self.keyspaces {
            words(&mut out, &[keyspace.keys]);
            sized(&mut out, keyspace.name.as_bytes());
            sized(&mut out, &keyspace.settings);
        }
        count(&mut out, self.segments.len());
        for segment in &self.segments {
            words(&mut out, &[segment.serial, segment.live_bytes, segment.live_records, segment.kept_bytes]);
            words(&mut out, &[u64::from(segment.slot) | u64::from(segment.kind.number()) << 16]);
        }
        count(&mut out, self.order.runs.len());
        for run in &self.order.runs {
            words(&mut out, &[run.number, run.bytes, run.entries]);
        }
        words(&mut out, &[self.order.last_number, self.order.deletes]);
        out
    }

    /// Reads contents whose checksum was right. `None` where they are no contents all the same.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Contents> {
        let mut reader = Reader { bytes };
        let (sequence, position) = (reader.number()?, (reader.number()?, reader.word()?));
        let counted_to = reader.number()?;
        let shards = reader.list(SHARD_BYTES, usize::MAX, Reader::shard)?;
        let keyspaces = reader.list(12, KEYSPACES_MAX, Reader::keyspace)?;
        let segments = reader.list(SEGMENT_BYTES, SEGMENTS_MAX, Reader::segment)?;
        let runs = reader.list(RUN_BYTES, usize::MAX, Reader::run)?;
        let order = OrderState { runs, last_number: reader.number()?, deletes: reader.word()? };
        let contents = Contents { sequence, position, counted_to, shards, keyspaces, segments, order };
        reader.bytes.is_empty().then_some(contents)
    }
}

fn words(out: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

/// Bytes behind their length in 16 bits. Nothing that comes here is longer.
fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn half(&mut self) -> Option<u32> {
        u32_at(self.take(4)?, 0)
    }

    fn word(&mut self) -> Option<u64> {
        u64_at(self.take(8)?, 0)
    }

    /// A sequence, serial or number of a file.
    fn number(&mut self) -> Option<u64> {
        self.word().filter(|number| *number < NUMBER_MAX)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_le_bytes(*self.take(2)?.first_chunk()?);
        self.take(usize::from(length))
    }

    /// A list whose entries take at least so many bytes each, so that no count is believed that the bytes do not bear out.
    fn list<T>(
        &mut self,
        entry_bytes: usize,
        entries_max: usize,
        entry: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.half()? as usize;
        if count > entries_max || count > self.bytes.len() / entry_bytes {
            return None;
        }
        (0..count).map(|_| entry(self)).collect()
    }

    fn shard(&mut self) -> Option<ShardState> {
        let shape = ShardShape { home_lines: self.half()?, entries: self.half()? };
        let (offset, sequence) = (self.word()?, self.number()?);
        let (bytes, crc, number) = (self.half()?, self.half()?, self.half()?);
        // Each entry takes a bit at the least.
        let is_possible = u64::from(shape.entries) <= 8 * u64::from(bytes);
        is_possible.then_some(ShardState { number, shape, offset, bytes, crc, sequence })
    }

    fn keyspace(&mut self) -> Option<KeyspaceState> {
        let keys = self.word()?;
        let name = self.sized().filter(|name| name.len() <= KEYSPACE_NAME_BYTES_MAX)?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        Some(KeyspaceState { name, settings: self.sized()?.to_vec(), keys })
    }

    fn segment(&mut self) -> Option<SegmentState> {
        let (serial, live_bytes, live_records) = (self.number()?, self.word()?, self.word()?);
        let kept_bytes = self.word()?;
        let word = self.word()?;
        let kind = SegmentKind::from_number(u32::try_from(word >> 16).ok()?)?;
        Some(SegmentState { serial, slot: word as u16, kind, live_bytes, live_records, kept_bytes })
    }

    fn run(&mut self) -> Option<RunState> {
        Some(RunState { number: self.number()?, bytes: self.word()?, entries: self.word()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Contents {
        let shape = ShardShape { home_lines: 3, entries: 20 };
        let (offset, bytes) = (64, 100);
        Contents {
            sequence: 100,
            position: (7, 4096),
            counted_to: 103,
            shards: vec![
                ShardState { number: 1023, shape, offset, bytes, crc: 0xdead_beef, sequence: 101 };
                4
            ],
            keyspaces: vec![
                KeyspaceState { name: "default".to_owned(), settings: vec![], keys: 9 },
                KeyspaceState { name: "späte".to_owned(), settings: vec![1, 1], keys: 0 },
            ],
            segments: vec![SegmentState {
                serial: 7,
                slot: 32_767,
                kind: SegmentKind::Copy,
                live_bytes: 1000,
                live_records: 10,
                kept_bytes: 4,
            }],
            order: OrderState {
                runs: vec![RunState { number: 3, bytes: 99, entries: 5 }],
                last_number: 8,
                deletes: 1,
            },
        }
    }

    #[test]
    fn contents_and_header_read_back() {
        assert_eq!(Contents::decode(&sample().encode()), Some(sample()));
        let header = CheckpointHeader {
            identity: [3; 16],
            number: 5,
            contents_offset: 6,
            contents_bytes: 7,
            contents_crc: 8,
        };
        assert_eq!(CheckpointHeader::decode(&header.encode(), [3; 16]), Some(header));
        assert_eq!(CheckpointHeader::decode(&header.encode(), [4; 16]), None, "another database's");
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let header = CheckpointHeader {
            identity: [3; 16],
            number: 5,
            contents_offset: 6,
            contents_bytes: 7,
            contents_crc: 8,
        }
        .encode();
        for at in 0..header.len() * 8 {
            let mut damaged = header;
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(CheckpointHeader::decode(&damaged, [3; 16]), None, "bit {at}");
        }
    }

    #[test]
    fn contents_that_are_cut_or_count_more_than_they_have_are_none() {
        let whole = sample().encode();
        for length in 0..whole.len() {
            assert_eq!(Contents::decode(&whole[..length]), None);
        }
        for at in [32, 40] {
            let mut wrong = whole.clone();
            wrong[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(Contents::decode(&wrong), None);
        }
    }
}
