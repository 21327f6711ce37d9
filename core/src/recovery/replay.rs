//! Writing the tail anew, and showing every record of the log.

use super::files::Scanned;
use super::gaps::{self, Gaps};
use super::tail::{Found, Walks};
use super::{Recovery, Shown, Start, Visit};
use crate::batch::FrameBuilder;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::log::{Appender, FrameWalk, LargeSeries, Log, NewFrame, Walked};
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentEntry, SegmentKind};
use crate::record::{Frame, Kind, LARGE_HEADER_BYTES, LargePointer, NewRecord, content_crc, large_owner};
use crate::segment::Segment;
use std::collections::HashSet;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

/// Shows the records of a frame that stands at `offset` of the segment in `slot`.
fn show(
    log: &Log,
    slot: u16,
    offset: u64,
    frame: &Frame<'_>,
    is_copy: bool,
    visit: &mut dyn Visit,
) -> Result<()> {
    for (at, record) in frame.records() {
        let location = Location::new(slot, offset + at as u64)
            .ok_or_else(|| Error::Internal(format!("no location for offset {offset} of slot {slot}")))?;
        visit.record(log, &Shown { location, record: &record, sequence: frame.sequence, is_copy })?;
    }
    Ok(())
}

/// Shows every commit up to `last`: all of them, the copies first, or those behind a checkpoint. Each is good or damage: they are
/// known to have been on the device, or were just written anew. Checksums are not looked at in the segments that `is_known`
/// names.
pub(super) fn replay(
    log: &Log,
    start: Option<&Start>,
    last: u64,
    is_known: &dyn Fn(u64) -> bool,
    recovery: &mut Recovery,
    visit: &mut dyn Visit,
) -> Result<()> {
    if start.is_none() {
        if let Some(frames) = visit.whole(log, last)? {
            recovery.frames += frames;
            return Ok(());
        }
        for (_, segment) in log.segments_of(SegmentKind::Copy) {
            replay_copies(log, &segment, visit)?;
        }
    }
    let mut chain = Chain::behind(start);
    for (entry, segment) in log.segments_of(SegmentKind::Log) {
        let from = match start {
            Some(start) if entry.serial < start.serial => continue,
            Some(start) if entry.serial == start.serial => start.offset,
            _ => HEADER,
        };
        if segment.published() > from && from == HEADER {
            chain.begin(log, &entry)?;
        }
        let salt = log.salt(segment.serial());
        let mut walk = match is_known(segment.serial()) {
            true => FrameWalk::known(&segment, salt, from),
            false => FrameWalk::new(&segment, salt, from),
        };
        while walk.position() < segment.published() {
            match walk.step()? {
                Walked::Frame(offset, frame) if frame.sequence == chain.expected => {
                    show(log, segment.slot(), offset, &frame, false, visit)?;
                    chain.expected += 1;
                    recovery.frames += 1;
                }
                Walked::Frame(offset, _) | Walked::Stopped(offset) => {
                    return Err(lost(segment.serial(), offset, chain.expected));
                }
            }
        }
    }
    chain.end(log, last)
}

/// How the segments of the log go on from each other.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The next commit.
    pub(crate) expected: u64,
    behind_checkpoint: bool,
}

impl Chain {
    /// From the beginning of the log, or from behind a checkpoint.
    pub(crate) fn behind(start: Option<&Start>) -> Chain {
        Chain { expected: start.map_or(1, |start| start.sequence + 1), behind_checkpoint: start.is_some() }
    }

    /// The segment that comes next, which has something in it. Its first commit is the expected one. Between two segments others
    /// may have been retired, but never behind a checkpoint.
    pub(crate) fn begin(&mut self, log: &Log, entry: &SegmentEntry) -> Result<()> {
        let (expected, retired_to) = (self.expected, log.retired_to());
        // Segments of the first version of the format do not tell; none had been retired then.
        let first = match entry.first_sequence {
            0 => expected.max(retired_to + 1),
            first => first,
        };
        if first < expected || first > expected && (self.behind_checkpoint || first - 1 > retired_to) {
            return Err(lost(entry.serial, HEADER, expected));
        }
        self.expected = first;
        log.begin_segment(entry.serial, first);
        Ok(())
    }

