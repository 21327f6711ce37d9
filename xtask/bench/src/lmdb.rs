//! LMDB through `heed`, set to be as fast as it can be while a put still survives the death of the process.

use std::path::Path;

use anyhow::{Context as _, Result};
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};

use crate::store::{Lookup, Store};
use crate::workload::{Key, VALUE_BYTES, digest};

/// Address space for the map: much more than the data, since LMDB cannot grow it while it runs.
const MAP_BYTES_PER_KEY: usize = 2 << 10;
const MAP_BYTES_MIN: usize = 1 << 30;

struct Lmdb<'env> {
    environment: &'env Env,
    database: Database<'env, Bytes, Bytes>,
}

/// Opens LMDB in `directory` and runs `work` on it.
pub(crate) fn with_store(
    directory: &Path,
    keys: usize,
    writable_map: bool,
    work: &mut dyn FnMut(&dyn Store) -> Result<()>,
) -> Result<()> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES_MIN + keys * MAP_BYTES_PER_KEY);
    let mut flags = EnvFlags::NO_SYNC;
    if writable_map {
        flags |= EnvFlags::WRITE_MAP;
    }
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

impl Store for Lmdb<'_> {
    fn put(&self, key: &Key, value: &[u8; VALUE_BYTES]) -> Result<()> {
        let mut transaction = self.environment.write_txn()?;
        self.database.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn get(&self, key: &Key) -> Result<Option<u64>> {
        let transaction = self.environment.read_txn()?;
        Ok(self.database.get(&transaction, key)?.map(digest))
    }

    fn first(&self) -> Result<Option<Key>> {
        let transaction = self.environment.read_txn()?;
        let entry = self.database.iter(&transaction)?.next().transpose()?;
        Ok(entry.and_then(|(key, _)| key.try_into().ok()))
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        let transaction = self.environment.read_txn()?;
        work(&|key| Ok(self.database.get(&transaction, key)?.map(digest)))
    }
}
