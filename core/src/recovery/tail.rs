//! Where the log ends, and which part of it is known to be on the device.

use std::collections::HashMap;
use std::sync::Arc;

use crate::checksum::Salt;
use crate::error::{Error, Result};
use crate::log::{FrameWalk, LogConfig, Walked};
use crate::manifest::{Manifest, SEGMENT_HEADER_BYTES, SegmentKind};
use crate::mark::Mark;
use crate::record::{ALIGNMENT, Frame, Kind, LARGE_HEADER_BYTES, LargePointer, large_is_intact};
use crate::segment::Segment;

use super::Recovery;
use super::files::Scanned;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// Most bytes of what only looks like frames that are checksummed behind the end of a segment.
const SEARCH_BYTES_MAX: u64 = 1 << 30;

/// A good frame of a segment that was open.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoodFrame {
    pub(super) serial: u64,
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) sequence: u64,
    /// Whether it names large values, so that it has to be looked at again.
    names_large: bool,
}

/// The end of the log as it was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) clean: bool,
    /// Every commit up to this one is known to be on the device.
    pub(super) durable: u64,
    /// Good frames behind the durable ones: to be written anew.
    pub(super) tail: Vec<GoodFrame>,
    /// What is durable of the log segments that were open, oldest first.
    durable_parts: Vec<DurablePart>,
    /// By serial of an open segment of large values: where the last value ends that a durable commit names.
    large_ends: HashMap<u64, u64>,
    /// Where reading stopped before something other than zeros: serial, offset, bytes.
    torn: Option<(u64, u64, u64)>,
}

/// The commits of one log segment that are durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct DurablePart {
    serial: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Where the last one ends.
    end: u64,
}

impl Found {
    /// What is durable of a log segment that was open; `None` where nothing is.
    pub(super) fn durable_part(&self, serial: u64) -> Option<&DurablePart> {
        self.durable_parts.iter().find(|part| part.serial == serial)
    }

    /// Where the durable content ends of a segment that was open; `None` where nothing tells.
    pub(super) fn cut(&self, serial: u64) -> Option<u64> {
        let part = self.durable_part(serial).map(|part| part.end);
        part.or_else(|| self.large_ends.get(&serial).copied())
    }

    /// The last commit of the log.
    pub(super) fn last_sequence(&self) -> u64 {
        self.tail.last().map_or(self.durable, |frame| frame.sequence)
    }

    pub(super) fn report(&self, recovery: &mut Recovery) {
        if let Some((serial, offset, bytes)) = self.torn {
            (recovery.torn_segment, recovery.torn_offset, recovery.bytes_dropped) = (serial, offset, bytes);
        }
    }
}

/// Good frames of the segments that were open, and what can be learned from the bytes behind them.
#[derive(Debug, Default)]
struct Scan {
    frames: Vec<GoodFrame>,
    /// The highest watermark that any frame carries.
    watermark: u64,
    /// Where reading stopped for good: serial, offset.
    stopped: Option<(u64, u64)>,
    torn: Option<(u64, u64, u64)>,
}

/// Finds the end of the log.
pub(super) fn find_end(
    config: &LogConfig,
    manifest: &Manifest,
    mark: Option<Mark>,
    files: &[Scanned],
) -> Result<Found> {
    if manifest.clean {
        return Ok(Found { clean: true, durable: manifest.durable_sequence, ..Found::default() });
    }
    let log = |file: &&Scanned| file.entry.kind == SegmentKind::Log;
    let sealed = files.iter().filter(log).filter(|file| file.entry.sealed);
    // Segments are sealed when everything in them is on the device.
    let sealed_to = sealed.map(|file| file.entry.last_sequence).max().unwrap_or(0).max(manifest.retired_to);
    let mut expected = 1 + sealed_to;
    let mut scan = Scan::default();
    for file in files.iter().filter(log).filter(|file| !file.entry.sealed) {
        scan.segment(config, file, &mut expected)?;
    }
    let marked = mark.map_or(0, |mark| mark.durable);
    let durable = manifest.durable_sequence.max(scan.watermark).max(marked).max(sealed_to);
    if expected <= durable {
        let (serial, offset) = scan.stopped.unwrap_or((0, 0));
        let reason = format!("commit {expected} had been on the device and cannot be read any more");
        return Err(Error::corruption(serial, offset, reason));
    }
    let mut found = Found { durable, torn: scan.torn, ..Found::default() };
    found.divide(config, files, &scan, &large_segments(files))?;
    Ok(found)
}

