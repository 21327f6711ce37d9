//! Opening, closing, keyspaces, snapshots, and the key-value calls.

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Either, Env, External, ExternalRef, Result};
use napi_derive::napi;
use opendb::{Keyspace, OpenDB, Options, Snapshot, ValueRef};

use crate::error::{ended, number, thrown};
use crate::options::{DurabilityName, OpenSettings, StatsObject};
use crate::scan::{CursorHandle, ScanSettings, entries, keys};
use crate::{Background, Slot, done};

pub(crate) type DatabaseHandle = External<OpenDB>;
type KeyspaceHandle = External<Keyspace>;
type SnapshotHandle = External<Slot<Snapshot>>;

/// A value on its way out: its length, where it fitted into the buffer that was brought along; otherwise a `Buffer`;
/// `undefined` where the key is absent.
pub(crate) type Found<'env> = Option<Either<u32, BufferSlice<'env>>>;

/// Opens a database.
#[napi(catch_unwind)]
pub(crate) fn database_open(env: &Env, path: String, settings: OpenSettings) -> Result<DatabaseHandle> {
    let database = OpenDB::open_with_options(path, Options::from(settings));
    database.map(External::new).map_err(|error| thrown(env, &error))
}

/// Opens a database on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<DatabaseHandle>")]
pub(crate) fn database_open_async(
    path: String,
    settings: OpenSettings,
) -> AsyncTask<Background<OpenDB, ExternalRef<OpenDB>>> {
    let options = Options::from(settings);
    Background::run(move || OpenDB::open_with_options(path, options), ExternalRef::new)
}

/// Closes the database.
#[napi(catch_unwind)]
pub(crate) fn database_close(env: &Env, database: &DatabaseHandle) -> Result<()> {
    database.close().map_err(|error| thrown(env, &error))
}

/// The directory of the database.
#[napi(catch_unwind)]
pub(crate) fn database_path(database: &DatabaseHandle) -> String {
    database.path().to_string_lossy().into_owned()
}

/// What the database holds and has done.
#[napi(catch_unwind)]
pub(crate) fn database_stats(env: &Env, database: &DatabaseHandle) -> Result<StatsObject> {
    database.stats().map(StatsObject::from).map_err(|error| thrown(env, &error))
}

/// Waits until everything written so far is on the device.
#[napi(catch_unwind)]
pub(crate) fn database_flush(env: &Env, database: &DatabaseHandle) -> Result<()> {
    database.flush().map_err(|error| thrown(env, &error))
}

/// As `databaseFlush`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn database_flush_async(database: &DatabaseHandle) -> AsyncTask<Background<(), ()>> {
    let database = OpenDB::clone(database);
    Background::run(move || database.flush(), done)
}

/// The keyspace of this name, created if missing.
#[napi(catch_unwind)]
pub(crate) fn database_keyspace(
    env: &Env,
    database: &DatabaseHandle,
    name: String,
) -> Result<KeyspaceHandle> {
    database.keyspace(&name).map(External::new).map_err(|error| thrown(env, &error))
}

/// The names of all keyspaces, sorted.
#[napi(catch_unwind)]
pub(crate) fn database_keyspaces(env: &Env, database: &DatabaseHandle) -> Result<Vec<String>> {
    database.keyspaces().map_err(|error| thrown(env, &error))
}

/// A view of the keyspace `"default"` as it is now.
#[napi(catch_unwind)]
pub(crate) fn database_snapshot(env: &Env, database: &DatabaseHandle) -> Result<SnapshotHandle> {
    database.snapshot().map(Slot::wrap).map_err(|error| thrown(env, &error))
}

/// Stores a value under a key.
#[napi(catch_unwind)]
pub(crate) fn keyspace_put(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    value: &[u8],
    durability: Option<DurabilityName>,
) -> Result<()> {
    let stored = match durability {
        Some(durability) => keyspace.put_with(key, value, durability.into()),
        None => keyspace.put(key, value),
    };
    stored.map_err(|error| thrown(env, &error))
}

/// As `keyspacePut`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn keyspace_put_async(
    keyspace: &KeyspaceHandle,
    key: &[u8],
    value: &[u8],
    durability: Option<DurabilityName>,
) -> AsyncTask<Background<(), ()>> {
    let (keyspace, key, value) = (Keyspace::clone(keyspace), key.to_vec(), value.to_vec());
    let stored = move || match durability {
        Some(durability) => keyspace.put_with(&key, &value, durability.into()),
        None => keyspace.put(&key, &value),
    };
    Background::run(stored, done)
}

/// Removes a key; an absent one is no error.
#[napi(catch_unwind)]
pub(crate) fn keyspace_delete(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    durability: Option<DurabilityName>,
) -> Result<()> {
    let deleted = match durability {
        Some(durability) => keyspace.delete_with(key, durability.into()),
        None => keyspace.delete(key),
    };
    deleted.map_err(|error| thrown(env, &error))
}

