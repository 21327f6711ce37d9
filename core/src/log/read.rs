//! Reading records by location, large values by pointer, and whole segments frame by frame.

use std::ops::Range;

use super::segments::{Live, Slot};
use super::{LargeRead, Log};
use crate::checksum::Salt;
use crate::compression::unpack;
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::manifest::SegmentKind;
use crate::prefetch::prefetch_all;
use crate::record::{
    ALIGNMENT, Frame, Kind, LARGE_HEADER_BYTES, LargePointer, Record, RecordShape, SEQUENCE_AT,
    STANDALONE_HEADER_BYTES, claim, large_is_intact, u64_at,
};
use crate::segment::{Bytes, Segment, Slice};

/// What the first read of a record without a map asks for beside its header and key: most values fit.
const FIRST_READ_BYTES: usize = 512;
/// What a walk over a segment without a map reads at a time.
const WALK_BYTES: usize = 1 << 20;
/// What a walk over a map asks the system for at a time, ahead of where it is.
const ASKED_BYTES: usize = 1 << 20;

/// Where most of a short value stands behind a key, of which the beginning is asked for by itself.
const REST_BYTES: Range<usize> = 64..192;

/// Records that are not farther apart are asked of the system together.
const GAP_BYTES: u64 = 16 << 10;
/// What is asked for of a record at the end of such a range.
const LAST_BYTES: u64 = 1 << 10;
/// Where so many records lie in one range, those that are wanted next will lie behind it, and are asked for with it.
const IN_ORDER_MIN: usize = 3;
pub(crate) const BEHIND_BYTES: u64 = 256 << 10;

/// A record at its place.
#[derive(Debug)]
pub(crate) struct RecordAt<'a> {
    slot: &'a Slot,
    pub(crate) location: Location,
    /// From the record's beginning; at least all of it.
    bytes: Bytes<'a>,
    shape: RecordShape,
}

/// A value, for as long as one likes.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    bytes: Slice,
    start: usize,
    end: usize,
}

impl std::ops::Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

#[cold]
fn no_segment(location: Location) -> Error {
    Error::Internal(format!("no segment in slot {}", location.slot()))
}

#[cold]
fn damaged(slot: &Slot, offset: u64, reason: &str) -> Error {
    let reason = format!("{reason} (in {})", slot.segment.path().display());
    Error::corruption(slot.segment.serial(), offset, reason)
}

impl Log {
    #[inline]
    fn slot<'g>(&'g self, location: Location, guard: &'g Guard) -> Result<&'g Slot> {
        self.segments.get(location.slot(), guard).ok_or_else(|| no_segment(location))
    }

    /// Serial of the segment in a location's slot.
    pub(crate) fn serial(&self, location: Location, guard: &Guard) -> Result<u64> {
        Ok(self.slot(location, guard)?.segment.serial())
    }

    /// Counts a record as live, and the large value that it names.
    #[inline]
    pub(crate) fn count_live(
        &self,
        location: Location,
        stored_bytes: u64,
        large: Option<&LargePointer>,
        guard: &Guard,
    ) {
        self.count(location, large, guard, |slot| slot.live.add(stored_bytes), Live::add);
    }

    /// Counts a record as dead that was live, and the large value that it names.
    #[inline]
    pub(crate) fn count_dead(
        &self,
        location: Location,
        stored_bytes: u64,
        large: Option<&LargePointer>,
        guard: &Guard,
    ) {
        let dead = |slot: &Slot| {
            slot.live.remove(stored_bytes);
            slot.dead.note(location.offset());
        };
        self.count(location, large, guard, dead, Live::remove);
    }

    /// Notes that a record is dead, be it one that never was live. Called under the commit lock, before a snapshot can begin that
    /// has the commit which made it dead.
    #[inline]
    pub(crate) fn note_dead(&self, location: Location, guard: &Guard) {
        if let Some(slot) = self.segments.get(location.slot(), guard) {
            slot.dead.note(location.offset());
        }
    }

    #[inline]
    fn count(
        &self,
        location: Location,
        large: Option<&LargePointer>,
        guard: &Guard,
        record: impl FnOnce(&Slot),
        value: impl FnOnce(&Live, u64),
    ) {
        if let Some(slot) = self.segments.get(location.slot(), guard) {
            record(slot);
        }
        let named =
            large.and_then(|pointer| Some((pointer, self.segments.by_serial(pointer.serial, guard)?)));
        if let Some((pointer, slot)) = named {
            value(&slot.live, pointer.stored_bytes());
        }
    }

