//! Values of a commit that stand aside: a commit that grows long keeps only references to its further values, which go to
//! segments of large values as they come. So a commit is one frame in one segment, however long its values are.

use std::sync::Weak;

use super::Store;
use crate::disk::generation;
use crate::error::Result;
use crate::log::LargeSeries;
use crate::record::LargePointer;

/// The values of one commit that stand aside. Nothing of them is there before the commit is; dropped before, they are given up.
#[derive(Debug)]
pub(super) struct Aside {
    /// They do not keep the store open.
    store: Weak<Store>,
    /// The process that writes them, in the line of forks.
    generation: u64,
    series: LargeSeries,
}

impl Aside {
    pub(super) fn of(store: &Store) -> Aside {
        Aside { store: Weak::clone(&store.own), generation: store.generation, series: LargeSeries::default() }
    }

    /// Bytes of the values, with what stands around them.
    pub(super) fn bytes(&self) -> u64 {
        self.series.bytes()
    }

    /// Writes a value and tells where it will be found. After an error it may be tried again.
    pub(super) fn push(&mut self, store: &Store, value: &[u8], hash: u64) -> Result<LargePointer> {
        store.log.push_large(&mut self.series, value, hash)
    }

    /// All values are written when this returns.
    pub(super) fn complete(&mut self, store: &Store) -> Result<()> {
        store.log.complete_series(&mut self.series)
    }

    /// Lets all values be read. Called under the commit lock, right before the frame with the references is appended, and under
    /// a guard that lives until they are known.
    pub(super) fn publish(mut self, store: &Store) {
        store.log.publish_series(&std::mem::take(&mut self.series));
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // In the child of a fork the store is the parent's, and its locks may be held by nobody.
        if generation() == self.generation
            && let Some(store) = self.store.upgrade()
        {
            store.log.abandon_series(&self.series);
        }
    }
}
