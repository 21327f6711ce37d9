//! Commits that are missing between two that can be read: where a damaged database is read.
//!
//! What a segment that was open has lost at its end leaves zeros, with which it was made. So nothing in it tells, but the first commit
//! of the next segment does: two segments are open at a time, and while a manifest is waited for more of them.

use crate::log::Log;
use crate::manifest::SegmentKind;
use crate::record::Frame;

/// The frames of the log so far, segment by segment.
#[derive(Debug)]
pub(super) struct Gaps {
    /// Of the segments of all kinds, ascending.
    serials: Vec<u64>,
    /// The segment that is read, and whether it follows the last frame: nothing can have been given up between them.
    serial: u64,
    was_open: bool,
    follows: bool,
    /// The last commit, and whether damage behind it was told.
    last: u64,
    is_told: bool,
    /// The highest watermark that any frame carries.
    watermark: u64,
    /// First and last commits that are missing.
    found: Vec<(u64, u64)>,
}

impl Gaps {
    pub(super) fn new(log: &Log) -> Gaps {
        let kinds = [SegmentKind::Log, SegmentKind::Copy, SegmentKind::Large];
        let of_kind = |kind| log.segments_of(kind).into_iter().map(|(entry, _)| entry.serial);
        let mut serials: Vec<u64> = kinds.into_iter().flat_map(of_kind).collect();
        serials.sort_unstable();
        let (serial, was_open, follows, is_told) = (0, false, true, false);
        Gaps { serials, serial, was_open, follows, last: 0, is_told, watermark: 0, found: Vec::new() }
    }

    /// Begins the next segment of the log. It follows the one before if no number is missing between them, or if both were open, and
    /// those are the newest there are.
    pub(super) fn segment(&mut self, serial: u64, was_open: bool) {
        let place = |serial| self.serials.partition_point(|other| *other < serial) as u64;
        let numbers = serial.saturating_sub(self.serial);
        let is_next = place(serial).saturating_sub(place(self.serial + 1)) + 1 == numbers;
        // One that has no frame has nothing to follow.
        self.follows &= self.was_open && was_open || is_next;
        (self.serial, self.was_open) = (serial, was_open);
    }

    /// Takes the next frame of that segment.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        let expected = self.last + 1;
        if frame.sequence > expected && self.follows && !self.is_told {
            self.found.push((expected, frame.sequence - 1));
        }
        self.last = self.last.max(frame.sequence);
        self.watermark = self.watermark.max(frame.watermark());
        (self.follows, self.is_told) = (true, false);
    }

    /// Bytes behind the last frame were told to be damaged.
    pub(super) fn told(&mut self) {
        self.is_told = true;
    }

    /// A sentence for each gap of which commits are known to have been on the device: those up to `marked`, or up to where a frame
    /// tells it.
    pub(super) fn sentences(self, marked: u64) -> impl Iterator<Item = String> {
        let durable = marked.max(self.watermark);
        let known = self.found.into_iter().filter(move |(first, _)| *first <= durable);
        known.map(move |(first, last)| sentence(first, last.min(durable)))
    }
}

/// No bytes are left of them that would tell: where they stood there are zeros.
pub(super) fn sentence(first: u64, last: u64) -> String {
    format!("commits {first} to {last} had been on the device and are gone")
}
