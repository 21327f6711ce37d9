//! Compaction of large values: those that are live in segments with much garbage are moved into a new one, and the old segments
//! are given up like any other in which nothing is live any more.
//!
//! # How it goes
//! 1. Everything written is put on the device. The victims are sealed, and whoever was writing to them has ended.
//! 2. The headers of the values are walked. Each has the hash of its key, and a value is live if a record that the index leads to
//!    names its place.
//! 3. Live values are copied, in the order of their keys, into a segment of their own, which is put on the device and sealed.
//!    Nobody waits for that, and nothing leads there yet.
//! 4. The records that name them are written anew, with the sequences that they have and the new places, into a segment of copies.
//!    Batch by batch, under the commit lock, an index slot changes from the old record to the copy, if the key has not moved on.
//! 5. The copies are put on the device. A victim in which nothing is live any more is *emptied*, and retired with the next
//!    checkpoint.
//!
//! # Invariants
//! - Those of [`super::compaction`]: until a checkpoint knows the copies, a recovery finds the old records, and what they name
//!   is still there.
//! - A copy's commit is on the device before the copy is: no copy is newer than the log that a recovery finds. So only records
//!   are moved whose commits are known to be durable.
//! - The old record stays in the log, and names a place where there may be nothing any more. It never counts again: until the
//!   log has a newer record of its key on the device, some segment has its copy, which comes before it.
//! - A segment is given up because nothing in it is counted as live, and not because a walk has found nothing: what a damaged
//!   header hides stays.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::Store;
use super::compaction::{Compaction, Compactor, hold_back};
use super::job::{Batch, Item, Job};
use crate::compaction::{Candidate, Effort};
use crate::compaction_large::{choose_large, is_worth_in_full};
use crate::error::{Error, Result};
use crate::log::Settled;
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentKind};
use crate::record::{
    LARGE_HEADER_BYTES, LARGE_POINTER_BYTES, LargePointer, NewRecord, STANDALONE_HEADER_BYTES, aligned,
    large_length, large_owner,
};
use crate::room::push;
use crate::segment::{Bytes, Segment};

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// Values that a job takes on, which takes some hundred bytes for each; what is left over is the next one's.
const VALUES_MAX: usize = if cfg!(test) { 50 } else { 1 << 18 };
/// How often it is looked whether to rest or to end.
const LOOK_EVERY_BYTES: u64 = 256 << 10;
/// Bytes in segments for a hundred live ones from which copying is not held back any more.
const PRESSURE_UNHINDERED: u64 = 160;
/// How often `compact` waits for those who are inside of a call, about a twentieth of a second each time.
const FULL_ATTEMPTS: u32 = 200;
/// What a walk over headers reads at a time where nothing is mapped.
const WALK_BYTES: usize = 16 << 10;

/// A value that is moved, beside the item of the record that names it.
struct Value {
    segment: Arc<Segment>,
    from: LargePointer,
    /// Where it was copied to; `None` where that was not yet, or it is damaged.
    to: Option<LargePointer>,
}

/// Some victims and what is moved of them.
#[derive(Default)]
struct LargeJob {
    /// The records, in no order.
    records: Job,
    /// Their values, each under the number of its item.
    values: Vec<Value>,
    /// Bytes that the values take.
    bytes: u64,
    /// Whether victims have more live values than one job takes on.
    is_full: bool,
}

/// Whether all live values of a victim were found.
#[derive(PartialEq, Eq)]
enum Gathered {
    All,
    /// As many as one job takes on.
    Part,
    /// Some are where nobody finds them: a header is damaged, or has no hash, as in format version 1.
    NotAll,
}

impl Store {
    /// Compacts segments of large values as long as that is worth it. Where there is no room for copies, it first gives up what is
    /// emptied. After each job `go_on` is asked.
    pub(super) fn compact_large(
        &self,
        compactor: &mut Compactor,
        effort: Effort,
        before_serial: u64,
        done: &mut Compaction,
        go_on: &mut dyn FnMut(&Compaction) -> bool,
    ) -> Result<bool> {
        loop {
            let has_worked = self.compact_large_with_room(compactor, effort, before_serial, done)?;
            self.empty_large(compactor, effort);
            // At the end of all there is a checkpoint anyway; before that only room is a reason for one.
            let urgency = if effort == Effort::Full { Effort::Busy } else { effort };
            self.checkpoint_if_due(compactor, urgency)?;
            if !has_worked {
                return Ok(true);
            }
            if !go_on(done) {
                return Ok(false);
            }
        }
    }

