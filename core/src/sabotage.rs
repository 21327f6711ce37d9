//! Rules of the engine that can be broken on purpose, so that what is to find such a fault is seen to find it.
//!
//! Only a build with the feature `simulation` can break one. In every other build the question is answered when it is
//! compiled, and nothing of it is left.

#[cfg(feature = "simulation")]
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A rule that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "public in builds with the feature `simulation`")]
pub enum Sabotage {
    /// Syncs of segments are not made.
    SkipSync,
    /// The directory is not synced behind the rename of a manifest or mark.
    SkipDirectorySync,
    /// Commits that are to wait for the device do not.
    AcknowledgeEarly,
    /// The checksum of a record is right whatever it is.
    SkipChecksum,
    /// The checksum of everything is 0, wherever it stands.
    BlindChecksums,
    /// A batch of which records are missing is taken for a whole one.
    TakeTornBatches,
    /// Compaction leaves out every tombstone.
    DropTombstones,
    /// Compaction has its copy take the place of a record that is newer.
    CopyOverNewer,
    /// The files of segments go before the manifest that no longer names them is written.
    RemoveBeforeManifest,
    /// Readers see a batch record by record.
    ShowHalfBatches,
    /// Transactions commit whatever became of what they have read.
    IgnoreConflicts,
    /// After a failed sync or write everything goes on as if it had been none.
    GoOnAfterFailure,
    /// A write that had no room is said to be there.
    AcknowledgeWithoutRoom,
    /// Segments that were given up are never unmapped and closed.
    KeepSegments,
    /// A compressed value has the length that it says, whatever that is.
    BelieveLengths,
    /// The file of a segment that was given up is written over, as for the next one, while others may have it open.
    WriteOverRetired,
}

#[cfg(feature = "simulation")]
impl Sabotage {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Sabotage); 16] = [
        ("skip-sync", Sabotage::SkipSync),
        ("skip-directory-sync", Sabotage::SkipDirectorySync),
        ("acknowledge-early", Sabotage::AcknowledgeEarly),
        ("skip-checksum", Sabotage::SkipChecksum),
        ("blind-checksums", Sabotage::BlindChecksums),
        ("take-torn-batches", Sabotage::TakeTornBatches),
        ("drop-tombstones", Sabotage::DropTombstones),
        ("copy-over-newer", Sabotage::CopyOverNewer),
        ("remove-before-manifest", Sabotage::RemoveBeforeManifest),
        ("show-half-batches", Sabotage::ShowHalfBatches),
        ("ignore-conflicts", Sabotage::IgnoreConflicts),
        ("go-on-after-failure", Sabotage::GoOnAfterFailure),
        ("acknowledge-without-room", Sabotage::AcknowledgeWithoutRoom),
        ("keep-segments", Sabotage::KeepSegments),
        ("believe-lengths", Sabotage::BelieveLengths),
        ("write-over-retired", Sabotage::WriteOverRetired),
    ];

    /// Breaks the rule from now on, for the whole process, beside those that are broken already.
    pub fn plant(self) {
        PLANTED.fetch_or(self.bit(), Ordering::Relaxed);
    }

    /// Breaks this rule no more.
    pub fn mend(self) {
        PLANTED.fetch_and(!self.bit(), Ordering::Relaxed);
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Has the index tell keys apart by eight bits of their hashes and no more, for the whole process and before any database is
/// opened. No rule is broken by that: keys are compared in the log.
#[cfg(feature = "simulation")]
pub fn have_keys_collide() {
    COLLIDING.store(true, Ordering::Relaxed);
}

#[cfg(feature = "simulation")]
static COLLIDING: AtomicBool = AtomicBool::new(false);

/// Whether the index is to tell few keys apart.
#[cfg(feature = "simulation")]
#[inline]
pub(crate) fn keys_collide() -> bool {
    COLLIDING.load(Ordering::Relaxed)
}

/// Whether the index is to tell few keys apart.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub(crate) const fn keys_collide() -> bool {
    false
}

/// A bit for each rule that is broken.
#[cfg(feature = "simulation")]
static PLANTED: AtomicU32 = AtomicU32::new(0);

/// Whether this rule is to be broken.
#[cfg(feature = "simulation")]
#[inline]
pub(crate) fn is_planted(sabotage: Sabotage) -> bool {
    PLANTED.load(Ordering::Relaxed) & sabotage.bit() != 0
}

/// Whether this rule is to be broken.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub(crate) const fn is_planted(_: Sabotage) -> bool {
    false
}
