//! Large values that one writer writes one behind the other, and of which nothing counts before all of them do: those of a
//! commit that is too long for its frame, and those that compaction moves.
//!
//! *Invariant:* until it is published, a series has its segments for itself and nothing of it stands below their borders. So
//! a series that is given up leaves nothing: what it had written is written over.

use std::sync::{Arc, Weak};

use super::Log;
use super::large::{padding, stored_bytes};
use super::room::Claim;
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
    /// Each with the end of what was written to it. The last one is being written to.
    segments: Vec<(Weak<Segment>, u64)>,
    /// What comes next there.
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
    /// Bytes of all values so far, headers and padding included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn last(&self) -> Result<Option<Arc<Segment>>> {
        self.segments.last().map(|(segment, _)| segment.upgrade().ok_or(Error::Closed)).transpose()
    }

    /// End of what was written to the segment that is being written to.
    fn end(&self) -> u64 {
        self.segments.last().map_or(0, |(_, end)| *end)
    }

    fn set_end(&mut self, to: u64) {
        self.segments.last_mut().into_iter().for_each(|(_, end)| *end = to);
    }

    /// Where the next byte goes.
    fn position(&self) -> u64 {
        self.end() + self.gathered.len() as u64
    }

    /// Forgets what was gathered behind this place.
    fn go_back(&mut self, position: u64) {
        self.gathered.truncate(position.saturating_sub(self.end()) as usize);
    }

    /// The segments, each with the end of what was written to it.
    fn written(&self) -> impl Iterator<Item = (Arc<Segment>, u64)> {
        self.segments.iter().filter_map(|(segment, end)| Some((segment.upgrade()?, *end)))
    }
}

