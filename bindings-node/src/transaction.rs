//! Transactions and batches.

use std::mem;

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Env, External, Function, Result};
use napi_derive::napi;
use opendb::{Batch, Error, TransactOptions, Transaction};

use crate::database::{DatabaseHandle, Found, hand_out};
use crate::error::{number, thrown};
use crate::options::DurabilityName;
use crate::scan::{Cursor, CursorHandle, ScanSettings};
use crate::{Background, Content, Slot, done};

pub(crate) type TransactionHandle = External<Slot<Transaction>>;
type BatchHandle = External<Slot<Batch>>;

/// What the work of `transactionRun` says: all went well, commit.
const OUTCOME_COMMIT: u32 = 0;
/// The same: it met a conflict, so the core may run it again. Any other number: roll back.
const OUTCOME_CONFLICT: u32 = 1;
/// The same: it has given a promise, and keeps the transaction.
const OUTCOME_GOES_ON: u32 = 3;

impl Content for Transaction {
    fn ended() -> Error {
        Error::InvalidArgument("the transaction has ended: begin another one".to_owned())
    }
}

impl Content for Batch {
    fn ended() -> Error {
        Error::InvalidArgument("the batch has ended: make another one".to_owned())
    }
}

/// How work is run in transactions.
#[napi(object, object_to_js = false)]
pub(crate) struct TransactSettings {
    /// How often it is run again after a conflict, at most.
    pub retries: Option<i64>,
    /// What the commit waits for.
    pub durability: Option<DurabilityName>,
}

impl From<TransactSettings> for TransactOptions {
    fn from(settings: TransactSettings) -> TransactOptions {
        let mut options = TransactOptions::new();
        if let Some(retries) = settings.retries {
            options = options.retries(u32::try_from(retries).unwrap_or(u32::MAX));
        }
        if let Some(durability) = settings.durability {
            options = options.durability(durability.into());
        }
        options
    }
}

/// A handle for a transaction.
#[napi(catch_unwind)]
pub(crate) fn transaction_new() -> TransactionHandle {
    Slot::empty()
}

/// Begins a transaction.
#[napi(catch_unwind)]
pub(crate) fn transaction_begin(
    env: &Env,
    database: &DatabaseHandle,
    transaction: &TransactionHandle,
) -> Result<()> {
    database.call(env, |database| database.begin_transaction()).map(|begun| transaction.fill(begun))
}

/// Runs `work` in the core's own `transact`, which knows when to try again and for how long. While `work` runs, `lent`
/// holds the transaction; `work` says how it went. Where it goes on, this throws, and `lent` goes on holding the transaction.
#[napi(
    catch_unwind,
    ts_args_type = "database: DatabaseHandle, lent: TransactionHandle, work: () => number, settings: TransactSettings"
)]
pub(crate) fn transaction_run(
    env: &Env,
    database: &DatabaseHandle,
    lent: &TransactionHandle,
    work: Function<'_, (), u32>,
    settings: TransactSettings,
) -> Result<()> {
    // The work may close the database.
    let database = database.copy(env)?;
    let result = database.transact_with(settings.into(), |transaction| {
        let spare = database.begin_transaction()?;
        attempt(&work, lent, transaction, spare)
    });
    result.map_err(|error| thrown(env, &error))
}

/// Calls `work` with the core's transaction behind the handle, and takes the transaction back afterwards. The core
/// lends it by reference and a handle owns what it holds, so a `spare` one stands in its place meanwhile.
fn attempt(
    work: &Function<'_, (), u32>,
    lent: &TransactionHandle,
    transaction: &mut Transaction,
    spare: Transaction,
) -> opendb::Result<()> {
    lent.fill(mem::replace(transaction, spare));
    let outcome = work.call(());
    if let Ok(OUTCOME_GOES_ON) = outcome {
        return Err(Error::InvalidArgument("the work goes on".to_owned()));
    }
    *transaction = lent.take().ok_or_else(Transaction::ended)?;
    match outcome {
        Ok(OUTCOME_COMMIT) => Ok(()),
        Ok(OUTCOME_CONFLICT) => Err(Error::Transaction("the work met a conflict; run it again".to_owned())),
        Ok(_) => Err(Error::InvalidArgument("the work threw".to_owned())),
        Err(error) => Err(Error::Internal(format!("calling the work of a transaction: {}", error.reason))),
    }
}

/// Whether the transaction was neither committed nor rolled back.
#[napi(catch_unwind)]
pub(crate) fn transaction_active(transaction: &TransactionHandle) -> bool {
    transaction.holds()
}

/// The value of a key as the transaction sees it, copied into `room` where it fits.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn transaction_get<'env>(
    env: &'env Env,
    transaction: &TransactionHandle,
    keyspace: String,
    key: &[u8],
    mut room: BufferSlice<'_>,
) -> Result<Found<'env>> {
    let value = transaction.call(env, |transaction| transaction.get(&keyspace, key))?;
    value.map(|value| hand_out(env, &value, &mut room)).transpose()
}

/// Stores a value under a key when the transaction commits.
#[napi(catch_unwind)]
pub(crate) fn transaction_put(
    env: &Env,
    transaction: &TransactionHandle,
    keyspace: String,
    key: &[u8],
    value: &[u8],
) -> Result<()> {
    transaction.call(env, |transaction| transaction.put(&keyspace, key, value))
}