    /// The end of the log, whose last commit is known. What was retired is behind nobody: its last commits need not have left
    /// anything.
    pub(crate) fn end(&self, log: &Log, last: u64) -> Result<()> {
        let expected = self.expected;
        if expected.max(log.retired_to() + 1) != last + 1 {
            let reason = format!("the segments end before commit {expected}, the manifest names {last}");
            return Err(Error::corruption(0, 0, reason));
        }
        Ok(())
    }
}

/// What to say of a commit that is not where it must be.
pub(crate) fn lost(serial: u64, offset: u64, sequence: u64) -> Error {
    let reason = format!("commit {sequence} had been on the device and cannot be read any more");
    Error::corruption(serial, offset, reason)
}

/// Shows what compaction has brought together in one segment.
fn replay_copies(log: &Log, segment: &Segment, visit: &mut dyn Visit) -> Result<()> {
    let mut walk = FrameWalk::new(segment, log.salt(segment.serial()), HEADER);
    while walk.position() < segment.published() {
        match walk.step()? {
            Walked::Frame(offset, frame) => show(log, segment.slot(), offset, &frame, true, visit)?,
            Walked::Stopped(offset) => return Err(lost_copy(segment.serial(), offset)),
        }
    }
    Ok(())
}

/// What to say of a copy that cannot be read.
pub(crate) fn lost_copy(serial: u64, offset: u64) -> Error {
    Error::corruption(serial, offset, "a record that had been on the device cannot be read any more")
}

/// What is known of a damaged log beside its segments.
#[derive(Debug)]
pub(super) struct Known {
    /// Every commit up to this one had been on the device, or is in the segments that there are.
    pub(super) durable: u64,
    /// The mark says so up to this one.
    pub(super) marked: u64,
    /// Serials of the segments that were appended to or prepared when nobody closed the database.
    pub(super) open: HashSet<u64>,
}

/// Shows what can be read, and notes what cannot.
pub(super) fn replay_damaged(
    log: &Log,
    known: &Known,
    recovery: &mut Recovery,
    visit: &mut dyn Visit,
) -> Result<()> {
    let mut highest = log.retired_to();
    let mut gaps = Gaps::new(log);
    let copies = log.segments_of(SegmentKind::Copy).into_iter();
    for (entry, segment) in copies.chain(log.segments_of(SegmentKind::Log)) {
        let (segment, was_open) = (&*segment, known.open.contains(&entry.serial));
        let is_log = entry.kind == SegmentKind::Log;
        let walk = DamagedWalk { log, segment, was_open, recovery, gaps: is_log.then_some(&mut gaps), visit };
        highest = highest.max(entry.last_sequence).max(walk.show_all());
    }
    recovery.damaged.extend(gaps.sentences(known.marked));
    if highest < known.durable {
        recovery.damaged.push(gaps::sentence(highest + 1, known.durable));
    }
    Ok(())
}

/// A segment of a damaged database that is read as far as that goes.
struct DamagedWalk<'a> {
    log: &'a Log,
    segment: &'a Segment,
    was_open: bool,
    recovery: &'a mut Recovery,
    /// `None` where it has copies, whose sequences say nothing of their order.
    gaps: Option<&'a mut Gaps>,
    visit: &'a mut dyn Visit,
}

