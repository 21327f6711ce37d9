//! Lazy iterators.

use std::fmt;
use std::sync::Arc;

use super::KeyValue;
use super::engine::Handle;
use crate::error::Result;
use crate::scan::Entry;
use crate::transaction::TrackedWalk;

/// What both iterators do: the handle is asked, then the walk goes one step on. After an error there is nothing more.
struct Steps {
    handle: Arc<Handle>,
    walk: Option<TrackedWalk>,
}

impl Steps {
    fn step(&mut self) -> Option<Result<Entry>> {
        let walk = self.walk.as_mut()?;
        let stepped = step(&self.handle, walk);
        if !matches!(stepped, Ok(Some(_))) {
            self.walk = None;
        }
        stepped.transpose()
    }
}

fn step(handle: &Handle, walk: &mut TrackedWalk) -> Result<Option<Entry>> {
    handle.check_open()?;
    if let Some(entry) = walk.take() {
        return Ok(Some(entry));
    }
    let guard = handle.pin()?;
    let store = handle.store_of(walk.pin(), &guard)?;
    walk.step(&store)
}

/// Entries in key order, as of the moment the iterator was made. Reads as it goes, so a scan of a large database holds
/// no large memory. Ends after the first error.
pub struct Iter(Steps);

/// Keys in order, as of the moment the iterator was made. Never reads a value. Ends after the first error.
pub struct Keys(Steps);

impl Iter {
    pub(super) fn new(handle: Arc<Handle>, walk: TrackedWalk) -> Iter {
        Iter(Steps { handle, walk: Some(walk) })
    }
}

impl Keys {
    pub(super) fn new(handle: Arc<Handle>, walk: TrackedWalk) -> Keys {
        Keys(Steps { handle, walk: Some(walk) })
    }
}

impl Iterator for Iter {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step()
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.step()?.map(|(key, _)| key))
    }
}

impl std::iter::FusedIterator for Iter {}
impl std::iter::FusedIterator for Keys {}

impl fmt::Debug for Iter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
