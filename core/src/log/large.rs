//! Values that are too long for a record: they stand in segments of their own, so that nobody who writes little ones
//! waits for their copy. Nor do they wait for each other: whoever writes one has a segment for himself meanwhile.
//!
//! *Invariant:* a segment is in the pool, or one writer has it, or it is full. Only who has it appends to it, so its
//! published values stand one behind the other, and what was written and given up is written over.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::Log;
use super::room::Claim;
use super::state::{SegmentRoom, Unsynced};
use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::manifest::SegmentKind;
use crate::record::{
    ALIGNMENT, INLINE_VALUE_BYTES_MAX, LARGE_HEADER_BYTES, LargePointer, aligned, large_header,
    large_header_is_intact,
};
use crate::segment::Segment;

/// What the shortest large value takes: a segment with less room is full.
const LARGE_BYTES_MIN: u64 = aligned(LARGE_HEADER_BYTES + INLINE_VALUE_BYTES_MAX + 1) as u64;

/// The large-value segments that are open for appending.
#[derive(Debug, Default)]
pub(super) struct LargePool {
    /// Those that nobody writes to.
    idle: Vec<Arc<Segment>>,
    /// Calls that write to one at this moment. A value that is written piece by piece is under way only while a piece is.
    pub(super) under_way: usize,
}

impl LargePool {
    pub(super) fn resume(&mut self, segment: Arc<Segment>) {
        self.idle.push(segment);
    }

    /// Takes out all that are wanted.
    pub(super) fn take_idle(&mut self, is_wanted: impl Fn(&Arc<Segment>) -> bool) -> Vec<Arc<Segment>> {
        let (taken, idle) = self.idle.drain(..).partition(is_wanted);
        self.idle = idle;
        taken
    }

    /// Takes out the segment with the least room, which is to be full.
    fn take_fullest(&mut self) -> Option<Arc<Segment>> {
        let fullest = self.idle.iter().enumerate().min_by_key(|(_, segment)| room(segment));
        let at = fullest.map(|(at, _)| at)?;
        Some(self.idle.swap_remove(at))
    }
}

pub(super) fn room(segment: &Segment) -> u64 {
    segment.capacity().saturating_sub(segment.published())
}

/// A call that writes to a large-value segment. The end of the log waits for it.
pub(super) struct UnderWay<'a>(&'a Log);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.large.lock().under_way -= 1;
        self.0.large_rests.notify_all();
    }
}

/// A large value that is written piece by piece, in a segment that nobody else writes to meanwhile.
#[derive(Debug)]
pub(crate) struct LargeWrite {
    /// Not owned: a log that ends gives its segments back, whatever values are half written.
    segment: Weak<Segment>,
    /// Where its header will stand. Until then there are zeros.
    offset: u64,
    length: u32,
    /// CRC32C of what was written so far.
    crc: u32,
    owner: u64,
}

impl LargeWrite {
    fn segment(&self) -> Result<Arc<Segment>> {
        self.segment.upgrade().ok_or(Error::Closed)
    }
}

/// Bytes that a large value takes in its segment.
pub(super) fn stored_bytes(length: u32) -> u64 {
    aligned(LARGE_HEADER_BYTES + length as usize) as u64
}

/// The bytes that follow a large value.
pub(super) fn padding(length: u32) -> &'static [u8] {
    let content = LARGE_HEADER_BYTES + length as usize;
    &[0; ALIGNMENT][..aligned(content) - content]
}

impl Log {
    /// Writes a large value and tells where. Nothing finds it until a record with the pointer is appended. `owner` is the
    /// hash of its keyspace and key.
    pub(crate) fn append_large(&self, value: &[u8], owner: u64) -> Result<LargePointer> {
        let length = u32::try_from(value.len())
            .map_err(|_| Error::Internal("a value over the limit came as far as the log".to_owned()))?;
        let crc = crc32c(0, value);
        let _under_way = self.begin_large_call()?;
        let segment = self.check_out(stored_bytes(length), 0)?;
        let offset = segment.published();
        let header = large_header(length, owner, crc, self.salt(segment.serial()).at(offset));
        let appended = segment.append(&[&header, value, padding(length)]);
        if appended.is_ok() {
            self.publish_large(&segment, offset + stored_bytes(length));
        }
        let serial = segment.serial();
        self.give_back(segment);
        appended.map_err(|error| self.failed_append(error))?;
        Ok(LargePointer { serial, offset, length, crc })
    }

