//! Many writes as one commit.

use std::fmt;
use std::sync::Arc;

use super::engine::Handle;
use crate::error::Result;
use crate::options::{Durability, check_key, check_value};
use crate::store::{Commit, Operations};

/// Writes that are collected and then committed as one: after a crash all of them are there or none is. It reads nothing,
/// so it never conflicts. Of several writes to one key the last counts. Dropped without a commit, nothing happens.
///
/// ```
/// # fn main() -> opendb::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let db = opendb::OpenDB::open(directory.path())?;
/// let mut batch = db.batch();
/// batch.put("default", b"a", b"1")?;
/// batch.delete("default", b"b")?;
/// batch.commit()?;
/// # Ok(())
/// # }
/// ```
pub struct Batch {
    pub(super) handle: Arc<Handle>,
    pub(super) operations: Operations,
}

impl Batch {
    /// Adds a put. Of a batch that has grown long ([`crate::COMMIT_KEPT_BYTES_MAX`]) further values are written to the device as
    /// they come, so that it takes little memory; nobody sees them before the commit, and without one their room is used again.
    ///
    /// # Errors
    /// [`crate::Error::KeyspaceNotFound`] for a keyspace that was never created; [`crate::Error::InvalidArgument`] for a
    /// key or value over its limit, or when the batch would be too long for one commit ([`crate::COMMIT_BYTES_MAX`]); for what
    /// is written as it comes, as [`crate::OpenDB::put`]. After an error the batch is as it was before and may go on.
    pub fn put(&mut self, keyspace: &str, key: &[u8], value: &[u8]) -> Result<()> {
        check_value(value)?;
        self.add(keyspace, key, Some(value))
    }

    /// Adds a delete.
    ///
    /// # Errors
    /// As [`Batch::put`].
    pub fn delete(&mut self, keyspace: &str, key: &[u8]) -> Result<()> {
        self.add(keyspace, key, None)
    }

    fn add(&mut self, keyspace: &str, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let guard = self.handle.pin()?;
        let store = self.handle.writable(&guard)?;
        check_key(key)?;
        let (keyspace, compression) = store.keys.keyspaces.to_write(keyspace)?;
        let hash = store.keys.hash(keyspace, key);
        let Some(value) = value else { return self.operations.delete(hash, keyspace, key) };
        if !self.operations.goes_aside(store, key, value) {
            return self.operations.put(store, hash, (keyspace, compression), key, value);
        }
        // No guard lives while the device may be waited for.
        drop(guard);
        let store = self.handle.store_to_write()?;
        self.operations.put(&store, hash, (keyspace, compression), key, value)
    }

    /// Number of writes, also of those that a later one overtakes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Commits all writes at once.
    ///
    /// # Errors
    /// As [`crate::OpenDB::put`]. After an error nothing of the batch is visible.
    pub fn commit(self) -> Result<()> {
        let durability = self.handle.durability();
        self.commit_with(durability)
    }

    /// [`Batch::commit`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`Batch::commit`].
    pub fn commit_with(self, durability: Durability) -> Result<()> {
        let store = self.handle.store_to_write()?;
        if self.operations.len() == 0 {
            return Ok(());
        }
        store.commit(Commit::Many(self.operations), durability, &mut |_| Ok(()))
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish_non_exhaustive()
    }
}