impl DamagedWalk<'_> {
    /// Shows every frame. Gives the highest sequence.
    fn show_all(mut self) -> u64 {
        let (segment, mut highest) = (self.segment, 0);
        if let Some(gaps) = &mut self.gaps {
            gaps.segment(segment.serial(), self.was_open);
        }
        let mut walk = FrameWalk::new(segment, self.log.salt(segment.serial()), HEADER);
        let mut damaged_from = None;
        loop {
            match walk.step() {
                Ok(Walked::Frame(offset, frame)) => {
                    highest = highest.max(frame.sequence);
                    self.damaged(damaged_from.take(), offset);
                    self.show(offset, &frame);
                }
                Ok(Walked::Stopped(offset)) if offset >= segment.published() => break,
                Ok(Walked::Stopped(offset)) => {
                    // Zeros up to the end of a segment that was open are what it was made with.
                    let may_end = self.was_open && segment.published() == segment.capacity();
                    let is_over = may_end && !walk.is_nonzero().unwrap_or(true);
                    let skipped = walk.skip().unwrap_or_else(|error| {
                        self.tell(error.to_string());
                        false
                    });
                    if skipped || !is_over {
                        damaged_from.get_or_insert(offset);
                    }
                    if !skipped {
                        break;
                    }
                }
                Err(error) => {
                    self.tell(error.to_string());
                    break;
                }
            }
        }
        self.damaged(damaged_from, walk.position());
        highest
    }

    fn show(&mut self, offset: u64, frame: &Frame<'_>) {
        // Told first: what is older or newer among its records is found by sequences up to this one.
        self.log.recovered_to(self.log.appended().max(frame.sequence));
        if let Some(gaps) = &mut self.gaps {
            gaps.frame(frame);
        }
        let is_copy = self.gaps.is_none();
        if let Err(error) = show(self.log, self.segment.slot(), offset, frame, is_copy, self.visit) {
            self.recovery.damaged.push(error.to_string());
        }
        self.recovery.frames += 1;
    }

    fn damaged(&mut self, from: Option<u64>, to: u64) {
        if let Some(from) = from {
            self.tell(format!(
                "segment {}: no commit can be read from {from} to {to}",
                self.segment.serial()
            ));
        }
    }

    /// Notes damage to bytes.
    fn tell(&mut self, sentence: String) {
        self.recovery.damaged.push(sentence);
        if let Some(gaps) = &mut self.gaps {
            gaps.told();
        }
    }
}

/// Writes the tail anew, in new segments, from where it is shown like the rest.
pub(super) fn rewrite(log: &Log, scanned: &[Scanned], found: &Found, recovery: &mut Recovery) -> Result<()> {
    let mut appender = log.appender();
    let mut walks = Walks::default();
    for good in &found.tail {
        let Some(file) = scanned.iter().find(|file| file.entry.serial == good.serial) else { continue };
        let walk = walks.at(&file.segment, log.salt(good.serial), good.offset);
        let Walked::Frame(_, frame) = walk.step()? else {
            return Err(Error::corruption(good.serial, good.offset, "a commit changed while it was read"));
        };
        rewrite_frame(log, &mut appender, scanned, &frame)?;
        recovery.frames_rewritten += 1;
    }
    Ok(())
}

fn rewrite_frame(log: &Log, appender: &mut Appender, scanned: &[Scanned], frame: &Frame<'_>) -> Result<()> {
    let mut builder = FrameBuilder::default();
    let mut values = LargeSeries::default();
    for (_, record) in frame.records() {
        let pointer = moved(log, scanned, &mut values, &record.again())?;
        let value = pointer.as_ref().map_or(record.value, |pointer| pointer.as_slice());
        let again = NewRecord { value, ..record.again() };
        if record.shape.is_standalone() {
            publish(log, &mut values)?;
            let content = content_crc(again.key, again.value);
            return log.append(appender, &mut NewFrame::Record(again, content), frame.sequence).map(drop);
        }
        builder.push(&again);
    }
    publish(log, &mut values)?;
    log.append(appender, &mut NewFrame::Batch(&mut builder), frame.sequence).map(drop)
}

/// Writes a large value anew and gives the pointer to it; `None` for other records.
fn moved(
    log: &Log,
    scanned: &[Scanned],
    values: &mut LargeSeries,
    record: &NewRecord<'_>,
) -> Result<Option<[u8; 24]>> {
    if record.kind != Kind::LargePut {
        return Ok(None);
    }
    let pointer = LargePointer::parse(record.value)
        .ok_or_else(|| Error::Internal("a record without a pointer was taken for a good one".to_owned()))?;
    let Some(file) = scanned.iter().find(|file| file.entry.serial == pointer.serial) else {
        // In a segment that was sealed: the value is on the device and stays where it is.
        return Ok(Some(pointer.encode()));
    };
    let bytes = file.segment.read(pointer.offset, LARGE_HEADER_BYTES + pointer.length as usize)?;
    let (header, value) = bytes.split_at_checked(LARGE_HEADER_BYTES).unwrap_or_default();
    log.push_large(values, value, large_owner(header).unwrap_or(0)).map(|pointer| Some(pointer.encode()))
}

/// Lets the values of a frame be read that were written anew. Nothing is given up meanwhile.
fn publish(log: &Log, values: &mut LargeSeries) -> Result<()> {
    log.complete_series(values)?;
    log.publish_series(values);
    Ok(())
}