/// Segments of large values by serial.
pub(super) type LargeSegments<'a> = HashMap<u64, &'a Arc<Segment>>;

pub(super) fn large_segments(files: &[Scanned]) -> LargeSegments<'_> {
    let large = files.iter().filter(|file| file.entry.kind == SegmentKind::Large);
    large.map(|file| (file.entry.serial, &file.segment)).collect()
}

impl Scan {
    /// Reads one segment: good frames as far as they go, and then whatever else can be found in it.
    fn segment(&mut self, config: &LogConfig, file: &Scanned, expected: &mut u64) -> Result<()> {
        let serial = file.entry.serial;
        let mut walk = FrameWalk::new(&file.segment, Salt::new(config.identity, serial), HEADER);
        let stopped = loop {
            match walk.step()? {
                Walked::Frame(offset, frame) if frame.sequence == *expected => {
                    let end = offset + frame.bytes as u64;
                    self.watermark = self.watermark.max(frame.watermark());
                    let names_large = frame.records().any(|(_, record)| record.shape.kind == Kind::LargePut);
                    self.frames.push(GoodFrame {
                        serial,
                        offset,
                        end,
                        sequence: frame.sequence,
                        names_large,
                    });
                    *expected += 1;
                    self.stopped = None;
                }
                Walked::Frame(offset, frame) => {
                    // A whole frame, but others before it are missing.
                    self.watermark = self.watermark.max(frame.watermark());
                    break offset;
                }
                Walked::Stopped(offset) => break offset,
            }
        };
        self.stopped.get_or_insert((serial, stopped));
        self.behind(&mut walk, serial, stopped, *expected)
    }

    /// Looks for frames behind the end: they are never taken, but they tell what had been durable.
    fn behind(&mut self, walk: &mut FrameWalk<'_>, serial: u64, stopped: u64, expected: u64) -> Result<()> {
        let mut last = walk.position();
        let mut budget = SEARCH_BYTES_MAX;
        loop {
            // Only a frame that would tell something new is worth its checksums: bytes of a value may look like frames.
            let tells = walk.claim()?.is_some_and(|(sequence, lag)| {
                let watermark = sequence.saturating_sub(u64::from(lag));
                sequence > expected && watermark > self.watermark && watermark < sequence
            });
            let found = if tells && budget > 0 { walk.step()? } else { Walked::Stopped(walk.position()) };
            match found {
                Walked::Frame(_, frame) => {
                    self.watermark = self.watermark.max(frame.watermark());
                    last = walk.position();
                }
                Walked::Stopped(offset) => {
                    if tells {
                        budget = budget.saturating_sub(walk.claimed_bytes()?);
                    }
                    if walk.is_nonzero()? {
                        last = offset + ALIGNMENT as u64;
                    }
                    if !walk.skip()? {
                        break;
                    }
                }
            }
        }
        if last > stopped && self.torn.is_none() {
            self.torn = Some((serial, stopped, last - stopped));
        }
        Ok(())
    }
}

