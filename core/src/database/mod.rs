//! The public face: handles, and what can be done with them.
//!
//! An **engine** is one open directory. Opening the same directory again in the same process gives another handle on the
//! same engine; the engine ends with its last handle. A **handle** is what `OpenDB::open` returns and its clones share.

mod batch;
mod due;
mod engine;
mod iter;
mod keyspace;
mod opendb;
mod reading;
mod salvage;
mod snapshot;
mod stats;
#[cfg(test)]
mod tests;
mod transaction;
mod update;
mod value;
mod value_reader;
mod value_writer;

pub use batch::Batch;
pub use iter::{Iter, Keys};
pub use keyspace::Keyspace;
pub use opendb::OpenDB;
pub use salvage::Salvage;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use transaction::Transaction;
pub use value::ValueRef;
pub use value_reader::ValueReader;
pub use value_writer::ValueWriter;

/// A key and its value, both owned.
pub type KeyValue = (Vec<u8>, Vec<u8>);
