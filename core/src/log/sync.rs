//! Putting the log on the device, and sealing what is full.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::state::Unsynced;
use crate::error::Result;
use crate::segment::Segment;

impl Log {
    /// Puts everything appended before this call on the device, and returns the sequence up to which everything is. Callers
    /// that come while another syncs wait for it, and mostly find that it was done for them.
    ///
    /// A failed sync is never tried again: the system may have dropped the pages and would report success.
    pub(crate) fn sync(&self) -> Result<u64> {
        self.sync_to(self.appended(), &|| self.appended())
    }

    /// Puts everything up to a sequence on the device, and mostly more: up to where `target` says, which is asked when it
    /// is our turn.
    pub(crate) fn sync_to(&self, wanted: u64, target: &dyn Fn() -> u64) -> Result<u64> {
        // Asked first, and whenever a turn has ended: what is on the device has not failed, whatever failed since.
        let Some(_turn) = self.sync_turns.take_unless(|| self.durable() >= wanted) else {
            return Ok(self.durable());
        };
        self.check_not_poisoned()?;
        self.check_directory()?;
        // Everything up to `target` is in one of the segments listed after it was read.
        let target = target();
        let (large, log, recovering) = {
            let state = self.state();
            (state.unsynced_large(), self.front.lock().log.clone(), state.deferred)
        };
        // Large values first: a durable record must find its value.
        let large_ends: Vec<u64> = large.iter().map(|one| one.segment.published()).collect();
        self.sync_segments(large.iter().chain(&log).map(|one| &one.segment))?;
        self.durable.store(target, Ordering::Release);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if !recovering {
            // What recovery has written anew counts only once a manifest names it.
            self.mark(None)?;
        }
        self.seal_full(target, &large, &large_ends, &log)?;
        Ok(target)
    }

    /// Begins a sync of what was committed so far: writes most of it out. For the background, where nobody waits for the sync.
    pub(crate) fn write_out(&self) -> Result<()> {
        self.check_not_poisoned()?;
        let log = self.front.lock().log.clone();
        log.iter().try_for_each(|one| one.segment.write_out().map_err(|error| self.poisoned_by(error)))
    }

    /// Puts what was written to segments on the device.
    pub(super) fn sync_segments<'a>(
        &self,
        mut segments: impl Iterator<Item = &'a Arc<Segment>>,
    ) -> Result<()> {
        self.check_not_poisoned()?;
        segments.try_for_each(|segment| {
            self.check_in_place(segment)?;
            segment.sync().map_err(|error| self.poisoned_by(error))
        })
    }

    /// Seals the segments that were ended when everything in them was on the device already: no sync had a reason to.
    pub(crate) fn seal_ended(&self) -> Result<()> {
        let _turn = self.sync_turns.take();
        self.check_not_poisoned()?;
        self.check_directory()?;
        let log = self.front.lock().log.clone();
        self.seal_full(self.durable(), &[], &[], &log)
    }

    /// Seals the segments that were full when they were synced, unless they have commits behind the sync's target: the
    /// manifest that names a segment as sealed also says that all its commits are durable. With the seals goes how far the large
    /// values are durable: recovery does not look into a sealed segment for the values that it names.
    fn seal_full(&self, target: u64, large: &[Unsynced], large_ends: &[u64], log: &[Unsynced]) -> Result<()> {
        let last_of_full = |one: &Unsynced| one.full.filter(|last_sequence| *last_sequence <= target);
        let full: Vec<_> =
            large.iter().chain(log).filter_map(|one| Some((&one.segment, last_of_full(one)?))).collect();
        if large.is_empty() && full.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        for (one, end) in large.iter().zip(large_ends) {
            state.note_durable(&one.segment, *end);
        }
        if full.is_empty() {
            return Ok(());
        }
        for (segment, last_sequence) in &full {
            segment.seal();
            state.seal(segment, *last_sequence);
        }
        let is_sealed =
            |one: &Unsynced| full.iter().any(|(segment, _)| segment.serial() == one.segment.serial());
        state.large.retain(|one| !is_sealed(one));
        self.front.lock().log.retain(|one| !is_sealed(one));
        let named = self.write_manifest(&mut state);
        let is_named = named.is_ok() && state.reaches_device();
        drop(state);
        if is_named {
            full.iter().for_each(|(segment, _)| segment.cut_tail());
        }
        match named {
            // The commits are on the device; the old manifest still reads them. The next one will name the seal.
            Err(_) if !self.is_poisoned() => Ok(()),
            other => other,
        }
    }
}
