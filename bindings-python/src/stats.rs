//! `Stats` and `Recovery`: what `OpenDB.stats` returns.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::types::PyFloat;

use crate::options::append_name;

/// A class of plain read-only attributes, made from the core's struct of the same name and fields; those behind the fields
/// are calls of the core's struct.
macro_rules! record {
    (
        $(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $from:path)?,)* }
        $(calls { $($(#[$call_meta:meta])* $call:ident: $call_type:ty = $call_from:path,)* })?
    ) => {
        $(#[$meta])*
        #[pyclass(frozen, eq, hash, get_all, module = "opendb")]
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub(crate) struct $name {
            $($(#[$field_meta])* $field: $type,)*
            $($($(#[$call_meta])* $call: $call_type,)*)?
        }

        impl From<opendb::$name> for $name {
            fn from(core: opendb::$name) -> $name {
                $name {
                    // First, since the fields are moved out of it.
                    $($($call: $call_from(core.$call()),)*)?
                    $($field: $($from)?(core.$field),)*
                }
            }
        }

        #[pymethods]
        impl $name {
            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                let names = [$(stringify!($field),)* $($(stringify!($call),)*)?];
                let fields = names.iter().map(|name| Ok(format!("{name}={}", slf.getattr(*name)?.repr()?)));
                Ok(format!("{}({})", stringify!($name), fields.collect::<PyResult<Vec<_>>>()?.join(", ")))
            }
        }
    };
}

pub(crate) use record;

/// A ratio by its bits, so that it is equal to itself whatever it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ratio(u64);

impl Ratio {
    fn new(ratio: f64) -> Ratio {
        Ratio(ratio.to_bits())
    }
}

impl<'py> IntoPyObject<'py> for Ratio {
    type Target = PyFloat;
    type Output = Bound<'py, PyFloat>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Bound<'py, PyFloat>, Infallible> {
        f64::from_bits(self.0).into_pyobject(py)
    }
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
        /// Bytes of commits appended to the log since the database was opened.
        bytes_appended: u64,
        /// Bytes of records that compaction has written anew since the database was opened.
        bytes_copied: u64,
        /// Bytes of checkpoints, and of lists of moves between them, written since the database was opened.
        bytes_checkpointed: u64,
        /// Bytes of hints written since the database was opened.
        bytes_hinted: u64,
        /// Bytes of key runs written since the database was opened.
        bytes_ordered: u64,
        /// Compactions since the database was opened, each of some segments.
        compactions: u64,
        /// Checkpoints since the database was opened.
        checkpoints: u64,
        /// Bytes in segments of large values.
        large_bytes: u64,
        /// Bytes in segments of large values that hold what can still be read.
        large_live_bytes: u64,
        /// Sequence of the newest commit.
        last_sequence: u64,
        /// Sequence of the newest commit that is known to be on the device.
        durable_sequence: u64,
        /// Syncs of the log since the database was opened.
        syncs: u64,
        /// Snapshots alive, those of transactions and iterators among them.
        snapshots: u64,
        /// Age of the oldest live snapshot, in seconds; 0 where there is none.
        oldest_snapshot_seconds: u64,
        /// Bytes of segments that are kept only for snapshots and readers.
        pinned_bytes: u64,
        /// Old versions kept for snapshots.
        versions: u64,
        /// Bytes of memory of the table of old versions, about.
        versions_bytes: u64,
        /// Bytes of memory of the index.
        index_bytes: u64,
        /// Bytes of memory of the key order.
        order_bytes: u64,
        /// Key runs on the device.
        order_runs: u64,
        /// Bytes of key runs on the device.
        order_file_bytes: u64,
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
    calls {
        /// Bytes written to files for each byte of commits since the database was opened; 0.0 before the first commit.
        write_amplification: Ratio = Ratio::new,
        /// Bytes of segment and run files for each byte that can still be read; 0.0 for an empty database.
        space_amplification: Ratio = Ratio::new,
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