    /// The record at `location` if it is of this key; otherwise only its hash is like the key's.
    #[inline(always)]
    pub(crate) fn find<'g>(
        &'g self,
        location: Location,
        keyspace: u16,
        key: &[u8],
        guard: &'g Guard,
    ) -> Result<Option<RecordAt<'g>>> {
        let slot = self.slot(location, guard)?;
        let offset = location.offset();
        let bytes = first_read(&slot.segment, offset, key.len())?;
        let Some(shape) = RecordShape::parse(&bytes) else {
            return Err(damaged(slot, offset, "the index leads here, but there is no record"));
        };
        let is_the_key = shape.may_be(keyspace, key)
            && bytes.get(shape.header_bytes..shape.header_bytes + key.len()) == Some(key);
        let record = RecordAt { slot, location, bytes, shape };
        if is_the_key { Ok(Some(record)) } else { record.of_another_key() }
    }

    /// The record at a location that is known to lead to one.
    pub(crate) fn record_at<'g>(&'g self, location: Location, guard: &'g Guard) -> Result<RecordAt<'g>> {
        let slot = self.slot(location, guard)?;
        let offset = location.offset();
        let bytes = first_read(&slot.segment, offset, 0)?;
        let shape =
            RecordShape::parse(&bytes).ok_or_else(|| damaged(slot, offset, "there is no record here"))?;
        Ok(RecordAt { slot, location, bytes, shape })
    }

    /// Starts loading what a record mostly has behind its first cache line, while that is waited for.
    #[inline(always)]
    pub(crate) fn prefetch_rest(&self, location: Location, guard: &Guard) {
        self.prefetch(location, REST_BYTES, guard);
    }

    /// Starts loading these bytes of the record at `location`, where they are mapped, and does not wait. What has been paged
    /// out is not fetched.
    #[inline(always)]
    pub(crate) fn prefetch(&self, location: Location, bytes: Range<usize>, guard: &Guard) {
        let slot = self.segments.get(location.slot(), guard);
        let offset = location.offset() + bytes.start as u64;
        if let Some(bytes) = slot.and_then(|slot| slot.segment.borrow(offset, bytes.len())) {
            prefetch_all(bytes);
        }
    }

    /// Starts loading what tells the sequence of the record at `location`, where that stands elsewhere and will be looked at by
    /// whoever asks for its state at `sequence`.
    #[inline]
    pub(crate) fn prefetch_sequence(&self, location: Location, sequence: u64, guard: &Guard) {
        let Some(slot) = self.segments.get(location.slot(), guard) else { return };
        if slot.is_older_than(sequence) {
            return;
        }
        let offset = location.offset();
        let header = slot.segment.borrow(offset, STANDALONE_HEADER_BYTES);
        let base = header.and_then(RecordShape::parse).and_then(|shape| shape.sequence_base(offset));
        if let Some(base) = base.filter(|base| *base != offset)
            && let Some(bytes) = slot.segment.borrow(base + SEQUENCE_AT, 8)
        {
            prefetch_all(bytes);
        }
    }

    /// Asks the system for a range that will be read, where it is mapped, and does not wait.
    pub(crate) fn read_soon(&self, slot: u16, offset: u64, length: u64, guard: &Guard) {
        if let (Some(slot), Ok(length)) = (self.segments.get(slot, guard), usize::try_from(length)) {
            slot.segment.read_soon(offset, length);
        }
    }

    /// Asks the system for the pages of these records, given by slot and offset; those that lie near each other together, and what
    /// lies behind many of them with them.
    pub(crate) fn read_soon_near(&self, mut places: Vec<(u16, u64)>, guard: &Guard) {
        places.sort_unstable();
        for near in places.chunk_by(|(slot, at), (next, next_at)| slot == next && next_at - at <= GAP_BYTES) {
            let (Some((slot, first)), Some((_, last))) = (near.first(), near.last()) else { continue };
            let behind = if near.len() >= IN_ORDER_MIN { BEHIND_BYTES } else { LAST_BYTES };
            self.read_soon(*slot, *first, last - first + behind, guard);
        }
    }

    /// Where the large value that a record names is.
    pub(super) fn large_slot<'g>(&'g self, pointer: &LargePointer, guard: &'g Guard) -> Result<&'g Slot> {
        self.segments.by_serial(pointer.serial, guard).ok_or_else(|| {
            Error::corruption(
                pointer.serial,
                pointer.offset,
                "a value is said to be here, but there is no segment",
            )
        })
    }

    /// The large value that a record names, checked.
    fn large_value(&self, pointer: &LargePointer) -> Result<Slice> {
        let guard = self.pin();
        read_large(self.large_slot(pointer, &guard)?, pointer)
    }

    /// A large value, owned.
    pub(crate) fn copy_large(&self, pointer: &LargePointer) -> Result<Vec<u8>> {
        let bytes = self.large_value(pointer)?;
        Ok(bytes
            .get(LARGE_HEADER_BYTES..LARGE_HEADER_BYTES + pointer.length as usize)
            .unwrap_or_default()
            .to_vec())
    }
}

