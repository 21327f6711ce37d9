//! Hints of sealed segments: written in the background, read where a database is opened without a checkpoint and where
//! compaction asks which keys a segment has.
//!
//! *Invariant:* nothing depends on a hint. Whatever goes wrong with one, the records of its segment are read instead.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use parking_lot::Mutex;

use super::Store;
use crate::compaction::Effort;
use crate::disk::{Disk, OpenMode};
use crate::hint::{HINT_HEADER_BYTES, HintEntry, HintHeader, decode_hint, encode_hint};
use crate::keys::Keys;
use crate::log::{FrameWalk, Log, Settled, Walked};
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::numbered::{number_of_name, numbered_name};
use crate::record::Frame;
use crate::room::push;
use crate::segment::Segment;

const SUFFIX: &str = ".hint";
/// Bytes in segments for a hundred live ones up to which hints are written while others write.
const PRESSURE_OF_HINTS: u64 = 115;
/// Dead part of a segment, in percent, from which it is not worth a hint while others write.
const DEAD_PERCENT_MAX: u64 = 20;

fn name(serial: u64) -> String {
    numbered_name(serial, SUFFIX)
}

/// The serial of a hint's file name; `None` for any other name.
fn serial_of(file_name: &str) -> Option<u64> {
    number_of_name(file_name, SUFFIX)
}

/// Serials of the segments that have a hint, or of which none can be made, once the directory was looked through.
#[derive(Debug, Default)]
pub(super) struct Hinted(Mutex<Option<HashSet<u64>>>);

/// The entries of a frame's records.
pub(super) fn entries_of(keys: &Keys, offset: u64, frame: &Frame<'_>, entries: &mut Vec<HintEntry>) {
    for (at, record) in frame.records() {
        let hash = keys.hash(record.shape.keyspace, record.key);
        let (offset, stored_bytes) = (offset + at as u64, record.stored_bytes() as u64);
        if let Some(entry) = HintEntry::new(hash, offset, stored_bytes, record.shape.kind) {
            push(entries, entry);
        }
    }
}

/// The entries of a segment, ascending by hash, if it has a hint that goes with it.
pub(super) fn read_hint(log: &Log, entry: &SegmentEntry) -> Option<Vec<HintEntry>> {
    let (disk, directory, identity) = log.place();
    let path = directory.join(name(entry.serial));
    let file = disk.open(&path, OpenMode::ReadOnly).ok()?;
    let mut head = [0; HINT_HEADER_BYTES];
    let read = file.read_at(&mut head, 0).ok()?;
    let header = HintHeader::decode(head.get(..read)?, identity)?;
    let is_of_segment = (header.serial, header.length) == (entry.serial, entry.length);
    if !is_of_segment || file.length().ok()? != header.file_bytes() {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(header.file_bytes()).ok()? - HINT_HEADER_BYTES];
    let read = file.read_at(&mut bytes, HINT_HEADER_BYTES as u64).ok()?;
    decode_hint(&header, bytes.get(..read)?)
}

/// The entries of the records of a segment, in the order of the log. `None` where it cannot be read from end to end, or its
/// records are more than a hint can name.
fn entries_of_segment(log: &Log, keys: &Keys, segment: &Segment) -> Option<Vec<HintEntry>> {
    let mut entries = Vec::new();
    let mut walk = FrameWalk::new(segment, log.salt(segment.serial()), SEGMENT_HEADER_BYTES as u64);
    while walk.position() < segment.published() {
        match walk.step() {
            Ok(Walked::Frame(offset, frame)) => entries_of(keys, offset, &frame, &mut entries),
            _ => return None,
        }
    }
    Some(entries)
}

/// Gives the bytes that were written. None is written where it would take of what is kept in reserve.
fn write_hint(log: &Log, keys: &Keys, segment: &Segment) -> io::Result<u64> {
    let Some(mut entries) = entries_of_segment(log, keys, segment) else { return Ok(0) };
    let (disk, directory, identity) = log.place();
    let (header, bytes) = encode_hint(identity, segment.serial(), segment.published(), &mut entries);
    if !log.has_room_to_spare(header.file_bytes()) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let path = directory.join(name(segment.serial()));
    let file = disk.open(&path, OpenMode::CreateNew)?;
    // The header last: until then it is no hint.
    let written = file.write_all_at(&bytes, HINT_HEADER_BYTES as u64);
    let written = written.and_then(|()| file.write_all_at(&header.encode(), 0));
    written.inspect_err(|_| {
        let _best_effort = disk.remove(&path);
    })?;
    Ok(header.file_bytes())
}

