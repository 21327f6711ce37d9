//! LMDB through `heed`, to hold scans against.

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
/// Puts of one transaction while loading. How it is loaded is not measured.
const PUTS_PER_COMMIT: u64 = 10_000;

/// An open LMDB.
pub(crate) struct Lmdb<'env> {
    environment: &'env Env,
    database: Database<'env, Bytes, Bytes>,
}

/// Opens LMDB in `directory`, with room for `entries` entries of `entry_bytes` bytes, and runs `work` on it.
pub(crate) fn with_lmdb(
    directory: &Path,
    entries: u64,
    entry_bytes: u64,
    work: impl FnOnce(&Lmdb<'_>) -> Result<()>,
) -> Result<()> {
    let mut options = EnvOpenOptions::new();
    let map_bytes = (MAP_BYTES_MIN + entries * entry_bytes * 4).next_multiple_of(MAP_BYTES_UNIT);
    options.map_size(map_bytes as usize);
    let environment =
        open(&mut options, directory).with_context(|| format!("opening LMDB in {}", directory.display()))?;
    let transaction = environment.write_txn()?;
    let created = environment.create_databases_and_commit(transaction, |opener, transaction| {
        opener.create_database::<Bytes, Bytes>(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    let database = created.commit().context("LMDB gave up creating its database")?;
    work(&Lmdb { environment: &environment, database })
}

#[allow(unsafe_code)]
fn open(options: &mut EnvOpenOptions, directory: &Path) -> heed::Result<Env> {
    // SAFETY: without syncs a crash of the system may damage the environment; it lives in a directory made for this
    // run, is used by this process alone and is deleted afterwards.
    unsafe { options.flags(EnvFlags::NO_SYNC) };
    // SAFETY: nothing else reads or writes the files of that directory while they are mapped.
    unsafe { options.open(directory) }
}

impl Lmdb<'_> {
    /// Puts the first `count` keys, in the order of their numbers.
    pub(crate) fn load(&self, keys: Keys, values: &mut Values, count: u64) -> Result<()> {
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

    /// Shows `visit` at most `count` entries from `start` on.
    pub(crate) fn scan(&self, start: &[u8], count: usize, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.environment.read_txn()?;
        let range = (Bound::Included(start), Bound::Unbounded);
        for entry in self.database.range(&transaction, &range)?.take(count) {
            let (key, value) = entry?;
            visit(key, value);
        }
        Ok(())
    }
}
