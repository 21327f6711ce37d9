//! A consistent read-only view.

use std::fmt;
use std::sync::Arc;

use super::engine::Handle;
use super::{Iter, KeyValue, Keys, ValueReader, ValueRef};
use crate::error::Result;
use crate::options::{check_key, check_keys};
use crate::scan::{Scan, Walk};
use crate::store::Pin;
use crate::transaction::TrackedWalk;

/// The database as it was at one moment, between two commits. Later commits do not show in it. While it is alive, the old
/// versions that it sees are kept; a cheap clone is the same moment.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) handle: Arc<Handle>,
    pub(super) pin: Arc<Pin>,
    pub(super) keyspace: u16,
}

impl Snapshot {
    /// The same moment in another keyspace.
    ///
    /// # Errors
    /// [`crate::Error::KeyspaceNotFound`] where there is none of that name.
    pub fn keyspace(&self, name: &str) -> Result<Snapshot> {
        let guard = self.handle.pin()?;
        let keyspace = self.handle.store_of(&self.pin, &guard)?.keys.keyspaces.number(name)?;
        Ok(Snapshot { keyspace, ..self.clone() })
    }

    /// The value of a key at that moment; `None` where it was not there.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] where the record does not pass its checksum.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store_of(&self.pin, &guard)?;
        check_key(key)?;
        store.get(self.keyspace, key, Some(self.pin.sequence), &guard)
    }

    /// [`Snapshot::get`] without a copy of the value.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_ref(&self, key: &[u8]) -> Result<Option<ValueRef>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store_of(&self.pin, &guard)?;
        check_key(key)?;
        Ok(store.get_ref(self.keyspace, key, Some(self.pin.sequence), &guard)?.map(ValueRef))
    }

    /// The values of many keys at that moment, in the order of the keys; `None` for each that was not there. Faster than as many
    /// calls of [`Snapshot::get`]: what the keys lead to is fetched from memory, or from the device, for some tens of them at
    /// once. A key may be asked for twice. All values are in memory together when this returns.
    ///
    /// # Errors
    /// As [`Snapshot::get`]; then no value is given.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        let store = self.handle.shared_store_of(&self.pin)?;
        check_keys(keys)?;
        store.get_many(self.keyspace, keys.iter().map(AsRef::as_ref), self.pin.sequence)
    }

    /// [`Snapshot::get_many`] without copies of the values.
    ///
    /// # Errors
    /// As [`Snapshot::get_many`].
    pub fn get_many_ref<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<ValueRef>>> {
        let store = self.handle.shared_store_of(&self.pin)?;
        check_keys(keys)?;
        let keys = keys.iter().map(AsRef::as_ref);
        let found = store.get_many_ref(self.keyspace, keys, self.pin.sequence)?;
        Ok(found.into_iter().map(|found| found.map(ValueRef)).collect())
    }

    /// The value of a key at that moment, to be read piece by piece; `None` where it was not there.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn value_reader(&self, key: &[u8]) -> Result<Option<ValueReader>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store_of(&self.pin, &guard)?;
        check_key(key)?;
        Ok(store.open_value(self.keyspace, key, Some(self.pin.sequence), &guard)?.map(ValueReader::new))
    }

    /// Whether a key was there. Never reads the value.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        let guard = self.handle.pin()?;
        let store = self.handle.store_of(&self.pin, &guard)?;
        check_key(key)?;
        store.exists(self.keyspace, key, Some(self.pin.sequence), &guard)
    }

    /// All entries whose keys begin with `prefix`, in byte order of the keys.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan_prefix(&self, prefix: &[u8]) -> Result<Vec<KeyValue>> {
        self.iter(&Scan::prefix(prefix))?.collect()
    }

    /// Entries in key order, read as the iterator goes.
    ///
    /// # Errors
    /// [`crate::Error::Closed`] after the handle was closed. Items are errors as those of [`Snapshot::get`].
    pub fn iter(&self, scan: &Scan) -> Result<Iter> {
        Ok(Iter::new(Arc::clone(&self.handle), self.walk(scan, false)?))
    }

    /// Keys in order, without reading values.
    ///
    /// # Errors
    /// As [`Snapshot::iter`].
    pub fn keys(&self, scan: &Scan) -> Result<Keys> {
        Ok(Keys::new(Arc::clone(&self.handle), self.walk(scan, true)?))
    }

    fn walk(&self, scan: &Scan, keys_only: bool) -> Result<TrackedWalk> {
        let store = self.handle.shared_store_of(&self.pin)?;
        let walk = Walk::new(&store, Arc::clone(&self.pin), self.keyspace, scan, keys_only, None)?;
        Ok(TrackedWalk::untracked(walk))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("sequence", &self.pin.sequence).finish_non_exhaustive()
    }
}
