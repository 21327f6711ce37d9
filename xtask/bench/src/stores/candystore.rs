//! CandyStore: appends to the page cache and changes a mapped index, so that a call survives the process.

use ::candystore::{CandyStore, Config};
use anyhow::Result;
use opendb_measure::workload::Seen;

use super::{Guarantee, Setup, Store, Work};

struct Opened {
    database: CandyStore,
    durable: bool,
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let database = CandyStore::open(setup.directory, Config::default())?;
    work(&mut Opened { database, durable: setup.guarantee == Guarantee::Durable })
}

impl Opened {
    fn flush(&self) -> Result<()> {
        if self.durable { Ok(self.database.flush()?) } else { Ok(()) }
    }
}

impl Store for Opened {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.database.set(key, value)?;
        self.flush()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(self.database.get(key)?.map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.database.remove(key)?;
        self.flush()
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.database.contains(key)?)
    }

    fn settle(&mut self) -> Result<()> {
        Ok(self.database.checkpoint()?)
    }
}
