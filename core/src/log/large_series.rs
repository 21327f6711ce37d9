//! Large values that one writer writes one behind the other, and of which nothing counts before all of them do: those of a
//! commit that is too long for its frame, and those that compaction moves.
//!
//! *Invariant:* until it is published, a series has its segments for itself and nothing of it stands below their borders. So
//! a series that is given up leaves nothing: what it had written is written over.

use std::sync::{Arc, Weak};

use super::Log;
use super::large::{padding, stored_bytes};
use super::state::{SegmentRoom, Unsynced};
use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::options::SEGMENT_BYTES_MAX;
use crate::record::{LARGE_HEADER_BYTES, LargePointer, large_header, large_header_is_intact, large_owner};
use crate::segment::Segment;

/// Short values are gathered until they have so many bytes, and long ones copied so many at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A series that is being written. It keeps no segment open, so that a close waits for nobody.
#[derive(Debug, Default)]
pub(crate) struct LargeSeries {
    /// The last one is being written to.
    segments: Vec<Weak<Segment>>,
    /// Where in it the gathered bytes will stand.
    end: u64,
    gathered: Vec<u8>,
    /// Bytes of all values so far, headers and padding included.
    bytes: u64,
}

/// Where the next value comes to stand.
struct Place {
    segment: Arc<Segment>,
    offset: u64,
}

impl LargeSeries {
    fn last(&self) -> Result<Option<Arc<Segment>>> {
        self.segments.last().map(|segment| segment.upgrade().ok_or(Error::Closed)).transpose()
    }

    /// Where the next byte goes in the segment that is being written to.
    fn position(&self) -> u64 {
        self.end + self.gathered.len() as u64
    }
}

impl Log {
    /// Copies a value into a series, piece by piece, and tells where it will be found; `None` where the value is damaged.
    /// `go_on` is asked before each piece. After an error the series can only be given up.
    pub(crate) fn copy_into_series(
        &self,
        series: &mut LargeSeries,
        source: &Segment,
        pointer: &LargePointer,
        go_on: &dyn Fn(u64) -> Result<()>,
    ) -> Result<Option<LargePointer>> {
        let LargePointer { offset: from, length, crc, .. } = *pointer;
        let Place { segment, offset } = self.next_place(series, stored_bytes(length))?;
        let header = source.read(from, LARGE_HEADER_BYTES)?;
        if !large_header_is_intact(&header, pointer, self.salt(source.serial()).at(from)) {
            return Ok(None);
        }
        let owner = large_owner(&header).unwrap_or(0);
        let header = large_header(length, owner, crc, self.salt(segment.serial()).at(offset));
        series.gathered.extend_from_slice(&header);
        let (mut at, mut found) = (0, 0);
        while at < length as usize {
            let piece_bytes = (length as usize - at).min(PIECE_BYTES);
            go_on(piece_bytes as u64)?;
            let start = series.gathered.len();
            series.gathered.resize(start + piece_bytes, 0);
            let piece = series.gathered.get_mut(start..).unwrap_or_default();
            source.read_into(from + (LARGE_HEADER_BYTES + at) as u64, piece)?;
            found = crc32c(found, piece);
            at += piece_bytes;
            if series.gathered.len() >= PIECE_BYTES {
                self.write_gathered(series)?;
            }
        }
        series.gathered.extend_from_slice(padding(length));
        series.bytes += stored_bytes(length);
        let copied = LargePointer { serial: segment.serial(), offset, length, crc };
        Ok((found == crc).then_some(copied))
    }

    /// Sees to it that the next value has room behind the last one, and tells where.
    fn next_place(&self, series: &mut LargeSeries, needed: u64) -> Result<Place> {
        if let Some(segment) = series.last()?
            && segment.capacity() - series.position() >= needed
        {
            return Ok(Place { segment, offset: series.position() });
        }
        self.write_gathered(series)?;
        // The longer a series is, the longer are its segments: there are not many of them, and not much is left over.
        let wanted = (series.bytes / 2).min(SEGMENT_BYTES_MAX - SEGMENT_HEADER_BYTES as u64);
        let segment = self.check_out(needed, wanted)?;
        series.end = segment.published();
        series.segments.push(Arc::downgrade(&segment));
        Ok(Place { offset: series.end, segment })
    }