    /// [`Store::compact_large_once`]. Where there is no room for copies, it first gives up what is emptied, and then takes the reserve.
    fn compact_large_with_room(
        &self,
        compactor: &mut Compactor,
        effort: Effort,
        before_serial: u64,
        done: &mut Compaction,
    ) -> Result<bool> {
        let usual = self.log.usual_segment_bytes();
        match self.compact_large_once(compactor, effort, (before_serial, usual), done) {
            Err(Error::NoSpace(_)) => {}
            other => return other,
        }
        if !compactor.emptied.is_empty() {
            self.checkpoint(compactor)?;
        }
        // The emptiest one alone.
        let bounds = (before_serial, 0);
        match self.compact_large_once(compactor, effort, bounds, done) {
            Err(Error::NoSpace(refused)) => self.on_reserve(compactor, refused, |compactor, _| {
                let has_worked = self.compact_large_once(compactor, effort, bounds, done)?;
                self.empty_large(compactor, effort);
                Ok(has_worked)
            }),
            other => other,
        }
    }

    /// One job on everything that is sealed, and no sync but its own.
    #[cfg(test)]
    pub(crate) fn compact_large_now(&self) -> Result<bool> {
        let bounds = (u64::MAX, u64::MAX);
        let mut compactor = self.compactor()?;
        self.compact_large_once(&mut compactor, Effort::Full, bounds, &mut Compaction::default())
    }

    /// Ends the segments of large values that are open, nobody writes to, and have garbage or nothing at all, so that they can be
    /// compacted or given up.
    pub(super) fn end_large_with_garbage(&self) -> Result<()> {
        let live: HashMap<u64, u64> =
            self.log.live_segments().iter().map(|segment| (segment.serial, segment.live_bytes)).collect();
        let live_of = |serial| live.get(&serial).copied().unwrap_or(0);
        self.log.end_large_segments(&|serial, bytes| bytes == 0 || is_worth_in_full(bytes, live_of(serial)))
    }

    /// Moves the live values out of some segments, if that is worth it: of those with serials below a bound, as long as they have
    /// not more live bytes together than another. Whether anything was done.
    fn compact_large_once(
        &self,
        compactor: &mut Compactor,
        effort: Effort,
        bounds: (u64, u64),
        done: &mut Compaction,
    ) -> Result<bool> {
        let victims = self.large_victims(compactor, effort, bounds);
        // A value may have been written to a victim whose commit is still under way: it is not to be taken for garbage.
        if victims.is_empty() || !self.has_everybody_moved_on(effort) {
            return Ok(false);
        }
        self.sync_written()?;
        let mut job = LargeJob::default();
        let mut taken = Vec::new();
        for victim in victims {
            if job.is_full {
                break;
            }
            let gathered = self.gather_values(&mut job, &victim);
            if !matches!(gathered, Ok(Gathered::All | Gathered::Part)) {
                compactor.unreadable.insert(victim.entry.serial);
            }
            if gathered? != Gathered::NotAll {
                taken.push(victim);
            }
        }
        let held_back = effort != Effort::Full && self.pressure() < PRESSURE_UNHINDERED;
        let mut order = job.records.sorted();
        self.copy_values(compactor, &mut job, &order, held_back)?;
        // A value that is damaged stays where it is.
        order.retain(|number| job.values.get(*number).is_some_and(|value| value.to.is_some()));
        self.move_records(compactor, &job, &order)?;
        self.figures.moved(job.bytes);
        done.bytes_copied += job.bytes;
        for victim in taken {
            if self.live_values(&victim.segment) == 0 {
                done.segments_removed += 1;
                done.bytes_freed += victim.segment.capacity();
            } else if !job.is_full {
                compactor.unreadable.insert(victim.entry.serial);
            }
        }
        done.bytes_freed = done.bytes_freed.saturating_sub(job.bytes);
        Ok(true)
    }

    /// Waits until everybody who is inside of a call has left it, and whether that came to pass. Who wants all of the room back
    /// waits longer for those who write much; the background comes again.
    pub(super) fn has_everybody_moved_on(&self, effort: Effort) -> bool {
        let attempts = if effort == Effort::Full { FULL_ATTEMPTS } else { 1 };
        let may_go_on = || !self.wake.is_stopping();
        (0..attempts)
            .take_while(|attempt| *attempt == 0 || may_go_on())
            .any(|_| crate::epoch::everybody_has_moved_on(self.generation))
    }

