//! The counters of a database, and what recovery met.

use std::mem::MaybeUninit;

use engine::{Error, Result};

use crate::bytes::Names;
use crate::database::Database;
use crate::error::{Failure, Status};
use crate::guard::{done, made};
use crate::handle;
use crate::options::{Append, append_number};
use crate::scan::STRUCT_BYTES_MAX;

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
        }
    }
}

/// Reads the size that the caller left in a struct.
///
/// # Safety
/// Where the pointer is not NULL, the size can be read.
unsafe fn size_of_place(stats: *const Stats) -> Result<usize> {
    if stats.is_null() {
        return Err(Error::InvalidArgument("stats is NULL".to_owned()));
    }
    // SAFETY: the caller of this function answers for the size, which is the first field.
    let size = unsafe { stats.cast::<usize>().read() };
    if !(size_of::<usize>()..=STRUCT_BYTES_MAX).contains(&size) {
        return Err(Error::InvalidArgument(format!("stats.size is {size}: begin with OPENDB_STATS_INIT")));
    }
    Ok(size)
}

/// Fills the caller's struct as far as its size goes. Fields of a later version are left at 0.
///
/// # Safety
/// `size` bytes can be written.
unsafe fn fill(place: *mut Stats, size: usize, stats: &engine::Stats) {
    let stats = Stats::new(size, stats);
    let known = size.min(size_of::<Stats>());
    // SAFETY: the caller of this function answers for the place; bytes need no alignment.
    unsafe { place.cast::<u8>().write_bytes(0, size) };
    // SAFETY: as above; `known` is not more than either struct has, and one of them was just made here.
    unsafe { (&raw const stats).cast::<u8>().copy_to_nonoverlapping(place.cast(), known) };
}

/// Reads the counters of the database. Cheap, and consistent one by one, not with each other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_stats_read(
    database: *const Database,
    stats: *mut Stats,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        // SAFETY: convention 4 of the header: what is not NULL begins with its size.
        let size = unsafe { size_of_place(stats) }?;
        let read = handle::borrow(database)?.engine().stats()?;
        // SAFETY: convention 4 of the header: the struct has as many writable bytes as its size says.
        unsafe { fill(stats, size, &read) };
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
        stats.poisoned = true;
        stats.recovery.damaged = vec!["segment 3".to_owned()];
        stats
    }

    #[test]
    fn a_struct_of_this_version_is_filled_whole() {
        let mut place = MaybeUninit::<Stats>::uninit();
        // SAFETY: the place has the size that is passed.
        unsafe { fill(place.as_mut_ptr(), size_of::<Stats>(), &counted()) };
        // SAFETY: every field was written.
        let filled = unsafe { place.assume_init() };
        assert_eq!((filled.size, filled.keys, filled.last_sequence), (size_of::<Stats>(), 7, 9));
        assert!(filled.poisoned && !filled.recovery_clean);
        assert_eq!(filled.recovery_damaged, 1);
    }

    #[test]
    fn shorter_and_longer_structs_keep_to_their_size() {
        let mut bytes = [u64::MAX; 64];
        // SAFETY: the place has more bytes than the size that is passed.
        unsafe { fill(bytes.as_mut_ptr().cast(), 16, &counted()) };
        assert_eq!(bytes[..3], [16, 7, u64::MAX]);
        // SAFETY: the place has as many bytes as the size that is passed.
        unsafe { fill(bytes.as_mut_ptr().cast(), 512, &counted()) };
        assert_eq!(bytes[..2], [512, 7]);
        assert!(bytes[size_of::<Stats>() / 8..].iter().all(|word| *word == 0));
    }
}
