//! How a database is opened, and the limits that hold for every database.

use std::time::Duration;

use crate::error::{Error, Result};

/// Longest key, in bytes: the key's length is a 16-bit field of the record.
pub const KEY_BYTES_MAX: usize = (1 << 16) - 1;
/// Longest value, in bytes: the value's length is a 32-bit field of the record.
pub const VALUE_BYTES_MAX: usize = (1 << 32) - 1;
/// Longest name of a keyspace, in bytes of UTF-8.
pub const KEYSPACE_NAME_BYTES_MAX: usize = 255;
/// Most keyspaces of one database, `"default"` included: the keyspace is a 12-bit field of the record and the last
/// number is kept back.
pub const KEYSPACES_MAX: usize = (1 << 12) - 1;
/// How often a transaction's work is run again, unless something else is said.
const TRANSACT_RETRIES: u32 = 99;
/// Smallest size of a segment that [`Options::segment_bytes`] takes.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Largest size of a segment: a location in the index has 25 bits for the offset, in units of 8 bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 28;
/// Most that one commit, be it a put, a batch or a transaction, takes in the log: a frame that fills the largest segment. Each
/// write counts with its key and at most 44 bytes, and with its value; but of a commit that has grown over
/// [`COMMIT_KEPT_BYTES_MAX`] further values of more than [`COMMIT_VALUE_BYTES_KEPT`] bytes, and of all commits those over 1 MiB,
/// count with 24 bytes. So some four million values of any length fit, if the keys are short.
pub const COMMIT_BYTES_MAX: u64 = SEGMENT_BYTES_MAX - 64; // its header
/// Bytes of a commit, values over 1 MiB included, that are kept in memory until it is made, and together in the log; of smaller
/// [`Options::segment_bytes`] than 16 MiB four segments' worth. Further values go to the log as they come, into segments of large
/// values.
pub const COMMIT_KEPT_BYTES_MAX: u64 = 64 << 20;
/// Longest value, in bytes, that stands with its key in any commit: longer ones take less room there by a reference.
pub const COMMIT_VALUE_BYTES_KEPT: usize = 64;

/// What a commit waits for before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// The write survives the death of the process at any instant. The device is synced in the background at least
    /// once a second, so a power cut loses at most the last second.
    #[default]
    Buffered,
    /// The write is on the device before the call returns. Concurrent committers share one sync.
    Sync,
}

/// How the log is appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AppendMode {
    /// [`AppendMode::Mapped`] where the filesystem keeps the room it promised (ext4, XFS, tmpfs), otherwise
    /// [`AppendMode::Write`].
    #[default]
    Auto,
    /// Stores into a shared mapping of the active segment.
    Mapped,
    /// One positioned write to the file for each commit.
    Write,
}

/// How a database is opened. Every setting has a default that is right for most uses.
///
/// ```
/// use opendb::{Durability, Options};
/// let options = Options::new().durability(Durability::Sync).cache_bytes(16 << 20);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) durability: Durability,
    pub(crate) append: AppendMode,
    pub(crate) mapped_reads: bool,
    pub(crate) cache_bytes: u64,
    pub(crate) segment_bytes: Option<u64>,
    pub(crate) read_damaged: bool,
    pub(crate) read_only: bool,
    pub(crate) lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create: true,
            durability: Durability::Buffered,
            append: AppendMode::Auto,
            mapped_reads: true,
            cache_bytes: 64 << 20,
            segment_bytes: None,
            read_damaged: false,
            read_only: false,
            lock_timeout: Duration::ZERO,
        }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Options {
        Options::default()
    }

    /// Whether a missing directory or database is created (default: yes). Without it, opening what is not there is
    /// an error and nothing is made.
    #[must_use]
    pub fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// What commits wait for unless they say otherwise (default: [`Durability::Buffered`]).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// How the log is appended to (default: [`AppendMode::Auto`]).
    #[must_use]
    pub fn append(mut self, append: AppendMode) -> Options {
        self.append = append;
        self
    }

    /// Whether segments are read through memory maps (default: yes). Without, and with [`AppendMode::Write`], no file
    /// of the database is mapped at all and every read is a positioned read.
    #[must_use]
    pub fn mapped_reads(mut self, mapped_reads: bool) -> Options {
        self.mapped_reads = mapped_reads;
        self
    }

    /// Bound of the cache in bytes (default: 64 MiB); 0 turns it off. It is for databases that do not fit into memory: it keeps single
    /// values that had to be waited for, where the system keeps whole pages. Where keys are read unevenly, most of the memory that the
    /// process may use is well given to it.
    #[must_use]
    pub fn cache_bytes(mut self, cache_bytes: u64) -> Options {
        self.cache_bytes = cache_bytes;
        self
    }

    /// Size of new segments in bytes, from [`SEGMENT_BYTES_MIN`] to [`SEGMENT_BYTES_MAX`] (default: 8 MiB, growing to
    /// 256 MiB as the database grows). Rounded up to a whole number of 4 KiB pages.
    #[must_use]
    pub fn segment_bytes(mut self, segment_bytes: u64) -> Options {
        self.segment_bytes = Some(segment_bytes);
        self
    }

    /// Opens a damaged database for reading what is still readable (default: no, damage is [`Error::Corruption`]).
    /// Every write is refused with [`Error::ReadOnly`], nothing in the directory is changed but the lock file, and
    /// [`crate::Stats::recovery`] tells what is missing: a key whose newest record is lost shows an older value or
    /// none, and commits behind a lost one are shown.
    #[must_use]
    pub fn read_damaged(mut self, read_damaged: bool) -> Options {
        self.read_damaged = read_damaged;
        self
    }

    /// Opens for reading only (default: no), which takes no lock and changes nothing in the directory: beside a process that
    /// writes, beside any number of others that read, from a medium that cannot be written to, or as a user who may not write. What
    /// the other process commits is seen within milliseconds, see [`crate::OpenDB::refresh`]. Every write is refused with
    /// [`Error::ReadOnly`]. What has to do with writing ([`Options::create`], [`Options::append`], [`Options::segment_bytes`],
    /// [`Options::durability`]) means nothing then.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Options {
        self.read_only = read_only;
        self
    }

    /// How long an opening waits for another process that has the directory open for writing (default: not at all). If that goes on
    /// for longer, and without a wait at once, it is [`Error::Locked`]. Whoever opens with [`Options::read_only`] takes no lock and
    /// never waits.
    #[must_use]
    pub fn lock_timeout(mut self, lock_timeout: Duration) -> Options {
        self.lock_timeout = lock_timeout;
        self
    }

    /// Refuses settings outside their limits.
    pub(crate) fn check(&self) -> Result<()> {
        if self.read_only && self.read_damaged {
            return Err(Error::InvalidArgument(
                "read_only and read_damaged cannot both be wanted: what is damaged is read with the directory's lock".to_owned(),
            ));
        }
        match self.segment_bytes {
            Some(bytes) if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) => {
                Err(Error::InvalidArgument(format!(
                    "segment_bytes is {bytes}, outside {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// How the values of a keyspace are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// As a block of LZ4 where that is smaller: cheap to write and cheaper to read, and good for text. Values over 1 MiB
    /// are stored as they are.
    Lz4,
}

/// How a keyspace is created, or changed. Every setting has a default that is right for most uses.
///
/// ```
/// use opendb::{Compression, KeyspaceOptions};
/// let options = KeyspaceOptions::new().compression(Compression::Lz4);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyspaceOptions {
    pub(crate) compression: Compression,
}

impl KeyspaceOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> KeyspaceOptions {
        KeyspaceOptions::default()
    }

    /// How values are stored from now on (default: [`Compression::None`]). What was written before stays as it is and is
    /// read all the same.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> KeyspaceOptions {
        self.compression = compression;
        self
    }
}

/// How `OpenDB::transact_with` runs its work. Every setting has a default that is right for most uses.
///
/// ```
/// use opendb::TransactOptions;
/// let options = TransactOptions::new().retries(3);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactOptions {
    pub(crate) retries: u32,
    pub(crate) durability: Option<Durability>,
}

