//! When segments are compacted and checkpoints made: by the background, and when somebody asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Store;
use super::compaction::{Compaction, CompactionProgress, Compactor};
use crate::compaction::Effort;
use crate::error::{Error, Result};

/// What a key takes in a checkpoint of the index, about.
pub(super) const INDEX_BYTES_PER_KEY: u64 = 12;
/// A checkpoint is made when so many times the size of the index was appended to the log since the last one, within these bounds:
/// often enough that little has to be read again after a crash, and seldom enough that it is a small part of what is written.
const CHECKPOINT_IMAGES: u64 = 8;
/// Or when the segments that wait for one have so many times that size.
const EMPTIED_IMAGES: u64 = 3;
/// Or, at rest, when a checkpoint would give back room for one so many times smaller.
const REST_IMAGES: u64 = 4;
const CHECKPOINT_BYTES_MIN: u64 = 16 << 20;
const CHECKPOINT_BYTES_MAX: u64 = 256 << 20;

/// How often the background looks for work.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long nobody must have written for the database to be at rest.
const REST_AFTER: Duration = Duration::from_secs(1);
/// How long the background leaves things alone after a failure, such as a full device.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Bytes in segments for a hundred live ones from which writers are held back: for each further one so many nanoseconds a KiB, and
/// at most so many. At the most a writer makes some ten MiB a second, which leaves nearly all of the device to compaction.
const PRESSURE_HELD_BACK: u64 = 147;
const NANOSECONDS_PER_KIB: u64 = 3_000;
const NANOSECONDS_PER_KIB_MAX: u64 = 80_000;
/// Who has so much to make good for rests for it.
const REST_NANOSECONDS: u64 = 500_000;

/// How much writers are held back, so that compaction keeps up with them.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What each KiB costs, in nanoseconds.
    per_kib: AtomicU64,
    /// Bytes written that nobody has rested for, times that.
    owed: AtomicU64,
}

impl Pace {
    fn set(&self, pressure: u64) {
        let over = pressure.saturating_sub(PRESSURE_HELD_BACK);
        let per_kib = over.saturating_mul(NANOSECONDS_PER_KIB).min(NANOSECONDS_PER_KIB_MAX);
        self.per_kib.store(per_kib, Ordering::Relaxed);
    }

    /// Rests now and then for what is written. Called without any lock.
    #[inline]
    pub(super) fn keep(&self, bytes: usize) {
        if self.per_kib.load(Ordering::Relaxed) != 0 {
            self.rest_for(bytes);
        }
    }

    #[cold]
    fn rest_for(&self, bytes: usize) {
        let cost = bytes as u64 * self.per_kib.load(Ordering::Relaxed) / 1024;
        if self.owed.fetch_add(cost, Ordering::Relaxed) + cost >= REST_NANOSECONDS {
            let owed = self.owed.swap(0, Ordering::Relaxed);
            std::thread::sleep(Duration::from_nanos(owed.min(4 * REST_NANOSECONDS)));
        }
    }
}

/// Copies can take more than what they are made of: records of batches have shorter headers.
const RESERVE_HALVED_MAX: u32 = 4;

/// Is told how far a compaction has come, and says whether to go on.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(&CompactionProgress) -> bool;

impl Store {
    pub(super) fn compact_regularly(&self) {
        let (mut last_sequence, mut last_write) = (0, Instant::now());
        let mut pause_until = Instant::now();
        // On one thread, so that processors are left for those who use the database. Whoever needs it is told of errors.
        let _told_to_others = self.know_all();
        while !self.wake.is_stopping() {
            self.wake.rest(LOOK_EVERY);
            let now = Instant::now();
            if self.log.appended() != last_sequence {
                (last_sequence, last_write) = (self.log.appended(), now);
            }
            if now < pause_until || self.log.is_poisoned() || self.wake.is_stopping() {
                continue;
            }
            let is_at_rest = now.duration_since(last_write) >= REST_AFTER;
            let effort = if is_at_rest { Effort::Rest } else { Effort::Busy };
            // What could not be done now is done later; what concerns a writer is told to the writer.
            if self.maintain_segments(effort).is_err() {
                pause_until = Instant::now() + PAUSE_AFTER_FAILURE;
            }
        }
    }

