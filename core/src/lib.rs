//! OpenDB: an embedded key-value store. A hash index in memory points into an append-only log on disk; keys are also kept
//! in order, so that point reads are fast and scans are sorted; transactions are serializable.
//!
//! ```
//! # fn main() -> opendb::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path();
//! use opendb::OpenDB;
//!
//! let db = OpenDB::open(path)?;
//! db.put(b"user:123", b"Alice")?;
//! if let Some(name) = db.get(b"user:123")? {
//!     println!("found {}", String::from_utf8_lossy(&name));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//! A module uses only what stands below it.
//!
//! ```text
//! 6  database  simulation                    the public face; what campaigns outside of the crate need
//! 5  transaction  conflict                   collect writes, check reads, ask the store to commit
//! 4  store  scan                             the only place where log, keys and cache meet
//! 3  recovery  keys                          the log read back; index, order and keyspaces kept together
//! 2  log  index  order  cache  keyspace
//! 1  segment  disk  epoch  wish              one file; the operating system; values that may be taken away
//! 0  record  batch  manifest  mark  checkpoint  checksum  compression  settings  compaction  compaction_large  location
//!    options  error  prefetch  sabotage      pure: no I/O, no threads, no clock
//! ```
//!
//! `FORMAT.md` beside the sources describes the files byte by byte.

mod batch;
mod bits;
mod cache;
mod checkpoint;
mod checksum;
mod clock;
mod compaction;
mod compaction_large;
mod compression;
mod conflict;
mod database;
mod disk;
mod epoch;
mod error;
mod groups;
mod hint;
mod index;
mod keys;
mod keyspace;
mod location;
mod log;
mod manifest;
mod mark;
mod moves;
mod numbered;
mod options;
mod order;
mod packed;
mod prefetch;
mod record;
mod recovery;
mod room;
mod sabotage;
mod scan;
mod segment;
mod settings;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod store;
mod sync;
mod transaction;
mod wish;

pub use database::{
    Batch, Iter, KeyValue, Keys, Keyspace, OpenDB, Salvage, Snapshot, Stats, Transaction, ValueReader,
    ValueRef, ValueWriter,
};
pub use error::{Error, ErrorKind, Result};
pub use options::{
    AppendMode, COMMIT_BYTES_MAX, COMMIT_KEPT_BYTES_MAX, COMMIT_VALUE_BYTES_KEPT, Compression, Durability,
    KEY_BYTES_MAX, KEYSPACE_NAME_BYTES_MAX, KEYSPACES_MAX, KeyspaceOptions, Options, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, TransactOptions, VALUE_BYTES_MAX,
};
pub use recovery::Recovery;
pub use scan::Scan;
pub use store::{Backup, Compaction, CompactionProgress, Verification, Violation};