impl Found {
    /// Divides the good frames into those that are durable and the tail. The tail ends early where a large value of it
    /// never reached the device.
    fn divide(
        &mut self,
        config: &LogConfig,
        files: &[Scanned],
        scan: &Scan,
        large: &LargeSegments<'_>,
    ) -> Result<()> {
        let by_serial: HashMap<u64, &Arc<Segment>> =
            files.iter().map(|file| (file.entry.serial, &file.segment)).collect();
        let mut walks = Walks::default();
        for good in &scan.frames {
            if !good.names_large {
                // Nothing beside the frame itself decides, and that was found to be good.
                self.take(good);
                continue;
            }
            let Some(segment) = by_serial.get(&good.serial) else { continue };
            let walk = walks.at(segment, Salt::new(config.identity, good.serial), good.offset);
            let Walked::Frame(_, frame) = walk.step()? else { continue };
            if good.sequence <= self.durable {
                self.take(good);
                self.keep_large(&frame, large);
            } else if all_large_are_whole(config, &frame, large) {
                self.take(good);
            } else {
                let dropped = (good.serial, good.offset, good.end - good.offset);
                self.torn.get_or_insert(dropped);
                break;
            }
        }
        Ok(())
    }

    /// A frame of the tail was put on the device where it stands.
    pub(super) fn is_durable_now(&mut self, good: &GoodFrame, frame: &Frame<'_>, large: &LargeSegments<'_>) {
        self.durable = good.sequence;
        self.take(good);
        self.keep_large(frame, large);
    }

    /// Puts a frame to the durable ones or to the tail.
    fn take(&mut self, good: &GoodFrame) {
        if good.sequence <= self.durable {
            let GoodFrame { serial, end, sequence, .. } = *good;
            match self.durable_parts.last_mut() {
                Some(part) if part.serial == serial => (part.last, part.end) = (sequence, end),
                _ => self.durable_parts.push(DurablePart { serial, first: sequence, last: sequence, end }),
            }
        } else {
            self.tail.push(*good);
        }
    }

    /// Moves the cut of large-value segments behind the values that a durable frame names.
    fn keep_large(&mut self, frame: &Frame<'_>, large: &LargeSegments<'_>) {
        for pointer in large_pointers(frame).filter(|pointer| large.contains_key(&pointer.serial)) {
            let end = pointer.offset.saturating_add(pointer.stored_bytes());
            let known = self.large_ends.entry(pointer.serial).or_insert(0);
            *known = end.max(*known);
        }
    }
}

/// A walk that is kept from frame to frame of one segment, so that without a map each piece of it is read once.
#[derive(Debug, Default)]
pub(super) struct Walks<'a> {
    current: Option<(u64, FrameWalk<'a>)>,
}

impl<'a> Walks<'a> {
    pub(super) fn at(&mut self, segment: &'a Segment, salt: Salt, offset: u64) -> &mut FrameWalk<'a> {
        let serial = segment.serial();
        if self.current.as_ref().is_none_or(|(current, _)| *current != serial) {
            self.current = None;
        }
        let (_, walk) = self.current.get_or_insert_with(|| (serial, FrameWalk::new(segment, salt, offset)));
        walk.seek(offset);
        walk
    }
}

pub(crate) fn large_pointers<'a>(frame: &Frame<'a>) -> impl Iterator<Item = LargePointer> + use<'a> {
    let large = frame.records().filter(|(_, record)| record.shape.kind == Kind::LargePut);
    large.filter_map(|(_, record)| LargePointer::parse(record.value))
}

fn all_large_are_whole(config: &LogConfig, frame: &Frame<'_>, large: &LargeSegments<'_>) -> bool {
    let named = frame.records().filter(|(_, record)| record.shape.kind == Kind::LargePut).count();
    named == large_pointers(frame).count()
        && large_pointers(frame).all(|pointer| {
            let Some(segment) = large.get(&pointer.serial) else { return false };
            let salt = Salt::new(config.identity, pointer.serial).at(pointer.offset);
            let Ok(bytes) = segment.read(pointer.offset, LARGE_HEADER_BYTES + pointer.length as usize) else {
                return false;
            };
            large_is_intact(&bytes, &pointer, salt)
        })
}
