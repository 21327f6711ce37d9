//! The database handle.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::engine::{Handle, resolved};
use super::{
    Batch, Iter, KeyValue, Keys, Keyspace, Snapshot, Stats, Transaction, ValueReader, ValueRef, ValueWriter,
};
use crate::error::{Error, Result};
use crate::keyspace::DEFAULT_KEYSPACE;
use crate::options::{Durability, KeyspaceOptions, Options, TransactOptions, check_keyspace_name};
use crate::scan::Scan;
use crate::store::{Backup, Compaction, CompactionProgress, Operations, Verification};

/// Longest rest between two attempts.
const TRANSACT_REST_MAX: Duration = Duration::from_millis(8);

/// An open database. Safe from any number of threads; a cheap clone is the same handle.
///
/// The key-value calls work on the keyspace `"default"`, which always exists; [`OpenDB::keyspace`] gives others.
///
/// ```
/// # fn main() -> opendb::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path();
/// use opendb::OpenDB;
/// let db = OpenDB::open(path)?;
/// db.put(b"user:123", b"Alice")?;
/// assert_eq!(db.get(b"user:123")?, Some(b"Alice".to_vec()));
/// for (key, value) in db.scan_prefix(b"user:")? {
///     println!("{} = {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
/// }
/// db.delete(b"user:123")?;
/// assert!(!db.exists(b"user:123")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OpenDB {
    handle: Arc<Handle>,
    default: Keyspace,
}

impl OpenDB {
    /// Opens the database in a directory, which is created if it is missing, and recovers it after a crash.
    ///
    /// In the same process the same directory may be opened any number of times: the handles share one engine.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process has it open; [`Error::Corruption`] where bytes that had been durable are
    /// damaged; [`Error::Unsupported`] for a newer format; [`Error::NoSpace`] and [`Error::Io`] from the system.
    pub fn open(path: impl AsRef<Path>) -> Result<OpenDB> {
        OpenDB::open_with_options(path, Options::new())
    }

    /// [`OpenDB::open`] with other options than the defaults.
    ///
    /// # Errors
    /// As [`OpenDB::open`], and [`Error::InvalidArgument`] for options outside their limits or that contradict those under
    /// which this process already has the directory open.
    #[allow(clippy::needless_pass_by_value)] // so that a builder can be written in place
    pub fn open_with_options(path: impl AsRef<Path>, options: Options) -> Result<OpenDB> {
        OpenDB::of(Handle::open(path.as_ref(), &options)?)
    }

