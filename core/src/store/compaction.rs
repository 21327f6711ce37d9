//! Compaction: what is live in segments with much garbage is copied into new ones, and the old ones are given up.
//!
//! # How it goes
//! 1. The victims are read from end to end. A record is live if the index leads to it.
//! 2. Live records are sorted by key and written, with the sequences that they have, into a segment of copies.
//! 3. Batch by batch, under the commit lock, the index is moved from the old place to the new one, unless the key has moved on.
//! 4. The copies are put on the device. From here on the victims are *emptied*: no location leads into them.
//! 5. A manifest is written that names the copies' use and no longer the victims, and their files go: at once where the last
//!    checkpoint knows the whole of each victim ([`super::moves`]), and otherwise with the next checkpoint.
//!
//! # Invariants
//! - Until step 5 everything that a recovery needs is where it was: a copy counts only with the checkpoint that knows it, or
//!   with the list of moves that names it.
//! - A tombstone is left out only when no segment but those that vanish in the same manifest has an older record that could be of
//!   its key.
//! - Whatever made a record dead is on the device before a manifest without it is.
//! - There is one compaction at a time, and none during a checkpoint. So of two copies of one key the later one is the newer.
//! - A segment is forgotten only when no version that a snapshot needs is in it, and every reader has moved on since.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use super::Store;
use super::job::{BATCH_BYTES, Batch, Fates, Item, Job};
use super::moves::Reach;
use crate::compaction::{Candidate, Effort, choose};
use crate::error::{Error, Result};
use crate::location::Location;
use crate::log::Settled;
use crate::manifest::{SEGMENT_HEADER_BYTES, SegmentKind};
use crate::moves::Copies;
use crate::prefetch::prefetch;
use crate::record::{LargePointer, Record};
use crate::sabotage::{Sabotage, is_planted};
use crate::segment::Segment;

pub(super) const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;
/// Live bytes that a job takes on when everything is compacted. While it runs, it takes about a hundred bytes for each record.
const FULL_JOB_BYTES: u64 = 128 << 20;
/// Bytes a second that are copied while there is little garbage.
const BYTES_PER_SECOND: u64 = 128 << 20;
/// Bytes in segments for a hundred live ones from which copying is not held back any more.
const PRESSURE_UNHINDERED: u64 = 140;

/// A database with less than this is never said to be under pressure.
const PRESSURE_BYTES_MIN: u64 = 128 << 20;

/// What a compaction has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// Segment files that were given up.
    pub segments_removed: u64,
    /// Bytes of records and large values that were written anew.
    pub bytes_copied: u64,
    /// Bytes of the segments that were given up, less those that took their place.
    pub bytes_freed: u64,
}

/// How far a compaction has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionProgress {
    /// Bytes of segments that are done with.
    pub bytes_done: u64,
    /// Bytes of the segments that are to be compacted, as far as is known.
    pub bytes_total: u64,
}

/// What the compactor keeps from one job to the next. One job at a time has it.
#[derive(Debug, Default)]
pub(super) struct Compactor {
    /// Segments in which nothing is needed any more, still in the manifest.
    pub(super) emptied: Vec<Settled>,
    /// Segments that the manifest does not name any more, and that somebody may still look into.
    pub(super) leaving: Vec<Settled>,
    /// By serial of a segment of copies: what it keeps beside newest records, as long as that is not looked at anew.
    kept: HashMap<u64, Kept>,
    /// Bytes that were retired so far.
    retired_bytes: u64,
    /// Segments that cannot be read from end to end: they stay as they are.
    pub(super) unreadable: HashSet<u64>,
    /// Number of the last checkpoint; 0 where there was none.
    pub(super) checkpoint: u64,
    /// The last commit that needs not be read again behind it. Of those that came while it was made it may know and count some.
    pub(super) checkpoint_sequence: u64,
    /// What had been appended to the log when it was made.
    pub(super) checkpoint_appended: u64,
    /// Whether segments of copies have come since, or segments have gone.
    pub(super) has_copied: bool,
    /// What it knows the whole of. `None` where there was no checkpoint.
    pub(super) reach: Option<Reach>,
}

