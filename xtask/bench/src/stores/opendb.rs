//! This store.

use anyhow::Result;
use opendb::{Durability, OpenDB, Options, Scan};
use opendb_measure::workload::{Key, Seen};

use super::{Change, Entry, Guarantee, Lookup, Setup, Store, Visit, Work, show_collected};

const KEYSPACE: &str = "default";

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let durability = match setup.guarantee {
        Guarantee::Survives => Durability::Buffered,
        Guarantee::Durable => Durability::Sync,
    };
    let mut db = OpenDB::open_with_options(setup.directory, Options::new().durability(durability))?;
    work(&mut db)?;
    Ok(db.close()?)
}

impl Store for OpenDB {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(OpenDB::put(self, key, value)?)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        Ok(OpenDB::get(self, key)?.map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(OpenDB::delete(self, key)?)
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(OpenDB::exists(self, key)?)
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        work(&|key| Ok(self.get_ref(key)?.map(|value| Seen::of(&value))))
    }

    fn get_many(&self, keys: &[Key], found: &mut dyn FnMut(Option<Seen>) -> Result<()>) -> Result<()> {
        self.get_many_ref(keys)?
            .iter()
            .try_for_each(|value| found(value.as_ref().map(|value| Seen::of(value))))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let mut batch = OpenDB::batch(self);
        for Entry { key, value } in entries {
            batch.put(KEYSPACE, key, value)?;
        }
        Ok(batch.commit()?)
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let mut entries = self.iter(&Scan::all().from(start).limit(limit as u64))?;
        if collected {
            return show_collected(entries.map(|entry| Ok(entry?)), visit);
        }
        while let Some(entry) = entries.next_ref() {
            let (key, value) = entry?;
            visit(key, value);
        }
        Ok(())
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        let mut tries = 0;
        let mut changed = Ok(());
        self.transact(|transaction| {
            tries += 1;
            let value = transaction.get(KEYSPACE, key)?.unwrap_or_default();
            match change(&value) {
                Ok(value) => transaction.put(KEYSPACE, key, &value),
                Err(error) => {
                    changed = Err(error);
                    Ok(())
                }
            }
        })?;
        changed.map(|()| tries - 1)
    }

    fn settle(&mut self) -> Result<()> {
        self.compact()?;
        Ok(())
    }
}
