//! What makes something of bytes that stand in files, so that it can be given bytes of all kinds.
//!
//! Each decoder takes the identity of the database and the number of the file from the bytes themselves, so that those of any
//! database are decoded; and with `Sabotage::BlindChecksums` no checksum keeps anything from being looked at.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk_with_files;
use crate::checkpoint::{CHECKPOINT_HEADER_BYTES, CheckpointHeader, Contents};
use crate::checksum::{Salt, crc32c};
use crate::hint::{HINT_HEADER_BYTES, HintHeader, decode_hint};
use crate::manifest::{Manifest, SegmentHeader};
use crate::mark::Mark;
use crate::moves::{Moves, Owner};
use crate::numbered::numbered_name;
use crate::order::{Order, OrderImage, RunFiles, RunRef};
use crate::record::{
    Frame, Kind, LARGE_POINTER_BYTES, LargePointer, Record, large_is_intact, large_length, u64_at,
};
use crate::settings::parse_settings;

/// Reads bytes, whatever they are. Whether they are what is decoded, whole and in order.
pub type Decoder = fn(&[u8]) -> bool;

/// Every decoder, by name: whatever the bytes are, each comes to an end without a panic and takes no more memory than a
/// multiple of their length.
pub const DECODERS: [(&str, Decoder); 12] = [
    ("frames", are_frames),
    ("record", is_record),
    ("compressed value", |bytes| crate::compression::unpack(bytes).is_some()),
    ("large value", is_large_value),
    ("settings", |bytes| parse_settings(bytes).is_some()),
    ("manifest", |bytes| Manifest::decode(bytes).is_ok()),
    ("segment header", |bytes| SegmentHeader::decode(bytes).is_some()),
    ("mark", |bytes| Mark::newest(bytes, identity_at(bytes, 8)).is_ok_and(|mark| mark.is_some())),
    ("checkpoint", |bytes| is_checkpoint(bytes).is_some()),
    ("run", |bytes| is_run(bytes).is_some()),
    ("hint", |bytes| is_hint(bytes).is_some()),
    ("moves", are_moves),
];

/// Where a run is read from, of which the decoder is given the bytes.
const DIRECTORY: &str = "/runs";
/// Bytes of a run's header, and of its footer.
const RUN_EDGE_BYTES: usize = 64;

/// The sixteen bytes that stand there, or zeros where the bytes end before.
fn identity_at(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}

/// Frames one behind the other. One whose checksums are wrong is walked through all the same, and ends it.
fn are_frames(bytes: &[u8]) -> bool {
    let salt = Salt::new([0; 16], 0);
    let (mut offset, mut rest) = (0, bytes);
    while !rest.is_empty() {
        let parsed = Frame::parse(rest, offset, salt);
        let Some(frame) = parsed.or_else(|| Frame::parse_known(rest)) else { return false };
        let all_are_records = frame.records().fold(true, |all, (at, record)| {
            let _is_intact = record.is_intact(salt.at(offset + at as u64));
            all & has_its_value(&record)
        });
        if parsed.is_none() || !all_are_records {
            return false;
        }
        (offset, rest) = (offset + frame.bytes as u64, rest.get(frame.bytes..).unwrap_or_default());
    }
    offset > 0
}

fn is_record(bytes: &[u8]) -> bool {
    Record::parse(bytes).is_some_and(|record| {
        let is_intact = record.is_intact(Salt::new([0; 16], 0).at(0));
        has_its_value(&record) && is_intact
    })
}

/// Whether the value is what a record of its kind has.
fn has_its_value(record: &Record<'_>) -> bool {
    match record.shape.kind {
        Kind::Put | Kind::Tombstone => true,
        Kind::LargePut => LargePointer::parse(record.value).is_some(),
        Kind::Keyspace => parse_settings(record.value).is_some() && std::str::from_utf8(record.key).is_ok(),
        Kind::CompressedPut => crate::compression::unpack(record.value).is_some(),
    }
}

