//! Opening, closing, keyspaces, snapshots, and the key-value calls.

use napi::bindgen_prelude::{
    AsyncTask, BigInt, Buffer, BufferSlice, Either, Env, External, ExternalRef, Result, i64n,
};
use napi_derive::napi;
use opendb::{Error, Keyspace, KeyspaceOptions, OpenDB, Options, Snapshot};

use crate::error::{number, thrown};
use crate::options::{CompressionName, DurabilityName, OpenSettings, StatsObject};
use crate::scan::{Cursor, CursorHandle, ScanSettings};
use crate::{Background, Content, Slot, done};

pub(crate) type DatabaseHandle = External<Slot<OpenDB>>;
pub(crate) type KeyspaceHandle = External<Slot<OpenKeyspace>>;
pub(crate) type SnapshotHandle = External<Slot<Snapshot>>;

impl Content for OpenDB {
    fn ended() -> Error {
        Error::Closed
    }
}

/// A keyspace, and memory that it shares with JavaScript: to look at what a byte array holds takes several times what it
/// takes JavaScript to copy a small one, so small keys and values come and go through here.
pub(crate) struct OpenKeyspace {
    pub(crate) keyspace: Keyspace,
    room: Buffer,
}

impl OpenKeyspace {
    /// The bytes that JavaScript has put into the room: so many, from this place on.
    fn given(&self, start: u32, bytes: u32) -> opendb::Result<&[u8]> {
        let (start, bytes) = (start as usize, bytes as usize);
        let given = self.room.get(start..).and_then(|room| room.get(..bytes));
        given.ok_or_else(|| Error::Internal("a call said that there is more than the room holds".to_owned()))
    }
}

impl Content for OpenKeyspace {
    fn ended() -> Error {
        Error::Closed
    }
}

impl Content for Snapshot {
    fn ended() -> Error {
        Error::InvalidArgument("the snapshot is closed: take another one".to_owned())
    }
}

/// A value on its way out: its length, where it fitted into the buffer that was brought along; otherwise a `Buffer`;
/// `undefined` where the key is absent.
pub(crate) type Found<'env> = Option<Either<u32, BufferSlice<'env>>>;

/// Opens a database.
#[napi(catch_unwind)]
pub(crate) fn database_open(env: &Env, path: String, settings: OpenSettings) -> Result<DatabaseHandle> {
    let database = OpenDB::open_with_options(path, Options::from(settings));
    database.map(Slot::holding).map_err(|error| thrown(env, &error))
}

/// Opens a database on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<DatabaseHandle>")]
pub(crate) fn database_open_async(
    path: String,
    settings: OpenSettings,
) -> AsyncTask<Background<OpenDB, ExternalRef<Slot<OpenDB>>>> {
    let options = Options::from(settings);
    let hand_over = |env: &Env, database| ExternalRef::new(env, Slot::new(database));
    Background::run(move || OpenDB::open_with_options(path, options), hand_over)
}

/// Closes the database and gives it up; closing again does nothing.
#[napi(catch_unwind)]
pub(crate) fn database_close(env: &Env, database: &DatabaseHandle) -> Result<()> {
    let closed = database.take().map_or(Ok(()), |database| database.close());
    closed.map_err(|error| thrown(env, &error))
}

/// As `databaseClose`, on the thread pool. The handle is given up at once.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn database_close_async(database: &DatabaseHandle) -> AsyncTask<Background<(), ()>> {
    let database = database.take();
    Background::run(move || database.map_or(Ok(()), |database| database.close()), done)
}

/// The directory of the database.
#[napi(catch_unwind)]
pub(crate) fn database_path(env: &Env, database: &DatabaseHandle) -> Result<String> {
    database.call(env, |database| Ok(database.path().to_string_lossy().into_owned()))
}

/// What the database holds and has done.
#[napi(catch_unwind)]
pub(crate) fn database_stats(env: &Env, database: &DatabaseHandle) -> Result<StatsObject> {
    database.call(env, |database| database.stats()).map(StatsObject::from)
}