impl Compactor {
    /// Goes on behind a checkpoint that was opened.
    pub(super) fn behind(number: u64, sequence: u64, kept: &HashMap<u64, u64>, reach: Reach) -> Compactor {
        let kept = kept.iter().filter(|(_, bytes)| **bytes > 0);
        let kept = kept.map(|(serial, bytes)| (*serial, Kept { bytes: *bytes, until_retired: KEPT_AT_OPEN }));
        let (checkpoint, checkpoint_sequence, reach) = (number, sequence, Some(reach));
        let has_copied = reach.as_ref().is_some_and(Reach::has_moves);
        let kept = kept.collect();
        Compactor { kept, checkpoint, checkpoint_sequence, reach, has_copied, ..Compactor::default() }
    }

    /// A checkpoint was made.
    pub(super) fn noted(&mut self, number: u64, sequence: u64, appended: u64, reach: Reach) {
        (self.checkpoint, self.checkpoint_sequence, self.checkpoint_appended) = (number, sequence, appended);
        (self.has_copied, self.reach) = (false, Some(reach));
    }

    /// Bytes that a segment keeps beside newest records.
    pub(super) fn kept_bytes(&self, serial: u64) -> u64 {
        self.kept.get(&serial).map_or(0, |kept| kept.bytes)
    }
}

/// What a segment of copies of an earlier life keeps is looked at anew when so many bytes were retired.
const KEPT_AT_OPEN: u64 = 64 << 20;

/// Tombstones and names of keyspaces in a segment of copies.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bytes: u64,
    /// When so much was retired, they are looked at anew.
    until_retired: u64,
}

/// So many records ahead of the one that is copied the next are asked for, and what is known of them twice as many ahead.
const COPIED_AHEAD: usize = 12;
/// What is asked for of them.
const AHEAD_BYTES: Range<usize> = 0..192;

/// What is in a segment of copies.
#[derive(Debug)]
struct Content {
    /// The lowest sequence and the highest.
    sequences: (u64, u64),
    /// Bytes of what is kept beside newest records.
    kept_bytes: u64,
}

impl Store {
    /// Compacts once, segments with serials below a bound, if that is worth it; on a full device only as far as the copies have
    /// room in so many bytes. Whether anything was done.
    pub(super) fn compact_once(
        &self,
        compactor: &mut Compactor,
        effort: Effort,
        before_serial: u64,
        room: Option<u64>,
        done: &mut Compaction,
    ) -> Result<bool> {
        let mut candidates = self.candidates(compactor);
        candidates.retain(|(candidate, _)| {
            // Where there is hardly any room, what has no garbage stays as it is.
            let gives_room = |room| candidate.live <= room && candidate.live < candidate.bytes / 100 * 99;
            candidate.serial < before_serial && room.is_none_or(gives_room)
        });
        let usual = self.log.usual_segment_bytes();
        let figures: Vec<Candidate> = candidates.iter().map(|(candidate, _)| *candidate).collect();
        // The more at once, the longer the stretches that are in the order of the keys.
        let live_bytes_max = if effort == Effort::Full { FULL_JOB_BYTES.max(usual) } else { usual };
        let live_bytes_max = live_bytes_max.min(room.unwrap_or(u64::MAX));
        let chosen = choose(&figures, self.log.appended(), effort, usual / 2, live_bytes_max);
        if chosen.is_empty() {
            return Ok(false);
        }
        let is_chosen =
            |one: &(Candidate, Settled)| chosen.iter().any(|chosen| chosen.serial == one.0.serial);
        let mut victims: Vec<Settled> =
            candidates.into_iter().filter(is_chosen).map(|(_, settled)| settled).collect();
        // A full compaction ends with a checkpoint anyway, where there is room for one.
        let at_once = (effort != Effort::Full || room.is_some())
            && compactor.reach.as_ref().is_some_and(|reach| reach.takes(&mut victims));
        let held_back = effort != Effort::Full && self.pressure() < PRESSURE_UNHINDERED;
        self.compact_segments(compactor, victims, at_once, held_back, done)?;
        Ok(true)
    }