impl Log {
    /// Writes one more value of a series and tells where it will be found. `owner` is the hash of its keyspace and key. After an
    /// error the series is as it was before.
    pub(crate) fn push_large(
        &self,
        series: &mut LargeSeries,
        value: &[u8],
        owner: u64,
    ) -> Result<LargePointer> {
        let length = u32::try_from(value.len())
            .map_err(|_| Error::Internal("a value over the limit came as far as the log".to_owned()))?;
        let Place { segment, offset } = self.next_place(series, stored_bytes(length))?;
        let crc = crc32c(0, value);
        let header = large_header(length, owner, crc, self.salt(segment.serial()).at(offset));
        let parts = [&header[..], value, padding(length)];
        if stored_bytes(length) <= PIECE_BYTES as u64 {
            parts.into_iter().for_each(|part| series.gathered.extend_from_slice(part));
            if series.gathered.len() >= PIECE_BYTES {
                self.write_gathered(series).inspect_err(|_| series.go_back(offset))?;
            }
        } else {
            self.write_gathered(series)?;
            self.append_to_series(&segment, offset, &parts)?;
            series.set_end(offset + stored_bytes(length));
        }
        series.bytes += stored_bytes(length);
        Ok(LargePointer { serial: segment.serial(), offset, length, crc })
    }

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
        let offset = segment.published();
        series.segments.push((Arc::downgrade(&segment), offset));
        Ok(Place { segment, offset })
    }

    fn write_gathered(&self, series: &mut LargeSeries) -> Result<()> {
        let Some(segment) = series.last()?.filter(|_| !series.gathered.is_empty()) else { return Ok(()) };
        self.append_to_series(&segment, series.end(), &[&series.gathered])?;
        series.set_end(series.position());
        series.gathered.clear();
        Ok(())
    }

    fn append_to_series(&self, segment: &Segment, offset: u64, parts: &[&[u8]]) -> Result<()> {
        let _under_way = self.begin_large_call()?;
        segment.append_at(offset, parts).map_err(|error| self.failed_append(error))
    }

    /// Writes what is only gathered yet: all that [`Log::publish_series`] needs.
    pub(crate) fn complete_series(&self, series: &mut LargeSeries) -> Result<()> {
        self.write_gathered(series)
    }

    /// Lets all values of a complete series be read, and gives its segments to the next ones. Whoever calls it holds a guard
    /// until records name the values: nothing else tells until then that the segments are of use.
    pub(crate) fn publish_series(&self, series: &LargeSeries) {
        for (segment, end) in series.written() {
            self.publish_large(&segment, end);
            self.give_back(segment);
        }
    }

    /// Gives up a series. Of segments that were made for it one is kept for the next values; the others are sealed as they are.
    pub(crate) fn abandon_series(&self, series: &LargeSeries) {
        for (number, (segment, _)) in series.written().enumerate() {
            match number > 0 && segment.published() == SEGMENT_HEADER_BYTES as u64 {
                true => self.note_full(&segment),
                false => self.give_back(segment),
            }
        }
    }

    /// Begins a series in a segment of its own, with room for just so many bytes.
    pub(crate) fn begin_moved_values(&self, bytes: u64) -> Result<LargeSeries> {
        let segment = self.create_large_segment(Claim::Compacts, SegmentRoom::Exact(bytes))?;
        let segments = vec![(Arc::downgrade(&segment), segment.published())];
        Ok(LargeSeries { segments, ..LargeSeries::default() })
    }

    /// Publishes a series that was begun so and puts it on the device, sealed. Nothing names its values yet.
    pub(crate) fn end_moved_values(&self, mut series: LargeSeries) -> Result<()> {
        self.write_gathered(&mut series)?;
        series.written().for_each(|(segment, end)| segment.publish(end));
        let segments: Vec<_> = series.written().map(|(segment, _)| segment).collect();
        self.seal_large(&segments)
    }

    /// Gives up a series that was begun so: its segment is sealed by the next sync, without anything in it.
    pub(crate) fn abandon_moved_values(&self, series: &LargeSeries) {
        series.written().for_each(|(segment, _)| self.note_full(&segment));
    }

    /// Seals the segments of large values that are full, and those that nobody writes to and that are wanted, by their serial and
    /// the bytes of their content.
    pub(crate) fn end_large_segments(&self, is_wanted: &dyn Fn(u64, u64) -> bool) -> Result<()> {
        let content = |segment: &Segment| segment.published() - SEGMENT_HEADER_BYTES as u64;
        let wanted = |segment: &Arc<Segment>| is_wanted(segment.serial(), content(segment));
        let taken = self.large.lock().take_idle(wanted);
        // Whatever comes of it, nobody writes to them any more.
        taken.iter().for_each(|segment| self.note_full(segment));
        let is_full = |one: &&Unsynced| one.full.is_some();
        let full: Vec<_> = self.state().large.iter().filter(is_full).cloned().collect();
        let full: Vec<_> = full.into_iter().map(|one| one.segment).collect();
        if full.is_empty() { Ok(()) } else { self.seal_large(&full) }
    }

    /// Puts segments of large values on the device and seals them. Nobody writes to them.
    fn seal_large(&self, segments: &[Arc<Segment>]) -> Result<()> {
        // Most of it before our turn, so that commits which wait for the device do not wait for this.
        self.sync_segments(segments.iter())?;
        // A sync that is under way may seal them as well.
        let _turn = self.sync_turns.take();
        let serials: Vec<u64> = segments.iter().map(|segment| segment.serial()).collect();
        let is_meant = |one: &&Unsynced| serials.contains(&one.segment.serial());
        let open: Vec<Unsynced> = self.state().large.iter().filter(is_meant).cloned().collect();
        self.sync_segments(open.iter().map(|one| &one.segment))?;
        let mut state = self.state();
        for one in &open {
            one.segment.seal();
            state.seal(&one.segment, 0);
        }
        state.large.retain(|one| !is_meant(&one));
        self.write_manifest(&mut state)?;
        let is_named = state.reaches_device();
        drop(state);
        open.iter().filter(|_| is_named).for_each(|one| one.segment.cut_tail());
        Ok(())
    }
}
