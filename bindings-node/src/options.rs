//! Plain objects that cross the border: settings on the way in, statistics on the way out.

use std::time::Duration;

use napi_derive::napi;
use opendb::{AppendMode, Compression, Durability, Options};

use crate::error::number;

/// What a commit waits for.
#[napi(string_enum = "lowercase")]
pub enum DurabilityName {
    /// Survives the death of the process at any instant.
    Buffered,
    /// On the device before the call returns.
    Sync,
}

/// How the log is appended to.
#[napi(string_enum = "lowercase")]
pub enum AppendModeName {
    /// Mapped where the filesystem keeps the room it promised.
    Auto,
    /// Stores into a shared mapping.
    Mapped,
    /// One positioned write for each commit.
    Write,
}

/// How the values of a keyspace are stored.
#[napi(string_enum = "lowercase")]
pub enum CompressionName {
    /// As they are.
    None,
    /// As a block of LZ4 where that is smaller.
    Lz4,
}

/// How a database is opened; what is absent keeps the default of the core.
#[napi(object, object_to_js = false)]
pub struct OpenSettings {
    /// Whether a missing database is created.
    pub create: Option<bool>,
    /// What commits wait for unless they say otherwise.
    pub durability: Option<DurabilityName>,
    /// How the log is appended to.
    pub append: Option<AppendModeName>,
    /// Whether segments are read through memory maps.
    pub mapped_reads: Option<bool>,
    /// Bound of the cache, in bytes.
    pub cache_bytes: Option<i64>,
    /// Size of new segments, in bytes.
    pub segment_bytes: Option<i64>,
    /// Whether a damaged database is opened for reading.
    pub read_damaged: Option<bool>,
    /// Whether it is opened for reading only.
    pub read_only: Option<bool>,
    /// How long to wait for another process that has it open for writing, in milliseconds.
    pub lock_timeout: Option<i64>,
}

/// What the database holds and has done.
#[napi(object, object_from_js = false)]
pub struct StatsObject {
    /// Keys in all keyspaces.
    pub keys: i64,
    /// Keyspaces, `"default"` included.
    pub keyspaces: i64,
    /// Segment files.
    pub segments: i64,
    /// Bytes of frames in the log.
    pub log_bytes: i64,
    /// Bytes of records that are still current.
    pub live_bytes: i64,
    /// Bytes of records that were overwritten or deleted.
    pub dead_bytes: i64,
    /// Bytes allocated on the device.
    pub allocated_bytes: i64,
    /// Bytes of commits appended since the database was opened.
    pub bytes_appended: i64,
    /// Bytes of records that compaction has written anew.
    pub bytes_copied: i64,
    /// Bytes of checkpoints, and of lists of moves between them, written.
    pub bytes_checkpointed: i64,
    /// Bytes of hints written.
    pub bytes_hinted: i64,
    /// Bytes of key runs written.
    pub bytes_ordered: i64,
    /// Compactions, each of some segments.
    pub compactions: i64,
    /// Checkpoints.
    pub checkpoints: i64,
    /// Bytes in large-value segments.
    pub large_bytes: i64,
    /// Bytes of them that are still current.
    pub large_live_bytes: i64,
    /// Sequence of the newest commit.
    pub last_sequence: i64,
    /// Sequence up to which everything is on the device.
    pub durable_sequence: i64,
    /// Syncs of the device.
    pub syncs: i64,
    /// Snapshots that are open.
    pub snapshots: i64,
    /// Age of the oldest snapshot, in seconds.
    pub oldest_snapshot_seconds: i64,
    /// Bytes of segments kept only for snapshots and readers.
    pub pinned_bytes: i64,
    /// Older versions kept for snapshots.
    pub versions: i64,
    /// Memory of the table of older versions, in bytes.
    pub versions_bytes: i64,
    /// Memory of the index, in bytes.
    pub index_bytes: i64,
    /// Memory of the key order, in bytes.
    pub order_bytes: i64,
    /// Key runs on the device.
    pub order_runs: i64,
    /// Bytes of key runs on the device.
    pub order_file_bytes: i64,
    /// Memory of the cache, in bytes.
    pub cache_bytes: i64,
    /// Reads that the cache answered.
    pub cache_hits: i64,
    /// Reads that the cache did not answer.
    pub cache_misses: i64,
    /// Values that the cache took in.
    pub cache_admissions: i64,
    /// Bytes written to files for each byte of commits.
    pub write_amplification: f64,
    /// Bytes of files for each byte that is current.
    pub space_amplification: f64,
    /// How the log is appended to, settled.
    pub append: AppendModeName,
    /// Whether writes are refused since one failed.
    pub poisoned: bool,
    /// What opening found.
    pub recovery: RecoveryObject,
}

/// What opening the database found.
#[napi(object, object_from_js = false)]
pub struct RecoveryObject {
    /// Whether the last close was clean.
    pub clean: bool,
    /// Frames read.
    pub frames: i64,
    /// Frames written anew.
    pub frames_rewritten: i64,
    /// Bytes of the torn tail that were dropped.
    pub bytes_dropped: i64,
    /// Serial of the segment with the torn tail.
    pub torn_segment: i64,
    /// Offset of the torn tail, in bytes.
    pub torn_offset: i64,
    /// Damage met.
    pub damaged: Vec<String>,
}

