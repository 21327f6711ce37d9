//! Commits that wait for the device, snapshots, and who sees what.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::Store;
use crate::disk::generation;
use crate::error::Result;
use crate::options::Durability;
use crate::sabotage::{Sabotage, is_planted};

/// While commits are hidden: the sequence that readers see instead, which the version table keeps readable.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    pinned: Option<u64>,
    /// Targets of syncs that began while something was hidden. Each may be what readers see next, so the version table
    /// keeps it readable from the moment that the sync begins.
    targets: Vec<u64>,
}

/// Keeps the database readable as it was at one sequence, for as long as this lives and the database is open. It does not
/// keep the database open.
#[derive(Debug)]
pub(crate) struct Pin {
    store: Weak<Store>,
    /// The process that began it, in the line of forks.
    generation: u64,
    pub(crate) sequence: u64,
    /// Whether changed keys are remembered for this one.
    for_transaction: bool,
}

impl Pin {
    /// Whether this is a copy, in the child of a fork, of what the parent has pinned.
    pub(crate) fn is_of_the_parent(&self) -> bool {
        generation() != self.generation
    }

    /// Whether it is one of this store.
    #[inline]
    pub(crate) fn is_of(&self, store: &Store) -> bool {
        std::ptr::eq(self.store.as_ptr(), store)
    }

    /// The store that it is one of, if that is still there.
    pub(crate) fn store(&self) -> Option<Arc<Store>> {
        self.store.upgrade()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.is_of_the_parent() {
            // Another thread of the parent may have held the locks at the fork; here nobody would ever release them.
            return;
        }
        let Some(store) = self.store.upgrade() else { return };
        store.versions.unpin(self.sequence);
        if self.for_transaction {
            store.recent.end(self.sequence);
        }
    }
}

impl Store {
    /// Begins a snapshot of what readers see now. It shares the commit lock, so it never sees half a commit. For a
    /// transaction, keys that change from here on are remembered.
    pub(crate) fn pin(&self, for_transaction: bool) -> Pin {
        let committer = self.committer.lock();
        let sequence = self.visible();
        self.versions.pin(sequence);
        if for_transaction {
            self.recent.begin(sequence);
        }
        drop(committer);
        Pin { store: Weak::clone(&self.own), generation: self.generation, sequence, for_transaction }
    }

    /// Hides what is about to be published, if it must be on the device first. Called under the commit lock, before the
    /// index is changed: a reader that meets a hidden record also meets this flag. A transaction may begin before what is
    /// hidden, so changed keys are remembered for it.
    pub(super) fn hide_if_it_waits(&self, durability: Durability) {
        if durability == Durability::Sync && !self.is_hiding() {
            self.recent.begin(self.hide());
        }
    }

    /// Hides what is about to be published, and returns what readers see instead. Called under the commit lock.
    fn hide(&self) -> u64 {
        let sequence = self.visible();
        self.versions.pin(sequence);
        self.hidden.lock().pinned = Some(sequence);
        self.is_hiding.store(true, Ordering::Release);
        sequence
    }

    /// Publishes a commit of many records so that readers see all of it or nothing: it is hidden until `publish` has come
    /// to its end. Called under the commit lock.
    pub(super) fn publish_as_one(&self, sequence: u64, publish: impl FnOnce()) {
        if self.is_hiding() || is_planted(Sabotage::ShowHalfBatches) {
            publish();
            return;
        }
        let pinned = self.hide();
        publish();
        let mut hidden = self.hidden.lock();
        self.visible.store(sequence, Ordering::Release);
        self.is_hiding.store(false, Ordering::Release);
        hidden.pinned = None;
        self.versions.unpin(pinned);
    }

    /// Waits until readers see a commit. Buffered commits are seen at once, unless one before them waits for the device:
    /// commits are seen in order.
    pub(super) fn wait_until_visible(&self, sequence: u64, durability: Durability) -> Result<()> {
        if durability == Durability::Buffered && self.visible() >= sequence {
            return Ok(());
        }
        if is_planted(Sabotage::AcknowledgeEarly) {
            self.reveal(sequence);
            return Ok(());
        }
        let durable = self.log.sync_to(sequence, &|| self.sync_target())?;
        self.reveal(durable);
        Ok(())
    }

    /// Puts everything written so far on the device, and the word that it is there.
    pub(crate) fn flush(&self) -> Result<()> {
        self.sync_written()?;
        self.log.sync_mark()
    }

    /// Puts everything written so far on the device.
    pub(super) fn sync_written(&self) -> Result<()> {
        let durable = self.log.sync_to(self.log.appended(), &|| self.sync_target())?;
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
        self.sync_written()?;
        if !self.log.is_poisoned() {
            // Without it the next open makes everything anew from the log.
            let _best_effort = self.checkpoint_at_end();
        }
        self.log.close()
    }

    /// Decides up to where a sync goes. While something is hidden, that is what readers see next: what is overwritten from
    /// here on is kept for them.
    fn sync_target(&self) -> u64 {
        let committer = self.committer.lock();
        let target = self.log.appended();
        let mut hidden = self.hidden.lock();
        if hidden.pinned.is_some() {
            self.versions.pin(target);
            hidden.targets.push(target);
        }
        drop(committer);
        target
    }

    /// Shows what has reached the device to readers.
    fn reveal(&self, durable: u64) {
        if !self.is_hiding() {
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
            self.recent.begin(visible);
            hidden.pinned = Some(visible);
        }
        self.recent.end(pinned);
        self.versions.unpin(pinned);
        let (over, ahead) = hidden.targets.iter().partition(|target| **target <= visible);
        hidden.targets = ahead;
        let over: Vec<u64> = over;
        over.into_iter().for_each(|target| self.versions.unpin(target));
        drop(committer);
    }
}
