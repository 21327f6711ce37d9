//! emdb: its journal is written with a system call a put, so that a put survives the process.

use anyhow::Result;
use emdb::{Emdb, FlushPolicy};
use opendb_measure::workload::Seen;

use super::{Entry, Guarantee, Lookup, Setup, Store, Visit, Work, show};

struct Opened {
    database: Emdb,
    durable: bool,
}

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let builder = Emdb::builder().path(setup.directory.join("emdb"));
    let builder = builder.enable_range_scans(setup.scans).flush_policy(FlushPolicy::OnEachFlush);
    let mut store = Opened { database: builder.build()?, durable: setup.guarantee == Guarantee::Durable };
    work(&mut store)?;
    Ok(store.database.checkpoint()?)
}

impl Opened {
    fn flush(&self) -> Result<()> {
        if self.durable { Ok(self.database.flush()?) } else { Ok(()) }
    }
}

impl Store for Opened {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.database.insert(key, value)?;
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
        Ok(self.database.contains_key(key)?)
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| Ok(self.database.get_zerocopy(key)?.map(|value| Seen::of(value.as_slice()))))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        self.database.insert_many(entries.iter().map(|Entry { key, value }| (&key[..], &value[..])))?;
        self.flush()
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let entries = self.database.iter_from(start)?.take(limit).map(Ok);
        show(entries, collected, visit)
    }

    fn settle(&mut self) -> Result<()> {
        self.database.compact()?;
        Ok(self.database.checkpoint()?)
    }
}