    fn write_gathered(&self, series: &mut LargeSeries) -> Result<()> {
        let Some(segment) = series.last()?.filter(|_| !series.gathered.is_empty()) else { return Ok(()) };
        self.append_to_series(&segment, series.end, &[&series.gathered])?;
        series.end += series.gathered.len() as u64;
        series.gathered.clear();
        Ok(())
    }

    fn append_to_series(&self, segment: &Segment, offset: u64, parts: &[&[u8]]) -> Result<()> {
        let _under_way = self.begin_large_call()?;
        segment.append_at(offset, parts).map_err(|error| self.failed_large(error))
    }

    /// Begins a series in a segment of its own, with room for just so many bytes.
    pub(crate) fn begin_moved_values(&self, bytes: u64) -> Result<LargeSeries> {
        let segment = self.create_large_segment(SegmentRoom::Exact(bytes))?;
        let segments = vec![Arc::downgrade(&segment)];
        Ok(LargeSeries { segments, end: segment.published(), ..LargeSeries::default() })
    }

    /// Publishes a series that was begun so and puts it on the device, sealed. Nothing names its values yet.
    pub(crate) fn end_moved_values(&self, mut series: LargeSeries) -> Result<()> {
        self.write_gathered(&mut series)?;
        let segments: Vec<_> = series.segments.iter().filter_map(Weak::upgrade).collect();
        segments.iter().for_each(|segment| segment.publish(u64::MAX));
        self.seal_large(&segments)
    }

    /// Gives up a series that was begun so: its segment is sealed by the next sync, without anything in it.
    pub(crate) fn abandon_moved_values(&self, series: &LargeSeries) {
        series.segments.iter().filter_map(Weak::upgrade).for_each(|segment| self.note_full(&segment));
    }

    /// Seals the segments of large values that nobody writes to and that have values for which `is_wanted` says yes by their
    /// serial and the bytes of their content.
    pub(crate) fn end_large_segments(&self, is_wanted: &dyn Fn(u64, u64) -> bool) -> Result<()> {
        let content = |segment: &Segment| segment.published() - SEGMENT_HEADER_BYTES as u64;
        let wanted =
            |segment: &Arc<Segment>| content(segment) > 0 && is_wanted(segment.serial(), content(segment));
        let taken = self.large.lock().take_idle(wanted);
        // Whatever comes of it, nobody writes to them any more.
        taken.iter().for_each(|segment| self.note_full(segment));
        if taken.is_empty() { Ok(()) } else { self.seal_large(&taken) }
    }

    /// Puts segments of large values on the device and seals them. Nobody writes to them.
    fn seal_large(&self, segments: &[Arc<Segment>]) -> Result<()> {
        // Most of it before our turn, so that commits which wait for the device do not wait for this.
        self.sync_segments(segments.iter())?;
        // A sync that is under way may seal them as well.
        let _turn = self.sync_turn.lock();
        let serials: Vec<u64> = segments.iter().map(|segment| segment.serial()).collect();
        let is_meant = |one: &&Unsynced| serials.contains(&one.segment.serial());
        let open: Vec<Unsynced> = self.state.lock().large.iter().filter(is_meant).cloned().collect();
        self.sync_segments(open.iter().map(|one| &one.segment))?;
        let mut state = self.state.lock();
        for one in &open {
            one.segment.seal();
            state.seal(&one.segment, 0);
        }
        state.large.retain(|one| !is_meant(&one));
        self.write_manifest(&mut state)
    }

    fn sync_segments<'a>(&self, mut segments: impl Iterator<Item = &'a Arc<Segment>>) -> Result<()> {
        self.check_not_poisoned()?;
        segments.try_for_each(|segment| {
            self.check_in_place(segment)?;
            segment.sync().map_err(|error| self.poisoned_by(error))
        })
    }
}
