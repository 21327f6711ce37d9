//! The newest end of the log: the segments that are not on the device yet, and the one that is prepared.
//!
//! Whoever writes a manifest holds the state of the log while the device is waited for. A commit that begins a segment must not
//! wait for that, so what it changes stands behind a lock of its own.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::Log;
use super::state::{State, Unsynced};
use crate::segment::Segment;

/// Held for moments, and never while the device is waited for. Its lock is taken after the state's.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// A log segment prepared ahead. Put here under the state's lock as well.
    pub(super) spare: Option<Arc<Segment>>,
    /// Log segments to sync, oldest first. The last one is being appended to. Taken out under the state's lock as well.
    pub(super) log: Vec<Unsynced>,
    /// Serials and first commits of segments that were begun, as the manifest does not know them yet.
    begun: Vec<(u64, u64)>,
}

impl Front {
    /// The prepared segment, if it has room for so many bytes of content.
    pub(super) fn take_spare(&mut self, bytes_with_header: u64) -> Option<Arc<Segment>> {
        self.spare.take_if(|spare| spare.capacity() >= bytes_with_header)
    }

    /// Goes on in a segment behind the last one, which ends with this commit. One that was prepared and is passed over stays
    /// empty for ever: the order of the serials is the order of the commits.
    pub(super) fn begin(
        &mut self,
        segment: &Arc<Segment>,
        passed_over: Option<Arc<Segment>>,
        last_sequence: u64,
    ) {
        if let Some(full) = self.log.last_mut() {
            full.full = Some(last_sequence);
        }
        self.log.extend(passed_over.map(|spare| Unsynced { segment: spare, full: Some(last_sequence) }));
        self.log.push(Unsynced { segment: Arc::clone(segment), full: None });
        self.begun.push((segment.serial(), last_sequence + 1));
    }

    /// The segment that is being appended to.
    pub(super) fn active(&self) -> Option<&Arc<Segment>> {
        self.log.last().map(|one| &one.segment)
    }
}

impl Log {
    /// The state, in which every segment that was begun so far has its first commit.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        let begun = std::mem::take(&mut self.front.lock().begun);
        begun.into_iter().for_each(|(serial, first_sequence)| state.begin_segment(serial, first_sequence));
        state
    }

    /// Holds the state meanwhile, as whoever writes a manifest does.
    #[cfg(test)]
    pub(crate) fn while_a_manifest_is_written<T>(&self, work: impl FnOnce() -> T) -> T {
        let _state = self.state();
        work()
    }
}