#[inline]
fn first_read(segment: &Segment, offset: u64, key_bytes: usize) -> Result<Bytes<'_>> {
    let published = segment.published();
    let rest = usize::try_from(published.saturating_sub(offset)).unwrap_or(0);
    if let Some(mapped) = segment.borrow(offset, rest) {
        return Ok(Bytes::Mapped(mapped));
    }
    segment.read_at_most(offset, STANDALONE_HEADER_BYTES + key_bytes + FIRST_READ_BYTES)
}

fn read_large(slot: &Slot, pointer: &LargePointer) -> Result<Slice> {
    let length = LARGE_HEADER_BYTES + pointer.length as usize;
    let bytes = slot.segment.slice(pointer.offset, length)?;
    if !large_is_intact(&bytes, pointer, slot.salt.at(pointer.offset)) {
        return Err(damaged(slot, pointer.offset, "a large value does not pass its checksum"));
    }
    Ok(bytes)
}

impl<'a> RecordAt<'a> {
    /// A record in a map, whose shape was read from `bytes`.
    #[inline]
    pub(super) fn mapped(
        slot: &'a Slot,
        location: Location,
        bytes: &'a [u8],
        shape: RecordShape,
    ) -> RecordAt<'a> {
        RecordAt { slot, location, bytes: Bytes::Mapped(bytes), shape }
    }

    /// None, for a record that only looked like the key's in the index. That is so rare that its checksum is looked at:
    /// where a key has rotted, it must not seem to be absent.
    #[cold]
    fn of_another_key(mut self) -> Result<Option<RecordAt<'a>>> {
        self.checked()?;
        Ok(None)
    }

    pub(crate) fn serial(&self) -> u64 {
        self.slot.segment.serial()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.shape.kind
    }

    /// Whether the record stands in a segment of this kind.
    pub(crate) fn is_in(&self, kind: SegmentKind) -> bool {
        self.slot.kind == kind
    }

    /// What names the record in the cache.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.serial(), self.location.offset())
    }

    /// Bytes that the record takes in the log.
    pub(crate) fn stored_bytes(&self) -> u64 {
        crate::record::aligned(self.shape.bytes()) as u64
    }

    /// Sees to it that all of the record is at hand.
    #[inline(always)]
    fn whole(&mut self) -> Result<()> {
        if self.bytes.len() < self.shape.bytes() {
            self.bytes = self.slot.segment.read(self.location.offset(), self.shape.bytes())?;
        }
        Ok(())
    }

    /// The record, whose checksum was found to be right before.
    pub(crate) fn unchecked(&mut self) -> Result<Record<'_>> {
        self.whole()?;
        Record::of_shape(self.shape, &self.bytes)
            .ok_or_else(|| damaged(self.slot, self.location.offset(), "there is no record here any more"))
    }

    /// The record, after its checksum was found to be right.
    #[inline(always)]
    pub(crate) fn checked(&mut self) -> Result<Record<'_>> {
        self.whole()?;
        let offset = self.location.offset();
        Record::of_shape(self.shape, &self.bytes)
            .filter(|record| record.is_intact(self.slot.salt.at(offset)))
            .ok_or_else(|| damaged(self.slot, offset, "a record does not pass its checksum"))
    }

    /// The keyspace and the key, the checksum not looked at.
    pub(crate) fn name(&mut self) -> Result<(u16, &[u8])> {
        let key = self.shape.header_bytes..self.shape.header_bytes + self.shape.key_bytes;
        if self.bytes.len() < key.end {
            self.bytes = self.slot.segment.read(self.location.offset(), key.end)?;
        }
        Ok((self.shape.keyspace, self.bytes.get(key).unwrap_or_default()))
    }

    /// A copy of the value.
    #[inline(always)]
    pub(crate) fn copy_value(&mut self, log: &Log) -> Result<Vec<u8>> {
        let record = self.checked()?;
        match record.shape.kind {
            Kind::LargePut => {
                let pointer = LargePointer::parse(record.value);
                log.copy_large(&pointer.ok_or_else(|| self.bad_pointer())?)
            }
            Kind::CompressedPut => unpack(record.value).ok_or_else(|| self.bad_compression()),
            _ => Ok(record.value.to_vec()),
        }
    }

    /// A copy of the value. Where it stands as it is and is no longer than `small_bytes`, it is put behind what is in `small`
    /// already, and `None` is given.
    #[inline]
    pub(crate) fn copy_value_behind(
        &mut self,
        log: &Log,
        small: &mut Vec<u8>,
        small_bytes: usize,
    ) -> Result<Option<Vec<u8>>> {
        if self.shape.kind != Kind::Put || self.shape.value_bytes > small_bytes {
            return self.copy_value(log).map(Some);
        }
        small.extend_from_slice(self.checked()?.value);
        Ok(None)
    }

    /// The large value that the record names, to be read piece by piece; `None` where the value stands in the record.
    pub(crate) fn open_large(&mut self, log: &Log) -> Result<Option<LargeRead>> {
        let record = self.checked()?;
        if record.shape.kind != Kind::LargePut {
            return Ok(None);
        }
        let pointer = LargePointer::parse(record.value).ok_or_else(|| self.bad_pointer())?;
        log.open_large(&pointer).map(Some)
    }

    /// The value without a copy where the segment is mapped and the value is stored as it is.
    #[inline(always)]
    pub(crate) fn value(mut self, log: &Log) -> Result<Value> {
        let record = self.checked()?;
        if record.shape.kind == Kind::CompressedPut {
            let bytes = unpack(record.value).ok_or_else(|| self.bad_compression())?;
            let end = bytes.len();
            return Ok(Value { bytes: Slice::Owned(bytes), start: 0, end });
        }
        if record.shape.kind == Kind::LargePut {
            let pointer = LargePointer::parse(record.value).ok_or_else(|| self.bad_pointer())?;
            let bytes = log.large_value(&pointer)?;
            let end = LARGE_HEADER_BYTES + pointer.length as usize;
            return Ok(Value { bytes, start: LARGE_HEADER_BYTES, end });
        }
        let (start, end) = (self.shape.header_bytes + self.shape.key_bytes, self.shape.bytes());
        let bytes = match self.bytes {
            Bytes::Mapped(_) => self.slot.segment.slice(self.location.offset(), end)?,
            Bytes::Owned(bytes) => Slice::Owned(bytes),
        };
        Ok(Value { bytes, start, end })
    }

    /// Where the value stands, if it is a large one.
    pub(crate) fn large_pointer(&mut self) -> Result<Option<LargePointer>> {
        if self.shape.kind != Kind::LargePut {
            return Ok(None);
        }
        self.whole()?;
        let pointer = Record::parse(&self.bytes).and_then(|record| LargePointer::parse(record.value));
        pointer.map(Some).ok_or_else(|| self.bad_pointer())
    }

    fn bad_pointer(&self) -> Error {
        damaged(self.slot, self.location.offset(), "a record names a large value in a way that cannot be")
    }

    fn bad_compression(&self) -> Error {
        damaged(self.slot, self.location.offset(), "a compressed value cannot be unpacked")
    }

    /// Whether reading the value takes the work of unpacking it.
    pub(crate) fn is_compressed(&self) -> bool {
        self.shape.kind == Kind::CompressedPut
    }

    /// Whether what stands behind the record may be followed.
    #[inline]
    pub(crate) fn may_be_followed(&self) -> bool {
        self.is_mapped() && self.slot.dead.are_known()
    }

    /// Whether the segment is read through a map. Without one, every read has waited for the system.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped(_))
    }

    /// Whether the record was committed at `sequence` or before. Of a record of a batch the sequence stands elsewhere, and mostly its
    /// segment as a whole is that old, so that it is not looked at.
    #[inline]
    pub(crate) fn was_there_at(&self, sequence: u64, log: &Log) -> Result<bool> {
        Ok(self.slot.is_older_than(sequence) || self.sequence(log)? <= sequence)
    }

    /// The sequence of the commit that wrote the record. One that the log has not come to is damage.
    pub(crate) fn sequence(&self, log: &Log) -> Result<u64> {
        self.sequence_at().read(log)
    }

    /// Where the sequence is, to be read when the record itself is gone: of a record of a batch that is another place, which may
    /// have to be waited for.
    pub(crate) fn sequence_at(&self) -> SequenceAt<'a> {
        let offset = self.location.offset();
        let place = match self.shape.sequence_base(offset) {
            Some(base) if base == offset => SequencePlace::Own(self.shape.own_sequence(&self.bytes)),
            Some(base) => SequencePlace::Base(base),
            None => SequencePlace::Own(None),
        };
        SequenceAt { slot: self.slot, offset, place }
    }
}