/// Waits until everything written so far is on the device.
#[napi(catch_unwind)]
pub(crate) fn database_flush(env: &Env, database: &DatabaseHandle) -> Result<()> {
    database.call(env, |database| database.flush())
}

/// As `databaseFlush`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn database_flush_async(
    env: &Env,
    database: &DatabaseHandle,
) -> Result<AsyncTask<Background<(), ()>>> {
    let database = database.copy(env)?;
    Ok(Background::run(move || database.flush(), done))
}

/// Sees to it that everything is seen that was committed before.
#[napi(catch_unwind)]
pub(crate) fn database_refresh(env: &Env, database: &DatabaseHandle) -> Result<()> {
    database.call(env, |database| database.refresh())
}

/// As `databaseRefresh`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn database_refresh_async(
    env: &Env,
    database: &DatabaseHandle,
) -> Result<AsyncTask<Background<(), ()>>> {
    let database = database.copy(env)?;
    Ok(Background::run(move || database.refresh(), done))
}

/// The keyspace of this name, created if missing, with the room for its small keys and values.
#[napi(catch_unwind)]
pub(crate) fn database_keyspace(
    env: &Env,
    database: &DatabaseHandle,
    name: String,
    room: Buffer,
) -> Result<KeyspaceHandle> {
    let keyspace = database.call(env, |database| database.keyspace(&name))?;
    Ok(Slot::holding(OpenKeyspace { keyspace, room }))
}

/// Sees to it that there is a keyspace of this name, whose values are stored so from now on.
#[napi(catch_unwind)]
pub(crate) fn database_keyspace_set(
    env: &Env,
    database: &DatabaseHandle,
    name: String,
    compression: CompressionName,
) -> Result<()> {
    let options = KeyspaceOptions::new().compression(compression.into());
    database.call(env, |database| database.keyspace_with_options(&name, options)).map(drop)
}

/// How values are stored that are written from now on.
#[napi(catch_unwind)]
pub(crate) fn keyspace_compression(env: &Env, keyspace: &KeyspaceHandle) -> Result<CompressionName> {
    keyspace.call(env, |open| Ok(open.keyspace.compression().into()))
}

/// Gives up a keyspace.
#[napi(catch_unwind)]
pub(crate) fn keyspace_close(keyspace: &KeyspaceHandle) {
    drop(keyspace.take());
}

/// The names of all keyspaces, sorted.
#[napi(catch_unwind)]
pub(crate) fn database_keyspaces(env: &Env, database: &DatabaseHandle) -> Result<Vec<String>> {
    database.call(env, |database| database.keyspaces())
}

/// A handle for a snapshot.
#[napi(catch_unwind)]
pub(crate) fn snapshot_new() -> SnapshotHandle {
    Slot::empty()
}

/// A view of the keyspace `"default"` as it is now.
#[napi(catch_unwind)]
pub(crate) fn database_snapshot(
    env: &Env,
    database: &DatabaseHandle,
    snapshot: &SnapshotHandle,
) -> Result<()> {
    database.call(env, |database| database.snapshot()).map(|taken| snapshot.fill(taken))
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
    keyspace.call(env, |open| match durability {
        Some(durability) => open.keyspace.put_with(key, value, durability.into()),
        None => open.keyspace.put(key, value),
    })
}

/// As `keyspacePut`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn keyspace_put_async(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    value: &[u8],
    durability: Option<DurabilityName>,
) -> Result<AsyncTask<Background<(), ()>>> {
    let (keyspace, key, value) = (copy(env, keyspace)?, key.to_vec(), value.to_vec());
    let stored = move || match durability {
        Some(durability) => keyspace.put_with(&key, &value, durability.into()),
        None => keyspace.put(&key, &value),
    };
    Ok(Background::run(stored, done))
}

/// Removes a key; an absent one is no error.
#[napi(catch_unwind)]
pub(crate) fn keyspace_delete(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    durability: Option<DurabilityName>,
) -> Result<()> {
    keyspace.call(env, |open| match durability {
        Some(durability) => open.keyspace.delete_with(key, durability.into()),
        None => open.keyspace.delete(key),
    })
}

