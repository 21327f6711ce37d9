//! A log that another process appends to, as one reads it beside that process.
//!
//! # Invariants
//! - What lies above a segment's border may change at any instant, so it is read by calls, into memory of our own, and never through a
//!   map. The border moves behind a frame when the frame's checksums were found to be right in that copy: bytes of a whole frame never
//!   change.
//! - So nothing that is borrowed from a map is ever written to, in whatever process, and a page that is not there any more (a
//!   segment is cut at a close in order) is never touched.

use std::sync::Arc;

use super::dead::Knowledge;
use super::{Log, LogConfig};
use crate::checksum::Salt;
use crate::error::Result;
use crate::manifest::{SegmentEntry, SegmentKind};
use crate::record::{Frame, STANDALONE_HEADER_BYTES};
use crate::segment::Segment;

/// How much is read with one call, unless a frame is longer.
const PIECE_BYTES: usize = 64 << 10;

/// Frames above the border of a segment, one after the other.
#[derive(Debug, Default)]
pub(crate) struct FreshFrames {
    serial: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl FreshFrames {
    /// The frame that stands at this offset by now. `None` where none does, or not the whole of it.
    pub(crate) fn at(&mut self, segment: &Segment, salt: Salt, offset: u64) -> Result<Option<Frame<'_>>> {
        if self.has_frame(segment, salt, offset) {
            return Ok(Frame::parse_known(self.rest(segment, offset)));
        }
        // What was read before may be older than the frame. Mostly there is none, and its header is all that is read.
        let Some(length) = Frame::length(&segment.peek(offset, STANDALONE_HEADER_BYTES)?) else {
            return Ok(None);
        };
        self.bytes = segment.peek(offset, length.max(PIECE_BYTES))?;
        (self.serial, self.start) = (segment.serial(), offset);
        Ok(Frame::parse(&self.bytes, offset, salt))
    }

    fn has_frame(&self, segment: &Segment, salt: Salt, offset: u64) -> bool {
        Frame::parse(self.rest(segment, offset), offset, salt).is_some()
    }

    /// What was read before and stands from this offset on.
    fn rest(&self, segment: &Segment, offset: u64) -> &[u8] {
        let at = offset.checked_sub(self.start).filter(|_| self.serial == segment.serial());
        let at = at.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }
}

impl Log {
    /// Takes in a segment that the other process has made. Its number is one that is free here.
    pub(crate) fn adopt(
        &self,
        entry: SegmentEntry,
        open: impl FnOnce(&LogConfig, &SegmentEntry) -> Result<Arc<Segment>>,
    ) -> Result<()> {
        let number = self.segments.take_number(entry.kind)?;
        let entry = SegmentEntry { slot: number.number, ..entry };
        let segment = open(&self.config, &entry)?;
        let salt = self.salt(entry.serial);
        self.segments.add(segment, salt, entry.kind, number, Knowledge::Nothing)?;
        let mut state = self.state();
        let at = state.manifest.segments.partition_point(|other| other.serial < entry.serial);
        state.manifest.segments.insert(at, entry);
        Ok(())
    }

    /// Whether the log has a segment.
    pub(crate) fn has_segment(&self, serial: u64) -> bool {
        self.segments.by_serial(serial, &self.pin()).is_some()
    }

    /// Nothing is appended any more to a segment of the log, whose last commit this is.
    pub(crate) fn ends(&self, segment: &Segment, last_sequence: u64) {
        self.segments.note_end(segment.slot(), last_sequence);
    }

    /// Serials of the segments that are there, ascending.
    pub(crate) fn serials(&self) -> Vec<u64> {
        self.state().manifest.segments.iter().map(|entry| entry.serial).collect()
    }

    /// Serials of the segments of the log itself behind this one, ascending.
    pub(crate) fn serials_behind(&self, serial: u64) -> Vec<u64> {
        let state = self.state();
        let behind = |entry: &&SegmentEntry| entry.kind == SegmentKind::Log && entry.serial > serial;
        state.manifest.segments.iter().filter(behind).map(|entry| entry.serial).collect()
    }
}
