//! Commits that wait for the device, snapshots, and who sees what.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Store;
use crate::error::Result;
use crate::options::Durability;

/// While commits are hidden: the sequence that readers see instead, which the version table keeps readable.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    pinned: Option<u64>,
}

/// Keeps the database readable as it was at one sequence, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Pin {
    store: Arc<Store>,
    pub(crate) sequence: u64,
    /// Whether changed keys are remembered for this one.
    for_transaction: bool,
}

impl Pin {
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.store.versions.unpin(self.sequence);
        if self.for_transaction {
            self.store.recent.end(self.sequence);
        }
    }
}

impl Store {
    /// Begins a snapshot of what readers see now. It shares the commit lock, so it never sees half a commit. For a
    /// transaction, keys that change from here on are remembered.
    pub(crate) fn pin(self: &Arc<Store>, for_transaction: bool) -> Pin {
        let committer = self.committer.lock();
        let sequence = self.visible();
        self.versions.pin(sequence);
        if for_transaction {
            self.recent.begin(sequence);
        }
        drop(committer);
        Pin { store: Arc::clone(self), sequence, for_transaction }
    }

    /// Hides what is about to be published, if it must be on the device first. Called under the commit lock, before the
    /// index is changed: a reader that meets a hidden record also meets this flag.
    pub(super) fn hide_if_it_waits(&self, durability: Durability) {
        if durability != Durability::Sync || self.is_hiding.load(Ordering::Relaxed) {
            return;
        }
        let sequence = self.visible();
        self.versions.pin(sequence);
        self.hidden.lock().pinned = Some(sequence);
        self.is_hiding.store(true, Ordering::Release);
    }

    /// Waits until readers see a commit. Buffered commits are seen at once, unless one before them waits for the device:
    /// commits are seen in order.
    pub(super) fn wait_until_visible(&self, sequence: u64, durability: Durability) -> Result<()> {
        if durability == Durability::Buffered && self.visible() >= sequence {
            return Ok(());
        }
        let durable = self.log.sync_to(sequence)?;
        self.reveal(durable);
        Ok(())
    }

    /// Puts everything written so far on the device.
    pub(crate) fn flush(&self) -> Result<()> {
        let durable = self.log.sync()?;
        self.reveal(durable);
        Ok(())
    }

    /// Whether commits wait for the device unseen.
    pub(crate) fn is_hiding(&self) -> bool {
        self.is_hiding.load(Ordering::Acquire)
    }

    /// Ends the store: nobody writes any more, and everything written is on the device and in the manifest. Reads of what is
    /// still held go on.
    pub(crate) fn close(&self) -> Result<()> {
        let committer = self.committer.lock();
        self.log.end_appending();
        drop(committer);
        self.flush()?;
        self.log.close()
    }

    /// Shows what has reached the device to readers.
    fn reveal(&self, durable: u64) {
        if !self.is_hiding.load(Ordering::Acquire) {
            return;
        }
        // Under the commit lock everything that was appended is also published, so nobody sees half a commit.
        let committer = self.committer.lock();
        let mut hidden = self.hidden.lock();
        let Some(pinned) = hidden.pinned else { return };
        let visible = durable.max(pinned);
        self.visible.store(visible, Ordering::Release);
        if visible >= self.log.appended() {
            self.is_hiding.store(false, Ordering::Release);
            hidden.pinned = None;
        } else {
            self.versions.pin(visible);
            hidden.pinned = Some(visible);
        }
        self.versions.unpin(pinned);
        drop(hidden);
        drop(committer);
    }
}
