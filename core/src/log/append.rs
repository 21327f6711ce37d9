//! Appending frames.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::room::Claim;
use crate::batch::FrameBuilder;
use crate::checksum::Salt;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::manifest::SegmentKind;
use crate::options::COMMIT_BYTES_MAX;
use crate::record::{ALIGNMENT, Kind, NewRecord, StandaloneHeader};
use crate::segment::Segment;

/// The background is woken each time this many bytes have been appended.
const WAKE_EVERY_BYTES: u64 = 256 << 10;

/// What of a frame that may still be given up is stored last. Without it there is none for whoever reads the file.
const WITHHELD_BYTES: usize = 8;

/// A commit, encoded as far as that is possible before its place is known.
#[derive(Debug)]
pub(crate) enum NewFrame<'a> {
    /// One record, with the CRC of its key and value.
    Record(NewRecord<'a>, u32),
    /// Any number of records.
    Batch(&'a mut FrameBuilder),
}

impl NewFrame<'_> {
    fn bytes(&self, sequence: u64) -> u64 {
        match self {
            NewFrame::Record(record, _) => record.standalone_bytes(sequence) as u64,
            NewFrame::Batch(builder) => builder.frame_bytes() as u64,
        }
    }

    fn claim(&self) -> Claim {
        let deletes = match self {
            NewFrame::Record(record, _) => record.kind == Kind::Tombstone,
            NewFrame::Batch(builder) => {
                builder.records().all(|(_, record)| record.shape.kind == Kind::Tombstone)
            }
        };
        if deletes { Claim::Deletes } else { Claim::Adds }
    }
}

/// The right to append. There is one, behind the commit lock.
#[derive(Debug)]
pub(crate) struct Appender {
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    salt: Salt,
    end: u64,
    /// Where it was made for deletes with less than the usual room, which has perhaps been taken of the reserve: what segments
    /// usually have.
    of_reserve: Option<u64>,
}

impl Appender {
    /// Whether nothing was appended to the segment yet.
    pub(super) fn is_at_beginning(&self) -> bool {
        let header = crate::manifest::SEGMENT_HEADER_BYTES as u64;
        self.active.as_ref().is_none_or(|active| active.end <= header)
    }

    /// Where the next frame goes, if it fits: serial and offset. `None` where a segment is still to be made for it.
    fn position(&self) -> Option<(u64, u64)> {
        self.active.as_ref().map(|active| (active.segment.serial(), active.end))
    }
}

/// Where a frame came to stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) slot: u16,
    pub(crate) serial: u64,
    pub(crate) offset: u64,
}

/// A frame that nobody reads yet, in the segment that is being appended to.
#[derive(Debug)]
#[must_use]
pub(crate) struct Staged {
    appended: Appended,
    bytes: u64,
    sequence: u64,
    /// Its first bytes, where they are stored when it is published.
    withheld: Option<[u8; WITHHELD_BYTES]>,
}

impl Appended {
    /// The location of the record at this offset in the frame.
    pub(crate) fn location(&self, at: usize) -> Result<Location> {
        let offset = self.offset + at as u64;
        Location::new(self.slot, offset).ok_or_else(|| {
            Error::Internal(format!("segment slot {} has no location for offset {offset}", self.slot))
        })
    }
}

impl Log {
    /// The one appender of this log, which goes on in the segment that recovery left open.
    pub(crate) fn appender(&self) -> Appender {
        let segment = self.front.lock().active().map(Arc::clone);
        Appender { active: segment.map(|segment| self.active(segment)) }
    }

    /// Where the next frame goes at the earliest: serial and offset. Called under the commit lock.
    pub(crate) fn position(&self, appender: &Appender) -> (u64, u64) {
        appender
            .position()
            .unwrap_or_else(|| (self.next_serial(), crate::manifest::SEGMENT_HEADER_BYTES as u64))
    }

    fn active(&self, segment: Arc<Segment>) -> Active {
        let salt = Salt::new(self.config.identity, segment.serial());
        let end = segment.published();
        Active { segment, salt, end, of_reserve: None }
    }

    /// Appends a frame under the next sequence. After a clean error ([`Error::NoSpace`] among them) the log is as it was;
    /// after any other, poisoned.
    pub(crate) fn append(
        &self,
        appender: &mut Appender,
        frame: &mut NewFrame<'_>,
        sequence: u64,
    ) -> Result<Appended> {
        let staged = self.stage(appender, frame, sequence)?;
        Ok(self.publish(appender, &staged))
    }

    /// Whether nobody, of whatever process, can see what is staged before it is published.
    pub(crate) fn stages_unseen(&self, appender: &Appender) -> bool {
        appender.active.as_ref().is_some_and(|active| active.segment.appends_mapped())
    }

    /// Puts a frame where it will stand under the next sequence. No thread reads it before it is published; where it is neither that nor
    /// given up, recovery may find it, and so may other processes unless it is [staged unseen](Log::stages_unseen). Errors are those
    /// of [`Log::append`].
    pub(crate) fn stage(
        &self,
        appender: &mut Appender,
        frame: &mut NewFrame<'_>,
        sequence: u64,
    ) -> Result<Staged> {
        self.check_writable()?;
        let bytes = frame.bytes(sequence);
        let fits =
            appender.active.as_ref().is_some_and(|active| active.end + bytes <= active.segment.capacity());
        if !fits {
            self.roll(appender, frame.claim(), bytes, sequence - 1)?;
        }
        self.check_reserve(appender, frame)?;
        let Some(active) = appender.active.as_mut() else {
            return Err(Error::Internal("no segment to append to".to_owned()));
        };
        let offset = active.end;
        let withheld = self.write(active, frame, sequence).map_err(|error| self.failed_append(error))?;
        let appended = Appended { slot: active.segment.slot(), serial: active.segment.serial(), offset };
        Ok(Staged { appended, bytes, sequence, withheld })
    }