/// Where the sequence of a record is.
#[derive(Debug)]
pub(crate) struct SequenceAt<'a> {
    slot: &'a Slot,
    offset: u64,
    place: SequencePlace,
}

#[derive(Debug)]
enum SequencePlace {
    /// In the record itself, if it has one.
    Own(Option<u64>),
    /// Behind this offset of the segment.
    Base(u64),
}

impl SequenceAt<'_> {
    /// A sequence that the record's is not above: its own, or the last of its segment, so that nothing has to be waited for.
    pub(crate) fn bound(&self, log: &Log) -> Result<u64> {
        match self.place {
            SequencePlace::Base(_) if self.slot.last_sequence() <= log.appended() => {
                Ok(self.slot.last_sequence())
            }
            _ => self.read(log),
        }
    }

    /// As [`RecordAt::sequence`].
    pub(crate) fn read(&self, log: &Log) -> Result<u64> {
        let word = match self.place {
            SequencePlace::Own(sequence) => sequence,
            SequencePlace::Base(base) => u64_at(&self.slot.segment.read(base + SEQUENCE_AT, 8)?, 0),
        };
        word.filter(|sequence| (1..=log.appended()).contains(sequence))
            .ok_or_else(|| damaged(self.slot, self.offset, "a record leads to no sequence"))
    }
}

