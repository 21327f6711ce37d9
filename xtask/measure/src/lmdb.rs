//! LMDB through `heed`, the store that others are held against.

use std::ops::Bound;
use std::path::Path;

use anyhow::{Context as _, Result};
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};

use crate::workload::{Keys, Values};

/// Address space for the map: much more than the data, since LMDB cannot grow it while it runs.
const MAP_BYTES_MIN: u64 = 1 << 30;
/// The map is a whole number of pages, of whatever size they are on this machine.
const MAP_BYTES_UNIT: u64 = 1 << 20;
/// Address space to data.
const MAP_TIMES: u64 = 6;
/// Puts of one transaction while loading. How it is loaded is not measured.
const PUTS_PER_COMMIT: u64 = 10_000;

/// How LMDB is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// How many bytes of keys and values it is to have room for.
    pub data_bytes: u64,
    /// Dirty pages are written through a writable map (`MDB_WRITEMAP`) and not with system calls.
    pub writable_map: bool,
    /// Each commit is synced; without (`MDB_NOSYNC`) it survives the death of the process only.
    pub synced: bool,
    /// The system reads no pages ahead (`MDB_NORDAHEAD`): for data that is larger than memory.
    pub reads_nothing_ahead: bool,
}

/// An open LMDB.
pub struct Lmdb<'env> {
    /// The environment, which begins transactions.
    pub environment: &'env Env,
    /// The one database in it.
    pub database: Database<'env, Bytes, Bytes>,
}

/// Opens LMDB in `directory` and runs `work` on it.
///
/// # Errors
/// When it cannot be opened, and those of the work.
pub fn with_lmdb<T>(
    directory: &Path,
    settings: Settings,
    work: impl FnOnce(&Lmdb<'_>) -> Result<T>,
) -> Result<T> {
    let mut options = EnvOpenOptions::new();
    let map_bytes = (MAP_BYTES_MIN + settings.data_bytes * MAP_TIMES).next_multiple_of(MAP_BYTES_UNIT);
    options.map_size(map_bytes as usize);
    let mut flags = EnvFlags::empty();
    flags.set(EnvFlags::WRITE_MAP, settings.writable_map);
    flags.set(EnvFlags::NO_SYNC, !settings.synced);
    flags.set(EnvFlags::NO_READ_AHEAD, settings.reads_nothing_ahead);
    let environment = open(&mut options, flags, directory)
        .with_context(|| format!("opening LMDB in {}", directory.display()))?;
    let transaction = environment.write_txn()?;
    let created = environment.create_databases_and_commit(transaction, |opener, transaction| {
        opener.create_database::<Bytes, Bytes>(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    let database = created.commit().context("LMDB gave up creating its database")?;
    work(&Lmdb { environment: &environment, database })
}

#[allow(unsafe_code)]
fn open(options: &mut EnvOpenOptions, flags: EnvFlags, directory: &Path) -> heed::Result<Env> {
    // SAFETY: without syncs a crash of the system may damage the environment; it lives in a directory made for this
    // run, is used by this process alone and is deleted afterwards.
    unsafe { options.flags(flags) };
    // SAFETY: nothing else reads or writes the files of that directory while they are mapped.
    unsafe { options.open(directory) }
}

impl Lmdb<'_> {
    /// Puts the first `count` keys, in the order of their numbers.
    ///
    /// # Errors
    /// Those of LMDB.
    pub fn load(&self, keys: Keys, values: &mut Values, count: u64) -> Result<()> {
        let mut number = 0;
        while number < count {
            let mut transaction = self.environment.write_txn()?;
            let end = count.min(number + PUTS_PER_COMMIT);
            for number in number..end {
                let key = keys.key(number);
                self.database.put(&mut transaction, &key, values.value(&key, 0))?;
            }
            transaction.commit()?;
            number = end;
        }
        Ok(())
    }

    /// Shows `visit` the value of a key, if it is there, in a transaction of its own.
    ///
    /// # Errors
    /// Those of LMDB and of `visit`.
    pub fn get(&self, key: &[u8], visit: impl FnOnce(Option<&[u8]>) -> Result<()>) -> Result<()> {
        let transaction = self.environment.read_txn()?;
        visit(self.database.get(&transaction, key)?)
    }

    /// Shows `visit` at most `count` entries from `start` on.
    ///
    /// # Errors
    /// Those of LMDB.
    pub fn scan(&self, start: &[u8], count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.environment.read_txn()?;
        let range = (Bound::Included(start), Bound::Unbounded);
        for entry in self.database.range(&transaction, &range)?.take(count) {
            let (key, value) = entry?;
            visit(key, value);
        }
        Ok(())
    }
}
