//! Values that are read and written piece by piece.

use std::io::{Read, Seek, SeekFrom, Write};

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Env, External, Result};
use napi_derive::napi;
use opendb::{Error, ValueReader, ValueWriter};

use crate::database::{KeyspaceHandle, SnapshotHandle};
use crate::error::{number, thrown};
use crate::options::DurabilityName;
use crate::{Background, Content, Slot, done};

type ReaderHandle = External<Slot<ValueReader>>;
type WriterHandle = External<Slot<ValueWriter>>;

impl Content for ValueReader {
    fn ended() -> Error {
        Error::InvalidArgument("the reader is closed: make another one".to_owned())
    }
}

impl Content for ValueWriter {
    fn ended() -> Error {
        Error::InvalidArgument("the writer is finished: make another one".to_owned())
    }
}

/// A handle for a value that is read.
#[napi(catch_unwind)]
pub(crate) fn reader_new() -> ReaderHandle {
    Slot::empty()
}

/// Opens the value of a key for reading; whether the key is there.
#[napi(catch_unwind)]
pub(crate) fn keyspace_reader(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    reader: &ReaderHandle,
) -> Result<bool> {
    let opened = keyspace.call(env, |open| open.keyspace.value_reader(key))?;
    Ok(opened.map(|opened| reader.fill(opened)).is_some())
}

/// Opens the value of a key for reading; whether the key is there.
#[napi(catch_unwind)]
pub(crate) fn snapshot_reader(
    env: &Env,
    snapshot: &SnapshotHandle,
    key: &[u8],
    reader: &ReaderHandle,
) -> Result<bool> {
    let opened = snapshot.call(env, |snapshot| snapshot.value_reader(key))?;
    Ok(opened.map(|opened| reader.fill(opened)).is_some())
}

/// The length of the value in bytes.
#[napi(catch_unwind)]
pub(crate) fn reader_length(env: &Env, reader: &ReaderHandle) -> Result<i64> {
    reader.call(env, |reader| Ok(number(reader.len())))
}

/// Fills `room` from a place of the value, as far as the value goes, and tells how many bytes that were.
#[napi(catch_unwind)]
pub(crate) fn reader_read(
    env: &Env,
    reader: &ReaderHandle,
    offset: i64,
    mut room: BufferSlice<'_>,
) -> Result<i64> {
    reader.call(env, |reader| {
        reader.seek(SeekFrom::Start(u64::try_from(offset).unwrap_or(u64::MAX)))?;
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(number(filled as u64))
    })
}

/// Gives up a reader.
#[napi(catch_unwind)]
pub(crate) fn reader_close(reader: &ReaderHandle) {
    drop(reader.take());
}

/// A handle for a value that is written.
#[napi(catch_unwind)]
pub(crate) fn writer_new() -> WriterHandle {
    Slot::empty()
}

/// Begins a value of this length.
#[napi(catch_unwind)]
pub(crate) fn keyspace_writer(
    env: &Env,
    keyspace: &KeyspaceHandle,
    key: &[u8],
    length: i64,
    writer: &WriterHandle,
) -> Result<()> {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    keyspace.call(env, |open| open.keyspace.value_writer(key, length)).map(|begun| writer.fill(begun))
}

/// Writes the next piece.
#[napi(catch_unwind)]
pub(crate) fn writer_write(env: &Env, writer: &WriterHandle, piece: &[u8]) -> Result<()> {
    writer.call(env, |writer| Ok(writer.write_all(piece)?))
}

/// How many bytes were written.
#[napi(catch_unwind)]
pub(crate) fn writer_written(env: &Env, writer: &WriterHandle) -> Result<i64> {
    writer.call(env, |writer| Ok(number(writer.written())))
}

/// Stores the value under its key.
#[napi(catch_unwind)]
pub(crate) fn writer_finish(
    env: &Env,
    writer: &WriterHandle,
    durability: Option<DurabilityName>,
) -> Result<()> {
    let writer = writer.end(env)?;
    finish(writer, durability).map_err(|error| thrown(env, &error))
}

/// As `writerFinish`, on the thread pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn writer_finish_async(
    env: &Env,
    writer: &WriterHandle,
    durability: Option<DurabilityName>,
) -> Result<AsyncTask<Background<(), ()>>> {
    let writer = writer.end(env)?;
    Ok(Background::run(move || finish(writer, durability), done))
}

/// Gives the value up, if it was not finished.
#[napi(catch_unwind)]
pub(crate) fn writer_release(writer: &WriterHandle) {
    drop(writer.take());
}

fn finish(writer: ValueWriter, durability: Option<DurabilityName>) -> opendb::Result<()> {
    match durability {
        Some(durability) => writer.finish_with(durability.into()),
        None => writer.finish(),
    }
}