/// As `keyspaceDelete`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn keyspace_delete_async(
    keyspace: &KeyspaceHandle,
    key: &[u8],
    durability: Option<DurabilityName>,
) -> AsyncTask<Background<(), ()>> {
    let (keyspace, key) = (Keyspace::clone(keyspace), key.to_vec());
    let deleted = move || match durability {
        Some(durability) => keyspace.delete_with(&key, durability.into()),
        None => keyspace.delete(&key),
    };
    Background::run(deleted, done)
}

/// The value of a key, copied into `room` where it fits.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn keyspace_get<'env>(
    env: &'env Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    mut room: BufferSlice<'_>,
) -> Result<Found<'env>> {
    let value = keyspace.get_ref(key).map_err(|error| thrown(env, &error))?;
    value.map(|value| hand_out(env, &value, &mut room)).transpose()
}

/// Whether a key is there.
#[napi(catch_unwind)]
pub(crate) fn keyspace_exists(env: &Env, keyspace: &KeyspaceHandle, key: &[u8]) -> Result<bool> {
    keyspace.exists(key).map_err(|error| thrown(env, &error))
}

/// How many keys there are.
#[napi(catch_unwind)]
pub(crate) fn keyspace_size(env: &Env, keyspace: &KeyspaceHandle) -> Result<i64> {
    keyspace.len().map(number).map_err(|error| thrown(env, &error))
}

/// Begins a scan of keys and values.
#[napi(catch_unwind)]
pub(crate) fn keyspace_iter(
    env: &Env,
    keyspace: &KeyspaceHandle,
    scan: ScanSettings,
) -> Result<CursorHandle> {
    keyspace.iter(&scan.into()).map(entries).map_err(|error| thrown(env, &error))
}

/// Begins a scan of keys.
#[napi(catch_unwind)]
pub(crate) fn keyspace_keys(
    env: &Env,
    keyspace: &KeyspaceHandle,
    scan: ScanSettings,
) -> Result<CursorHandle> {
    keyspace.keys(&scan.into()).map(keys).map_err(|error| thrown(env, &error))
}

/// The same moment of another keyspace.
#[napi(catch_unwind)]
pub(crate) fn snapshot_keyspace(
    env: &Env,
    snapshot: &SnapshotHandle,
    name: String,
) -> Result<SnapshotHandle> {
    look(env, snapshot, |snapshot| snapshot.keyspace(&name)).map(Slot::wrap)
}

/// The value of a key, copied into `room` where it fits.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn snapshot_get<'env>(
    env: &'env Env,
    snapshot: &SnapshotHandle,
    key: &[u8],
    mut room: BufferSlice<'_>,
) -> Result<Found<'env>> {
    let value: Option<ValueRef> = look(env, snapshot, |snapshot| snapshot.get_ref(key))?;
    value.map(|value| hand_out(env, &value, &mut room)).transpose()
}

/// Whether a key is there.
#[napi(catch_unwind)]
pub(crate) fn snapshot_exists(env: &Env, snapshot: &SnapshotHandle, key: &[u8]) -> Result<bool> {
    look(env, snapshot, |snapshot| snapshot.exists(key))
}

/// Begins a scan of keys and values.
#[napi(catch_unwind)]
pub(crate) fn snapshot_iter(
    env: &Env,
    snapshot: &SnapshotHandle,
    scan: ScanSettings,
) -> Result<CursorHandle> {
    look(env, snapshot, |snapshot| snapshot.iter(&scan.into())).map(entries)
}

/// Begins a scan of keys.
#[napi(catch_unwind)]
pub(crate) fn snapshot_keys(
    env: &Env,
    snapshot: &SnapshotHandle,
    scan: ScanSettings,
) -> Result<CursorHandle> {
    look(env, snapshot, |snapshot| snapshot.keys(&scan.into())).map(keys)
}

/// Gives up a snapshot.
#[napi(catch_unwind)]
pub(crate) fn snapshot_close(snapshot: &SnapshotHandle) {
    drop(snapshot.take());
}

/// Copies a value out, the one copy that is made of it.
pub(crate) fn hand_out<'env>(
    env: &'env Env,
    value: &[u8],
    room: &mut [u8],
) -> Result<Either<u32, BufferSlice<'env>>> {
    match (room.get_mut(..value.len()), u32::try_from(value.len())) {
        (Some(room), Ok(length)) => {
            room.copy_from_slice(value);
            Ok(Either::A(length))
        }
        _ => BufferSlice::copy_from(env, value).map(Either::B),
    }
}

fn look<T>(
    env: &Env,
    snapshot: &SnapshotHandle,
    call: impl FnOnce(&Snapshot) -> opendb::Result<T>,
) -> Result<T> {
    let result = snapshot.with(|snapshot| call(snapshot));
    let result = result.ok_or_else(|| ended(env, "the snapshot is closed: take another one"))?;
    result.map_err(|error| thrown(env, &error))
}
