//! What the store has done since it was opened, as figures.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that anybody may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    compactions: AtomicU64,
    bytes_copied: AtomicU64,
    bytes_moved: AtomicU64,
    bytes_pinned: AtomicU64,
    checkpoints: AtomicU64,
    bytes_checkpointed: AtomicU64,
    bytes_hinted: AtomicU64,
}

/// The figures at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FiguresNow {
    /// Jobs of compaction.
    pub(crate) compactions: u64,
    /// Bytes of records that compaction has written anew.
    pub(crate) bytes_copied: u64,
    /// Bytes of large values that it has.
    pub(crate) bytes_moved: u64,
    /// Bytes of retired segments that a snapshot or a reader keeps.
    pub(crate) bytes_pinned: u64,
    /// Checkpoints written.
    pub(crate) checkpoints: u64,
    /// Bytes of them, and of the moves since.
    pub(crate) bytes_checkpointed: u64,
    /// Bytes of hints.
    pub(crate) bytes_hinted: u64,
}

impl Figures {
    pub(super) fn compacted(&self, bytes: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.bytes_copied.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn moved(&self, bytes: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.bytes_moved.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn pinned(&self, bytes: u64) {
        self.bytes_pinned.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn checkpointed(&self, bytes: u64) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.bytes_checkpointed.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn listed(&self, bytes: u64) {
        self.bytes_checkpointed.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn hinted(&self, bytes: u64) {
        self.bytes_hinted.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> FiguresNow {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FiguresNow {
            compactions: read(&self.compactions),
            bytes_copied: read(&self.bytes_copied),
            bytes_moved: read(&self.bytes_moved),
            bytes_pinned: read(&self.bytes_pinned),
            checkpoints: read(&self.checkpoints),
            bytes_checkpointed: read(&self.bytes_checkpointed),
            bytes_hinted: read(&self.bytes_hinted),
        }
    }
}
