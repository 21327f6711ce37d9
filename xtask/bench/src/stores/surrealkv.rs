//! SurrealKV: its commits are futures, driven by a runtime with one thread for the work in the background.

use ::surrealkv::{
    CompactRangeOptions, Durability, Error, LSMIterator as _, Mode, Transaction, Tree, TreeBuilder,
};
use anyhow::Result;
use opendb_measure::workload::Seen;
use tokio::runtime::{Builder, Runtime};

use super::{Change, Entry, Guarantee, Lookup, OwnEntry, Setup, Store, Visit, Work};

const CACHE_BYTES: u64 = 1 << 30;
/// Above every key of these runs.
const END: [u8; 32] = [0xff; 32];

struct Opened {
    tree: Tree,
    runtime: Runtime,
    durability: Durability,
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let durability = match setup.guarantee {
        Guarantee::Survives => Durability::Eventual,
        Guarantee::Durable => Durability::Immediate,
    };
    let builder = TreeBuilder::new().with_path(setup.directory.join("surrealkv"));
    let builder = builder.without_compression().with_block_cache_capacity(CACHE_BYTES);
    let tree = {
        let _entered = runtime.enter();
        builder.build()?
    };
    let mut store = Opened { tree, runtime, durability };
    work(&mut store)?;
    Ok(store.runtime.block_on(store.tree.close())?)
}

impl Opened {
    /// Also a write that has read nothing conflicts with another one of the same key, and is then made again.
    fn write(&self, work: impl Fn(&mut Transaction) -> Result<()>) -> Result<()> {
        loop {
            let mut transaction =
                self.tree.begin_with_mode(Mode::WriteOnly)?.with_durability(self.durability);
            work(&mut transaction)?;
            match self.runtime.block_on(transaction.commit()) {
                Err(Error::TransactionWriteConflict | Error::TransactionRetry) => {}
                committed => return Ok(committed?),
            }
        }
    }

    fn read(&self) -> Result<Transaction> {
        Ok(self.tree.begin_with_mode(Mode::ReadOnly)?)
    }

    fn walk(&self, start: &[u8], limit: usize, visit: Visit<'_>) -> Result<()> {
        let transaction = self.read()?;
        let mut iterator = transaction.range(start, &END[..])?;
        let (mut valid, mut left) = (iterator.seek_first()?, limit);
        while valid {
            visit(iterator.key().user_key(), &iterator.value()?);
            left -= 1;
            valid = left > 0 && iterator.next()?;
        }
        Ok(())
    }
}

impl Store for Opened {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(|transaction| Ok(transaction.set(key, value)?))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.read()?.get(key)?.map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.write(|transaction| Ok(transaction.delete(key)?))
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        let transaction = self.read()?;
        work(&|key| Ok(transaction.get(key)?.map(|value| Seen::of(&value))))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        self.write(|transaction| {
            for Entry { key, value } in entries {
                transaction.set(&key[..], &value[..])?;
            }
            Ok(())
        })
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        if !collected {
            return self.walk(start, limit, visit);
        }
        let mut own: Vec<OwnEntry> = Vec::new();
        self.walk(start, limit, &mut |key, value| own.push((key.to_vec(), value.to_vec())))?;
        std::hint::black_box(&own).iter().for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        for conflicts in 0.. {
            let mut transaction = self.tree.begin()?.with_durability(self.durability);
            let value = transaction.get(key)?.unwrap_or_default();
            transaction.set(key, change(&value)?)?;
            match self.runtime.block_on(transaction.commit()) {
                Ok(()) => return Ok(conflicts),
                Err(Error::TransactionWriteConflict | Error::TransactionRetry) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }

    fn settle(&mut self) -> Result<()> {
        Ok(self.tree.compact_range(None, None, &CompactRangeOptions::default())?)
    }
}