/// What a walk over a segment finds next.
#[derive(Debug)]
pub(crate) enum Walked<'a> {
    /// A frame at this offset.
    Frame(u64, Frame<'a>),
    /// No frame begins at this offset.
    Stopped(u64),
}

/// A walk over the frames of a segment. Without a map it reads piece by piece.
#[derive(Debug)]
pub(crate) struct FrameWalk<'a> {
    segment: &'a Segment,
    salt: Salt,
    at: u64,
    window: Bytes<'a>,
    window_start: u64,
    /// Bytes that are read at a time, at least.
    read_ahead: usize,
    /// Up to here the system was asked for pages of the map.
    asked: u64,
    /// Whether checksums are looked at.
    checks: bool,
}

impl<'a> FrameWalk<'a> {
    pub(crate) fn new(segment: &'a Segment, salt: Salt, at: u64) -> FrameWalk<'a> {
        let (window, window_start) = (Bytes::Mapped(&[][..]), at);
        FrameWalk { segment, salt, at, window, window_start, read_ahead: WALK_BYTES, asked: 0, checks: true }
    }

    /// A walk that will only look at one frame.
    pub(crate) fn only(segment: &'a Segment, salt: Salt, at: u64) -> FrameWalk<'a> {
        FrameWalk { read_ahead: 0, ..FrameWalk::new(segment, salt, at) }
    }

    /// A walk over frames that this process has found to be good, or has written: their checksums are not looked at again.
    pub(crate) fn known(segment: &'a Segment, salt: Salt, at: u64) -> FrameWalk<'a> {
        FrameWalk { checks: false, ..FrameWalk::new(segment, salt, at) }
    }

    /// Goes on at another place.
    pub(crate) fn seek(&mut self, at: u64) {
        self.at = at;
    }

    /// The sequence and the lag that a frame here would carry, its checksums not looked at.
    pub(crate) fn claim(&mut self) -> Result<Option<(u64, u32)>> {
        self.fill(STANDALONE_HEADER_BYTES)?;
        let rest = self.rest();
        Ok(Frame::length(rest).and_then(|_| claim(rest)))
    }

    /// Where the walk is: the next frame is looked for here.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Whether anything but zeros stands where the walk is.
    pub(crate) fn is_nonzero(&mut self) -> Result<bool> {
        self.fill(STANDALONE_HEADER_BYTES)?;
        Ok(self.rest().iter().take(STANDALONE_HEADER_BYTES).any(|byte| *byte != 0))
    }

    /// End of what can be read.
    fn end(&self) -> u64 {
        self.segment.published()
    }

    /// Sees to it that the window has `length` bytes from `at`, or all there are.
    fn fill(&mut self, length: usize) -> Result<()> {
        let rest = usize::try_from(self.end().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let window_end = self.window_start + self.window.len() as u64;
        if self.at >= self.window_start && self.at + length.min(rest) as u64 <= window_end {
            return Ok(());
        }
        self.window = match self.segment.borrow(self.at, rest) {
            Some(mapped) => Bytes::Mapped(mapped),
            None => self.segment.read_at_most(self.at, length.max(self.read_ahead))?,
        };
        self.window_start = self.at;
        Ok(())
    }

    /// Bytes that a frame here would have.
    pub(crate) fn claimed_bytes(&mut self) -> Result<u64> {
        self.fill(STANDALONE_HEADER_BYTES)?;
        let rest = self.end().saturating_sub(self.at);
        Ok(Frame::length(self.rest()).map_or(0, |length| (length as u64).min(rest)))
    }

    /// Keeps the system ahead of the walk.
    fn ask_ahead(&mut self) {
        if self.asked < self.at + ASKED_BYTES as u64 / 2 && self.read_ahead > 0 {
            let from = self.asked.max(self.at);
            self.segment.read_soon(from, ASKED_BYTES);
            self.asked = from + ASKED_BYTES as u64;
        }
    }

    /// The frame that begins where the walk is, and steps over it.
    pub(crate) fn step(&mut self) -> Result<Walked<'_>> {
        self.ask_ahead();
        let at = self.at;
        self.fill(STANDALONE_HEADER_BYTES)?;
        let length = Frame::length(self.rest()).filter(|length| *length as u64 <= self.end() - at);
        let Some(length) = length else { return Ok(Walked::Stopped(at)) };
        self.fill(length)?;
        let start = (at - self.window_start) as usize;
        let bytes = self.window.get(start..).unwrap_or_default();
        let frame = if self.checks { Frame::parse(bytes, at, self.salt) } else { Frame::parse_known(bytes) };
        match frame {
            Some(frame) => {
                self.at = at + frame.bytes as u64;
                Ok(Walked::Frame(at, frame))
            }
            None => Ok(Walked::Stopped(at)),
        }
    }

    /// The shape and the key of the record at a place that is known to have one, its checksum not looked at; `None` where there
    /// is none.
    pub(crate) fn key_at(&mut self, offset: u64) -> Result<Option<(RecordShape, &[u8])>> {
        self.at = offset;
        self.fill(STANDALONE_HEADER_BYTES)?;
        let Some(shape) = RecordShape::parse(self.rest()) else { return Ok(None) };
        let key = shape.header_bytes..shape.header_bytes + shape.key_bytes;
        self.fill(key.end)?;
        Ok(self.rest().get(key).map(|key| (shape, key)))
    }

    fn rest(&self) -> &[u8] {
        self.window.get((self.at - self.window_start) as usize..).unwrap_or_default()
    }

    /// Goes on behind a bad place, where a frame may begin again; `false` where nothing but zeros is left.
    pub(crate) fn skip(&mut self) -> Result<bool> {
        self.at += ALIGNMENT as u64;
        while self.at < self.end() {
            self.fill(STANDALONE_HEADER_BYTES)?;
            let rest = self.rest();
            let zeros = rest.chunks_exact(ALIGNMENT).take_while(|unit| **unit == [0; ALIGNMENT]).count();
            let something_follows = zeros * ALIGNMENT < rest.len();
            // The first eight bytes of a frame may be zeros, the next eight never are.
            self.at += (zeros.saturating_sub(1) * ALIGNMENT) as u64;
            if something_follows {
                return Ok(true);
            }
            if zeros <= 1 {
                self.at += ALIGNMENT as u64;
            }
        }
        Ok(false)
    }
}