/// As `keyspaceDelete`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn keyspace_delete_async(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    durability: Option<DurabilityName>,
) -> Result<AsyncTask<Background<(), ()>>> {
    let (keyspace, key) = (copy(env, keyspace)?, key.to_vec());
    let deleted = move || match durability {
        Some(durability) => keyspace.delete_with(&key, durability.into()),
        None => keyspace.delete(&key),
    };
    Ok(Background::run(deleted, done))
}

/// Stores a value under a key, or removes it, where it has the value that is expected of it; nothing stands for absence.
#[napi(catch_unwind)]
pub(crate) fn keyspace_compare_and_swap(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    expected: Option<&[u8]>,
    replacement: Option<&[u8]>,
    durability: Option<DurabilityName>,
) -> Result<bool> {
    keyspace.call(env, |open| match durability {
        Some(wait) => open.keyspace.compare_and_swap_with(key, expected, replacement, wait.into()),
        None => open.keyspace.compare_and_swap(key, expected, replacement),
    })
}

/// Removes a key, and gives its value as `keyspaceGet` does.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn keyspace_take<'env>(
    env: &'env Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    mut room: BufferSlice<'_>,
    durability: Option<DurabilityName>,
) -> Result<Found<'env>> {
    let taken = keyspace.call(env, |open| match durability {
        Some(wait) => open.keyspace.take_with(key, wait.into()),
        None => open.keyspace.take(key),
    })?;
    taken.map(|value| hand_out(env, &value, &mut room)).transpose()
}

/// Adds to the number under a key, which JavaScript has seen to be one of 64 bits.
#[napi(catch_unwind, ts_return_type = "bigint")]
pub(crate) fn keyspace_increment(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    by: BigInt,
    durability: Option<DurabilityName>,
) -> Result<i64n> {
    let (by, _) = by.get_i64();
    let sum = keyspace.call(env, |open| match durability {
        Some(wait) => open.keyspace.increment_with(key, by, wait.into()),
        None => open.keyspace.increment(key, by),
    });
    sum.map(i64n)
}

/// The value of a key, copied into `room` where it fits.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn keyspace_get<'env>(
    env: &'env Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    mut room: BufferSlice<'_>,
) -> Result<Found<'env>> {
    let value = keyspace.call(env, |open| open.keyspace.get_ref(key))?;
    value.map(|value| hand_out(env, &value, &mut room)).transpose()
}

/// Whether a key is there.
#[napi(catch_unwind)]
pub(crate) fn keyspace_exists(env: &Env, keyspace: &KeyspaceHandle, key: &[u8]) -> Result<bool> {
    keyspace.call(env, |open| open.keyspace.exists(key))
}

/// As `keyspacePut`, of a key and behind it a value that stand in the room.
#[napi(catch_unwind)]
pub(crate) fn keyspace_put_room(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key_bytes: u32,
    value_bytes: u32,
) -> Result<()> {
    keyspace
        .call(env, |open| open.keyspace.put(open.given(0, key_bytes)?, open.given(key_bytes, value_bytes)?))
}

/// As `keyspaceDelete`, of a key that stands in the room.
#[napi(catch_unwind)]
pub(crate) fn keyspace_delete_room(env: &Env, keyspace: &KeyspaceHandle, key_bytes: u32) -> Result<()> {
    keyspace.call(env, |open| open.keyspace.delete(open.given(0, key_bytes)?))
}

/// As `keyspaceGet`, of a key that stands in the room. A value that fits takes its place.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn keyspace_get_room<'env>(
    env: &'env Env,
    keyspace: &KeyspaceHandle,
    key_bytes: u32,
) -> Result<Found<'env>> {
    let mut large = None;
    let length = keyspace.call(env, |open| {
        let Some(value) = open.keyspace.get_ref(open.given(0, key_bytes)?)? else { return Ok(None) };
        match open.room.get_mut(..value.len()) {
            Some(room) => room.copy_from_slice(&value),
            None => large = Some(value.clone()),
        }
        Ok(u32::try_from(value.len()).ok())
    })?;
    match large {
        Some(value) => BufferSlice::copy_from(env, &*value).map(|value| Some(Either::B(value))),
        None => Ok(length.map(Either::A)),
    }
}

