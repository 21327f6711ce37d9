//! RocksDB: its log goes to the page cache with each write. For transactions it has another kind of database.

use anyhow::Result;
use opendb_measure::workload::{Key, Seen};
use rust_rocksdb::{
    BlockBasedOptions, Cache, CompactOptions, DB, ErrorKind, OptimisticTransactionDB,
    OptimisticTransactionOptions, Options, WriteBatch, WriteBatchWithTransaction, WriteOptions,
};

use super::{Change, Entry, Guarantee, Lookup, OwnEntry, Setup, Store, Visit, Work, show_collected};

const CACHE_BYTES: usize = 1 << 30;
const FILTER_BITS_PER_KEY: f64 = 10.0;
const BACKGROUND_THREADS: i32 = 2;

struct Plain {
    database: DB,
    write: WriteOptions,
}

struct Transactional {
    database: OptimisticTransactionDB,
    write: WriteOptions,
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(FILTER_BITS_PER_KEY, false);
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    // Values of these runs cannot be compressed, so trying would only cost time.
    options.set_compression_type(rust_rocksdb::DBCompressionType::None);
    options.increase_parallelism(BACKGROUND_THREADS);
    options
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let mut write = WriteOptions::default();
    write.set_sync(setup.guarantee == Guarantee::Durable);
    if setup.transactions {
        let database = OptimisticTransactionDB::open(&options(), setup.directory)?;
        return work(&mut Transactional { database, write });
    }
    work(&mut Plain { database: DB::open(&options(), setup.directory)?, write })
}

impl Store for Plain {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.database.put_opt(key, value, &self.write)?)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.database.get(key)?.map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(self.database.delete_opt(key, &self.write)?)
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.database.get_pinned(key)?.is_some())
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| Ok(self.database.get_pinned(key)?.map(|value| Seen::of(&value))))
    }

    fn get_many(&self, keys: &[Key], found: &mut dyn FnMut(Option<Seen>) -> Result<()>) -> Result<()> {
        for value in self.database.multi_get(keys.iter().map(|key| &key[..])) {
            found(value?.map(|value| Seen::of(&value)))?;
        }
        Ok(())
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let mut batch = WriteBatch::default();
        entries.iter().for_each(|Entry { key, value }| batch.put(&key[..], value));
        Ok(self.database.write_opt(&batch, &self.write)?)
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let mut iterator = self.database.raw_iterator();
        iterator.seek(start);
        let mut left = limit;
        if collected {
            let own = std::iter::from_fn(|| {
                let (key, value) = iterator.item().filter(|_| left > 0)?;
                let entry: OwnEntry = (key.to_vec(), value.to_vec());
                left -= 1;
                iterator.next();
                Some(Ok(entry))
            });
            return show_collected(own, visit);
        }
        while let Some((key, value)) = iterator.item().filter(|_| left > 0) {
            visit(key, value);
            left -= 1;
            iterator.next();
        }
        Ok(iterator.status()?)
    }

    fn settle(&mut self) -> Result<()> {
        self.database.flush()?;
        self.database.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &CompactOptions::default());
        Ok(())
    }
}

impl Store for Transactional {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.database.put_opt(key, value, &self.write)?)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.database.get(key)?.map(|value| Seen::of(&value)))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let mut batch = WriteBatchWithTransaction::<true>::default();
        entries.iter().for_each(|Entry { key, value }| batch.put(&key[..], value));
        Ok(self.database.write_opt(&batch, &self.write)?)
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        for conflicts in 0.. {
            let transaction =
                self.database.transaction_opt(&self.write, &OptimisticTransactionOptions::default());
            let value = {
                let present = transaction.get_pinned_for_update(key, true)?;
                change(present.as_deref().unwrap_or_default())?
            };
            transaction.put(key, value)?;
            match transaction.commit() {
                Ok(()) => return Ok(conflicts),
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::TryAgain) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}