    /// Gives up segments of large values in which no value is of use any more.
    pub(super) fn empty_large(&self, compactor: &mut Compactor, effort: Effort) {
        let is_dead = |one: &Settled| one.entry.kind == SegmentKind::Large && one.live.records == 0;
        let emptied: HashSet<u64> = compactor.emptied.iter().map(|one| one.entry.serial).collect();
        let dead = || {
            let settled = self.log.settled().into_iter();
            settled.filter(is_dead).filter(|one| !emptied.contains(&one.entry.serial))
        };
        let first: HashSet<u64> = dead().map(|one| one.entry.serial).collect();
        // A value may have been written there whose commit is still under way. Nobody has begun one since it was sealed, and
        // whoever had before is done when everybody has moved on.
        if first.is_empty() || !self.has_everybody_moved_on(effort) {
            return;
        }
        compactor.emptied.extend(dead().filter(|one| first.contains(&one.entry.serial)));
    }

    /// Bytes in segments for a hundred live ones, those included that are emptied and still there. A small database has no
    /// pressure.
    pub(super) fn pressure(&self) -> u64 {
        let (live, large) = self.log.live_bytes();
        let stats = self.log.stats();
        let used = stats.log_bytes + stats.large_bytes;
        if used < PRESSURE_BYTES_MIN { 0 } else { (used * 100).div_ceil((live + large).max(1)) }
    }

    /// The segments that could be compacted.
    fn candidates(&self, compactor: &Compactor) -> Vec<(Candidate, Settled)> {
        let mut excluded = compactor.unreadable.clone();
        excluded.extend(compactor.emptied.iter().map(|one| one.entry.serial));
        let settled = self.log.settled().into_iter();
        let of_records = settled
            .filter(|one| one.entry.kind != SegmentKind::Large && !excluded.contains(&one.entry.serial));
        of_records
            .map(|one| {
                let kept = compactor.kept.get(&one.entry.serial);
                let kept = kept.filter(|kept| compactor.retired_bytes < kept.until_retired);
                let candidate = Candidate {
                    serial: one.entry.serial,
                    bytes: one.entry.length.saturating_sub(HEADER),
                    live: one.live.bytes + kept.map_or(0, |kept| kept.bytes),
                    last_sequence: one.entry.last_sequence,
                    is_unsorted: one.entry.kind == SegmentKind::Log,
                };
                (candidate, one)
            })
            .collect()
    }