    /// One round of the background.
    fn maintain_segments(&self, effort: Effort) -> Result<()> {
        self.know_all()?;
        // Where somebody else compacts, or backs up, there is nothing to be done beside.
        let Some(mut compactor) = self.compactor.try_lock() else { return Ok(()) };
        if self.log.is_poisoned() {
            return Ok(());
        }
        let mut done = Compaction::default();
        self.pace.set(self.pressure());
        if effort == Effort::Rest {
            // Values that were given up may have left segments that are full and that no sync has a reason to seal.
            self.log.end_large_segments(&|_, _| false)?;
        }
        // What is wholly dead needs no room, and makes some.
        self.empty_large(&mut compactor, effort);
        while self.compact_with_room(&mut compactor, effort, u64::MAX, &mut done)? {
            self.checkpoint_if_due(&mut compactor, effort)?;
            self.pace.set(self.pressure());
        }
        self.compact_large(&mut compactor, effort, u64::MAX, &mut done, &mut |_| {
            self.pace.set(self.pressure());
            true
        })?;
        self.forget_leaving(&mut compactor);
        self.tidy_hints(effort);
        Ok(())
    }

    /// [`Store::compact_once`]. Where there is no room for copies, it first gives up what is emptied, and then takes the reserve.
    fn compact_with_room(
        &self,
        compactor: &mut Compactor,
        effort: Effort,
        before_serial: u64,
        done: &mut Compaction,
    ) -> Result<bool> {
        let compacted = match self.compact_once(compactor, effort, before_serial, None, done) {
            Err(Error::NoSpace(_)) if !compactor.emptied.is_empty() => {
                self.checkpoint(compactor)?;
                self.compact_once(compactor, effort, before_serial, None, done)
            }
            other => other,
        };
        match compacted {
            Err(Error::NoSpace(refused)) => self.on_reserve(compactor, refused, |compactor, bytes| {
                self.compact_once(compactor, effort, before_serial, Some(bytes), done)
            }),
            other => other,
        }
    }

    /// Has some compaction done with the room that is kept in reserve: it is told how much that is, and less where that was too
    /// much after all. What it empties is given up before anybody else gets room. Where nothing could be done it was refused before
    /// for that reason.
    pub(super) fn on_reserve(
        &self,
        compactor: &mut Compactor,
        refused: String,
        mut work: impl FnMut(&mut Compactor, u64) -> Result<bool>,
    ) -> Result<bool> {
        let Some(lent) = self.log.lend_reserve() else { return Err(Error::NoSpace(refused)) };
        let mut worked = Ok(false);
        for halved in 0..RESERVE_HALVED_MAX {
            worked = work(compactor, lent.bytes >> halved);
            if !matches!(worked, Err(Error::NoSpace(_))) {
                break;
            }
        }
        if !compactor.emptied.is_empty() {
            // A checkpoint would take of the room that is lent.
            self.do_without_checkpoint(compactor)?;
        }
        drop(lent);
        match worked {
            Ok(false) | Err(Error::NoSpace(_)) => Err(Error::NoSpace(refused)),
            other => other,
        }
    }

    /// Compacts as at rest, as often as there is something to compact or so many times, and makes no checkpoint but perhaps one
    /// before that, after which `first` runs.
    #[cfg(test)]
    pub(crate) fn compact_a_little(&self, with_checkpoint: bool, most: usize, first: impl FnOnce()) {
        let mut compactor = self.compactor().unwrap();
        if with_checkpoint {
            self.checkpoint(&mut compactor).unwrap();
        }
        first();
        let mut compact = || {
            self.compact_once(&mut compactor, Effort::Rest, u64::MAX, None, &mut Compaction::default())
                .unwrap()
        };
        (0..most).take_while(|_| compact()).for_each(drop);
    }

    /// Keeps everybody from compacting.
    #[cfg(test)]
    pub(crate) fn nobody_compacts(&self) -> impl Drop {
        self.compactor().unwrap()
    }

    /// Compacts once as at rest, or makes a checkpoint.
    #[cfg(test)]
    pub(crate) fn compact_or_checkpoint(&self, compacts: bool) -> Result<()> {
        let mut compactor = self.compactor()?;
        match compacts {
            true => self
                .compact_once(&mut compactor, Effort::Rest, u64::MAX, None, &mut Compaction::default())
                .map(drop),
            false => self.checkpoint(&mut compactor),
        }
    }

