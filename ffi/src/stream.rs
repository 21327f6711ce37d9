//! Values that are read and written piece by piece.

use std::ffi::c_void;
use std::io::{Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;

use engine::{Error, Result};
use parking_lot::Mutex;

use crate::database::Database;
use crate::error::{Failure, OPENDB_NOT_FOUND, OPENDB_OK, Status};
use crate::guard::{counted, done, guard, input, made, output, required};
use crate::handle::{self, Handle, Table};
use crate::keyspace::Keyspace;
use crate::options::{self, Durability};
use crate::snapshot::Snapshot;

/// A value that is read piece by piece. It stays the same value, and can be read, also when its key is overwritten or the
/// database closed. Free it with `opendb_value_reader_free`.
pub struct ValueReader {
    engine: Mutex<engine::ValueReader>,
    length: u64,
}

static READERS: Table<ValueReader> = Table::new();

impl Handle for ValueReader {
    const NAME: &'static str = "reader";
    const TYPE: usize = 11;
    fn table() -> &'static Table<ValueReader> {
        &READERS
    }
}

/// A value that is written piece by piece. Finishing consumes it; `opendb_value_writer_free` gives the value up.
pub struct ValueWriter {
    /// Nothing once a finish has taken the writer away from a call that was waiting for it.
    engine: Mutex<Option<engine::ValueWriter>>,
}

static WRITERS: Table<ValueWriter> = Table::new();

impl Handle for ValueWriter {
    const NAME: &'static str = "writer";
    const TYPE: usize = 12;
    fn table() -> &'static Table<ValueWriter> {
        &WRITERS
    }
}

/// Runs the body of an export that finds a value to be read piece by piece.
fn found(
    reader_out: Option<&mut MaybeUninit<*mut ValueReader>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    find: impl FnOnce() -> Result<Option<engine::ValueReader>>,
) -> Status {
    guard(error_out, || {
        let reader_out = required("reader_out", reader_out, std::ptr::null_mut())?;
        let Some(engine) = find()? else { return Ok(OPENDB_NOT_FOUND) };
        let length = engine.len();
        *reader_out = handle::give(ValueReader { engine: Mutex::new(engine), length })?;
        Ok(OPENDB_OK)
    })
}

fn writing(engine: engine::ValueWriter) -> ValueWriter {
    ValueWriter { engine: Mutex::new(Some(engine)) }
}

/// Consumes the handle and takes the writer out of it.
fn take(writer: *mut ValueWriter) -> Result<engine::ValueWriter> {
    let writer = handle::take(writer)?;
    let engine = writer.engine.lock().take();
    engine.ok_or_else(consumed)
}

fn consumed() -> Error {
    Error::InvalidArgument("writer: another thread has finished it".to_owned())
}

/// Opens the newest value of a key for reading piece by piece. `OPENDB_NOT_FOUND` where there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_reader_new(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    reader_out: Option<&mut MaybeUninit<*mut ValueReader>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(reader_out, error_out, || handle::borrow(database)?.engine().value_reader(input!(key, key_length)))
}

/// Like `opendb_value_reader_new`, in a keyspace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_value_reader(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    reader_out: Option<&mut MaybeUninit<*mut ValueReader>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(reader_out, error_out, || handle::borrow(keyspace)?.engine().value_reader(input!(key, key_length)))
}

/// Like `opendb_value_reader_new`, in a snapshot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_value_reader(
    snapshot: *const Snapshot,
    key: *const c_void,
    key_length: usize,
    reader_out: Option<&mut MaybeUninit<*mut ValueReader>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(reader_out, error_out, || handle::borrow(snapshot)?.engine().value_reader(input!(key, key_length)))
}

/// The length of the value in bytes; 0 for NULL and what is no live reader.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_value_reader_length(reader: *const ValueReader) -> u64 {
    crate::guard::guard_or(0, || Ok(handle::borrow(reader)?.length))
}

/// Reads the next bytes of the value into the caller's buffer, as many as it has room for or are left, and tells how
/// many: 0 at the end. A value over 1 MiB that is damaged is noticed by who reads from its beginning to its end: the
/// read that would give the last byte is `OPENDB_ERROR_CORRUPTION`. After an error the buffer holds nothing of use and
/// the position is what it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_reader_read(
    reader: *mut ValueReader,
    buffer: *mut c_void,
    buffer_length: usize,
    count_out: Option<&mut MaybeUninit<u64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    counted(count_out, error_out, || {
        let reader = handle::borrow(reader)?;
        let mut engine = reader.engine.lock();
        let left = reader.length.saturating_sub(engine.stream_position()?);
        // No more of the buffer is touched than is filled.
        let wanted = buffer_length.min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = engine.read(output!(buffer, wanted))?;
        Ok(count as u64)
    })
}

/// Goes to a place of the value, counted in bytes from its beginning. Behind its end there is nothing to be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_reader_seek(
    reader: *mut ValueReader,
    position: u64,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        handle::borrow(reader)?.engine.lock().seek(SeekFrom::Start(position))?;
        Ok(())
    })
}

/// Frees a reader.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_value_reader_free(reader: *mut ValueReader) {
    handle::free(reader);
}

/// Begins a value of `length` bytes, which is written piece by piece and stored under the key when it is finished. Until
/// then nobody sees anything of it, and nobody waits for it either. Limits as for `opendb_put`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_writer_new(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    length: u64,
    writer_out: Option<&mut MaybeUninit<*mut ValueWriter>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("writer_out", writer_out, error_out, || {
        handle::borrow(database)?.engine().value_writer(input!(key, key_length), length).map(writing)
    })
}

/// Like `opendb_value_writer_new`, in a keyspace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_value_writer(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    length: u64,
    writer_out: Option<&mut MaybeUninit<*mut ValueWriter>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("writer_out", writer_out, error_out, || {
        handle::borrow(keyspace)?.engine().value_writer(input!(key, key_length), length).map(writing)
    })
}

/// Writes the next piece of the value: all of it or, after an error, nothing. More than the length that was announced is
/// `OPENDB_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_writer_write(
    writer: *mut ValueWriter,
    piece: *const c_void,
    piece_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let piece = input!(piece, piece_length);
        let writer = handle::borrow(writer)?;
        writer.engine.lock().as_mut().ok_or_else(consumed)?.write_all(piece)?;
        Ok(())
    })
}

/// Stores the value, all of which was written, under its key. The handle is consumed in every case; after an error
/// nothing of the value is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_writer_finish(
    writer: *mut ValueWriter,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || take(writer)?.finish())
}

/// Like `opendb_value_writer_finish`, with a durability for this commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_value_writer_finish_with(
    writer: *mut ValueWriter,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let writer = take(writer)?;
        writer.finish_with(options::durability(durability)?)
    })
}

/// Frees a writer. A value that was not finished is given up.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_value_writer_free(writer: *mut ValueWriter) {
    handle::free(writer);
}