    /// Opens a database for reading only: see [`Options::read_only`].
    ///
    /// # Errors
    /// [`Error::Io`] with [`std::io::ErrorKind::NotFound`] where there is no database; otherwise as [`OpenDB::open`], but never
    /// [`Error::Locked`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<OpenDB> {
        OpenDB::open_with_options(path, Options::new().read_only(true))
    }

    fn of(handle: Arc<Handle>) -> Result<OpenDB> {
        let entry = handle.shared_store()?.keys.keyspaces.by_name(DEFAULT_KEYSPACE)?;
        let default = Keyspace { handle: Arc::clone(&handle), entry };
        Ok(OpenDB { handle, default })
    }

    /// Opens a database with a hook in front of every call to the system.
    #[cfg(feature = "simulation")]
    pub(crate) fn open_hooked(path: &Path, options: &Options, hook: crate::disk::Hook) -> Result<OpenDB> {
        OpenDB::of(Handle::open_hooked(path, options, hook)?)
    }

    /// Opens a database for reading as another process would.
    #[cfg(test)]
    pub(crate) fn open_to_read_apart(path: &Path, options: &Options) -> Result<OpenDB> {
        OpenDB::of(Handle::open_to_read_apart(path, options)?)
    }

    /// Opens a database on a simulated disk.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn open_on(
        disk: &crate::disk::SimulatedDisk,
        path: &Path,
        options: &Options,
    ) -> Result<OpenDB> {
        OpenDB::of(Handle::open_on(&disk.shared(), path, options)?)
    }

    /// Stores a value under a key, in place of the one before. In the log when this returns; by default it survives the
    /// death of the process from then on, and a power cut at the latest a second later.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key over [`crate::KEY_BYTES_MAX`] or a value over [`crate::VALUE_BYTES_MAX`];
    /// [`Error::NoSpace`], with nothing of the write there, on a full device; [`Error::Poisoned`] after an earlier write
    /// failed.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.default.put(key, value)
    }

    /// [`OpenDB::put`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`OpenDB::put`].
    pub fn put_with(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.default.put_with(key, value, durability)
    }

    /// The newest committed value of a key; `None` where the key is not there.
    ///
    /// # Errors
    /// [`Error::Corruption`] where the record does not pass its checksum.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.default.get(key)
    }

    /// [`OpenDB::get`] without a copy of the value.
    ///
    /// # Errors
    /// As [`OpenDB::get`].
    pub fn get_ref(&self, key: &[u8]) -> Result<Option<ValueRef>> {
        self.default.get_ref(key)
    }

    /// The newest committed values of many keys, in the order of the keys and as of one moment; `None` for each that is not
    /// there. Faster than as many calls of [`OpenDB::get`]: what the keys lead to is fetched from memory, or from the device,
    /// for some tens of them at once. A key may be asked for twice. All values are in memory together when this returns.
    ///
    /// ```
    /// # fn main() -> opendb::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// db.put(b"user:1", b"Ada")?;
    /// assert_eq!(db.get_many(&["user:1", "user:2"])?, [Some(b"Ada".to_vec()), None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`OpenDB::get`]; then no value is given.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        self.default.get_many(keys)
    }

    /// [`OpenDB::get_many`] without copies of the values.
    ///
    /// # Errors
    /// As [`OpenDB::get_many`].
    pub fn get_many_ref<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<ValueRef>>> {
        self.default.get_many_ref(keys)
    }

    /// The newest committed value of a key, to be read piece by piece; `None` where the key is not there.
    ///
    /// # Errors
    /// As [`OpenDB::get`].
    pub fn value_reader(&self, key: &[u8]) -> Result<Option<ValueReader>> {
        self.default.value_reader(key)
    }

    /// Begins a value of `length` bytes, which is written piece by piece and stored under the key when it is finished.
    ///
    /// # Errors
    /// As [`Keyspace::value_writer`].
    pub fn value_writer(&self, key: &[u8], length: u64) -> Result<ValueWriter> {
        self.default.value_writer(key, length)
    }

    /// Removes a key and its value. Fine where the key is not there.
    ///
    /// # Errors
    /// As [`OpenDB::put`].
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        self.default.delete(key)
    }

    /// [`OpenDB::delete`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`OpenDB::put`].
    pub fn delete_with(&self, key: &[u8], durability: Durability) -> Result<()> {
        self.default.delete_with(key, durability)
    }

    /// Stores `new` under a key if its value is `expected`, and tells whether it was; `None` stands for a key that is not there, so
    /// that a key can be created only where it is missing, and deleted only while it has this value. Otherwise nothing is
    /// written. Nobody else changes the key between the comparison and the write.
    ///
    /// ```
    /// # fn main() -> opendb::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// assert!(db.compare_and_swap(b"lock", None, Some(b"mine"))?);
    /// assert!(!db.compare_and_swap(b"lock", None, Some(b"yours"))?);
    /// assert!(db.compare_and_swap(b"lock", Some(b"mine"), None)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`OpenDB::put`] and [`OpenDB::get`].
    pub fn compare_and_swap(&self, key: &[u8], expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool> {
        self.default.compare_and_swap(key, expected, new)
    }

    /// [`OpenDB::compare_and_swap`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`OpenDB::compare_and_swap`].
    pub fn compare_and_swap_with(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        durability: Durability,
    ) -> Result<bool> {
        self.default.compare_and_swap_with(key, expected, new, durability)
    }

    /// Adds to the number under a key, and gives the sum; 0 where the key is not there. Numbers are 8 bytes, little endian, signed (two's
    /// complement): an unsigned one below 2^63 is the same bytes. Nobody else changes the key between the read and the write.
    ///
    /// ```
    /// # fn main() -> opendb::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// assert_eq!(db.increment(b"visits", 1)?, 1);
    /// assert_eq!(db.increment(b"visits", 41)?, 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], with nothing written, where the value does not have 8 bytes or the sum is beyond what they
    /// hold; otherwise as [`OpenDB::put`] and [`OpenDB::get`].
    pub fn increment(&self, key: &[u8], by: i64) -> Result<i64> {
        self.default.increment(key, by)
    }

    /// [`OpenDB::increment`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`OpenDB::increment`].
    pub fn increment_with(&self, key: &[u8], by: i64, durability: Durability) -> Result<i64> {
        self.default.increment_with(key, by, durability)
    }

    /// Removes a key, and gives the value that it had; `None`, and nothing is written, where it is not there. Of those who take the
    /// same key at once one gets the value.
    ///
    /// ```
    /// # fn main() -> opendb::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// db.put(b"job:1", b"mow the lawn")?;
    /// assert_eq!(db.take(b"job:1")?, Some(b"mow the lawn".to_vec()));
    /// assert_eq!(db.take(b"job:1")?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`OpenDB::put`] and [`OpenDB::get`].
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.default.take(key)
    }

    /// [`OpenDB::take`], waiting for what this commit is to wait for.
    ///
    /// # Errors
    /// As [`OpenDB::take`].
    pub fn take_with(&self, key: &[u8], durability: Durability) -> Result<Option<Vec<u8>>> {
        self.default.take_with(key, durability)
    }

    /// Whether a key is there. Cheaper than [`OpenDB::get`]: the value is not read.
    ///
    /// # Errors
    /// As [`OpenDB::get`].
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        self.default.exists(key)
    }

    /// All entries whose keys begin with `prefix`, in byte order of the keys, as of one moment. Holds all of them in
    /// memory; [`OpenDB::iter`] does not.
    ///
    /// # Errors
    /// As [`OpenDB::get`].
    pub fn scan_prefix(&self, prefix: &[u8]) -> Result<Vec<KeyValue>> {
        self.default.scan_prefix(prefix)
    }

    /// Entries in key order, read as the iterator goes, as of the moment of this call.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed. Items are errors as those of [`OpenDB::get`].
    pub fn iter(&self, scan: &Scan) -> Result<Iter> {
        self.default.iter(scan)
    }

    /// Keys in order, without reading values, as of the moment of this call.
    ///
    /// # Errors
    /// As [`OpenDB::iter`].
    pub fn keys(&self, scan: &Scan) -> Result<Keys> {
        self.default.keys(scan)
    }

    /// Number of keys in the keyspace `"default"`, exact, without counting them. Commits that still wait for the device
    /// count as well.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed.
    pub fn len(&self) -> Result<u64> {
        self.default.len()
    }

    /// Whether the keyspace `"default"` has no keys.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed.
    pub fn is_empty(&self) -> Result<bool> {
        self.default.is_empty()
    }

    /// Refuses if the handle is closed or belongs to the parent of a fork. For the packages of other languages, which ask
    /// at each entry that they have read ahead: it looks at two words.
    #[doc(hidden)]
    pub fn check_open(&self) -> Result<()> {
        self.default.check_open()
    }

    /// Begins a batch: many writes, one commit, no reads.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch { handle: Arc::clone(&self.handle), operations: Operations::default() }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed.
    pub fn begin_transaction(&self) -> Result<Transaction> {
        Transaction::begin(&self.handle)
    }

    /// Runs `work` in a transaction and commits it. On a conflict it is run again in a new one, after a rest that grows from
    /// nothing to 8 ms, at most 100 times. An error of `work` itself that is not a conflict rolls back and is returned.
    ///
    /// ```
    /// # fn main() -> opendb::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// let visits = db.transact(|txn| {
    ///     let visits = txn.get("default", b"visits")?.map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap()));
    ///     txn.put("default", b"visits", &(visits + 1).to_le_bytes())?;
    ///     Ok(visits + 1)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Transaction`] when it has conflicted every time; otherwise the error of `work` or of the commit.
    pub fn transact<T>(&self, work: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        self.transact_with(TransactOptions::new(), work)
    }

    /// [`OpenDB::transact`] with other options than the defaults.
    ///
    /// # Errors
    /// As [`OpenDB::transact`].
    pub fn transact_with<T>(
        &self,
        options: TransactOptions,
        mut work: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let durability = options.durability.unwrap_or(self.handle.durability());
        for attempt in 1.. {
            let mut transaction = self.begin_transaction()?;
            let outcome =
                work(&mut transaction).and_then(|value| transaction.commit_with(durability).map(|()| value));
            match outcome {
                Err(Error::Transaction(_)) if attempt <= options.retries => rest_after(attempt),
                outcome => return outcome,
            }
        }
        Err(Error::Internal("the attempts at a transaction have no end".to_owned()))
    }

    /// A consistent read-only view of the database as it is now, which looks at the keyspace `"default"`.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.default.snapshot()
    }

    /// The keyspace of this name, 1 to 255 bytes, created if it is not there. Keyspaces are never removed; a database has
    /// at most [`crate::KEYSPACES_MAX`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name or number outside the limits; otherwise as [`OpenDB::put`].
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        let store = self.handle.shared_store()?;
        check_keyspace_name(name)?;
        if store.keys.keyspaces.number(name).is_err() && !self.handle.follows() {
            self.handle.store_to_write()?.ensure_keyspace(name, None, self.handle.durability())?;
        }
        let entry = store.keys.keyspaces.by_name(name)?;
        Ok(Keyspace { handle: Arc::clone(&self.handle), entry })
    }

    /// The keyspace of this name with these settings: created if it is not there, changed if it has others. `"default"`
    /// can be changed as well. Settings stay with the keyspace; what changes holds for what is written afterwards.
    ///
    /// ```
    /// # fn main() -> opendb::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let db = opendb::OpenDB::open(directory.path())?;
    /// use opendb::{Compression, KeyspaceOptions};
    /// let options = KeyspaceOptions::new().compression(Compression::Lz4);
    /// let pages = db.keyspace_with_options("pages", options)?;
    /// pages.put(b"/index.html", "<p>much the same</p>".repeat(100).as_bytes())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`OpenDB::keyspace`].
    pub fn keyspace_with_options(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace> {
        let store = self.handle.shared_store()?;
        check_keyspace_name(name)?;
        let keyspaces = &store.keys.keyspaces;
        if !keyspaces.by_name(name).is_ok_and(|entry| entry.settings() == options) {
            self.handle.store_to_write()?.ensure_keyspace(name, Some(options), self.handle.durability())?;
        }
        let entry = keyspaces.by_name(name)?;
        Ok(Keyspace { handle: Arc::clone(&self.handle), entry })
    }

    /// The names of all keyspaces, in byte order, `"default"` included.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed.
    pub fn keyspaces(&self) -> Result<Vec<String>> {
        let guard = self.handle.pin()?;
        Ok(self.handle.store(&guard)?.keys.keyspaces.names())
    }

    /// Returns when everything written so far is on the device.
    ///
    /// # Errors
    /// [`Error::Io`] where the device fails. Writes are refused from then on, and the sync is never tried again.
    pub fn flush(&self) -> Result<()> {
        self.handle.store_to_write()?.flush()
    }

    /// Gives back, at once, the room of everything that was overwritten or deleted, and brings records into the order of their
    /// keys, about 128 MiB of them at a time, so that long scans read what stands together. Without this call room is given
    /// back in the background whenever there is enough of it. Writes what is live in the log anew, as far as it never was; reads
    /// and writes go on meanwhile.
    ///
    /// # Errors
    /// [`Error::NoSpace`] where there is no room for the copies, [`Error::Io`] from the device, [`Error::Corruption`] where
    /// a segment cannot be read; what was done before stays done.
    pub fn compact(&self) -> Result<Compaction> {
        self.compact_with(|_| true)
    }

    /// [`OpenDB::compact`], telling how far it has come. When `progress` returns `false` it ends early.
    ///
    /// # Errors
    /// As [`OpenDB::compact`].
    pub fn compact_with(&self, mut progress: impl FnMut(&CompactionProgress) -> bool) -> Result<Compaction> {
        self.handle.store_to_write()?.compact(&mut progress)
    }

    /// Makes a backup: a database of its own in another directory, with every commit up to one that was the last at a moment
    /// of this call, and so with everything that was acknowledged before it. Reads and writes go on. A compaction that is under
    /// way is waited for, and the next one waits.
    ///
    /// On the same filesystem, files that are not written to any more get a second name instead of a copy, so that a backup
    /// takes little time and room whatever the size of the database; the room of such a file comes back when both databases have
    /// given it up. What is shared is also damaged together: a backup against the loss of the device belongs on another one,
    /// where everything is copied.
    ///
    /// The directory is created, or must be empty. An interrupted backup leaves a directory that is no database and must be
    /// emptied before it is used again. Bytes are taken as they are: [`OpenDB::verify`] of the backup tells whether they are
    /// whole. Its first open reads the whole log, since it has no checkpoint yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a directory that is not empty or is inside of the database's own; [`Error::Locked`] while
    /// somebody else has it; [`Error::Closed`] when the database is closed meanwhile; [`Error::NoSpace`] and [`Error::Io`] from
    /// the system; otherwise as [`OpenDB::flush`].
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<Backup> {
        let store = self.handle.store_to_write()?;
        store.backup(&resolved(directory.as_ref())?)
    }

    /// Looks at everything: reads every record and checks its checksum, follows every entry of the index and every key of the
    /// order, and compares what is counted. Takes about as long as reading the whole database; reads and writes go on, and
    /// compaction waits. Counts are compared only where nobody wrote meanwhile.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed. What is found to be wrong is no error but in the result.
    pub fn verify(&self) -> Result<Verification> {
        self.handle.shared_store()?.verify()
    }

    /// Figures of the database.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed.
    pub fn stats(&self) -> Result<Stats> {
        let store = self.handle.shared_store()?;
        store.know_all()?;
        let (log, cache) = (store.log.stats(), store.cache.stats());
        let (snapshots, versions) = store.snapshot_counts();
        let (live_bytes, large_live_bytes) = store.log.live_bytes();
        let (figures, order) = (store.figures.now(), store.keys.order.stats());
        Ok(Stats {
            keys: store.keys.keyspaces.keys(),
            keyspaces: store.keys.keyspaces.len(),
            segments: log.segments,
            log_bytes: log.log_bytes,
            live_bytes,
            dead_bytes: log.log_bytes.saturating_sub(live_bytes),
            allocated_bytes: log.allocated_bytes,
            large_bytes: log.large_bytes,
            large_live_bytes,
            bytes_appended: log.bytes_appended,
            bytes_copied: figures.bytes_copied + figures.bytes_moved,
            bytes_checkpointed: figures.bytes_checkpointed,
            bytes_hinted: figures.bytes_hinted,
            bytes_ordered: order.bytes_written,
            compactions: figures.compactions,
            checkpoints: figures.checkpoints,
            pinned_bytes: figures.bytes_pinned,
            oldest_snapshot_seconds: store.oldest_snapshot().as_secs(),
            versions_bytes: versions * crate::store::VERSION_BYTES,
            order_runs: order.file_runs,
            order_file_bytes: order.file_bytes,
            last_sequence: log.appended,
            durable_sequence: log.durable,
            syncs: log.syncs,
            snapshots,
            versions,
            index_bytes: store.keys.index.memory_bytes(),
            order_bytes: order.memory_bytes + store.log.dead_memory_bytes(),
            cache_bytes: cache.bytes,
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            cache_admissions: cache.admissions,
            append: self.handle.engine.append,
            poisoned: store.log.is_poisoned(),
            recovery: store.recovery.clone(),
        })
    }

    /// Sees to it that this handle, if it was opened for reading only, sees everything that was committed before this call, by
    /// whatever process. Without this call it looks for new commits by itself, with each use, and at most once in a millisecond. What it
    /// sees only grows: it is always the database as it was after one of the commits. Where this handle may write there is nothing to
    /// do, since it sees every commit at once.
    ///
    /// A commit that waits for the device ([`Durability::Sync`]) may be seen by other processes a moment before it is there.
    ///
    /// # Errors
    /// [`Error::Closed`] after the handle was closed; [`Error::Corruption`] where another database, or an older copy, has taken the
    /// place of the one that was opened; [`Error::Io`] from the system. What was seen before is still seen.
    pub fn refresh(&self) -> Result<()> {
        self.handle.refresh()
    }

    /// The directory, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.handle.engine.path
    }

    /// Closes this handle and its clones. With the last handle on the directory everything is put on the device and the
    /// directory is unlocked. Afterwards every call through the handle, its iterators, snapshots and transactions
    /// included, is [`Error::Closed`]; closing again is fine. Its memory, maps and open files are given back as well, while
    /// all of these are still there: only a [`ValueRef`] keeps what it looks at, and an open iterator the keys that it walks
    /// over. Calls that are under way in other threads come to their end, and the last of them gives back. Dropping the last clone, iterator, snapshot, transaction, batch and keyspace of the
    /// handle does the same, but cannot tell of an error.
    ///
    /// # Errors
    /// As [`OpenDB::flush`]. The handle is closed in any case; what could not be written is recovered at the next open.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }
}

impl fmt::Debug for OpenDB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenDB").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// Rests before the next attempt, longer each time, and not for the same time as whoever it conflicts with.
pub(super) fn rest_after(attempt: u32) {
    if attempt < 4 {
        std::thread::yield_now();
        return;
    }
    let longest = Duration::from_micros(8 << attempt.min(10)).min(TRANSACT_REST_MAX);
    // Any spread will do: the low bits of the clock differ from thread to thread.
    let spread = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos() % 64);
    std::thread::sleep(longest.mul_f64(0.5 + f64::from(spread) / 128.0));
}
