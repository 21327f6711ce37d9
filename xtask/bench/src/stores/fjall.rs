//! fjall: its journal goes to the page cache with each write. For transactions it has another kind of database.

use anyhow::Result;
use fjall::config::CompressionPolicy;
use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, PersistMode,
    Readable as _,
};
use opendb_measure::workload::Seen;

use super::{Change, Entry, Guarantee, Lookup, Setup, Store, Visit, Work, show};

const CACHE_BYTES: u64 = 1 << 30;
const KEYSPACE: &str = "entries";

struct Plain {
    database: Database,
    keyspace: Keyspace,
    mode: PersistMode,
}

struct Transactional {
    database: OptimisticTxDatabase,
    keyspace: OptimisticTxKeyspace,
    mode: PersistMode,
}

/// Values of these runs cannot be compressed, so trying would only cost time.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().data_block_compression_policy(CompressionPolicy::disabled())
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let mode = match setup.guarantee {
        Guarantee::Survives => PersistMode::Buffer,
        Guarantee::Durable => PersistMode::SyncData,
    };
    if setup.transactions {
        let database = OptimisticTxDatabase::builder(setup.directory).cache_size(CACHE_BYTES).open()?;
        let keyspace = database.keyspace(KEYSPACE, options)?;
        return work(&mut Transactional { database, keyspace, mode });
    }
    let database = Database::builder(setup.directory).cache_size(CACHE_BYTES).open()?;
    let keyspace = database.keyspace(KEYSPACE, options)?;
    work(&mut Plain { database, keyspace, mode })
}

impl Plain {
    /// A write has gone to the page cache by itself.
    fn persist(&self) -> Result<()> {
        match self.mode {
            PersistMode::Buffer => Ok(()),
            mode => Ok(self.database.persist(mode)?),
        }
    }
}

impl Store for Plain {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        self.persist()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let value = self.keyspace.get(key)?.map(|value| value.to_vec());
        Ok(std::hint::black_box(value).map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.keyspace.remove(key)?;
        self.persist()
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.keyspace.contains_key(key)?)
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| Ok(self.keyspace.get(key)?.map(|value| Seen::of(&value))))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(self.mode));
        entries.iter().for_each(|Entry { key, value }| batch.insert(&self.keyspace, &key[..], &value[..]));
        Ok(batch.commit()?)
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let entries = self.keyspace.range(start..).take(limit);
        show(entries.map(|entry| Ok(entry.into_inner()?)), collected, visit)
    }

    fn settle(&mut self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        Ok(self.keyspace.major_compact()?)
    }
}

impl Store for Transactional {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.keyspace.insert(key, value)?)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.keyspace.get(key)?.map(|value| Seen::of(&value)))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let inner = self.keyspace.inner();
        let mut batch = self.database.inner().batch().durability(Some(self.mode));
        entries.iter().for_each(|Entry { key, value }| batch.insert(inner, &key[..], &value[..]));
        Ok(batch.commit()?)
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        for conflicts in 0.. {
            let mut transaction = self.database.write_tx()?.durability(Some(self.mode));
            let value = transaction.get(&self.keyspace, key)?;
            let value = change(value.as_deref().unwrap_or_default())?;
            transaction.insert(&self.keyspace, key, value);
            if transaction.commit()?.is_ok() {
                return Ok(conflicts);
            }
        }
        Ok(0)
    }
}