/// The hints of a directory that look whole, of the segments that there are. All others are removed.
fn tidy(disk: &dyn Disk, directory: &Path, identity: [u8; 16], segments: &HashSet<u64>) -> HashSet<u64> {
    let names = disk.list(directory).unwrap_or_default();
    let looks_whole = |serial: u64| {
        let file = disk.open(&directory.join(name(serial)), OpenMode::ReadOnly).ok()?;
        let mut header = [0; HINT_HEADER_BYTES];
        file.read_at(&mut header, 0).ok()?;
        let header = HintHeader::decode(&header, identity)?;
        (header.serial == serial && file.length().ok()? == header.file_bytes()).then_some(())
    };
    let (kept, removed): (HashSet<u64>, HashSet<u64>) = names
        .iter()
        .filter_map(|name| serial_of(name))
        .partition(|serial| segments.contains(serial) && looks_whole(*serial).is_some());
    for serial in removed {
        let _best_effort = disk.remove(&directory.join(name(serial)));
    }
    kept
}

/// Whether there is so much garbage in a segment that it is compacted soon.
fn goes_soon(one: &Settled) -> bool {
    let bytes = one.entry.length.saturating_sub(SEGMENT_HEADER_BYTES as u64);
    one.live.bytes * 100 <= bytes * (100 - DEAD_PERCENT_MAX)
}

impl Store {
    /// Removes the hints of segments that are gone, and perhaps writes those of the sealed segments that have none. While others
    /// write, segments with much garbage have none: they go before a hint is of use, and room is dear then. Best effort: a hint that
    /// cannot be written is left alone until the next open.
    pub(crate) fn tidy_hints(&self, effort: Effort) {
        let is_busy = effort == Effort::Busy;
        let writes_missing = !is_busy || self.pressure() < PRESSURE_OF_HINTS;
        let (disk, directory, identity) = self.log.place();
        let mut hinted = self.hinted.0.lock();
        let mut settled = self.log.settled();
        settled.retain(|one| one.entry.kind != SegmentKind::Large && !(is_busy && goes_soon(one)));
        let serials: HashSet<u64> = settled.iter().map(|one| one.entry.serial).collect();
        // Once something of somebody else's is in the place of the directory nothing in it is touched any more.
        let is_ours = || !self.log.is_poisoned() && self.log.check_directory().is_ok();
        let has_news = |known: &HashSet<u64>| *known != serials;
        if !hinted.as_ref().is_none_or(has_news) || !is_ours() {
            return;
        }
        let known = hinted.get_or_insert_with(|| tidy(&**disk, directory, identity, &serials));
        known.retain(|serial| {
            let is_there = serials.contains(serial);
            if !is_there {
                let _best_effort = disk.remove(&directory.join(name(*serial)));
            }
            is_there
        });
        for one in settled.into_iter().filter(|_| writes_missing) {
            if known.contains(&one.entry.serial) {
                continue;
            }
            if self.wake.is_stopping() || !is_ours() {
                return;
            }
            let written = write_hint(&self.log, &self.keys, &one.segment);
            self.figures.hinted(written.unwrap_or(0));
            known.insert(one.entry.serial);
        }
    }

    /// Removes the hints of segments that were just retired: while others write without pause it may be long before anybody tidies.
    pub(super) fn remove_hints(&self, serials: &[u64]) {
        let mut hinted = self.hinted.0.lock();
        for serial in serials {
            let may_be_there = hinted.as_mut().is_none_or(|known| known.remove(serial));
            if may_be_there {
                self.log.remove_file(&name(*serial));
            }
        }
    }

    pub(crate) fn write_missing_hints(&self) {
        self.tidy_hints(Effort::Full);
    }

    /// Hashes of the keys that have puts in a segment, ascending, as its hint tells them.
    pub(super) fn hinted_put_hashes(&self, entry: &SegmentEntry) -> Option<Vec<u64>> {
        let entries = read_hint(&self.log, entry)?;
        Some(entries.iter().filter(|entry| entry.is_put()).map(|entry| entry.hash).collect())
    }
}
