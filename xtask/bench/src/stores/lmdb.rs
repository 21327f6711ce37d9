//! LMDB through `heed`.

use std::hint::black_box;
use std::ops::Bound;

use anyhow::Result;
use opendb_measure::lmdb::{Lmdb, Settings, with_lmdb};
use opendb_measure::workload::Seen;

use super::{
    Change, Entry, Guarantee, Lookup, OwnEntry, Setup, Store, Visit, Work, show_collected, show_each,
};

pub(super) fn with_store(setup: &Setup<'_>, writable_map: bool, work: Work<'_>) -> Result<()> {
    let synced = setup.guarantee == Guarantee::Durable;
    let settings = Settings { data_bytes: setup.data_bytes, writable_map, synced, ..Settings::default() };
    with_lmdb(setup.directory, settings, |lmdb| {
        work(&mut Lmdb { environment: lmdb.environment, database: lmdb.database })
    })
}

impl Store for Lmdb<'_> {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.environment.write_txn()?;
        self.database.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Seen>> {
        let transaction = self.environment.read_txn()?;
        let value = self.database.get(&transaction, key)?.map(<[u8]>::to_vec);
        Ok(black_box(value).map(|value| Seen::of(&value)))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        let mut transaction = self.environment.write_txn()?;
        self.database.delete(&mut transaction, key)?;
        Ok(transaction.commit()?)
    }

    fn exists(&self, key: &[u8]) -> Result<bool> {
        let transaction = self.environment.read_txn()?;
        Ok(self.database.get(&transaction, key)?.is_some())
    }

    fn with_lookup(&self, work: &mut dyn FnMut(Lookup<'_>) -> Result<()>) -> Result<()> {
        let transaction = self.environment.read_txn()?;
        work(&|key| Ok(self.database.get(&transaction, key)?.map(Seen::of)))
    }

    fn batch(&self, entries: &[Entry]) -> Result<()> {
        let mut transaction = self.environment.write_txn()?;
        for Entry { key, value } in entries {
            self.database.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn scan(&self, start: &[u8], limit: usize, collected: bool, visit: Visit<'_>) -> Result<()> {
        let transaction = self.environment.read_txn()?;
        let range = (Bound::Included(start), Bound::Unbounded);
        let lent = self.database.range(&transaction, &range)?.take(limit).map(|entry| Ok(entry?));
        if collected {
            let own = |(key, value): (&[u8], &[u8])| -> OwnEntry { (key.to_vec(), value.to_vec()) };
            show_collected(lent.map(|entry: Result<_>| entry.map(own)), visit)
        } else {
            show_each(lent, visit)
        }
    }

    fn update(&self, key: &[u8], change: Change<'_>) -> Result<u64> {
        let mut transaction = self.environment.write_txn()?;
        let value = change(self.database.get(&transaction, key)?.unwrap_or_default())?;
        self.database.put(&mut transaction, key, &value)?;
        transaction.commit()?;
        Ok(0)
    }
}
