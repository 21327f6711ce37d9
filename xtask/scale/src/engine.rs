//! The calls and figures of the store that this program needs and that the store does not have yet, in one place. Each
//! function says so by `None` for now, and names the one line that takes its place once the store has the call. A figure
//! that needs what is missing comes out with `"available": false`.

use anyhow::Result;
use opendb::{OpenDB, Stats};

/// What a figure says where it needs something from this file that is not there.
pub(crate) const MISSING: &str = "the store does not have the calls or statistics for this yet";

/// What the background and the log have done since the database was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(dead_code)] // some are read only once the store fills them
pub(crate) struct Work {
    /// Bytes of frames appended to the log for commits.
    pub(crate) bytes_appended: u64,
    /// Bytes that compaction copied.
    pub(crate) bytes_copied: u64,
    /// Bytes of checkpoints.
    pub(crate) bytes_checkpointed: u64,
    /// Bytes of hints.
    pub(crate) bytes_hinted: u64,
    /// Bytes of key runs.
    pub(crate) bytes_ordered: u64,
    /// Checkpoints written.
    pub(crate) checkpoints: u64,
    /// Segments compacted.
    pub(crate) compactions: u64,
    /// Key runs on disk.
    pub(crate) order_runs: u64,
}

impl Work {
    /// Everything that was written to files, in bytes.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_appended
            + self.bytes_copied
            + self.bytes_checkpointed
            + self.bytes_hinted
            + self.bytes_ordered
    }
}

/// Gives space back; `None` where the store cannot.
pub(crate) fn compact(db: &OpenDB) -> Result<Option<u64>> {
    Ok(Some(db.compact()?.bytes_freed))
}

/// How many violations a full check of the database finds; `None` where the store has no such check.
pub(crate) fn violations(db: &OpenDB) -> Result<Option<usize>> {
    Ok(Some(db.verify()?.violations.len()))
}

/// What was done since the database was opened; `None` where the store does not say.
pub(crate) fn work(stats: &Stats) -> Option<Work> {
    let Stats { bytes_appended, bytes_copied, bytes_checkpointed, bytes_hinted, bytes_ordered, .. } = *stats;
    let Stats { checkpoints, compactions, order_runs, .. } = *stats;
    Some(Work {
        bytes_appended,
        bytes_copied,
        bytes_checkpointed,
        bytes_hinted,
        bytes_ordered,
        checkpoints,
        compactions,
        order_runs,
    })
}