/// Removes a key when the transaction commits.
#[napi(catch_unwind)]
pub(crate) fn transaction_delete(
    env: &Env,
    transaction: &TransactionHandle,
    keyspace: String,
    key: &[u8],
) -> Result<()> {
    transaction.call(env, |transaction| transaction.delete(&keyspace, key))
}

/// Whether a key is there as the transaction sees it.
#[napi(catch_unwind)]
pub(crate) fn transaction_exists(
    env: &Env,
    transaction: &TransactionHandle,
    keyspace: String,
    key: &[u8],
) -> Result<bool> {
    transaction.call(env, |transaction| transaction.exists(&keyspace, key))
}

/// Begins a scan of keys and values as the transaction sees them.
#[napi(catch_unwind)]
pub(crate) fn transaction_iter(
    env: &Env,
    transaction: &TransactionHandle,
    keyspace: String,
    scan: ScanSettings,
    cursor: &CursorHandle,
) -> Result<()> {
    let begun = transaction.call(env, |transaction| transaction.iter(&keyspace, &scan.into()))?;
    cursor.fill(Cursor::entries(begun));
    Ok(())
}

/// Begins a scan of keys as the transaction sees them.
#[napi(catch_unwind)]
pub(crate) fn transaction_keys(
    env: &Env,
    transaction: &TransactionHandle,
    keyspace: String,
    scan: ScanSettings,
    cursor: &CursorHandle,
) -> Result<()> {
    let begun = transaction.call(env, |transaction| transaction.keys(&keyspace, &scan.into()))?;
    cursor.fill(Cursor::keys(begun));
    Ok(())
}

/// Commits the transaction.
#[napi(catch_unwind)]
pub(crate) fn transaction_commit(
    env: &Env,
    transaction: &TransactionHandle,
    durability: Option<DurabilityName>,
) -> Result<()> {
    let transaction = transaction.end(env)?;
    commit_transaction(transaction, durability).map_err(|error| thrown(env, &error))
}

/// As `transactionCommit`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn transaction_commit_async(
    env: &Env,
    transaction: &TransactionHandle,
    durability: Option<DurabilityName>,
) -> Result<AsyncTask<Background<(), ()>>> {
    let transaction = transaction.end(env)?;
    Ok(Background::run(move || commit_transaction(transaction, durability), done))
}

/// Rolls the transaction back.
#[napi(catch_unwind)]
pub(crate) fn transaction_rollback(env: &Env, transaction: &TransactionHandle) -> Result<()> {
    let transaction = transaction.end(env)?;
    transaction.rollback().map_err(|error| thrown(env, &error))
}

/// Gives the transaction up, if it has not ended yet.
#[napi(catch_unwind)]
pub(crate) fn transaction_release(transaction: &TransactionHandle) {
    drop(transaction.take());
}

/// A handle for a batch.
#[napi(catch_unwind)]
pub(crate) fn batch_new() -> BatchHandle {
    Slot::empty()
}

/// Begins a batch.
#[napi(catch_unwind)]
pub(crate) fn batch_begin(env: &Env, database: &DatabaseHandle, batch: &BatchHandle) -> Result<()> {
    database.call(env, |database| Ok(database.batch())).map(|begun| batch.fill(begun))
}

/// Adds a value under a key to the batch.
#[napi(catch_unwind)]
pub(crate) fn batch_put(
    env: &Env,
    batch: &BatchHandle,
    keyspace: String,
    key: &[u8],
    value: &[u8],
) -> Result<()> {
    batch.call(env, |batch| batch.put(&keyspace, key, value))
}

/// Adds the removal of a key to the batch.
#[napi(catch_unwind)]
pub(crate) fn batch_delete(env: &Env, batch: &BatchHandle, keyspace: String, key: &[u8]) -> Result<()> {
    batch.call(env, |batch| batch.delete(&keyspace, key))
}

/// How many writes the batch holds.
#[napi(catch_unwind)]
pub(crate) fn batch_size(env: &Env, batch: &BatchHandle) -> Result<i64> {
    batch.call(env, |batch| Ok(number(batch.len() as u64)))
}

/// Applies the batch.
#[napi(catch_unwind)]
pub(crate) fn batch_commit(env: &Env, batch: &BatchHandle, durability: Option<DurabilityName>) -> Result<()> {
    let batch = batch.end(env)?;
    commit_batch(batch, durability).map_err(|error| thrown(env, &error))
}

/// As `batchCommit`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn batch_commit_async(
    env: &Env,
    batch: &BatchHandle,
    durability: Option<DurabilityName>,
) -> Result<AsyncTask<Background<(), ()>>> {
    let batch = batch.end(env)?;
    Ok(Background::run(move || commit_batch(batch, durability), done))
}

/// Gives the batch up, if it was not committed.
#[napi(catch_unwind)]
pub(crate) fn batch_release(batch: &BatchHandle) {
    drop(batch.take());
}

fn commit_transaction(transaction: Transaction, durability: Option<DurabilityName>) -> opendb::Result<()> {
    match durability {
        Some(durability) => transaction.commit_with(durability.into()),
        None => transaction.commit(),
    }
}

fn commit_batch(batch: Batch, durability: Option<DurabilityName>) -> opendb::Result<()> {
    match durability {
        Some(durability) => batch.commit_with(durability.into()),
        None => batch.commit(),
    }
}