impl From<DurabilityName> for Durability {
    fn from(name: DurabilityName) -> Durability {
        match name {
            DurabilityName::Buffered => Durability::Buffered,
            DurabilityName::Sync => Durability::Sync,
        }
    }
}

impl From<AppendModeName> for AppendMode {
    fn from(name: AppendModeName) -> AppendMode {
        match name {
            AppendModeName::Auto => AppendMode::Auto,
            AppendModeName::Mapped => AppendMode::Mapped,
            AppendModeName::Write => AppendMode::Write,
        }
    }
}

impl From<AppendMode> for AppendModeName {
    fn from(mode: AppendMode) -> AppendModeName {
        match mode {
            AppendMode::Auto => AppendModeName::Auto,
            AppendMode::Mapped => AppendModeName::Mapped,
            AppendMode::Write => AppendModeName::Write,
        }
    }
}

impl From<CompressionName> for Compression {
    fn from(name: CompressionName) -> Compression {
        match name {
            CompressionName::None => Compression::None,
            CompressionName::Lz4 => Compression::Lz4,
        }
    }
}

impl From<Compression> for CompressionName {
    fn from(compression: Compression) -> CompressionName {
        match compression {
            Compression::None => CompressionName::None,
            Compression::Lz4 => CompressionName::Lz4,
        }
    }
}

impl From<OpenSettings> for Options {
    fn from(settings: OpenSettings) -> Options {
        let mut options = Options::new();
        if let Some(create) = settings.create {
            options = options.create(create);
        }
        if let Some(durability) = settings.durability {
            options = options.durability(durability.into());
        }
        if let Some(append) = settings.append {
            options = options.append(append.into());
        }
        if let Some(mapped_reads) = settings.mapped_reads {
            options = options.mapped_reads(mapped_reads);
        }
        if let Some(bytes) = settings.cache_bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            options = options.cache_bytes(bytes);
        }
        if let Some(bytes) = settings.segment_bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            options = options.segment_bytes(bytes);
        }
        if let Some(read_damaged) = settings.read_damaged {
            options = options.read_damaged(read_damaged);
        }
        if let Some(read_only) = settings.read_only {
            options = options.read_only(read_only);
        }
        if let Some(milliseconds) = settings.lock_timeout.and_then(|number| u64::try_from(number).ok()) {
            options = options.lock_timeout(Duration::from_millis(milliseconds));
        }
        options
    }
}

impl From<opendb::Stats> for StatsObject {
    fn from(stats: opendb::Stats) -> StatsObject {
        StatsObject {
            keys: number(stats.keys),
            keyspaces: number(stats.keyspaces),
            segments: number(stats.segments),
            log_bytes: number(stats.log_bytes),
            live_bytes: number(stats.live_bytes),
            dead_bytes: number(stats.dead_bytes),
            allocated_bytes: number(stats.allocated_bytes),
            bytes_appended: number(stats.bytes_appended),
            bytes_copied: number(stats.bytes_copied),
            bytes_checkpointed: number(stats.bytes_checkpointed),
            bytes_hinted: number(stats.bytes_hinted),
            bytes_ordered: number(stats.bytes_ordered),
            compactions: number(stats.compactions),
            checkpoints: number(stats.checkpoints),
            large_bytes: number(stats.large_bytes),
            large_live_bytes: number(stats.large_live_bytes),
            last_sequence: number(stats.last_sequence),
            durable_sequence: number(stats.durable_sequence),
            syncs: number(stats.syncs),
            snapshots: number(stats.snapshots),
            oldest_snapshot_seconds: number(stats.oldest_snapshot_seconds),
            pinned_bytes: number(stats.pinned_bytes),
            versions: number(stats.versions),
            versions_bytes: number(stats.versions_bytes),
            index_bytes: number(stats.index_bytes),
            order_bytes: number(stats.order_bytes),
            order_runs: number(stats.order_runs),
            order_file_bytes: number(stats.order_file_bytes),
            cache_bytes: number(stats.cache_bytes),
            cache_hits: number(stats.cache_hits),
            cache_misses: number(stats.cache_misses),
            cache_admissions: number(stats.cache_admissions),
            write_amplification: stats.write_amplification(),
            space_amplification: stats.space_amplification(),
            append: stats.append.into(),
            poisoned: stats.poisoned,
            recovery: stats.recovery.into(),
        }
    }
}

impl From<opendb::Recovery> for RecoveryObject {
    fn from(recovery: opendb::Recovery) -> RecoveryObject {
        RecoveryObject {
            clean: recovery.clean,
            frames: number(recovery.frames),
            frames_rewritten: number(recovery.frames_rewritten),
            bytes_dropped: number(recovery.bytes_dropped),
            torn_segment: number(recovery.torn_segment),
            torn_offset: number(recovery.torn_offset),
            damaged: recovery.damaged,
        }
    }
}
