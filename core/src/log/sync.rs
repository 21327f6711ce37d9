//! Putting the log on the device, and sealing what is full.

use std::sync::atomic::Ordering;

use super::Log;
use super::state::Unsynced;
use crate::error::Result;

impl Log {
    /// Puts everything appended before this call on the device, and returns the sequence up to which everything is. Callers
    /// that come while another syncs wait for it, and mostly find that it was done for them.
    ///
    /// A failed sync is never tried again: the system may have dropped the pages and would report success.
    pub(crate) fn sync(&self) -> Result<u64> {
        self.sync_to(self.appended())
    }

    /// Puts everything up to a sequence on the device, and mostly more.
    pub(crate) fn sync_to(&self, wanted: u64) -> Result<u64> {
        if self.durable() >= wanted {
            return Ok(self.durable());
        }
        let _turn = self.sync_turn.lock();
        self.check_not_poisoned()?;
        if self.durable() >= wanted {
            return Ok(self.durable());
        }
        // Everything up to `target` is in one of the segments listed after it was read.
        let target = self.appended();
        let (large, log) = {
            let state = self.state.lock();
            (state.large.clone(), state.log.clone())
        };
        // Large values first: a durable record must find its value.
        for one in large.iter().chain(&log) {
            one.segment.sync().map_err(|error| self.poisoned_by(error))?;
        }
        self.durable.store(target, Ordering::Release);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.seal_full(&large, &log)?;
        Ok(target)
    }

    /// Seals the segments that were full when they were synced.
    fn seal_full(&self, large: &[Unsynced], log: &[Unsynced]) -> Result<()> {
        let full: Vec<_> =
            large.iter().chain(log).filter_map(|one| Some((&one.segment, one.full?))).collect();
        if full.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock();
        for (segment, last_sequence) in &full {
            segment.seal();
            state.seal(segment, *last_sequence);
        }
        let is_sealed =
            |one: &Unsynced| full.iter().any(|(segment, _)| segment.serial() == one.segment.serial());
        state.large.retain(|one| !is_sealed(one));
        state.log.retain(|one| !is_sealed(one));
        match self.write_manifest(&mut state) {
            // The commits are on the device; the old manifest still reads them. The next one will name the seal.
            Err(crate::error::Error::NoSpace(_)) => Ok(()),
            other => other,
        }
    }
}
