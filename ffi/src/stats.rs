//! The counters of a database, and what recovery met.

use std::mem::MaybeUninit;

use crate::bytes::Names;
use crate::database::Database;
use crate::error::{Failure, Status};
use crate::guard::{done, made};
use crate::handle;
use crate::options::{Append, append_number};
use crate::sized::Place;

/// Counters of a database and what recovery met when it was opened. Begin with `opendb_stats stats =
/// OPENDB_STATS_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stats {
    /// `sizeof(opendb_stats)`, set by `OPENDB_STATS_INIT`, so that later versions can add fields.
    pub size: usize,
    /// Live keys of all keyspaces.
    pub keys: u64,
    /// Keyspaces, `"default"` included.
    pub keyspaces: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of the log that are written.
    pub log_bytes: u64,
    /// Bytes of the log that hold what is live.
    pub live_bytes: u64,
    /// Bytes of the log that hold what was overwritten or deleted.
    pub dead_bytes: u64,
    /// Bytes of disk that are allocated.
    pub allocated_bytes: u64,
    /// Bytes in segments for large values.
    pub large_bytes: u64,
    /// Sequence of the last commit.
    pub last_sequence: u64,
    /// Sequence of the last commit that is known to be on the device.
    pub durable_sequence: u64,
    /// Syncs of the device since the database was opened.
    pub syncs: u64,
    /// Live snapshots, those of transactions and iterators included.
    pub snapshots: u64,
    /// Older versions that are kept for snapshots.
    pub versions: u64,
    /// Bytes of memory in the index.
    pub index_bytes: u64,
    /// Bytes of memory in the key order.
    pub order_bytes: u64,
    /// Bytes of memory in the cache.
    pub cache_bytes: u64,
    /// Reads that the cache answered.
    pub cache_hits: u64,
    /// Reads that the cache could not answer.
    pub cache_misses: u64,
    /// Values that the cache took in.
    pub cache_admissions: u64,
    /// Frames that recovery read.
    pub recovery_frames: u64,
    /// Frames that recovery wrote anew, since they might not have been on the device.
    pub recovery_frames_rewritten: u64,
    /// Bytes of a torn tail that recovery dropped.
    pub recovery_bytes_dropped: u64,
    /// Serial of the segment with the torn tail; 0 where there was none.
    pub recovery_torn_segment: u64,
    /// Byte offset at which the torn tail began.
    pub recovery_torn_offset: u64,
    /// Places that were found damaged: `opendb_recovery_damage` names them.
    pub recovery_damaged: u64,
    /// How the log is appended to: what `OPENDB_APPEND_MODE_AUTO` became.
    pub append_mode: Append,
    /// Whether writes are refused since an earlier write or sync failed.
    pub poisoned: bool,
    /// Whether the database had been closed cleanly.
    pub recovery_clean: bool,
    /// Bytes of commits appended to the log since the database was opened.
    pub bytes_appended: u64,
    /// Bytes of records that compaction has written anew since then.
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
    /// Bytes in segments for large values that hold what is live.
    pub large_live_bytes: u64,
    /// Age of the oldest live snapshot, in seconds; 0 where there is none.
    pub oldest_snapshot_seconds: u64,
    /// Bytes of segments that are kept only for snapshots and readers.
    pub pinned_bytes: u64,
    /// Bytes of memory in the table of older versions, about.
    pub versions_bytes: u64,
    /// Key runs on the device.
    pub order_runs: u64,
    /// Bytes of disk in key runs.
    pub order_file_bytes: u64,
    /// Bytes written to files for each byte of commits since the database was opened; 0 before the first commit.
    pub write_amplification: f64,
    /// Bytes of disk for each byte that is live; 0 for an empty database.
    pub space_amplification: f64,
}

