//! A batch: many writes, applied as one.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use engine::{Error, Result};
use parking_lot::Mutex;

use crate::database::Database;
use crate::error::{Failure, Status};
use crate::guard::{counted, done, input, made, utf8};
use crate::handle::{self, Handle, Table};
use crate::options::{self, Durability};

/// Writes that wait to be applied as one. Committing consumes it; `opendb_batch_free` drops it.
pub struct Batch {
    /// Nothing once a commit has taken the batch away from a call that was waiting for it.
    engine: Mutex<Option<engine::Batch>>,
}

static BATCHES: Table<Batch> = Table::new();

impl Handle for Batch {
    const NAME: &'static str = "batch";
    const TYPE: usize = 9;
    fn table() -> &'static Table<Batch> {
        &BATCHES
    }
}

fn with<T>(batch: *const Batch, work: impl FnOnce(&mut engine::Batch) -> Result<T>) -> Result<T> {
    let batch = handle::borrow(batch)?;
    let mut engine = batch.engine.lock();
    work(engine.as_mut().ok_or_else(consumed)?)
}

/// Consumes the handle and takes the batch out of it.
fn take(batch: *mut Batch) -> Result<engine::Batch> {
    let batch = handle::take(batch)?;
    let engine = batch.engine.lock().take();
    engine.ok_or_else(consumed)
}

fn consumed() -> Error {
    Error::InvalidArgument("batch: another thread has committed it".to_owned())
}

/// Makes an empty batch. Nothing is applied before it is committed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_batch_new(
    database: *const Database,
    batch_out: Option<&mut MaybeUninit<*mut Batch>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("batch_out", batch_out, error_out, || {
        let engine = handle::borrow(database)?.engine().batch();
        Ok(Batch { engine: Mutex::new(Some(engine)) })
    })
}

/// Adds a write to the batch. A later write or delete of the same key in the batch wins. Limits as for
/// `opendb_put`; `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name. A refused write leaves the
/// batch as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_batch_put(
    batch: *mut Batch,
    keyspace: *const c_char,
    key: *const c_void,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let (keyspace, key, value) = (utf8!(keyspace), input!(key, key_length), input!(value, value_length));
        with(batch, |batch| batch.put(keyspace, key, value))
    })
}

/// Adds a delete to the batch, otherwise like `opendb_batch_put`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_batch_delete(
    batch: *mut Batch,
    keyspace: *const c_char,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let (keyspace, key) = (utf8!(keyspace), input!(key, key_length));
        with(batch, |batch| batch.delete(keyspace, key))
    })
}

/// Counts the writes and deletes in the batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_batch_len(
    batch: *const Batch,
    count_out: Option<&mut MaybeUninit<u64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    counted(count_out, error_out, || with(batch, |batch| Ok(batch.len() as u64)))
}

/// Applies the batch: all of it or, where the call fails, nothing. The handle is consumed in every case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_batch_commit(
    batch: *mut Batch,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || take(batch)?.commit())
}

/// Like `opendb_batch_commit`, with a durability for this commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_batch_commit_with(
    batch: *mut Batch,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let batch = take(batch)?;
        batch.commit_with(options::durability(durability)?)
    })
}

/// Drops a batch: nothing of it is applied.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_batch_free(batch: *mut Batch) {
    handle::free(batch);
}
