//! redb: every commit is synced, since one that is not would be lost with the process.

use std::hint::black_box;
use std::ops::Bound;

use anyhow::Result;
use opendb_measure::workload::Seen;
use redb::{
    AccessGuard, Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};

use super::{Change, Entry, Lookup, OwnEntry, Setup, Store, Visit, Work, show_collected};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const CACHE_BYTES: usize = 1 << 30;

struct Redb(Database);

pub(super) fn with_store(setup: &Setup<'_>, work: Work<'_>) -> Result<()> {
    let path = setup.directory.join("redb");
    let mut store = Redb(Database::builder().set_cache_size(CACHE_BYTES).create(path)?);
    let transaction = store.begin()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    work(&mut store)?;
    Ok(store.0.close()?)
}

impl Redb {
    fn begin(&self) -> Result<WriteTransaction> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction)
    }
}

impl Store for Redb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let transaction = self.begin()?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        Ok(transaction.commit()?)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let value = table.get(key)?.map(|value| value.value().to_vec());
        Ok(black_box(value).map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        let transaction = self.begin()?;
        transaction.open_table(TABLE)?.remove(key)?;
        Ok(transaction.commit()?)
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.is_some())
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        work(&|key| Ok(table.get(key)?.map(|value| Seen::of(value.value()))))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let transaction = self.begin()?;
        let mut table = transaction.open_table(TABLE)?;
        for Entry { key, value } in entries {
            table.insert(&key[..], &value[..])?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let lent = table.range::<&[u8]>((Bound::Included(start), Bound::Unbounded))?.take(limit);
        if collected {
            let own = lent.map(|entry| {
                let (key, value) = entry?;
                Ok::<OwnEntry, anyhow::Error>((key.value().to_vec(), value.value().to_vec()))
            });
            return show_collected(own, visit);
        }
        for entry in lent {
            let (key, value) = entry?;
            visit(key.value(), value.value());
        }
        Ok(())
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        let transaction = self.begin()?;
        let mut table = transaction.open_table(TABLE)?;
        let value = change(table.get(key)?.as_ref().map(AccessGuard::value).unwrap_or_default())?;
        table.insert(key, &value[..])?;
        drop(table);
        transaction.commit()?;
        Ok(0)
    }

    fn settle(&mut self) -> Result<()> {
        while self.0.compact()? {}
        Ok(())
    }
}