    /// Copies what is live in the victims, which are emptied by that, and given up at once if that is possible.
    fn compact_segments(
        &self,
        compactor: &mut Compactor,
        victims: Vec<Settled>,
        at_once: bool,
        held_back: bool,
        done: &mut Compaction,
    ) -> Result<()> {
        let (mut job, mut fates) = (Job::default(), Fates::new(at_once));
        for victim in &victims {
            self.gather(&mut job, &mut fates, victim).inspect_err(|_| {
                compactor.unreadable.insert(victim.entry.serial);
            })?;
        }
        // What vanishes in one manifest with the victims.
        let emptied = compactor.emptied.iter().filter(|_| !at_once);
        let gone: HashSet<u64> = victims.iter().chain(emptied).map(|one| one.entry.serial).collect();
        self.judge_tombstones(&mut job, &gone)?;
        let order = job.sorted();
        let mut copied = 0;
        // As many segments as the largest locations allow; almost always it is one.
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (count, bytes) = job.fitting(rest);
            let (now, later) = rest.split_at(count);
            let made = self.copy(compactor, &job, &mut fates, now, bytes, held_back);
            if made.is_err()
                && let Some(reach) = &mut compactor.reach
            {
                // Some records may have been moved, and no list will say so.
                reach.is_broken = true;
            }
            copied += made?;
            rest = later;
        }
        let freed: u64 = victims.iter().map(|victim| victim.segment.capacity()).sum();
        done.segments_removed += victims.len() as u64;
        done.bytes_copied += copied;
        done.bytes_freed += freed.saturating_sub(copied);
        self.figures.compacted(copied);
        for victim in &victims {
            compactor.kept.remove(&victim.entry.serial);
            compactor.retired_bytes += victim.segment.capacity();
        }
        if at_once {
            self.retire_moved(compactor, victims, fates)
        } else {
            compactor.emptied.extend(victims);
            Ok(())
        }
    }

    /// Runs `work` with the record of an item, which was found to be whole when it was gathered.
    fn with_record<T>(&self, item: &Item, work: impl FnOnce(&Record<'_>) -> Result<T>) -> Result<T> {
        let guard = self.log.pin();
        let mut record = self.log.record_at(item.location, &guard)?;
        work(&record.unchecked()?)
    }

    /// Writes these items into a segment of copies and moves the index there.
    fn copy(
        &self,
        compactor: &mut Compactor,
        job: &Job,
        fates: &mut Fates,
        order: &[usize],
        bytes: u64,
        held_back: bool,
    ) -> Result<u64> {
        let segment = self.log.begin_copies(bytes)?;
        fates.copies.push(Copies { serial: segment.serial(), ..Copies::default() });
        let mut content = Content { sequences: (u64::MAX, 0), kept_bytes: 0 };
        let copied = self.copy_into(&segment, job, fates, order, held_back, &mut content);
        // Also after an error: the index may lead here by now.
        self.log.end_copies(&segment, content.sequences)?;
        copied?;
        self.log.copies_are_known(&segment);
        compactor.has_copied = true;
        if content.kept_bytes > 0 {
            let until_retired = compactor.retired_bytes + self.log.stats().allocated_bytes / 2;
            compactor.kept.insert(segment.serial(), Kept { bytes: content.kept_bytes, until_retired });
        }
        Ok(segment.published() - HEADER)
    }

    fn copy_into(
        &self,
        segment: &Segment,
        job: &Job,
        fates: &mut Fates,
        order: &[usize],
        held_back: bool,
        content: &mut Content,
    ) -> Result<()> {
        let salt = self.log.salt(segment.serial());
        let mut batch = Batch::default();
        for (at, number) in order.iter().enumerate() {
            self.ask_ahead(job, order, at);
            let item = &job.items[*number];
            let offset = segment.published() + batch.bytes.len() as u64;
            let stored = self.with_record(item, |record| {
                Ok(batch.push(*number, record, item.sequence, salt.at(offset)))
            })?;
            let (least, most) = content.sequences;
            content.sequences = (item.sequence.min(least), item.sequence.max(most));
            content.kept_bytes += if item.is_live { 0 } else { stored };
            if batch.is_full() {
                self.move_batch(job, &mut batch, segment, |_| None, |item, to| fates.note(item, to))?;
                if self.wake.is_stopping() {
                    return Err(Error::Closed);
                }
                if held_back {
                    hold_back(BATCH_BYTES as u64);
                }
            }
        }
        self.move_batch(job, &mut batch, segment, |_| None, |item, to| fates.note(item, to))
    }

    /// Asks for what will be copied soon. In the order of the keys each record stands somewhere else, and so does what is known of
    /// it.
    fn ask_ahead(&self, job: &Job, order: &[usize], at: usize) {
        let ahead = |by| order.get(at + by).and_then(|number| job.items.get(*number));
        if let Some(item) = ahead(2 * COPIED_AHEAD) {
            prefetch(item);
        }
        if let Some(item) = ahead(COPIED_AHEAD) {
            self.log.prefetch(item.location, AHEAD_BYTES, &self.log.pin());
        }
    }

    /// Publishes a batch of copies and moves the index to them, where it has not moved on. `values` tells where the large value of
    /// an item was and where it is, if it was moved; `moved` hears of each live item whether the index leads to its copy, which has so
    /// many bytes.
    pub(super) fn move_batch<'a>(
        &self,
        job: &Job,
        batch: &mut Batch,
        segment: &Segment,
        values: impl Fn(usize) -> Option<(&'a LargePointer, &'a LargePointer)>,
        mut moved: impl FnMut(&Item, Option<(Location, u64)>),
    ) -> Result<()> {
        let start = segment.published();
        segment.cache_ahead(batch.bytes.len() as u64);
        segment.append(&[&batch.bytes]).map_err(|error| self.log.failed_append(error))?;
        segment.publish(start + batch.bytes.len() as u64);
        segment.write_out().map_err(|error| self.log.poisoned_by(error))?;
        // So that nobody waits for it under the lock.
        batch.moves.iter().for_each(|one| self.keys.index.prefetch(job.items[one.item].hash));
        self.move_index(job, batch, segment, start, values)?;
        // Not under the lock: what is told may go into a list that grows to millions, and making room in such a list takes as long
        // as moving thousands of batches.
        for one in batch.moves.drain(..) {
            let item = &job.items[one.item];
            if item.is_live {
                moved(item, one.to.map(|to| (to, one.new_bytes)));
            }
        }
        batch.bytes.clear();
        Ok(())
    }

    /// Moves the index to the copies of a batch that stand in `segment` from `start` on. Commits wait for as long.
    fn move_index<'a>(
        &self,
        job: &Job,
        batch: &mut Batch,
        segment: &Segment,
        start: u64,
        values: impl Fn(usize) -> Option<(&'a LargePointer, &'a LargePointer)>,
    ) -> Result<()> {
        let _nobody_commits = self.committer.lock();
        let guard = self.log.pin();
        for one in &mut batch.moves {
            let item = &job.items[one.item];
            let to = Location::new(segment.slot(), start + one.offset as u64).ok_or_else(no_location)?;
            if !item.is_live {
                continue;
            }
            if self.keys.index.replace(item.hash, item.location, to) {
                one.to = Some(to);
                let (was, is) = values(one.item).unzip();
                self.log.count_live(to, one.new_bytes, is, &guard);
                self.log.count_dead(item.location, one.old_bytes, was, &guard);
                let old_serial = self.log.serial(item.location, &guard)?;
                self.cache.relocate((old_serial, item.location.offset()), (segment.serial(), to.offset()));
            } else {
                if is_planted(Sabotage::CopyOverNewer)
                    && let Some(newer) = self.keys.index.candidates(item.hash)?.next()
                {
                    self.keys.index.replace(item.hash, newer, to);
                }
                self.log.note_dead(to, &guard);
            }
        }
        Ok(())
    }

    /// Gives up the emptied segments.
    pub(super) fn retire_emptied(&self, compactor: &mut Compactor, checkpoint: Option<u64>) -> Result<()> {
        let emptied = std::mem::take(&mut compactor.emptied);
        self.retire(compactor, emptied, checkpoint, 0)
    }

    /// Gives up segments in which nothing is needed any more: a manifest without them, with this checkpoint and so many bytes of
    /// moves, and their files go. After an error they count as emptied.
    pub(super) fn retire(
        &self,
        compactor: &mut Compactor,
        segments: Vec<Settled>,
        checkpoint: Option<u64>,
        moves_bytes: u64,
    ) -> Result<()> {
        let serials: Vec<u64> = segments.iter().map(|one| one.entry.serial).collect();
        // A newer record may be in memory only: without it the one that is given up would still count.
        let synced = self.sync_written();
        if let Err(error) = synced.and_then(|()| self.log.retire(&serials, checkpoint, moves_bytes)) {
            compactor.emptied.extend(segments);
            return Err(error);
        }
        self.remove_hints(&serials);
        compactor.leaving.extend(segments);
        self.forget_leaving(compactor);
        Ok(())
    }

    /// Forgets the segments that were retired and that nobody needs any more.
    pub(super) fn forget_leaving(&self, compactor: &mut Compactor) {
        let held = |one: &Settled| self.versions.holds(one.segment.slot(), one.entry.serial);
        if compactor.leaving.iter().all(held) || !crate::epoch::everybody_has_moved_on(self.generation) {
            return;
        }
        compactor.leaving.retain(|one| {
            let is_held = held(one);
            if !is_held {
                if is_planted(Sabotage::KeepSegments) {
                    Box::leak(Box::new(std::sync::Arc::clone(&one.segment)));
                }
                self.log.forget_segment(one.entry.serial);
            }
            is_held
        });
        self.figures.pinned(compactor.leaving.iter().map(|one| one.segment.capacity()).sum());
    }
}

/// Rests for as long as so many bytes are to take.
pub(super) fn hold_back(bytes: u64) {
    std::thread::sleep(Duration::from_nanos(bytes * 1_000_000_000 / BYTES_PER_SECOND));
}

pub(super) fn no_location() -> Error {
    Error::Internal("a record stands where no location leads".to_owned())
}