/// As `keyspaceExists`, of a key that stands in the room.
#[napi(catch_unwind)]
pub(crate) fn keyspace_exists_room(env: &Env, keyspace: &KeyspaceHandle, key_bytes: u32) -> Result<bool> {
    keyspace.call(env, |open| open.keyspace.exists(open.given(0, key_bytes)?))
}

/// How many keys there are.
#[napi(catch_unwind)]
pub(crate) fn keyspace_size(env: &Env, keyspace: &KeyspaceHandle) -> Result<i64> {
    keyspace.call(env, |open| open.keyspace.len()).map(number)
}

/// Begins a scan of keys and values.
#[napi(catch_unwind)]
pub(crate) fn keyspace_iter(
    env: &Env,
    keyspace: &KeyspaceHandle,
    scan: ScanSettings,
    cursor: &CursorHandle,
) -> Result<()> {
    let begun = keyspace.call(env, |open| open.keyspace.iter(&scan.into()))?;
    cursor.fill(Cursor::entries(begun));
    Ok(())
}

/// Begins a scan of keys.
#[napi(catch_unwind)]
pub(crate) fn keyspace_keys(
    env: &Env,
    keyspace: &KeyspaceHandle,
    scan: ScanSettings,
    cursor: &CursorHandle,
) -> Result<()> {
    let begun = keyspace.call(env, |open| open.keyspace.keys(&scan.into()))?;
    cursor.fill(Cursor::keys(begun));
    Ok(())
}

/// The same moment of another keyspace.
#[napi(catch_unwind)]
pub(crate) fn snapshot_keyspace(
    env: &Env,
    snapshot: &SnapshotHandle,
    name: String,
    other: &SnapshotHandle,
) -> Result<()> {
    snapshot.call(env, |snapshot| snapshot.keyspace(&name)).map(|found| other.fill(found))
}

/// The value of a key, copied into `room` where it fits.
#[napi(catch_unwind, ts_return_type = "number | Buffer | undefined")]
pub(crate) fn snapshot_get<'env>(
    env: &'env Env,
    snapshot: &SnapshotHandle,
    key: &[u8],
    mut room: BufferSlice<'_>,
) -> Result<Found<'env>> {
    let value = snapshot.call(env, |snapshot| snapshot.get_ref(key))?;
    value.map(|value| hand_out(env, &value, &mut room)).transpose()
}

/// Whether a key is there.
#[napi(catch_unwind)]
pub(crate) fn snapshot_exists(env: &Env, snapshot: &SnapshotHandle, key: &[u8]) -> Result<bool> {
    snapshot.call(env, |snapshot| snapshot.exists(key))
}

/// Begins a scan of keys and values.
#[napi(catch_unwind)]
pub(crate) fn snapshot_iter(
    env: &Env,
    snapshot: &SnapshotHandle,
    scan: ScanSettings,
    cursor: &CursorHandle,
) -> Result<()> {
    let begun = snapshot.call(env, |snapshot| snapshot.iter(&scan.into()))?;
    cursor.fill(Cursor::entries(begun));
    Ok(())
}

/// Begins a scan of keys.
#[napi(catch_unwind)]
pub(crate) fn snapshot_keys(
    env: &Env,
    snapshot: &SnapshotHandle,
    scan: ScanSettings,
    cursor: &CursorHandle,
) -> Result<()> {
    let begun = snapshot.call(env, |snapshot| snapshot.keys(&scan.into()))?;
    cursor.fill(Cursor::keys(begun));
    Ok(())
}

/// Gives up a snapshot.
#[napi(catch_unwind)]
pub(crate) fn snapshot_close(snapshot: &SnapshotHandle) {
    drop(snapshot.take());
}

/// The keyspace, for work on another thread.
fn copy(env: &Env, keyspace: &KeyspaceHandle) -> Result<Keyspace> {
    keyspace.call(env, |open| Ok(open.keyspace.clone()))
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
