//! `Stats` and `Recovery`: what `OpenDB.stats` returns.

use pyo3::prelude::*;

use crate::options::append_name;

/// A class of plain read-only attributes, made from the core's struct of the same name and fields.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $from:path)?,)* }) => {
        $(#[$meta])*
        #[pyclass(frozen, eq, hash, get_all, module = "opendb")]
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub(crate) struct $name {
            $($(#[$field_meta])* $field: $type,)*
        }

        impl From<opendb::$name> for $name {
            fn from(core: opendb::$name) -> $name {
                $name { $($field: $($from)?(core.$field),)* }
            }
        }

        #[pymethods]
        impl $name {
            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                let fields = [$(format!("{}={}", stringify!($field), slf.getattr(stringify!($field))?.repr()?),)*];
                Ok(format!("{}({})", stringify!($name), fields.join(", ")))
            }
        }
    };
}

record! {
    /// What a database holds and has done, at one moment. Two are equal where all of their attributes are.
    Stats {
        /// Keys in all keyspaces.
        keys: u64,
        /// Keyspaces, "default" among them.
        keyspaces: u64,
        /// Segments on disk.
        segments: u64,
        /// Bytes of the log in use.
        log_bytes: u64,
        /// Bytes of the log that hold what can still be read.
        live_bytes: u64,
        /// Bytes of the log that hold what was overwritten or deleted.
        dead_bytes: u64,
        /// Bytes that the files take on the device.
        allocated_bytes: u64,
        /// Bytes in segments of large values.
        large_bytes: u64,
        /// Sequence of the newest commit.
        last_sequence: u64,
        /// Sequence of the newest commit that is known to be on the device.
        durable_sequence: u64,
        /// Syncs of the log since the database was opened.
        syncs: u64,
        /// Snapshots alive, those of transactions and iterators among them.
        snapshots: u64,
        /// Old versions kept for snapshots.
        versions: u64,
        /// Bytes of memory of the index.
        index_bytes: u64,
        /// Bytes of memory of the key order.
        order_bytes: u64,
        /// Bytes of memory of the cache.
        cache_bytes: u64,
        /// Reads that the cache answered.
        cache_hits: u64,
        /// Reads that the cache did not answer.
        cache_misses: u64,
        /// Values that the cache took in.
        cache_admissions: u64,
        /// How the log is appended to: "mapped" or "write".
        append: &'static str = append_name,
        /// Whether an earlier write or sync failed, so that writes are refused until the database is opened again.
        poisoned: bool,
        /// What opening the database found.
        recovery: Recovery = Recovery::from,
    }
}

record! {
    /// What opening a database found, in an attribute of Stats.
    Recovery {
        /// Whether the database had been closed cleanly.
        clean: bool,
        /// Frames that were replayed.
        frames: u64,
        /// Frames written anew, because they were not known to be on the device.
        frames_rewritten: u64,
        /// Bytes of a torn tail that were dropped.
        bytes_dropped: u64,
        /// Serial of the segment with the torn tail.
        torn_segment: u64,
        /// Byte offset of the torn tail in that segment.
        torn_offset: u64,
        /// What is damaged and missing, in words. Empty unless the database was opened with read_damaged.
        damaged: Vec<String>,
    }
}