    /// Has what was staged last read by whoever wants to.
    pub(crate) fn publish(&self, appender: &mut Appender, staged: &Staged) -> Appended {
        let Staged { appended, bytes, sequence, ref withheld } = *staged;
        if let Some(active) = appender.active.as_mut() {
            active.end = appended.offset + bytes;
            match withheld {
                Some(first) => active.segment.publish_begun(appended.offset, first, active.end),
                None => active.segment.publish(active.end),
            }
            self.appended.store(sequence, Ordering::Release);
            self.bytes_appended.fetch_add(bytes, Ordering::Relaxed);
            let step = WAKE_EVERY_BYTES.min(active.segment.capacity() / 4);
            if appended.offset / step != active.end / step {
                self.wants_room.make();
            }
        }
        appended
    }

    /// Takes back what was staged last, for an error: also from the device, where a sync of others may have brought it. After an error of
    /// this the log is poisoned.
    pub(crate) fn give_up(&self, appender: &mut Appender, staged: &Staged) -> Result<()> {
        let Some(active) = appender.active.as_ref() else { return Ok(()) };
        let without_header = active.segment.fill_in(staged.appended.offset, &[0; ALIGNMENT]);
        without_header.and_then(|()| active.segment.sync()).map_err(|error| self.poisoned_by(error))
    }

    /// Refuses what adds to the database where only deletes may be appended.
    fn check_reserve(&self, appender: &mut Appender, frame: &NewFrame<'_>) -> Result<()> {
        if let Some(active) = &mut appender.active
            && let Some(usual) = active.of_reserve
            && frame.claim() == Claim::Adds
        {
            self.keep_reserve(0, usual)?;
            active.of_reserve = None;
        }
        Ok(())
    }

    /// Writes a frame. Gives what of it was left out.
    fn write(
        &self,
        active: &Active,
        frame: &mut NewFrame<'_>,
        sequence: u64,
    ) -> Result<Option<[u8; WITHHELD_BYTES]>> {
        let (offset, durable) = (active.end, self.durable.load(Ordering::Relaxed));
        match frame {
            NewFrame::Record(record, content) => {
                let header =
                    StandaloneHeader::new(record, *content, sequence, durable, active.salt.at(offset));
                let header = header.as_slice();
                let content_bytes = header.len() + record.key.len() + record.value.len();
                let padding = &[0; ALIGNMENT][..content_bytes.next_multiple_of(ALIGNMENT) - content_bytes];
                match header.split_first_chunk() {
                    Some((first, rest)) if active.segment.appends_mapped() => {
                        let none = &[0; WITHHELD_BYTES];
                        active.segment.append(&[none, rest, record.key, record.value, padding])?;
                        return Ok(Some(*first));
                    }
                    _ => active.segment.append(&[header, record.key, record.value, padding])?,
                }
            }
            NewFrame::Batch(builder) => {
                let (header, body) = builder.seal(sequence, durable, active.salt, offset);
                active.segment.append(&[&header, body])?
            }
        };
        Ok(None)
    }

    /// Goes on in a new segment, which has room for `needed` bytes. `last_sequence` is the last one of the old segment.
    pub(super) fn roll(
        &self,
        appender: &mut Appender,
        claim: Claim,
        needed: u64,
        last_sequence: u64,
    ) -> Result<()> {
        if needed > COMMIT_BYTES_MAX {
            return Err(Error::InvalidArgument(format!(
                "the commit takes {needed} bytes in the log, at most {COMMIT_BYTES_MAX} are allowed; split it"
            )));
        }
        let with_header = needed + crate::manifest::SEGMENT_HEADER_BYTES as u64;
        let (segment, of_reserve) = match self.begin_prepared(with_header, last_sequence) {
            Some(segment) => (segment, None),
            None => self.begin_unprepared(claim, needed, last_sequence)?,
        };
        if let Some(full) = &appender.active {
            self.segments.note_end(full.segment.slot(), last_sequence);
        }
        appender.active = Some(Active { of_reserve, ..self.active(segment) });
        Ok(())
    }

    /// Goes on in the segment that was prepared, where there is one with so much room. Waits for nobody who waits for the device.
    fn begin_prepared(&self, with_header: u64, last_sequence: u64) -> Option<Arc<Segment>> {
        let mut front = self.front.lock();
        let spare = front.take_spare(with_header)?;
        front.begin(&spare, None, last_sequence);
        Some(spare)
    }

    /// Goes on in a segment that is made for it. After an error nothing has changed. Where it is one of the reserve, how many bytes
    /// segments usually have.
    fn begin_unprepared(
        &self,
        claim: Claim,
        needed: u64,
        last_sequence: u64,
    ) -> Result<(Arc<Segment>, Option<u64>)> {
        let mut state = self.state();
        // Who had the state until now may just have prepared one.
        let with_header = needed + crate::manifest::SEGMENT_HEADER_BYTES as u64;
        if let Some(segment) = self.begin_prepared(with_header, last_sequence) {
            return Ok((segment, None));
        }
        let usual = self.config.sizes.usual(state.allocated());
        let segment = self.add_segment(&mut state, claim, SegmentKind::Log, needed)?;
        let is_of_reserve = claim == Claim::Deletes && !state.deferred && segment.capacity() < usual;
        let mut front = self.front.lock();
        let too_small = front.spare.take();
        front.begin(&segment, too_small, last_sequence);
        Ok((segment, is_of_reserve.then_some(usual)))
    }
}
