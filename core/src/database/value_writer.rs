//! Writing a value piece by piece.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Weak};

use super::Keyspace;
use crate::error::{Error, Result};
use crate::log::LargeWrite;
use crate::options::{Durability, VALUE_BYTES_MAX, check_key};
use crate::record::{INLINE_VALUE_BYTES_MAX, Kind};
use crate::store::Store;

/// A value that is written piece by piece, so that one of any length takes little memory. Its length is said at the
/// beginning. Nobody sees anything of it before [`ValueWriter::finish`], which commits it as [`crate::OpenDB::put`] would; dropped
/// before, it is given up.
///
/// Values over 1 MiB go to the log as they come, and neither other writes nor other large values wait meanwhile. Each piece
/// is a call of the operating system, so many little ones are best gathered by a [`std::io::BufWriter`]. Errors hold a
/// [`crate::Error`] inside.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let db = opendb::OpenDB::open(directory.path())?;
/// # let mut source: &[u8] = b"many megabytes";
/// let mut film = db.value_writer(b"film", 14)?;
/// std::io::copy(&mut source, &mut film)?;
/// film.finish()?;
/// assert_eq!(db.get(b"film")?.as_deref(), Some(&b"many megabytes"[..]));
/// # Ok(())
/// # }
/// ```
#[must_use = "a value that is not finished is given up"]
pub struct ValueWriter {
    keyspace: Keyspace,
    key: Vec<u8>,
    length: u64,
    written: u64,
    value: Value,
    /// Where a value that is given up gives its segment back, also when the handle is closed and another one is open.
    store: Weak<Store>,
}

/// What was written so far.
enum Value {
    /// One that will stand in a record.
    Short(Vec<u8>),
    /// One that is written to a large-value segment.
    Large(LargeWrite),
    /// Nothing any more: it was finished.
    Finished,
}

impl ValueWriter {
    pub(super) fn new(keyspace: Keyspace, key: &[u8], length: u64) -> Result<ValueWriter> {
        let store = keyspace.handle.store_to_write()?;
        check_key(key)?;
        let Some(large_length) = u32::try_from(length).ok().filter(|_| length <= VALUE_BYTES_MAX as u64)
        else {
            return Err(Error::InvalidArgument(format!(
                "the value is to have {length} bytes, at most {VALUE_BYTES_MAX} are allowed"
            )));
        };
        let value = if length <= INLINE_VALUE_BYTES_MAX as u64 {
            Value::Short(Vec::with_capacity(large_length as usize))
        } else {
            let owner = store.keys.hash(keyspace.entry.number, key);
            Value::Large(store.log.begin_large(large_length, owner)?)
        };
        let store = Arc::downgrade(&store);
        Ok(ValueWriter { keyspace, key: key.to_vec(), length, written: 0, value, store })
    }

    /// Length that the value will have, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that were written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Commits the value: from here on everybody sees it under its key.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where fewer bytes were written than were said at the beginning; otherwise as
    /// [`crate::OpenDB::put`]. After an error nothing of the value is there.
    pub fn finish(self) -> Result<()> {
        let durability = self.keyspace.handle.durability();
        self.finish_with(durability)
    }

    /// [`ValueWriter::finish`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`ValueWriter::finish`].
    pub fn finish_with(mut self, durability: Durability) -> Result<()> {
        let store = self.keyspace.handle.store_to_write()?;
        if self.written < self.length {
            return Err(Error::InvalidArgument(format!(
                "{} bytes of the value were written, {} were announced",
                self.written, self.length
            )));
        }
        match std::mem::replace(&mut self.value, Value::Finished) {
            Value::Short(value) => self.keyspace.write(Kind::Put, &self.key, &value, durability),
            Value::Large(value) => {
                // Until it is published nothing else tells that the segment is still of use.
                let _large_value_under_way = store.log.pin();
                let pointer = store.log.finish_large(&value)?.encode();
                self.keyspace.write(Kind::LargePut, &self.key, &pointer, durability)
            }
            Value::Finished => Ok(()),
        }
    }

    fn add(&mut self, piece: &[u8]) -> Result<()> {
        let written = self.written.saturating_add(piece.len() as u64);
        if written > self.length {
            return Err(Error::InvalidArgument(format!(
                "{written} bytes of the value would be written, {} were announced",
                self.length
            )));
        }
        let store = self.keyspace.handle.store_to_write()?;
        match &mut self.value {
            Value::Short(value) => value.extend_from_slice(piece),
            Value::Large(value) => store.log.write_large(value, piece)?,
            Value::Finished => {}
        }
        self.written = written;
        Ok(())
    }
}

impl Write for ValueWriter {
    /// Writes all of a piece or, after an error, nothing of it.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.add(piece)?;
        Ok(piece.len())
    }

    /// Does nothing: [`ValueWriter::finish`] does.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ValueWriter {
    fn drop(&mut self) {
        // In the child of a fork the store is the parent's.
        let is_ours = self.keyspace.handle.pin().is_ok();
        if let Value::Large(value) = &self.value
            && let Some(store) = self.store.upgrade().filter(|_| is_ours)
        {
            store.log.abandon_large(value);
        }
    }
}

impl fmt::Debug for ValueWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueWriter({} of {} bytes)", self.written, self.length)
    }
}