    /// Begins a large value of this length, which is written piece by piece.
    pub(crate) fn begin_large(&self, length: u32, owner: u64) -> Result<LargeWrite> {
        let _under_way = self.begin_large_call()?;
        let segment = self.check_out(stored_bytes(length), 0)?;
        // Its header is known when all of it is. Until then nothing that looks like one stands there.
        match segment.append(&[&[0; LARGE_HEADER_BYTES]]) {
            Ok(offset) => Ok(LargeWrite { segment: Arc::downgrade(&segment), offset, length, crc: 0, owner }),
            Err(error) => {
                self.give_back(segment);
                Err(self.failed_append(error))
            }
        }
    }

    /// Writes the next piece. After a clean error it may be tried again.
    pub(crate) fn write_large(&self, write: &mut LargeWrite, piece: &[u8]) -> Result<()> {
        let _under_way = self.begin_large_call()?;
        write.segment()?.append_more(piece).map_err(|error| self.failed_append(error))?;
        write.crc = crc32c(write.crc, piece);
        Ok(())
    }

    /// Ends a large value, all of which was written, and tells where it is. In any case nobody has its segment any more.
    pub(crate) fn finish_large(&self, write: &LargeWrite) -> Result<LargePointer> {
        let finished = self.begin_large_call().and_then(|_under_way| self.close_large(write));
        self.abandon_large(write);
        finished
    }

    fn close_large(&self, write: &LargeWrite) -> Result<LargePointer> {
        let LargeWrite { offset, length, crc, owner, .. } = *write;
        let segment = write.segment()?;
        let header = large_header(length, owner, crc, self.salt(segment.serial()).at(offset));
        let written = segment.append_more(padding(length)).and_then(|()| segment.fill_in(offset, &header));
        written.map_err(|error| self.failed_append(error))?;
        self.publish_large(&segment, offset + stored_bytes(length));
        Ok(LargePointer { serial: segment.serial(), offset, length, crc })
    }

    /// Lets the values of commits be read that end here at most.
    pub(super) fn publish_large(&self, segment: &Segment, end: u64) {
        let before = segment.published();
        segment.publish(end);
        self.large_bytes_appended.fetch_add(segment.published() - before, Ordering::Relaxed);
    }

    /// Gives up a large value. What was written of it is written over by the next one.
    pub(crate) fn abandon_large(&self, write: &LargeWrite) {
        if let Some(segment) = write.segment.upgrade() {
            self.give_back(segment);
        }
    }