    /// The segments that are worth it, together, the emptiest first. What is wholly dead needs no copy.
    fn large_victims(
        &self,
        compactor: &Compactor,
        effort: Effort,
        (before_serial, live_bytes_max): (u64, u64),
    ) -> Vec<Settled> {
        let may_be = |one: &Settled| {
            one.entry.kind == SegmentKind::Large
                && one.live.records > 0
                && one.entry.serial < before_serial
                && !compactor.unreadable.contains(&one.entry.serial)
        };
        let settled: Vec<Settled> = self.log.settled().into_iter().filter(may_be).collect();
        let candidate = |one: &Settled| Candidate {
            serial: one.entry.serial,
            bytes: one.entry.length.saturating_sub(HEADER),
            live: one.live.bytes,
            last_sequence: 0,
            is_unsorted: false,
        };
        let candidates: Vec<Candidate> = settled.iter().map(candidate).collect();
        let usual = self.log.usual_segment_bytes();
        let chosen = choose_large(&candidates, effort, usual / 2, live_bytes_max);
        let of = |serial: &u64| settled.iter().find(|one| one.entry.serial == *serial).cloned();
        chosen.iter().filter_map(of).collect()
    }

    /// Finds the live values of a victim.
    fn gather_values(&self, job: &mut LargeJob, victim: &Settled) -> Result<Gathered> {
        let before = (job.records.items.len(), job.records.arena.len(), job.bytes);
        let mut headers = Headers::of(&victim.segment);
        while let Some((offset, length, owner)) = headers.next()? {
            if job.values.len() >= VALUES_MAX {
                job.is_full = true;
                return Ok(Gathered::Part);
            }
            self.gather_value(job, &victim.segment, (offset, length, owner))?;
        }
        // Fewer than are counted now: what has died meanwhile was live when it was found.
        let found = (job.records.items.len() - before.0) as u64;
        if found >= self.live_values(&victim.segment) {
            return Ok(Gathered::All);
        }
        job.records.items.truncate(before.0);
        job.values.truncate(before.0);
        job.records.arena.truncate(before.1);
        job.bytes = before.2;
        Ok(Gathered::NotAll)
    }

    /// The values of a segment that are counted as live. A commit moves the index first and counts then, so it is not asked while
    /// one does.
    fn live_values(&self, segment: &Segment) -> u64 {
        let _nobody_commits = self.committer.lock();
        self.log.live_in(segment).records
    }

    /// Takes a value on if the index leads to a record that names it.
    fn gather_value(
        &self,
        job: &mut LargeJob,
        segment: &Arc<Segment>,
        (offset, length, owner): (u64, u32, u64),
    ) -> Result<()> {
        let guard = self.log.pin();
        for location in self.keys.candidates(&self.log, owner)? {
            let names_it = |pointer: &LargePointer| {
                (pointer.serial, pointer.offset, pointer.length) == (segment.serial(), offset, length)
            };
            let mut record = self.log.record_at(location, &guard)?;
            // A record that is damaged names nothing.
            let Some(from) = record.large_pointer().ok().flatten().filter(names_it) else { continue };
            let sequence = record.sequence(&self.log)?;
            if sequence > self.log.durable() {
                continue;
            }
            let Ok(record) = record.checked() else { continue };
            let key = job.records.push_key(record.shape.keyspace, record.key);
            let copied_bytes =
                aligned(STANDALONE_HEADER_BYTES + record.key.len() + LARGE_POINTER_BYTES) as u64;
            let hash = self.keys.hash(record.shape.keyspace, record.key);
            let (is_live, is_large) = (true, true);
            let item = Item { key, hash, location, sequence, copied_bytes, is_live, is_large };
            push(&mut job.records.items, item);
            job.values.push(Value { segment: Arc::clone(segment), from, to: None });
            job.bytes += from.stored_bytes();
            return Ok(());
        }
        Ok(())
    }

