//! Transactions as their users see them.

use std::fmt;
use std::sync::Arc;

use super::engine::Handle;
use super::{Iter, KeyValue, Keys};
use crate::error::Result;
use crate::options::{Durability, check_key, check_keys, check_value};
use crate::scan::Scan;
use crate::transaction::{TrackedWalk, Work};

/// A serializable transaction: it reads one snapshot and its own writes, and applies its writes all at once, unless
/// something that it has read was changed meanwhile. Dropped without a commit, it is rolled back.
///
/// Optimistic: it takes no locks, so nobody waits for it, and a conflict shows at its commit. Everything that it has
/// read counts: values, absent keys, and the ranges that it has scanned. Blind writes do not conflict, and a transaction
/// that only reads never fails.
///
/// ```
/// # fn main() -> opendb::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let db = opendb::OpenDB::open(directory.path())?;
/// let mut txn = db.begin_transaction()?;
/// let visits = txn.get("default", b"visits")?.map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap()));
/// txn.put("default", b"visits", &(visits + 1).to_le_bytes())?;
/// txn.commit()?;
/// # Ok(())
/// # }
/// ```
pub struct Transaction {
    handle: Arc<Handle>,
    work: Work,
}

impl Transaction {
    pub(super) fn begin(handle: &Arc<Handle>) -> Result<Transaction> {
        let store = handle.shared_store()?;
        let work = Work::begin(&store);
        Ok(Transaction { handle: Arc::clone(handle), work })
    }

    /// The value of a key: this transaction's own write, or else the one at its snapshot.
    ///
    /// # Errors
    /// [`crate::Error::KeyspaceNotFound`] for a keyspace that was never created.
    pub fn get(&self, keyspace: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let guard = self.handle.pin()?;
        let store = self.handle.store_of(self.work.pin(), &guard)?;
        let keyspace = store.keys.keyspaces.number(keyspace)?;
        check_key(key)?;
        self.work.get(&store, keyspace, key, &guard)
    }

    /// The values of many keys, in the order of the keys, as [`Transaction::get`] gives each; all of them count as read. Faster
    /// than as many calls.
    ///
    /// # Errors
    /// As [`Transaction::get`]; then no value is given.
    pub fn get_many<K: AsRef<[u8]>>(&self, keyspace: &str, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        let store = self.handle.shared_store_of(self.work.pin())?;
        let keyspace = store.keys.keyspaces.number(keyspace)?;
        check_keys(keys)?;
        self.work.get_many(&store, keyspace, keys)
    }

    /// Whether a key is there, by its own writes and its snapshot.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn exists(&self, keyspace: &str, key: &[u8]) -> Result<bool> {
        let guard = self.handle.pin()?;
        let store = self.handle.store_of(self.work.pin(), &guard)?;
        let keyspace = store.keys.keyspaces.number(keyspace)?;
        check_key(key)?;
        self.work.exists(&store, keyspace, key, &guard)
    }

    /// Stores a value when the transaction commits. Until then only this transaction sees it.
    ///
    /// # Errors
    /// As [`Transaction::get`], and [`crate::Error::InvalidArgument`] for a key or value over its limit or a transaction
    /// that would be too long for one commit ([`crate::COMMIT_BYTES_MAX`]).
    pub fn put(&mut self, keyspace: &str, key: &[u8], value: &[u8]) -> Result<()> {
        check_value(value)?;
        self.write(keyspace, key, Some(value))
    }

    /// Removes a key when the transaction commits.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, keyspace: &str, key: &[u8]) -> Result<()> {
        self.write(keyspace, key, None)
    }

    fn write(&mut self, keyspace: &str, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let guard = self.handle.pin()?;
        let store = self.handle.writable(&guard)?;
        let keyspace = store.keys.keyspaces.number(keyspace)?;
        check_key(key)?;
        self.work.write(store, keyspace, key, value)
    }

    /// All entries whose keys begin with `prefix`, in byte order of the keys, own writes included.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn scan_prefix(&self, keyspace: &str, prefix: &[u8]) -> Result<Vec<KeyValue>> {
        self.iter(keyspace, &Scan::prefix(prefix))?.collect()
    }

    /// Entries in key order, with the writes made before this call. What the iterator has been through counts as read; one
    /// that is dropped early has read only as far as it came.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn iter(&self, keyspace: &str, scan: &Scan) -> Result<Iter> {
        Ok(Iter::new(Arc::clone(&self.handle), self.walk(keyspace, scan, false)?))
    }

    /// Keys in order, as [`Transaction::iter`].
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn keys(&self, keyspace: &str, scan: &Scan) -> Result<Keys> {
        Ok(Keys::new(Arc::clone(&self.handle), self.walk(keyspace, scan, true)?))
    }

    fn walk(&self, keyspace: &str, scan: &Scan, keys_only: bool) -> Result<TrackedWalk> {
        let store = self.handle.shared_store_of(self.work.pin())?;
        let keyspace = store.keys.keyspaces.number(keyspace)?;
        self.work.walk(&store, keyspace, scan, keys_only)
    }

    /// Applies all writes at once.
    ///
    /// # Errors
    /// [`crate::Error::Transaction`] where something that was read has changed: nothing is applied, and the whole
    /// transaction may be run again. Otherwise as [`crate::OpenDB::put`].
    pub fn commit(self) -> Result<()> {
        let durability = self.handle.durability();
        self.commit_with(durability)
    }

    /// [`Transaction::commit`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit_with(self, durability: Durability) -> Result<()> {
        let store = self.handle.shared_store_of(self.work.pin())?;
        self.work.commit(&store, durability)
    }

    /// Forgets all writes. Dropping the transaction does the same.
    ///
    /// # Errors
    /// [`crate::Error::Closed`] after the handle was closed; the transaction is gone in any case.
    pub fn rollback(self) -> Result<()> {
        self.handle.check_open()
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