impl Stats {
    fn new(size: usize, stats: &engine::Stats) -> Stats {
        let recovery = &stats.recovery;
        Stats {
            size,
            keys: stats.keys,
            keyspaces: stats.keyspaces,
            segments: stats.segments,
            log_bytes: stats.log_bytes,
            live_bytes: stats.live_bytes,
            dead_bytes: stats.dead_bytes,
            allocated_bytes: stats.allocated_bytes,
            large_bytes: stats.large_bytes,
            last_sequence: stats.last_sequence,
            durable_sequence: stats.durable_sequence,
            syncs: stats.syncs,
            snapshots: stats.snapshots,
            versions: stats.versions,
            index_bytes: stats.index_bytes,
            order_bytes: stats.order_bytes,
            cache_bytes: stats.cache_bytes,
            cache_hits: stats.cache_hits,
            cache_misses: stats.cache_misses,
            cache_admissions: stats.cache_admissions,
            recovery_frames: recovery.frames,
            recovery_frames_rewritten: recovery.frames_rewritten,
            recovery_bytes_dropped: recovery.bytes_dropped,
            recovery_torn_segment: recovery.torn_segment,
            recovery_torn_offset: recovery.torn_offset,
            recovery_damaged: recovery.damaged.len() as u64,
            append_mode: append_number(stats.append),
            poisoned: stats.poisoned,
            recovery_clean: recovery.clean,
            bytes_appended: stats.bytes_appended,
            bytes_copied: stats.bytes_copied,
            bytes_checkpointed: stats.bytes_checkpointed,
            bytes_hinted: stats.bytes_hinted,
            bytes_ordered: stats.bytes_ordered,
            compactions: stats.compactions,
            checkpoints: stats.checkpoints,
            large_live_bytes: stats.large_live_bytes,
            oldest_snapshot_seconds: stats.oldest_snapshot_seconds,
            pinned_bytes: stats.pinned_bytes,
            versions_bytes: stats.versions_bytes,
            order_runs: stats.order_runs,
            order_file_bytes: stats.order_file_bytes,
            write_amplification: stats.write_amplification(),
            space_amplification: stats.space_amplification(),
        }
    }
}

/// Reads the counters of the database. Cheap, and consistent one by one, not with each other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_stats_read(
    database: *const Database,
    stats: *mut Stats,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        // SAFETY: convention 4 of the header: what is not NULL begins with its size and has as many bytes as that says.
        let place = unsafe { Place::new("stats", "OPENDB_STATS_INIT", stats) }?;
        let read = handle::borrow(database)?.engine().stats()?;
        let size = place.size;
        place.fill(&Stats::new(size, &read));
        Ok(())
    })
}

/// Lists the places that were found damaged when the database was opened with `read_damaged`, as text for people.
/// Empty for a database without damage. Free the list with `opendb_names_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_recovery_damage(
    database: *const Database,
    names_out: Option<&mut MaybeUninit<*mut Names>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("names_out", names_out, error_out, || {
        handle::borrow(database)?.engine().stats().map(|stats| Names::new(stats.recovery.damaged))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> engine::Stats {
        let mut stats = engine::Stats::default();
        stats.keys = 7;
        stats.last_sequence = 9;
        stats.bytes_appended = 100;
        stats.bytes_copied = 50;
        stats.poisoned = true;
        stats.recovery.damaged = vec!["segment 3".to_owned()];
        stats
    }

    /// Fills a place of this size, whose other bytes are all ones.
    fn filled(bytes: &mut [u64; 64], size: usize) {
        bytes.fill(u64::MAX);
        bytes[0] = size as u64;
        // SAFETY: the place begins with its size and has more bytes than that.
        let place = unsafe { Place::new("stats", "OPENDB_STATS_INIT", bytes.as_mut_ptr().cast::<Stats>()) };
        place.unwrap().fill(&Stats::new(size, &counted()));
    }

    #[test]
    fn a_struct_of_this_version_is_filled_whole() {
        let mut bytes = [0; 64];
        filled(&mut bytes, size_of::<Stats>());
        // SAFETY: every field was written, and words are aligned as the struct is.
        let stats = unsafe { bytes.as_ptr().cast::<Stats>().read() };
        assert_eq!((stats.size, stats.keys, stats.last_sequence), (size_of::<Stats>(), 7, 9));
        assert!(stats.poisoned && !stats.recovery_clean);
        assert_eq!(stats.recovery_damaged, 1);
        assert_eq!((stats.bytes_appended, stats.write_amplification), (100, 1.5));
        assert_eq!(bytes[size_of::<Stats>() / 8], u64::MAX);
    }

    #[test]
    fn shorter_and_longer_structs_keep_to_their_size() {
        let mut bytes = [0; 64];
        filled(&mut bytes, 16);
        assert_eq!(bytes[..3], [16, 7, u64::MAX]);
        filled(&mut bytes, 512);
        assert_eq!(bytes[..2], [512, 7]);
        assert!(bytes[size_of::<Stats>() / 8..].iter().all(|word| *word == 0));
    }

    #[test]
    fn fields_come_at_the_end_so_that_older_programs_go_on() {
        assert_eq!(std::mem::offset_of!(Stats, recovery_clean), 213);
        assert_eq!(std::mem::offset_of!(Stats, bytes_appended), 216);
    }
}