    pub(super) fn checkpoint_if_due(&self, compactor: &mut Compactor, effort: Effort) -> Result<()> {
        let image = self.keys.index.len() * INDEX_BYTES_PER_KEY;
        let least = CHECKPOINT_BYTES_MIN.min(4 * self.log.usual_segment_bytes());
        let interval = (CHECKPOINT_IMAGES * image).clamp(least, CHECKPOINT_BYTES_MAX);
        // Emptied segments take room until there is one.
        let emptied_most = (EMPTIED_IMAGES * image).clamp(least, CHECKPOINT_BYTES_MAX);
        let appended = self.log.bytes_appended() - compactor.checkpoint_appended;
        let emptied: u64 = compactor.emptied.iter().map(|one| one.segment.capacity()).sum();
        // So do key runs that only the last one still names.
        let superseded = self.keys.order.superseded_bytes();
        let freed = emptied + superseded + compactor.reach.as_ref().map_or(0, |reach| reach.moves_bytes);
        let is_due = match effort {
            Effort::Busy => appended >= interval || emptied >= emptied_most || superseded >= image.max(least),
            _ => appended >= interval || freed > 0 && freed * REST_IMAGES >= image,
        };
        // Where it would take of the reserve the next open reads more of the log; what is emptied is given up without one.
        let can_be_made = || !compactor.emptied.is_empty() || self.has_room_for_checkpoint();
        if is_due && can_be_made() { self.checkpoint(compactor) } else { Ok(()) }
    }

    /// Makes a checkpoint if there is anything that the last one does not know.
    pub(super) fn checkpoint_at_end(&self) -> Result<()> {
        let mut compactor = self.compactor()?;
        let is_known = compactor.checkpoint > 0
            && compactor.checkpoint_sequence == self.log.appended()
            && !compactor.has_copied
            && compactor.emptied.is_empty();
        if is_known { Ok(()) } else { self.checkpoint(&mut compactor) }
    }

    /// Gives back everything that can be given back, at once.
    pub(crate) fn compact(&self, progress: Progress<'_>) -> Result<Compaction> {
        let mut compactor = self.compactor()?;
        match self.log.end_segment(&mut self.committer.lock().appender) {
            // What is sealed already can be compacted all the same, and makes room, or leaves fewer segments than there can be.
            Err(Error::NoSpace(_) | Error::Storage(_)) => {}
            other => other?,
        }
        self.end_large_with_garbage()?;
        self.sync_written()?;
        self.log.seal_ended()?;
        let before_serial = self.log.next_serial();
        let (mut done, mut how_far) = (Compaction::default(), CompactionProgress::default());
        how_far.bytes_total = self.log.stats().allocated_bytes;
        let mut goes_on = self.tell(progress, &how_far);
        // Where there is no room for some of it, the rest is done all the same.
        let mut refused = None;
        while goes_on {
            match self.compact_with_room(&mut compactor, Effort::Full, before_serial, &mut done) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Error::NoSpace(reason)) => {
                    refused = Some(reason);
                    break;
                }
                Err(error) => return Err(error),
            }
            how_far.bytes_done = (done.bytes_copied + done.bytes_freed).min(how_far.bytes_total);
            goes_on = self.tell(progress, &how_far);
        }
        if goes_on {
            let mut tell = |done: &Compaction| {
                how_far.bytes_done = (done.bytes_copied + done.bytes_freed).min(how_far.bytes_total);
                self.tell(progress, &how_far)
            };
            match self.compact_large(&mut compactor, Effort::Full, before_serial, &mut done, &mut tell) {
                Err(Error::NoSpace(reason)) => refused = Some(reason),
                other => goes_on = other?,
            }
        }
        self.empty_large(&mut compactor, Effort::Full);
        match self.checkpoint(&mut compactor) {
            // The next open reads more of the log.
            Err(Error::NoSpace(_)) => {}
            other => {
                other?;
                self.write_missing_hints();
            }
        }
        self.forget_leaving(&mut compactor);
        match refused {
            Some(reason) if done.segments_removed == 0 => return Err(Error::NoSpace(reason)),
            _ => {}
        }
        if goes_on {
            how_far.bytes_done = how_far.bytes_total;
            self.tell(progress, &how_far);
        }
        Ok(done)
    }

    /// The right to compact, to make checkpoints and to keep others from both. Waits for who has it; who is told the progress
    /// of a compaction would wait for himself, and is refused.
    pub(super) fn compactor(&self) -> Result<MutexGuard<'_, Compactor>> {
        if self.told.load(Ordering::Relaxed) == this_thread() {
            return Err(Error::InvalidArgument(
                "this cannot be called from the progress of a compaction; return false to end it".to_owned(),
            ));
        }
        self.know_all()?;
        Ok(self.compactor.lock())
    }

    /// Tells how far a compaction has come.
    fn tell(&self, progress: Progress<'_>, how_far: &CompactionProgress) -> bool {
        let told = Told(&self.told);
        told.0.store(this_thread(), Ordering::Relaxed);
        progress(how_far)
    }
}

/// While the progress of a compaction is told.
struct Told<'a>(&'a AtomicUsize);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What tells this thread from all that are alive; never 0.
fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    // A thread that is ending is told nothing.
    PLACE.try_with(|place| std::ptr::from_ref(place).addr()).unwrap_or(usize::MAX)
}
