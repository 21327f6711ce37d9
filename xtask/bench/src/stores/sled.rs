//! sled: writes wait in the process until they are flushed, and a flush waits for the device; so every write is flushed.

use std::cell::{Cell, RefCell};

use anyhow::{Context as _, Result};
use opendb_measure::workload::Seen;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use sled::{Batch, Db};

use super::{Change, Entry, Lookup, Setup, Store, Visit, Work, show};

const CACHE_BYTES: u64 = 1 << 30;

struct Opened(Db);

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let config = sled::Config::new().path(setup.directory.join("sled")).cache_capacity(CACHE_BYTES);
    let config = config.mode(sled::Mode::HighThroughput).flush_every_ms(None);
    let mut store = Opened(config.open()?);
    work(&mut store)?;
    store.flush()
}

impl Opened {
    fn flush(&self) -> Result<()> {
        self.0.flush()?;
        Ok(())
    }
}

impl Store for Opened {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.0.insert(key, value)?;
        self.flush()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let value = self.0.get(key)?.map(|value| value.to_vec());
        Ok(std::hint::black_box(value).map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.0.remove(key)?;
        self.flush()
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.0.contains_key(key)?)
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| Ok(self.0.get(key)?.map(|value| Seen::of(&value))))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let mut batch = Batch::default();
        entries.iter().for_each(|Entry { key, value }| batch.insert(&key[..], &value[..]));
        self.0.apply_batch(batch)?;
        self.flush()
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        show(self.0.range(start..).take(limit).map(|entry| Ok(entry?)), collected, visit)
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        let (change, tries) = (RefCell::new(change), Cell::new(0));
        let committed = self.0.transaction(|tree| {
            tries.set(tries.get() + 1);
            let value = tree.get(key)?.unwrap_or_default();
            let value = (change.borrow_mut())(&value).map_err(ConflictableTransactionError::Abort)?;
            tree.insert(key, value)?;
            tree.flush();
            Ok(())
        });
        match committed {
            Ok(()) => Ok(tries.get() - 1),
            Err(TransactionError::Abort(error)) => Err(error),
            Err(TransactionError::Storage(error)) => Err(error.into()),
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.flush().context("flushing")
    }
}
