//! One keyspace.

use std::fmt;
use std::sync::Arc;

use super::engine::Handle;
use super::{Iter, KeyValue, Keys, Snapshot, ValueReader, ValueRef, ValueWriter};
use crate::error::Result;
use crate::keyspace::KeyspaceEntry;
use crate::options::{Compression, Durability, check_key, check_value};
use crate::record::{Kind, NewRecord};
use crate::scan::Scan;
use crate::store::Commit;

/// A key space of its own in the database, with the same calls. A cheap clone is the same keyspace.
#[derive(Clone)]
pub struct Keyspace {
    pub(super) handle: Arc<Handle>,
    pub(super) entry: Arc<KeyspaceEntry>,
}

impl Keyspace {
    /// The name that it was created with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// How values are stored that are written from now on.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.entry.compression()
    }

    /// Stores a value under a key, in place of the one before. In the log when this returns.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for a key over [`crate::KEY_BYTES_MAX`] or a value over
    /// [`crate::VALUE_BYTES_MAX`]; [`crate::Error::NoSpace`], with nothing of the write there, on a full device;
    /// [`crate::Error::Poisoned`] after an earlier write failed.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, self.handle.durability())
    }

    /// [`Keyspace::put`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Keyspace::put`].
    pub fn put_with(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        check_value(value)?;
        self.write(Kind::Put, key, value, durability)
    }

    /// Removes a key and its value. Fine where the key is not there.
    ///
    /// # Errors
    /// As [`Keyspace::put`].
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        self.delete_with(key, self.handle.durability())
    }

    /// [`Keyspace::delete`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Keyspace::put`].
    pub fn delete_with(&self, key: &[u8], durability: Durability) -> Result<()> {
        self.write(Kind::Tombstone, key, &[], durability)
    }

    pub(super) fn write(&self, kind: Kind, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        let store = self.handle.store_to_write()?;
        check_key(key)?;
        let keyspace = self.entry.number;
        let hash = store.keys.hash(keyspace, key);
        let record = NewRecord { kind, keyspace, key, value };
        store.commit(Commit::One(record, hash, self.entry.compression()), durability, &mut |_| Ok(()))
    }

    /// The newest committed value of a key; `None` where the key is not there.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] where the record does not pass its checksum.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store(&guard)?;
        check_key(key)?;
        store.get(self.entry.number, key, None, &guard)
    }

    /// [`Keyspace::get`] without a copy of the value.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn get_ref(&self, key: &[u8]) -> Result<Option<ValueRef>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store(&guard)?;
        check_key(key)?;
        Ok(store.get_ref(self.entry.number, key, None, &guard)?.map(ValueRef))
    }

    /// The newest committed values of many keys, in the order of the keys and as of one moment; `None` for each that is not
    /// there. Faster than as many calls of [`Keyspace::get`]: what the keys lead to is fetched from memory, or from the device,
    /// for some tens of them at once. A key may be asked for twice. All values are in memory together when this returns.
    ///
    /// # Errors
    /// As [`Keyspace::get`]; then no value is given.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        self.snapshot()?.get_many(keys)
    }

    /// [`Keyspace::get_many`] without copies of the values.
    ///
    /// # Errors
    /// As [`Keyspace::get_many`].
    pub fn get_many_ref<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<ValueRef>>> {
        self.snapshot()?.get_many_ref(keys)
    }

    /// The newest committed value of a key, to be read piece by piece; `None` where the key is not there.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn value_reader(&self, key: &[u8]) -> Result<Option<ValueReader>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store(&guard)?;
        check_key(key)?;
        Ok(store.open_value(self.entry.number, key, None, &guard)?.map(ValueReader::new))
    }

    /// Begins a value of `length` bytes, which is written piece by piece and stored under the key when it is finished.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for a key over [`crate::KEY_BYTES_MAX`] or a length over
    /// [`crate::VALUE_BYTES_MAX`]; [`crate::Error::NoSpace`] where there is no room for the value.
    pub fn value_writer(&self, key: &[u8], length: u64) -> Result<ValueWriter> {
        ValueWriter::new(self.clone(), key, length)
    }

    /// Whether a key is there. Cheaper than [`Keyspace::get`]: the value is not read.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        let guard = self.handle.pin()?;
        let store = self.handle.store(&guard)?;
        check_key(key)?;
        store.exists(self.entry.number, key, None, &guard)
    }

    /// All entries whose keys begin with `prefix`, in byte order of the keys, as of one moment. Holds all of them in
    /// memory; [`Keyspace::iter`] does not.
    ///
    /// # Errors
    /// As [`Keyspace::get`].
    pub fn scan_prefix(&self, prefix: &[u8]) -> Result<Vec<KeyValue>> {
        self.iter(&Scan::prefix(prefix))?.collect()
    }

    /// Entries in key order, read as the iterator goes, as of the moment of this call.
    ///
    /// # Errors
    /// [`crate::Error::Closed`] after the handle was closed. Items are errors as those of [`Keyspace::get`].
    pub fn iter(&self, scan: &Scan) -> Result<Iter> {
        self.snapshot()?.iter(scan)
    }

    /// Keys in order, without reading values, as of the moment of this call.
    ///
    /// # Errors
    /// As [`Keyspace::iter`].
    pub fn keys(&self, scan: &Scan) -> Result<Keys> {
        self.snapshot()?.keys(scan)
    }

    /// A consistent read-only view that looks at this keyspace.
    ///
    /// # Errors
    /// [`crate::Error::Closed`] after the handle was closed.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let store = self.handle.shared_store()?;
        Ok(Snapshot {
            handle: Arc::clone(&self.handle),
            pin: Arc::new(store.pin(false)),
            keyspace: self.entry.number,
        })
    }

    /// Refuses if the handle is closed or belongs to the parent of a fork.
    pub(super) fn check_open(&self) -> Result<()> {
        self.handle.check_open()
    }

    /// Number of keys, exact, without counting them. Commits that still wait for the device count as well.
    ///
    /// # Errors
    /// [`crate::Error::Closed`] after the handle was closed.
    pub fn len(&self) -> Result<u64> {
        let store = self.handle.shared_store()?;
        store.know_all()?;
        Ok(store.keys.keyspaces.with(self.entry.number, KeyspaceEntry::keys).unwrap_or_default())
    }

    /// Whether there are no keys.
    ///
    /// # Errors
    /// [`crate::Error::Closed`] after the handle was closed.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace").field("name", &self.name()).finish_non_exhaustive()
    }
}