    /// Copies the values into a segment of their own, which is on the device and sealed when this returns.
    fn copy_values(
        &self,
        compactor: &mut Compactor,
        job: &mut LargeJob,
        order: &[usize],
        held_back: bool,
    ) -> Result<()> {
        if order.is_empty() {
            return Ok(());
        }
        let mut series = self.log.begin_moved_values(job.bytes)?;
        let owed = Cell::new(0);
        let go_on = |bytes: u64| {
            owed.set(owed.get() + bytes);
            if owed.get() < LOOK_EVERY_BYTES {
                return Ok(());
            }
            if self.wake.is_stopping() {
                return Err(Error::Closed);
            }
            let bytes = owed.replace(0);
            if held_back {
                hold_back(bytes);
            }
            Ok(())
        };
        for number in order {
            let Some(value) = job.values.get_mut(*number) else { continue };
            let copied = self.log.copy_into_series(&mut series, &value.segment, &value.from, &go_on);
            value.to = copied.inspect_err(|error| {
                self.log.abandon_moved_values(&series);
                if !matches!(error, Error::NoSpace(_) | Error::Closed) {
                    compactor.unreadable.insert(value.segment.serial());
                }
            })?;
            if value.to.is_none() {
                // It keeps its segment, and were all that a job takes on like it, the next job would take on the same ones.
                compactor.unreadable.insert(value.segment.serial());
            }
        }
        self.log.end_moved_values(series)
    }

    /// Writes the records anew that name values which were copied, and moves the index to them.
    fn move_records(&self, compactor: &mut Compactor, job: &LargeJob, order: &[usize]) -> Result<()> {
        let mut rest = order;
        while !rest.is_empty() {
            let (count, bytes) = job.records.fitting(rest);
            let (now, later) = rest.split_at(count);
            let segment = self.log.begin_copies(bytes)?;
            let mut sequences = (u64::MAX, 0);
            let moved = self.move_into(&segment, job, now, &mut sequences);
            // Also after an error: the index may lead here by now.
            self.log.end_copies(&segment, sequences)?;
            compactor.has_copied = true;
            moved?;
            self.log.copies_are_known(&segment);
            rest = later;
        }
        Ok(())
    }

    fn move_into(
        &self,
        segment: &Segment,
        job: &LargeJob,
        order: &[usize],
        sequences: &mut (u64, u64),
    ) -> Result<()> {
        let salt = self.log.salt(segment.serial());
        let mut batch = Batch::default();
        for number in order {
            let (Some(item), Some(value)) = (job.records.items.get(*number), job.values.get(*number)) else {
                continue;
            };
            let Some(to) = value.to else { continue };
            let offset = segment.published() + batch.bytes.len() as u64;
            let guard = self.log.pin();
            let mut record = self.log.record_at(item.location, &guard)?;
            let old_bytes = record.stored_bytes();
            let old = record.unchecked()?;
            let new = NewRecord { value: &to.encode(), ..old.again() };
            batch.push_new(*number, &new, old_bytes, item.sequence, salt.at(offset));
            drop(guard);
            *sequences = (item.sequence.min(sequences.0), item.sequence.max(sequences.1));
            if batch.is_full() {
                self.move_named(job, &mut batch, segment)?;
            }
        }
        self.move_named(job, &mut batch, segment)
    }

    fn move_named(&self, job: &LargeJob, batch: &mut Batch, segment: &Segment) -> Result<()> {
        let values =
            |number| job.values.get(number).and_then(|value: &Value| Some((&value.from, value.to.as_ref()?)));
        self.move_batch(&job.records, batch, segment, values, |_, _| {})
    }
}

/// The headers of the values of a segment, one after the other.
struct Headers<'a> {
    segment: &'a Segment,
    at: u64,
    window: Bytes<'a>,
    window_start: u64,
}

impl Headers<'_> {
    fn of(segment: &Segment) -> Headers<'_> {
        Headers { segment, at: HEADER, window: Bytes::Mapped(&[]), window_start: HEADER }
    }

    /// Offset, length and owner of the next value that lies in the segment. Nothing of it is checked: only who is named by a
    /// record counts.
    fn next(&mut self) -> Result<Option<(u64, u32, u64)>> {
        let offset = self.at;
        let is_inside =
            |end: u64| offset >= self.window_start && end <= self.window_start + self.window.len() as u64;
        if !is_inside(offset + LARGE_HEADER_BYTES as u64) {
            self.window = self.segment.read_at_most(offset, WALK_BYTES)?;
            self.window_start = offset;
        }
        let header = self.window.get((offset - self.window_start) as usize..).unwrap_or_default();
        let (Some(length), Some(owner)) = (large_length(header), large_owner(header)) else {
            return Ok(None);
        };
        let end = offset + aligned(LARGE_HEADER_BYTES + length as usize) as u64;
        self.at = end;
        Ok((end <= self.segment.published()).then_some((offset, length, owner)))
    }
}