/// A pointer, and the value that it names behind it.
fn is_large_value(bytes: &[u8]) -> bool {
    let Some((pointer, value)) = bytes.split_at_checked(LARGE_POINTER_BYTES) else { return false };
    let Some(pointer) = LargePointer::parse(pointer) else { return false };
    let (_end, length) = (pointer.stored_bytes(), large_length(value));
    length == Some(pointer.length) && large_is_intact(value, &pointer, Salt::new([0; 16], 0).at(0))
}

/// A whole file: its header, its contents, and each shard that they name.
fn is_checkpoint(bytes: &[u8]) -> Option<()> {
    let part = |offset: u64, length: u64| {
        let begin = usize::try_from(offset).ok().filter(|begin| *begin >= CHECKPOINT_HEADER_BYTES)?;
        bytes.get(begin..begin.checked_add(usize::try_from(length).ok()?)?)
    };
    let header = CheckpointHeader::decode(bytes, identity_at(bytes, 16))?;
    let contents = part(header.contents_offset, header.contents_bytes)?;
    let is_whole = crc32c(0, contents) == header.contents_crc;
    let contents = Contents::decode(contents)?;
    for shard in &contents.shards {
        crate::packed::unpack(part(shard.offset, u64::from(shard.bytes))?, shard.shape.entries as usize)?;
    }
    is_whole.then_some(())
}

/// A whole file, walked up and down, mapped and not, from its ends and from a key in its middle.
fn is_run(bytes: &[u8]) -> Option<()> {
    let number = u64_at(bytes, 16)?;
    let footer = bytes.len().checked_sub(RUN_EDGE_BYTES)?;
    let run = RunRef { number, bytes: bytes.len() as u64, entries: u64_at(bytes, footer + 24)? };
    let image = OrderImage { runs: vec![run], last_number: 0, deletes: 0 };
    let name = PathBuf::from(numbered_name(number, ".run"));
    let disk = disk_with_files(Path::new(DIRECTORY), &[(name, bytes.to_vec())]).ok()?;
    let mut all_were_read = true;
    for mapped in [true, false] {
        let files = RunFiles {
            disk: Arc::new(disk.clone()),
            directory: DIRECTORY.into(),
            identity: identity_at(bytes, 24),
            mapped,
            written: Arc::default(),
        };
        let order = Order::open(files, &image).ok()?;
        for reverse in [false, true] {
            let keys = walk(&order, Bound::Unbounded, reverse);
            let middle = keys.as_ref().and_then(|keys| keys.get(keys.len() / 2)).cloned();
            let half = walk(&order, Bound::Included(&middle.unwrap_or_default()), reverse);
            let count = keys.map(|keys| keys.len() as u64);
            all_were_read &= count == Some(run.entries) && half.is_some();
        }
    }
    all_were_read.then_some(())
}

/// The keys from `lower` on, or `None` where one cannot be read.
fn walk(order: &Order, lower: Bound<&[u8]>, reverse: bool) -> Option<Vec<Vec<u8>>> {
    let mut cursor = order.cursor(lower, Bound::Unbounded, reverse).ok()?;
    let mut keys = Vec::new();
    while let Some(key) = cursor.next().ok()? {
        keys.push(key.to_vec());
    }
    Some(keys)
}

fn is_hint(bytes: &[u8]) -> Option<()> {
    let header = HintHeader::decode(bytes, identity_at(bytes, 24))?;
    decode_hint(&header, bytes.get(HINT_HEADER_BYTES..)?).map(drop)
}

/// Lists one behind the other; what is left of the file behind the last one is zeros.
fn are_moves(bytes: &[u8]) -> bool {
    let owner = Owner { identity: identity_at(bytes, 24), checkpoint: u64_at(bytes, 40).unwrap_or_default() };
    Moves::decode_all(bytes, owner).is_some_and(|all| {
        let looked_for = all.iter().flat_map(|moves| &moves.emptied).filter_map(|emptied| emptied.fate(64));
        let _fates = looked_for.count();
        !all.is_empty()
    })
}
