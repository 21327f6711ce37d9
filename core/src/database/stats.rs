//! Figures of an open database.

use crate::options::AppendMode;
use crate::recovery::Recovery;

/// Figures of an open database. Each is right at some moment of the call; together they are of no one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Keys of all keyspaces.
    pub keys: u64,
    /// Keyspaces, `"default"` included.
    pub keyspaces: u64,
    /// Segment files, large-value segments included.
    pub segments: u64,
    /// Bytes of commits in the log.
    pub log_bytes: u64,
    /// Bytes of the log that the newest records take.
    pub live_bytes: u64,
    /// Bytes of the log that nothing needs any more: overwritten and deleted records, tombstones, frame headers.
    pub dead_bytes: u64,
    /// Bytes that the segment files were allocated with.
    pub allocated_bytes: u64,
    /// Bytes of commits since it was opened, large values included.
    pub bytes_appended: u64,
    /// Bytes of records and large values that compaction has written anew since then.
    pub bytes_copied: u64,
    /// Bytes of checkpoints, and of lists of moves between them, written since then.
    pub bytes_checkpointed: u64,
    /// Bytes of hints written since then.
    pub bytes_hinted: u64,
    /// Bytes of key runs written since then.
    pub bytes_ordered: u64,
    /// Compactions since then, each of some segments.
    pub compactions: u64,
    /// Checkpoints since then.
    pub checkpoints: u64,
    /// Bytes in large-value segments.
    pub large_bytes: u64,
    /// Bytes of them that the newest records name.
    pub large_live_bytes: u64,
    /// Sequence of the last commit; the number of commits so far.
    pub last_sequence: u64,
    /// Every commit up to this one is on the device.
    pub durable_sequence: u64,
    /// Syncs of the log since it was opened.
    pub syncs: u64,
    /// Live snapshots, those of transactions and iterators included.
    pub snapshots: u64,
    /// Age of the oldest live snapshot, in seconds; 0 where there is none.
    pub oldest_snapshot_seconds: u64,
    /// Bytes of segments that are kept only for snapshots and readers.
    pub pinned_bytes: u64,
    /// Old versions that are kept for snapshots.
    pub versions: u64,
    /// Memory of the table of old versions, in bytes, about.
    pub versions_bytes: u64,
    /// Memory of the index, in bytes.
    pub index_bytes: u64,
    /// Memory of the key order, in bytes, without what is mapped; that in which dead records are noted for scans included.
    pub order_bytes: u64,
    /// Key runs on the device.
    pub order_runs: u64,
    /// Bytes of them.
    pub order_file_bytes: u64,
    /// Memory of the cache, in bytes.
    pub cache_bytes: u64,
    /// Reads that the cache answered.
    pub cache_hits: u64,
    /// Reads that asked the cache in vain; an empty cache is not asked.
    pub cache_misses: u64,
    /// Records that the cache took in.
    pub cache_admissions: u64,
    /// How the log is appended to: what [`AppendMode::Auto`] became.
    pub append: AppendMode,
    /// Whether writes are refused because an earlier one failed.
    pub poisoned: bool,
    /// What was found when the database was opened.
    pub recovery: Recovery,
}

impl Stats {
    /// Bytes written to files for each byte of commits, since the database was opened; 0 before the first commit.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        let beside = self.bytes_checkpointed + self.bytes_hinted + self.bytes_ordered;
        let written = self.bytes_appended + self.bytes_copied + beside;
        ratio(written, self.bytes_appended)
    }

    /// Bytes of segment and run files for each byte of the newest records and large values; 0 for an empty database.
    #[must_use]
    pub fn space_amplification(&self) -> f64 {
        ratio(self.allocated_bytes + self.order_file_bytes, self.live_bytes + self.large_live_bytes)
    }
}

fn ratio(one: u64, other: u64) -> f64 {
    if other == 0 { 0.0 } else { one as f64 / other as f64 }
}