impl Default for TransactOptions {
    fn default() -> TransactOptions {
        TransactOptions { retries: TRANSACT_RETRIES, durability: None }
    }
}

impl TransactOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> TransactOptions {
        TransactOptions::default()
    }

    /// How often the work is run again after a conflict, at most (default: 99).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> TransactOptions {
        self.retries = retries;
        self
    }

    /// What the commit waits for (default: what the database was opened with).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> TransactOptions {
        self.durability = Some(durability);
        self
    }
}

/// Refuses a key over [`KEY_BYTES_MAX`].
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "the key has {} bytes, at most {KEY_BYTES_MAX} are allowed",
            key.len()
        )));
    }
    Ok(())
}

/// Refuses keys of which one is over [`KEY_BYTES_MAX`].
pub(crate) fn check_keys<K: AsRef<[u8]>>(keys: &[K]) -> Result<()> {
    keys.iter().try_for_each(|key| check_key(key.as_ref()))
}

/// Refuses a value over [`VALUE_BYTES_MAX`].
pub(crate) fn check_value(value: &[u8]) -> Result<()> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "the value has {} bytes, at most {VALUE_BYTES_MAX} are allowed",
            value.len()
        )));
    }
    Ok(())
}

/// Refuses a name that no keyspace can have: empty, or over [`KEYSPACE_NAME_BYTES_MAX`].
pub(crate) fn check_keyspace_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > KEYSPACE_NAME_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "the keyspace's name has {} bytes, 1 to {KEYSPACE_NAME_BYTES_MAX} are allowed",
            name.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_the_limit_and_not_one_past_it() {
        assert!(check_key(&vec![0; KEY_BYTES_MAX]).is_ok());
        assert!(matches!(check_key(&vec![0; KEY_BYTES_MAX + 1]), Err(Error::InvalidArgument(_))));
        assert!(check_value(&vec![0; VALUE_BYTES_MAX]).is_ok());
        assert!(matches!(check_value(&vec![0; VALUE_BYTES_MAX + 1]), Err(Error::InvalidArgument(_))));
        assert!(check_keyspace_name(&"n".repeat(KEYSPACE_NAME_BYTES_MAX)).is_ok());
        assert!(matches!(
            check_keyspace_name(&"n".repeat(KEYSPACE_NAME_BYTES_MAX + 1)),
            Err(Error::InvalidArgument(_))
        ));
        assert!(matches!(check_keyspace_name(""), Err(Error::InvalidArgument(_))));
        assert!(Options::new().segment_bytes(SEGMENT_BYTES_MIN).check().is_ok());
        assert!(Options::new().segment_bytes(SEGMENT_BYTES_MAX).check().is_ok());
        assert!(Options::new().segment_bytes(SEGMENT_BYTES_MIN - 1).check().is_err());
        assert!(Options::new().segment_bytes(SEGMENT_BYTES_MAX + 1).check().is_err());
    }
}
