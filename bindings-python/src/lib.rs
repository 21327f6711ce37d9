//! The Python door of OpenDB: the extension module `opendb._opendb`, which the package `opendb` exports.
//!
//! It translates arguments, results, errors and threads' rights to the interpreter, and holds no logic of its own:
//! what a call means is written in the crate `opendb`.
//!
//! # Layout
//!
//! - [`database`]: `OpenDB` and `Keyspace`, and the writing calls that they share
//! - [`snapshot`]: `Snapshot`, and the reading calls that it shares with databases and keyspaces
//! - [`transaction`]: `Transaction`, `Batch` and `transact`
//! - [`scan`]: the lazy iterators `Iter` and `Keys`
//! - [`stream`]: `ValueReader` and `ValueWriter`
//! - [`held`]: what the objects hold of the core until it is finished or the database closed
//! - [`mapping`]: what makes `OpenDB` and `Keyspace` mappings of Python
//! - [`view`]: values that are read where they lie; the one module with `unsafe`
//! - [`stats`]: `Stats` and `Recovery`, and how the core's records become dataclasses
//! - [`maintenance`]: compaction, verification, backups and salvage, and what they return
//! - [`options`]: what Python hands in (bytes, durability, the bounds of a scan) as the core's own types
//! - [`command`]: the command line
//! - [`error`]: every error kind as its exception class, and panics as one of them
//!
//! # The interpreter and other threads
//!
//! A call that can wait for the device or that moves much data gives up the interpreter for that time, so that other
//! Python threads go on; a call of a microsecond keeps it, since giving it up would cost more than the call. A lock of
//! this crate that is held while the interpreter is taken back is only ever waited for without the interpreter
//! (`lock_py_attached`), so the two cannot wait for each other. No Python code runs while such a lock is held.

mod command;
mod database;
mod error;
mod held;
mod maintenance;
mod mapping;
mod opening;
mod options;
mod scan;
mod snapshot;
mod stats;
mod stream;
mod transaction;
mod view;

/// The extension module. Its documentation for readers is in the package's `_opendb.pyi`.
#[pyo3::pymodule]
mod _opendb {
    #[pymodule_export]
    use crate::command::_command;
    #[pymodule_export]
    use crate::database::{Keyspace, OpenDB};
    #[pymodule_export]
    use crate::error::{_kinds, _panic, _raise_kind};
    #[pymodule_export]
    use crate::scan::{Iter, Keys};
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::stream::{ValueReader, ValueWriter};
    #[pymodule_export]
    use crate::transaction::{Batch, Transaction};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python gives to a package's version")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    const KEY_BYTES_MAX: usize = opendb::KEY_BYTES_MAX;
    #[pymodule_export]
    const VALUE_BYTES_MAX: usize = opendb::VALUE_BYTES_MAX;
    #[pymodule_export]
    const KEYSPACE_NAME_BYTES_MAX: usize = opendb::KEYSPACE_NAME_BYTES_MAX;
    #[pymodule_export]
    const KEYSPACES_MAX: usize = opendb::KEYSPACES_MAX;
    #[pymodule_export]
    const SEGMENT_BYTES_MIN: u64 = opendb::SEGMENT_BYTES_MIN;
    #[pymodule_export]
    const SEGMENT_BYTES_MAX: u64 = opendb::SEGMENT_BYTES_MAX;
}
