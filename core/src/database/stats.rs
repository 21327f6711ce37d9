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
    /// Bytes in large-value segments.
    pub large_bytes: u64,
    /// Sequence of the last commit; the number of commits so far.
    pub last_sequence: u64,
    /// Every commit up to this one is on the device.
    pub durable_sequence: u64,
    /// Syncs of the log since it was opened.
    pub syncs: u64,
    /// Live snapshots, those of transactions and iterators included.
    pub snapshots: u64,
    /// Old versions that are kept for snapshots.
    pub versions: u64,
    /// Memory of the index, in bytes.
    pub index_bytes: u64,
    /// Memory of the key order, in bytes.
    pub order_bytes: u64,
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