    pub(super) fn begin_large_call(&self) -> Result<UnderWay<'_>> {
        let mut pool = self.large.lock();
        self.check_writable()?;
        pool.under_way += 1;
        Ok(UnderWay(self))
    }

    /// The error of an append, which ends all writing unless it is clean: where there was no room, what the next append writes
    /// over is all that may be there.
    pub(crate) fn failed_append(&self, error: Error) -> Error {
        match error {
            Error::NoSpace(_) | Error::Closed => error,
            _ => self.poisoned_by(error),
        }
    }

    /// A segment with so much room, for the caller alone until he gives it back. A new one gets as much as is wanted, where that
    /// can be had.
    pub(super) fn check_out(&self, needed: u64, wanted: u64) -> Result<Arc<Segment>> {
        {
            let mut pool = self.large.lock();
            if let Some(at) = pool.idle.iter().position(|segment| room(segment) >= needed) {
                return Ok(pool.idle.swap_remove(at));
            }
        }
        let segment = match self.create_large_segment(Claim::Adds, SegmentRoom::Usual(needed.max(wanted))) {
            Err(Error::NoSpace(_)) if wanted > needed => {
                self.create_large_segment(Claim::Adds, SegmentRoom::Usual(needed))?
            }
            other => other?,
        };
        // There are only as many open as were ever written to at a time: the new one comes in the place of another,
        // except where this value will fill it.
        if room(&segment) >= needed + LARGE_BYTES_MIN {
            let fullest = self.large.lock().take_fullest();
            fullest.iter().for_each(|segment| self.note_full(segment));
        }
        Ok(segment)
    }

    pub(super) fn create_large_segment(&self, claim: Claim, room: SegmentRoom) -> Result<Arc<Segment>> {
        let (claim, bytes) = self.claim(&self.state(), claim, room);
        let made = self.with_room(claim, bytes, |capacity| {
            let planned = self.plan_segment(&mut self.state(), SegmentKind::Large, capacity)?;
            // Nobody waits while the file is made.
            self.make_segment(planned)
        })?;
        let mut state = self.state();
        let segment = self.enter_segment(&mut state, made)?;
        state.large.push(Unsynced { segment: Arc::clone(&segment), full: None });
        Ok(segment)
    }

    pub(super) fn give_back(&self, segment: Arc<Segment>) {
        if room(&segment) < LARGE_BYTES_MIN {
            self.note_full(&segment);
        } else {
            self.large.lock().idle.push(segment);
        }
    }

    /// Has a segment sealed by the next sync. Nobody writes to it any more.
    pub(super) fn note_full(&self, segment: &Segment) {
        let mut state = self.state();
        let full = state.large.iter_mut().find(|one| one.segment.serial() == segment.serial());
        full.into_iter().for_each(|one| one.full = Some(0));
    }

    /// Opens a large value for reading piece by piece. Its header is looked at, its bytes are not yet.
    pub(super) fn open_large(&self, pointer: &LargePointer) -> Result<LargeRead> {
        let guard = self.pin();
        let slot = self.large_slot(pointer, &guard)?;
        let segment = Arc::clone(&slot.segment);
        let header = segment.read(pointer.offset, LARGE_HEADER_BYTES)?;
        let read = LargeRead { segment: Arc::clone(&segment), pointer: *pointer, checked_to: 0, crc: 0 };
        let ends_inside =
            segment.range_is_published(pointer.offset, LARGE_HEADER_BYTES + pointer.length as usize);
        if !ends_inside || !large_header_is_intact(&header, pointer, slot.salt.at(pointer.offset)) {
            return Err(read.damaged());
        }
        Ok(read)
    }
}

/// A large value that is read piece by piece. It keeps its segment, whatever becomes of the key and the database.
#[derive(Debug)]
pub(crate) struct LargeRead {
    segment: Arc<Segment>,
    pointer: LargePointer,
    /// So many bytes from the beginning were read without a gap, and this is their CRC32C.
    checked_to: u64,
    crc: u32,
}

impl LargeRead {
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.pointer.length)
    }

    /// Fills a buffer from a place of the value, where so much must be. Who reads on and on from the beginning gets an error
    /// instead of the last piece if the value does not pass its checksum.
    pub(crate) fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let start = self.pointer.offset + LARGE_HEADER_BYTES as u64;
        self.segment.read_into(start + at, buffer)?;
        let end = at + buffer.len() as u64;
        if at > self.checked_to || end <= self.checked_to {
            return Ok(());
        }
        let known = usize::try_from(self.checked_to - at).unwrap_or(usize::MAX);
        let crc = crc32c(self.crc, buffer.get(known..).unwrap_or_default());
        if end == self.len() && crc != self.pointer.crc {
            return Err(self.damaged());
        }
        (self.checked_to, self.crc) = (end, crc);
        Ok(())
    }

    fn damaged(&self) -> Error {
        let reason =
            format!("a large value does not pass its checksum (in {})", self.segment.path().display());
        Error::corruption(self.segment.serial(), self.pointer.offset, reason)
    }
}
